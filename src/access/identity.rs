//! A replica's key, and the proof of it that a link starts with.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::entropy::Entropy;
use crate::id::ReplicaId;

/// First bytes of what is signed, so that the key's signatures for other ends are none for this.
const PROOF_CONTEXT: &[u8] = b"syncline/1 link proof";

/// First bytes of a signature of presence.
const PRESENCE_CONTEXT: &[u8] = b"syncline/1 presence";

const TRANSCRIPT_CONTEXT: &str = "syncline/1 handshake";

/// The secret key of a replica. Who holds it is the replica.
///
/// Nothing shows the key but [`Identity::to_bytes`], and it is wiped from memory when dropped.
///
/// ```
/// use syncline::access::Identity;
/// use syncline::entropy::Entropy;
///
/// let identity = Identity::generate(&mut Entropy::from_number(1));
/// let again = Identity::from_bytes(&identity.to_bytes());
/// assert_eq!(identity.replica_id(), again.replica_id());
/// ```
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// A new identity.
    pub fn generate(entropy: &mut Entropy) -> Self {
        Self::from_bytes(&entropy.bytes())
    }

    /// The identity with this secret key.
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret key, for keeping it. Keep it where only this replica can read it.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public key, by which others know the replica.
    pub fn replica_id(&self) -> ReplicaId {
        ReplicaId::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// The signature that this replica shows `presence`, the bytes of a note.
    pub fn sign_presence(&self, presence: &[u8]) -> [u8; 64] {
        self.0
            .sign(&[PRESENCE_CONTEXT, presence].concat())
            .to_bytes()
    }

    /// The proof that this replica has taken part in `transcript` as `role`.
    pub fn sign(&self, role: Role, transcript: &Transcript) -> [u8; 64] {
        self.0.sign(&signed_bytes(role, transcript)).to_bytes()
    }
}

impl fmt::Debug for Identity {
    /// Shows whose key it is, and nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.replica_id()).finish()
    }
}

/// The two ends of a link. They sign different bytes, so that nobody can pass as a replica by
/// sending its own signature back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Opened the link.
    Dialer,
    /// Accepted the link.
    Listener,
}

impl Role {
    /// The role at the other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// A digest of all that both sides have said before they prove who they are. It holds both keys,
/// stores and nonces: a proof over it is good for one link between these two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Transcript([u8; 32]);

impl Transcript {
    /// The transcript of a link, from the exact bytes of the two `Hello` frames.
    pub fn of(dialer_hello: &[u8], listener_hello: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(TRANSCRIPT_CONTEXT);
        for hello in [dialer_hello, listener_hello] {
            // With its length in front no byte can move from one message to the other.
            let length = u64::try_from(hello.len()).unwrap_or(u64::MAX);
            hasher.update(&length.to_be_bytes()).update(hello);
        }
        Self(hasher.finalize().into())
    }

    /// The digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({})", blake3::Hash::from_bytes(self.0))
    }
}

/// A proof of identity that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The replica id is no public key, or one for which anybody can sign.
    #[error("the replica id is not a usable public key")]
    NotAKey,
    /// The signature was not made by that key, in that role, over that transcript.
    #[error("the signature does not prove the replica's identity")]
    BadSignature,
}

/// Checks the proof of `replica` that it has taken part in `transcript` as `role`.
///
/// Strict in the sense of ed25519-dalek: one signature per message and key, no weak keys.
///
/// # Errors
/// When the proof does not hold.
pub fn verify(
    replica: ReplicaId,
    role: Role,
    transcript: &Transcript,
    signature: &[u8; 64],
) -> Result<(), ProofError> {
    verify_bytes(replica, &signed_bytes(role, transcript), signature)
}

/// Checks that `replica` has signed `presence`, the bytes of a note. As strict as [`verify`].
///
/// # Errors
/// When it has not.
pub fn verify_presence(
    replica: ReplicaId,
    presence: &[u8],
    signature: &[u8; 64],
) -> Result<(), ProofError> {
    verify_bytes(replica, &[PRESENCE_CONTEXT, presence].concat(), signature)
}

fn verify_bytes(replica: ReplicaId, bytes: &[u8], signature: &[u8; 64]) -> Result<(), ProofError> {
    let key = VerifyingKey::from_bytes(replica.as_bytes())
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or(ProofError::NotAKey)?;
    key.verify_strict(bytes, &Signature::from_bytes(signature))
        .or(Err(ProofError::BadSignature))
}

fn signed_bytes(role: Role, transcript: &Transcript) -> Vec<u8> {
    let role = match role {
        Role::Dialer => b'D',
        Role::Listener => b'L',
    };
    [PROOF_CONTEXT, &[role], transcript.as_bytes()].concat()
}
