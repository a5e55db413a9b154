//! The Bloom filter of Automerge's sync messages: which changes somebody has, with a few mistakes.
//!
//! Source: Kleppmann and Howard, <https://arxiv.org/abs/2012.00472>, and Automerge's own code, whose
//! bytes these are. That code divides by the length of a filter without looking at it, and takes
//! memory for as many probes as the other side says; here both are bounded before anything is asked.

use crate::codec::{Malformed, Problem, Reader, Writer};
use crate::id::ChangeHash;
use crate::limits;

/// Bits per entry of the filters made here: one of a hundred answers is wrong.
const BITS: u64 = 10;
/// Probes per entry of the filters made here.
const PROBES: u64 = 7;

/// Which of some hashes are in a set. It may say so of one that is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bloom {
    entries: u64,
    bits_per_entry: u64,
    probes: u64,
    bits: Vec<u8>,
}

impl Bloom {
    /// The filter of these hashes; without any it has nothing.
    pub fn of<'a>(hashes: impl ExactSizeIterator<Item = &'a ChangeHash>) -> Self {
        let entries = u64::try_from(hashes.len()).unwrap_or(0);
        let mut bloom = Self {
            entries,
            bits_per_entry: BITS,
            probes: PROBES,
            bits: vec![0; usize::try_from(bytes(entries, BITS)).unwrap_or(0)],
        };
        for hash in hashes {
            let probes: Vec<u64> = bloom.probes_of(hash).collect();
            for probe in probes {
                if let Some((byte, bit)) = bloom.place(probe) {
                    bloom
                        .bits
                        .get_mut(byte)
                        .into_iter()
                        .for_each(|it| *it |= bit);
                }
            }
        }
        bloom
    }

    /// Whether a hash is in it, perhaps.
    pub fn contains(&self, hash: &ChangeHash) -> bool {
        let is_set = |probe| {
            let place = self.place(probe);
            place.is_some_and(|(byte, bit)| self.bits.get(byte).is_some_and(|it| it & bit != 0))
        };
        self.entries > 0 && self.probes_of(hash).all(is_set)
    }

    fn place(&self, probe: u64) -> Option<(usize, u8)> {
        let byte = usize::try_from(probe >> 3).ok()?;
        (byte < self.bits.len()).then_some((byte, 1 << (probe & 7)))
    }

    fn probes_of(&self, hash: &ChangeHash) -> impl Iterator<Item = u64> + use<> {
        let modulo = u64::try_from(self.bits.len())
            .unwrap_or(0)
            .saturating_mul(8);
        // Three numbers of 32 bits, each with its lowest byte first.
        let number = |at: usize| {
            let bytes = hash.as_bytes().iter().skip(at * 4).take(4).rev();
            let number = bytes.fold(0_u64, |high, low| high << 8 | u64::from(*low));
            number.checked_rem(modulo).unwrap_or(0)
        };
        let (mut x, mut y, z) = (number(0), number(1), number(2));
        (0..self.probes).map(move |at| {
            if at > 0 {
                x = (x + y).checked_rem(modulo).unwrap_or(0);
                y = (y + z).checked_rem(modulo).unwrap_or(0);
            }
            x
        })
    }

    /// Appends it, with its length before it.
    pub fn encode(&self, writer: &mut Writer) {
        let mut bytes = Writer::new();
        if self.entries > 0 {
            bytes
                .varint(self.entries)
                .varint(self.bits_per_entry)
                .varint(self.probes)
                .raw(&self.bits);
        }
        writer.bytes(&bytes.finish());
    }

    /// Reads one.
    ///
    /// # Errors
    /// When it is cut off, or says that it has no entries, more bits per entry than
    /// [`limits::REPO_BLOOM_BITS_MAX`], more probes than [`limits::REPO_BLOOM_PROBES_MAX`], or another
    /// length than it has.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bytes_of = reader.bytes(limits::REPO_MESSAGE_BYTES_MAX, "Bloom filter")?;
        if bytes_of.is_empty() {
            return Ok(Self::default());
        }
        let mut inner = Reader::new(bytes_of);
        let within = |value: u64, max: u64, what| {
            let problem = Problem::Unexpected(value);
            let wrong = Malformed {
                what,
                offset: 0,
                problem,
            };
            if (1..=max).contains(&value) {
                Ok(value)
            } else {
                Err(wrong)
            }
        };
        let entries = inner.varint("entries of a Bloom filter")?;
        let entries = within(entries, u32::MAX.into(), "entries of a Bloom filter")?;
        let bits_per_entry = inner.varint("bits of a Bloom filter")?;
        let bits_per_entry = within(
            bits_per_entry,
            limits::REPO_BLOOM_BITS_MAX,
            "bits of a Bloom filter",
        )?;
        let probes = inner.varint("probes of a Bloom filter")?;
        let probes = within(
            probes,
            limits::REPO_BLOOM_PROBES_MAX,
            "probes of a Bloom filter",
        )?;
        let length = usize::try_from(bytes(entries, bits_per_entry)).unwrap_or(usize::MAX);
        let bits = inner.take(length, "Bloom filter")?.to_vec();
        inner.finish("Bloom filter")?;
        Ok(Self {
            entries,
            bits_per_entry,
            probes,
            bits,
        })
    }
}

/// Bytes of a filter: both factors have 32 bits at most.
const fn bytes(entries: u64, bits_per_entry: u64) -> u64 {
    entries.saturating_mul(bits_per_entry).div_ceil(8)
}
