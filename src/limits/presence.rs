//! Bounds of presence: what is shown for a while and never stored.

use std::time::Duration;

/// Largest payload of one presence, in bytes: a cursor, a selection, a name and a colour, no document.
pub const PRESENCE_BYTES_MAX: usize = 4 * 1024;

/// How long a presence holds without being repeated, unless its handle says otherwise.
pub const PRESENCE_TTL: Duration = Duration::from_secs(30);

/// Shortest time that a presence may hold; it is repeated three times in it.
pub const PRESENCE_TTL_MIN: Duration = Duration::from_secs(1);

/// Longest time that a presence may hold: so long a ghost is seen where every way to it broke unnoticed.
pub const PRESENCE_TTL_MAX: Duration = Duration::from_secs(5 * 60);

/// Times that a presence is said within the time that it holds, so that one lost does no harm.
pub const PRESENCE_REPEATS: u32 = 3;

/// Least time between two values of one presence on their way out; of those between, the last counts.
/// Short enough for a cursor to look as if it moved.
pub const PRESENCE_EVERY: Duration = Duration::from_millis(50);

/// Most links that a presence crosses.
pub const PRESENCE_HOPS_MAX: u8 = 16;

/// Most presences that one node shows itself.
pub const PRESENCES_OWN_MAX: usize = 256;

/// Most presences of one author that are known in one space, so that none fills it alone.
pub const PRESENCES_PER_AUTHOR_MAX: usize = 64;

/// Most presences that are known in one space.
pub const PRESENCES_PER_SPACE_MAX: usize = 4_096;

/// Most presences that one link has brought, of all spaces.
pub const PRESENCES_PER_LINK_MAX: usize = 4_096;

/// Payloads that one link has brought, of all spaces, in bytes.
pub const PRESENCES_PER_LINK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most presences that are known altogether; each takes some 500 bytes besides its payload.
pub const PRESENCES_MAX: usize = 65_536;

/// Payloads that are known altogether, in bytes.
pub const PRESENCES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Presences that wait for a link: the newest of each.
pub const PRESENCES_PENDING_MAX: usize = 4_096;

/// Presence messages that are sent on a link at once after a pause.
pub const PRESENCE_SENT_BURST: u32 = 256;

/// Presence messages that are sent on a link in a second. Each takes a signature's check, some 60 us.
pub const PRESENCE_SENT_RATE: u32 = 250;

/// Presence messages that are taken from a link at once after a pause. More than are sent, since a
/// network gathers them.
pub const PRESENCE_TAKEN_BURST: u32 = 2_048;

/// Presence messages that are taken from a link in a second. Others are dropped and counted.
pub const PRESENCE_TAKEN_RATE: u32 = 1_000;

/// Presence messages dropped in a row after which a peer means harm. One that keeps to what is sent
/// can't come so far within [`super::IDLE_TIMEOUT`], after which a silent link ends.
pub const PRESENCE_EXCESS_MAX: u32 = 16_384;

const _: () = {
    assert!(PRESENCE_TTL_MIN.as_secs() <= PRESENCE_TTL.as_secs());
    assert!(PRESENCE_TTL.as_secs() <= PRESENCE_TTL_MAX.as_secs());
    assert!(
        PRESENCE_TTL_MAX.as_millis() <= u32::MAX as u128,
        "it travels as a number of 32 bits"
    );
    assert!(
        PRESENCE_EVERY.as_millis() * (PRESENCE_REPEATS as u128) < PRESENCE_TTL_MIN.as_millis(),
        "repeats are not held back"
    );
    assert!(PRESENCE_SENT_BURST < PRESENCE_TAKEN_BURST && PRESENCE_SENT_RATE < PRESENCE_TAKEN_RATE);
    assert!(
        PRESENCE_SENT_BURST as u64 + PRESENCE_SENT_RATE as u64 * super::IDLE_TIMEOUT.as_secs()
            < (PRESENCE_TAKEN_BURST + PRESENCE_EXCESS_MAX) as u64,
        "what a peer sends while the network holds it back is no harm"
    );
    assert!(PRESENCES_PER_AUTHOR_MAX <= PRESENCES_OWN_MAX);
    assert!(PRESENCES_PER_AUTHOR_MAX < PRESENCES_PER_SPACE_MAX);
    assert!(PRESENCES_PER_LINK_MAX < PRESENCES_MAX);
};
