//! Random values: codes, session keys, ivs, platform tokens.
//!
//! No two values of a process are alike, and drawing one cannot fail. If the system has no randomness to give, the
//! values can be guessed: they protect nothing real.

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// A counter under a key of this process.
pub(crate) struct Random {
    key: hmac::Key,
    count: u64,
}

impl Random {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        // A failure leaves zeros: the values still differ, which is all that the simulator needs.
        let _ = rand::fill(&mut seed);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), count: 0 }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(32) {
            self.count += 1;
            let block = hmac::sign(&self.key, &self.count.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
        out
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// `N` bytes in the alphabet of WeChat's codes, `[0-9A-Za-z_-]`.
    pub(crate) fn text<const N: usize>(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }

    pub(crate) fn session_key(&mut self) -> String {
        STANDARD.encode(self.bytes::<16>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_differ_within_and_between_processes() {
        let mut random = Random::new();

        let (first, second) = (random.bytes::<48>(), random.bytes::<48>());

        assert_ne!(first, second);
        assert_ne!(first[..16], first[32..]);
        assert_ne!(Random::new().bytes::<48>(), first);
    }
}
