//! Randomness as an argument: a seeded generator, and the only reader of the OS's randomness.

use std::fmt;
use std::time::Duration;

/// A deterministic stream of random bytes: BLAKE3 in counter mode, keyed by its seed.
///
/// The same seed gives the same stream on every machine. Seeded from the operating system it is
/// strong enough for keys and nonces.
pub struct Entropy {
    reader: blake3::OutputReader,
}

impl Entropy {
    /// A generator that replays from `seed`.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let reader = blake3::Hasher::new_keyed(seed).finalize_xof();
        Self { reader }
    }

    /// A generator that replays from a small number, for tests and simulations.
    pub fn from_number(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self::from_seed(&bytes)
    }

    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give, which on supported systems happens
    /// only very early in boot.
    pub fn from_os() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// A generator of its own for one part of the program, so that parts don't disturb each other.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::from_seed(&self.bytes())
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.reader.fill(&mut bytes);
        bytes
    }

    /// Fills a buffer with random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.reader.fill(bytes);
    }

    /// A random number.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A number below `bound`, near enough to uniform for jitter and scheduling; 0 for bound 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.number()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A span between zero and `max`, to the microsecond.
    pub fn span_up_to(&mut self, max: Duration) -> Duration {
        let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.below(micros.saturating_add(1)))
    }
}

impl fmt::Debug for Entropy {
    /// Shows nothing of the state: it may have made a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entropy").finish_non_exhaustive()
    }
}
