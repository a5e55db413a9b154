//! Tests of identities, proofs and policies.

use super::{
    Admission, Identity, Policy, ProofError, Refusal, Request, Role, Spaces, Transcript, Verdict,
    verify,
};
use crate::entropy::Entropy;
use crate::id::{ReplicaId, SpaceId};

fn identity(seed: u64) -> Identity {
    Identity::generate(&mut Entropy::from_number(seed))
}

#[test]
fn a_proof_holds_for_its_replica_role_and_transcript_and_for_no_other() {
    let (ours, theirs) = (identity(1), identity(2));
    let transcript = Transcript::of(b"hello", b"there");
    let proof = ours.sign(Role::Dialer, &transcript);
    let check =
        |replica: ReplicaId, role, transcript: &_| verify(replica, role, transcript, &proof);
    let bad = Err(ProofError::BadSignature);

    assert_eq!(check(ours.replica_id(), Role::Dialer, &transcript), Ok(()));
    assert_eq!(check(theirs.replica_id(), Role::Dialer, &transcript), bad);
    assert_eq!(check(ours.replica_id(), Role::Listener, &transcript), bad);
    for other in [
        Transcript::of(b"there", b"hello"),
        Transcript::of(b"hellot", b"here"),
        Transcript::of(b"hello", b"thera"),
    ] {
        assert_eq!(check(ours.replica_id(), Role::Dialer, &other), bad);
    }
}

#[test]
fn every_flipped_bit_of_a_proof_is_noticed() {
    let ours = identity(1);
    let transcript = Transcript::of(b"hello", b"there");
    let proof = ours.sign(Role::Listener, &transcript);
    for bit in 0..512 {
        let mut flipped = proof;
        flipped[bit / 8] ^= 1 << (bit % 8);
        let verdict = verify(ours.replica_id(), Role::Listener, &transcript, &flipped);
        assert_eq!(verdict, Err(ProofError::BadSignature), "bit {bit}");
    }
}

#[test]
fn a_replica_id_for_which_anybody_can_sign_is_no_key() {
    let transcript = Transcript::of(b"", b"");
    // The neutral element: a plain verification accepts this signature for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    for bytes in [neutral, [0; 32], [2; 32]] {
        let replica = ReplicaId::from_bytes(bytes);
        let verdict = verify(replica, Role::Dialer, &transcript, &forged);
        assert_eq!(verdict, Err(ProofError::NotAKey), "{replica}");
    }
}

#[test]
fn the_same_key_makes_the_same_identity_and_nothing_shows_it() {
    let ours = identity(3);
    let secret = ours.to_bytes();
    let again = Identity::from_bytes(&secret);
    assert_eq!(again.replica_id(), ours.replica_id());
    let shown = format!("{ours:?}");
    assert_eq!(
        shown,
        format!("Identity(ReplicaId({}))", ours.replica_id().short())
    );
    assert!(!shown.contains(&ReplicaId::from_bytes(secret).short()));
}

/// Pins the construction, which both ends must compute alike for ever. docs/protocol.md shows it.
#[test]
fn the_proof_is_the_one_in_the_specification() {
    let ours = Identity::from_bytes(&[1; 32]);
    let transcript = Transcript::of(b"dialer hello", b"listener hello");
    let spec = include_str!("../../docs/protocol.md");
    let proof = ours.sign(Role::Dialer, &transcript);
    let (left, right) = proof.split_first_chunk::<32>().expect("64 bytes");
    let right = right.first_chunk().expect("64 bytes");
    // Ids show themselves as hex.
    let hex = |bytes: &[u8; 32]| ReplicaId::from_bytes(*bytes).to_string();
    for value in [
        hex(transcript.as_bytes()),
        hex(ours.replica_id().as_bytes()),
        hex(left) + &hex(right),
    ] {
        assert!(spec.contains(&value), "docs/protocol.md lacks {value}");
    }
}

#[test]
fn a_policy_admits_replicas_and_spaces_that_it_lists() {
    let (friend, stranger) = (identity(1).replica_id(), identity(2).replica_id());
    let (team, home) = (SpaceId::named("team"), SpaceId::named("home"));
    let policy = Policy {
        replicas: Admission::Only([friend].into()),
        spaces: Spaces::Listed([team].into()),
    };
    let stranger_refused = Verdict::Refused(Refusal::ReplicaNotAdmitted);
    let space_refused = Verdict::Refused(Refusal::SpaceNotListed);
    assert_eq!(policy.decide(friend, Request::Link), Verdict::Allowed);
    assert_eq!(policy.decide(friend, Request::Open(team)), Verdict::Allowed);
    assert_eq!(policy.decide(friend, Request::Open(home)), space_refused);
    assert_eq!(policy.decide(stranger, Request::Link), stranger_refused);
    let open = policy.decide(stranger, Request::Open(team));
    assert_eq!(open, stranger_refused);

    let hub = Policy {
        replicas: Admission::Anyone,
        spaces: Spaces::Any,
    };
    assert_eq!(hub.decide(stranger, Request::Open(home)), Verdict::Allowed);
}

#[test]
fn the_default_policy_refuses_everything() {
    let policy = Policy::default();
    let replica = identity(1).replica_id();
    let refused = Verdict::Refused(Refusal::ReplicaNotAdmitted);
    assert_eq!(policy.decide(replica, Request::Link), refused);
    let open = Request::Open(SpaceId::named("team"));
    assert_eq!(policy.decide(replica, open), refused);
}
