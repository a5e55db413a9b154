//! The opening of a session: both greet, both prove their keys over both greetings.

use bytes::Bytes;

use super::{Config, Fault, Peer, Verdict, fault};
use crate::access::{self, Request, Role, Transcript, Verdict as Access};
use crate::limits;
use crate::wire::{ErrorCode, Features, Hello, Message, VERSION_MAX, VERSION_MIN, encode};

/// What has been said so far.
#[derive(Debug)]
pub(super) struct Handshake {
    ours: Bytes,
    theirs: Option<(Hello, Transcript)>,
}

impl Handshake {
    /// The state at the start, and our greeting.
    pub(super) fn start(config: &Config) -> (Self, Vec<u8>) {
        let hello = Self::hello(config);
        let bytes = encode(config.correlation, &Message::Hello(hello));
        (
            Self {
                ours: Bytes::from(bytes.clone()),
                theirs: None,
            },
            bytes,
        )
    }

    fn hello(config: &Config) -> Hello {
        Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            features: Features::OURS,
            replica: config.identity.replica_id(),
            store: config.store,
            nonce: config.nonce,
            frame_bytes_max: u32::try_from(limits::FRAME_BYTES_MAX).unwrap_or(u32::MAX),
            credit_live: limits::CREDIT_LIVE_BYTES,
            credit_bulk: limits::CREDIT_BULK_BYTES,
            agent: concat!("syncline/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The peer greets: check who it says it is, and answer with our proof.
    pub(super) fn greet(
        &mut self,
        config: &Config,
        hello: Hello,
        bytes: &Bytes,
    ) -> Verdict<Message> {
        if self.theirs.is_some() {
            return fault(ErrorCode::OutOfOrder, "greeted twice");
        }
        if let Err(code) = Self::hello(config).agree(&hello) {
            let text = format!(
                "this side speaks versions {VERSION_MIN} to {VERSION_MAX}, the other {} to {}",
                hello.version_min, hello.version_max
            );
            return fault(code, text);
        }
        if hello.store == config.store {
            let text = "both sides are the same store, or one file is a copy of the other's; \
                        make a new store and sync into it";
            return fault(ErrorCode::SameStore, text);
        }
        if config
            .expect
            .is_some_and(|expected| expected != hello.replica)
        {
            let text = format!("expected another replica here than {}", hello.replica);
            return fault(ErrorCode::WrongKey, text);
        }
        let transcript = match config.role {
            Role::Dialer => Transcript::of(&self.ours, bytes),
            Role::Listener => Transcript::of(bytes, &self.ours),
        };
        let signature = config.identity.sign(config.role, &transcript);
        self.theirs = Some((hello, transcript));
        Ok(Message::Auth { signature })
    }

    /// The peer proves its key: the session can begin, with the credit that it granted.
    pub(super) fn prove(&self, config: &Config, signature: &[u8; 64]) -> Verdict<(Peer, u64, u64)> {
        let Some((hello, transcript)) = &self.theirs else {
            return fault(ErrorCode::OutOfOrder, "proof before greeting");
        };
        access::verify(hello.replica, config.role.other(), transcript, signature).map_err(
            |error| Fault {
                code: ErrorCode::BadSignature,
                text: error.to_string(),
            },
        )?;
        if let Access::Refused(refusal) = config.policy.decide(hello.replica, Request::Link) {
            return fault(ErrorCode::NotAllowed, refusal.to_string());
        }
        let peer = Peer {
            replica: hello.replica,
            store: hello.store,
            features: Self::hello(config).features.shared(hello.features),
        };
        Ok((peer, hello.credit_live, hello.credit_bulk))
    }
}
