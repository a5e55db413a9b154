//! A checksum behind each frame, so that a network which flips a bit ends the link and never changes
//! what is said on it.
//!
//! Changes are named by hashes and peers prove who they are, but that leaves room for harm: a
//! flipped bit in the id beside a change makes a second record of it. TCP's own sum of 16 bits lets
//! one harmed segment in 65,536 pass. This is against accidents; against attackers there is TLS.

use bytes::Bytes;
use flate2::Crc;

/// Bytes of a checksum: CRC-32 (IEEE) of the frame, big-endian.
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The frame with its checksum behind it.
pub(super) fn seal(frame: &[u8]) -> Bytes {
    let mut message = Vec::with_capacity(frame.len() + CHECKSUM_BYTES);
    message.extend_from_slice(frame);
    message.extend_from_slice(&checksum(frame));
    message.into()
}

/// The frame of a message, if its checksum is right.
pub(super) fn open(mut message: Bytes) -> Option<Bytes> {
    let frame = message.len().checked_sub(CHECKSUM_BYTES)?;
    let sum = message.split_off(frame);
    (sum == checksum(&message).as_slice()).then_some(message)
}

fn checksum(frame: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut crc = Crc::new();
    crc.update(frame);
    crc.sum().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        for frame in [&b""[..], b"\0", b"123456789"] {
            assert_eq!(open(seal(frame)).unwrap(), frame);
        }
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(seal(b"123456789")[9..], [0xcb, 0xf4, 0x39, 0x26]);
    }

    #[test]
    fn each_flipped_bit_is_noticed_and_so_is_what_is_cut_off() {
        let message = seal(b"a frame of the protocol");
        for bit in 0..message.len() * 8 {
            let mut harmed = message.to_vec();
            harmed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(harmed.into()), None, "bit {bit}");
        }
        for len in 0..message.len() {
            assert_eq!(open(message.slice(..len)), None, "{len} bytes");
        }
    }
}
