//! Values that differ: codes, session keys, ivs, platform tokens.
//!
//! Guarantees that no two draws of a process are alike, and cannot fail. Does not promise that nobody can guess
//! them if the system has no randomness to give: nothing real is protected by them.

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A counter under a key of this process.
pub(crate) struct Draws {
    key: hmac::Key,
    drawn: u64,
}

impl Draws {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 32];
        // A failure leaves zeros: the draws still differ, which is all the simulator needs.
        let _ = rand::fill(&mut seed);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &seed), drawn: 0 }
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(32) {
            self.drawn += 1;
            let block = hmac::sign(&self.key, &self.drawn.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
        out
    }

    /// `N` bytes in the alphabet of WeChat's codes, `[0-9A-Za-z_-]`.
    pub(crate) fn text<const N: usize>(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_within_and_between_processes() {
        let mut draws = Draws::new();

        let (first, second) = (draws.bytes::<48>(), draws.bytes::<48>());

        assert_ne!(first, second);
        assert_ne!(first[..16], first[32..]);
        assert_ne!(Draws::new().bytes::<48>(), first);
    }
}
