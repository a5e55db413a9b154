//! The bodies of the fuzz targets. The library's tests run the same bodies over the corpus.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use syncline::access::{Admission, Identity, Policy, Role, Spaces, Transcript};
use syncline::doc::{self, Document};
use syncline::engine::{Config, Effect, Engine, Event, LinkId};
use syncline::entropy::Entropy;
use syncline::id::{ActorId, CorrelationId};
use syncline::limits;
use syncline::peer::DialSettings;
use syncline::session;
use syncline::store::{Durability, MemoryStore};
use syncline::time::{Instant, Now, WallTime};
use syncline::wire::{self, Features, Hello, Message, Wanted};
use syncline::{ReplicaId, SpaceId, StoreId};

/// Bytes of a change before what its checksum covers: magic and checksum.
const CHECKED_FROM: usize = 8;

/// Lets Automerge panic inside the library's guards: libFuzzer would abort at the panic itself.
/// One that escapes still ends the run, and any other is still shown.
#[cfg(fuzzing)]
pub fn expect_guarded_panics() {
    std::panic::set_hook(Box::new(|info| {
        let file = info.location().map_or("", |it| it.file());
        if !["/automerge-", "/hexane-"]
            .iter()
            .any(|it| file.contains(it))
        {
            eprintln!("{info}");
        }
    }));
}

/// Frames: whatever decodes must encode to the same bytes again.
pub fn wire(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let Ok(decoded) = wire::decode(&frame, limits::FRAME_BYTES_MAX) else {
        return;
    };
    let is_compressed = data.get(1).is_some_and(|flags| flags & 1 == 1);
    if matches!(decoded.message, Message::Unknown { .. }) {
        return;
    }
    let again = wire::encode(decoded.correlation, &decoded.message);
    let second = wire::decode(&Bytes::from(again.clone()), usize::MAX);
    assert_eq!(
        second.as_ref(),
        Ok(&decoded),
        "what was encoded decodes to the same"
    );
    if !is_compressed && !has_extensions(&decoded.message) {
        assert_eq!(again, data, "one message has one encoding");
    }
}

/// Messages in which later versions may add what this one drops.
fn has_extensions(message: &Message) -> bool {
    matches!(
        message,
        Message::Hello(_) | Message::Open(_) | Message::Bye { .. } | Message::Error { .. }
    )
}

/// Changes: what passes the checks may be refused by a document, which then has nothing of it.
///
/// The checksum is made right, as a hostile writer would, so that what lies behind it is reached.
pub fn change(data: &[u8]) {
    let mut data = data.to_vec();
    if let Some((head, content)) = data.split_at_mut_checked(CHECKED_FROM) {
        let digest = Sha256::digest(content);
        head[CHECKED_FROM - 4..].copy_from_slice(&digest[..4]);
    }
    let data = data.as_slice();
    let Ok(change) = doc::inspect(Bytes::copy_from_slice(data)) else {
        return;
    };
    let mut document = Document::new(&ActorId::from_bytes(vec![1; 16]));
    let before = document.heads();
    match document.apply(std::slice::from_ref(&change)) {
        Ok(()) => assert!(document.has(&change.hash()), "an applied change is there"),
        Err(_) => assert_eq!(document.heads(), before, "a refused change leaves nothing"),
    }
}

/// Sessions: a peer that has proved its key says anything at all. The input is a list of frames,
/// each led by two bytes of length.
pub fn session(data: &[u8]) {
    let mut hub = hub();
    let link = LinkId(1);
    hub.handle(
        now(0),
        Event::Accepted {
            link,
            address: "fuzz".to_owned(),
        },
    );
    let Some(ours) = first_frame(&mut hub) else {
        return;
    };
    introduce(&mut hub, link, &ours);
    drain(&mut hub, 0);
    let mut rest = data;
    let mut clock = 0;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(more.len());
        let (frame, after) = more.split_at(length);
        rest = after;
        clock += 1;
        let frame = session::inspect(&Bytes::copy_from_slice(frame), limits::FRAME_BYTES_MAX)
            .map_err(|error| (error.code(), error.to_string()));
        hub.handle(now(clock), Event::Frame { link, frame });
        drain(&mut hub, clock);
    }
}

fn now(millis: u64) -> Now {
    Now {
        instant: Instant::from_micros(millis * 1_000),
        wall: WallTime::from_millis(millis),
    }
}

fn hub() -> Engine {
    let mut entropy = Entropy::from_number(1);
    let config = Config {
        identity: Some(Arc::new(Identity::generate(&mut entropy))),
        policy: Arc::new(Policy {
            replicas: Admission::Anyone,
            spaces: Spaces::Any,
        }),
        spaces: vec![(SpaceId::named("fuzz"), Wanted::All)],
        durability: Durability::Immediate,
        projects: false,
        dialling: DialSettings::default(),
    };
    Engine::open(config, Arc::new(MemoryStore::new()), entropy).expect("a store in memory opens")
}

fn first_frame(hub: &mut Engine) -> Option<Vec<u8>> {
    while let Some(effect) = hub.poll(now(0)) {
        if let Effect::Send { frame, .. } = effect {
            return Some(frame);
        }
    }
    None
}

/// Shakes hands as an honest dialer would.
fn introduce(hub: &mut Engine, link: LinkId, listener_hello: &[u8]) {
    let identity = Identity::from_bytes(&[7; 32]);
    let replica: ReplicaId = identity.replica_id();
    let hello = Hello {
        version_min: wire::VERSION_MIN,
        version_max: wire::VERSION_MAX,
        features: Features::default(),
        replica,
        store: StoreId::from_bytes([8; 16]),
        nonce: [9; 32],
        frame_bytes_max: u32::try_from(limits::FRAME_BYTES_MAX).expect("fits"),
        credit_live: 1 << 20,
        credit_bulk: 1 << 20,
        agent: "fuzz".to_owned(),
    };
    let hello = wire::encode(CorrelationId(1), &Message::Hello(hello));
    let transcript = Transcript::of(&hello, listener_hello);
    let signature = identity.sign(Role::Dialer, &transcript);
    let auth = wire::encode(CorrelationId(1), &Message::Auth { signature });
    for frame in [hello, auth] {
        let frame = session::inspect(&Bytes::from(frame), limits::FRAME_BYTES_MAX)
            .map_err(|error| (error.code(), error.to_string()));
        hub.handle(now(0), Event::Frame { link, frame });
    }
}

/// Carries on until the hub has nothing to do; a peer must not keep it busy for ever.
fn drain(hub: &mut Engine, clock: u64) {
    for _ in 0..100_000 {
        match hub.poll(now(clock)) {
            Some(Effect::Send { link, frame }) => {
                hub.handle(
                    now(clock),
                    Event::Sent {
                        link,
                        bytes: frame.len(),
                    },
                );
            }
            Some(_) => {}
            None => return,
        }
    }
    panic!("one frame keeps the hub busy for ever");
}
