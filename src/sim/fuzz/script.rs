//! Reading bytes as a list of choices: at their end every choice is the first one.

/// What is left of an input.
#[derive(Clone, Debug)]
pub(super) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte; 0 after the end.
    pub(super) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A choice among `bound` things, of which there are 256 at the most.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    pub(super) fn chance(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number: mostly small, sometimes at an edge, sometimes any.
    pub(super) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ ..0xf0 => u64::from(small),
            0xf0 => u64::MAX,
            0xf1 => u64::MAX - 1,
            0xf2 => u64::MAX / 2,
            0xf3 => u64::MAX / 2 + 1,
            0xf4 => u64::from(u32::MAX),
            0xf5 => 1 << 32,
            0xf6..=0xf9 => u64::from(self.short()),
            _ => {
                let mut bytes = [0; 8];
                bytes.fill_with(|| self.byte());
                u64::from_be_bytes(bytes)
            }
        }
    }

    /// Up to `count` bytes as they are.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes led by their number in two bytes.
    pub(super) fn chunk(&mut self) -> &'a [u8] {
        let count = usize::from(self.short());
        self.take(count)
    }
}
