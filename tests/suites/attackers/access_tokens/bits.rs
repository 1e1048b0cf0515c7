//! Every bit of a token, changed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The token with one bit changed, once for each: of the bytes that its three parts encode, and of its text.
pub fn changed_bits(token: &str) -> impl Iterator<Item = String> {
    let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url")).collect();
    let of_bytes = (0..parts.len()).flat_map(move |at| {
        let parts = parts.clone();
        (0..parts[at].len() * 8).map(move |bit| {
            let mut parts = parts.clone();
            parts[at][bit / 8] ^= 1 << (bit % 8);
            parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect::<Vec<_>>().join(".")
        })
    });
    let text = token.as_bytes().to_vec();
    let of_text = (0..text.len() * 7).map(move |bit| {
        let mut text = text.clone();
        text[bit / 7] ^= 1 << (bit % 7);
        String::from_utf8(text).expect("ASCII")
    });
    of_bytes.chain(of_text)
}
