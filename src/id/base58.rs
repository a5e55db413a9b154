//! Base58 with a checksum (Bitcoin's alphabet, two rounds of SHA-256): the text form of an
//! automerge-repo document id, which is read again, and of a head, which is not.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Bytes of an id and its checksum.
const CHECKED_BYTES: usize = 16 + 4;

pub(super) fn encode_checked(id: &[u8]) -> String {
    let mut bytes = id.to_vec();
    bytes.extend(checksum(id));
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // Digits of the number in base 58, least significant first.
    let mut digits: Vec<u8> = Vec::with_capacity(bytes.len() * 7 / 5);
    for byte in bytes {
        let mut carry = u32::from(byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).unwrap_or(0);
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).unwrap_or(0));
            carry /= 58;
        }
    }
    digits.resize(digits.len() + zeros, 0);
    let letter = |digit: &u8| {
        ALPHABET
            .get(usize::from(*digit))
            .copied()
            .map_or('1', char::from)
    };
    digits.iter().rev().map(letter).collect()
}

pub(super) fn decode_checked(text: &str) -> Option<[u8; 16]> {
    // 20 bytes never need more than 28 digits; anything longer is not worth the arithmetic.
    if text.len() > 28 {
        return None;
    }
    let mut bytes = [0_u8; CHECKED_BYTES];
    for letter in text.bytes() {
        let digit = ALPHABET.iter().position(|it| *it == letter)?;
        let mut carry = u32::try_from(digit).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    let (id, check) = bytes.split_first_chunk::<16>()?;
    // One id has one text: as many leading '1's as leading zero bytes.
    (check == checksum(id) && encode_checked(id) == text).then_some(*id)
}

fn checksum(id: &[u8]) -> [u8; 4] {
    let twice = Sha256::digest(Sha256::digest(id));
    let mut check = [0; 4];
    check
        .iter_mut()
        .zip(twice)
        .for_each(|(to, from)| *to = from);
    check
}
