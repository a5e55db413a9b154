//! Bounds-checked reading and writing of bytes, shared by disk rows and the wire.
//!
//! Numbers are big-endian or variable-length (LEB128, shortest form only), so that one value has
//! one encoding and keys sort as bytes. Lengths are checked against what is left before anything
//! is allocated.

use thiserror::Error;

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed bytes at offset {offset}: {problem} ({what})")]
pub struct Malformed {
    /// What was being read.
    pub what: &'static str,
    /// Where in the input.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// The ways in which bytes can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The input ends too early.
    #[error("need {need} bytes, have {have}")]
    Truncated {
        /// Bytes needed.
        need: u64,
        /// Bytes left.
        have: usize,
    },
    /// A length or count is over its limit.
    #[error("{value} is over the limit of {max}")]
    OverLimit {
        /// What the input says.
        value: u64,
        /// The limit.
        max: u64,
    },
    /// A number is not in its shortest form or has more than 64 bits.
    #[error("number is not in its shortest form")]
    NotCanonical,
    /// A value that this place does not allow.
    #[error("unexpected value {0}")]
    Unexpected(u64),
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// Bytes follow after the end.
    #[error("{0} bytes follow after the end")]
    Trailing(usize),
}

/// Reads a byte slice from front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input, offset: 0 }
    }

    /// Bytes not read yet.
    pub const fn remaining(&self) -> usize {
        self.input.len() - self.offset
    }

    /// Position from the start.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// An error at the current position.
    pub const fn error(&self, what: &'static str, problem: Problem) -> Malformed {
        Malformed {
            what,
            offset: self.offset,
            problem,
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let rest = self.input.get(self.offset..).unwrap_or_default();
        let Some((bytes, _)) = rest.split_at_checked(count) else {
            let need = u64::try_from(count).unwrap_or(u64::MAX);
            return Err(self.error(
                what,
                Problem::Truncated {
                    need,
                    have: rest.len(),
                },
            ));
        };
        self.offset += count;
        Ok(bytes)
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self.take(N, what)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end of the input.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    /// A variable-length number (LEB128) in its shortest form.
    ///
    /// # Errors
    /// When it is cut off, longer than needed, or over 64 bits.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        let start = self.offset;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            let overflows = shift == 63 && bits > 1;
            let padded = byte == 0 && shift > 0;
            if overflows || padded {
                return Err(Malformed {
                    what,
                    offset: start,
                    problem: Problem::NotCanonical,
                });
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed {
            what,
            offset: start,
            problem: Problem::NotCanonical,
        })
    }

    /// A count or length of at most `max`.
    ///
    /// # Errors
    /// When it is malformed or over the limit.
    pub fn count(&mut self, max: usize, what: &'static str) -> Result<usize, Malformed> {
        let offset = self.offset;
        let value = self.varint(what)?;
        let max_wide = u64::try_from(max).unwrap_or(u64::MAX);
        usize::try_from(value)
            .ok()
            .filter(|it| *it <= max)
            .ok_or(Malformed {
                what,
                offset,
                problem: Problem::OverLimit {
                    value,
                    max: max_wide,
                },
            })
    }

    /// A length of at most `max`, and that many bytes.
    ///
    /// # Errors
    /// When the length is malformed or over the limit, or fewer bytes are left.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let count = self.count(max, what)?;
        self.take(count, what)
    }

    /// A length of at most `max` bytes, and that much text.
    ///
    /// # Errors
    /// As [`Reader::bytes`], or when the bytes are not UTF-8.
    pub fn text(&mut self, max: usize, what: &'static str) -> Result<&'a str, Malformed> {
        let offset = self.offset;
        let bytes = self.bytes(max, what)?;
        std::str::from_utf8(bytes).map_err(|_not_utf8| Malformed {
            what,
            offset,
            problem: Problem::NotUtf8,
        })
    }

    /// Asserts that nothing is left.
    ///
    /// # Errors
    /// When bytes follow.
    pub const fn finish(&self, what: &'static str) -> Result<(), Malformed> {
        match self.remaining() {
            0 => Ok(()),
            more => Err(self.error(what, Problem::Trailing(more))),
        }
    }
}

/// Builds a byte string from front to back, in the forms that [`Reader`] reads.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    output: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub const fn new() -> Self {
        Self { output: Vec::new() }
    }

    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            output: Vec::with_capacity(capacity),
        }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.output.len()
    }

    /// Whether nothing was written yet.
    pub const fn is_empty(&self) -> bool {
        self.output.is_empty()
    }

    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.output.extend_from_slice(bytes);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.output.push(value);
        self
    }

    /// Appends two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a variable-length number in its shortest form.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        loop {
            let low = value.to_be_bytes()[7] & 0x7f;
            value >>= 7;
            if value == 0 {
                return self.u8(low);
            }
            self.u8(low | 0x80);
        }
    }

    /// Appends a count.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.varint(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Appends a length and that many bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Appends a length and that much text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.output
    }
}

/// The first key after all keys that start with `prefix`; `None` if there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    let last = end.last_mut()?;
    *last = last.saturating_add(1);
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Problem, Reader, Writer};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_reads_back_as_written(value: u64) {
            let mut writer = Writer::new();
            writer.varint(value);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint("number"), Ok(value));
            prop_assert_eq!(reader.finish("number"), Ok(()));
        }

        #[test]
        fn what_reads_as_a_number_is_its_only_encoding(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            if let Ok(value) = reader.varint("number") {
                let mut writer = Writer::new();
                writer.varint(value);
                prop_assert_eq!(writer.finish(), &bytes[..reader.offset()]);
            }
        }
    }

    #[test]
    fn a_length_beyond_the_input_is_an_error_before_anything_is_allocated() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2];
        let error = Reader::new(&bytes).bytes(usize::MAX, "body");
        let problem = Problem::Truncated {
            need: 0xffff_ffff,
            have: 2,
        };
        assert_eq!(
            error,
            Err(Malformed {
                what: "body",
                offset: 5,
                problem
            })
        );
        let error = Reader::new(&bytes).bytes(64, "body");
        let problem = Problem::OverLimit {
            value: 0xffff_ffff,
            max: 64,
        };
        assert_eq!(
            error,
            Err(Malformed {
                what: "body",
                offset: 0,
                problem
            })
        );
    }
}
