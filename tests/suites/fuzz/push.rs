//! A push of WeChat, in each of its forms, under a signature that is right: what is behind it is what is tried.
//!
//! The first byte says what the others are: `m` a message in the clear, `e` an envelope of the secure mode, `j` and `x` a
//! message that is encrypted and put into an envelope of JSON or of XML.

use aes::{
    Aes256,
    cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding},
};
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Request;
use serde_json::{Value, json};
use shared::{
    clock::Clock as _,
    owner_function::{AskOwner, OwnerError},
};

use super::{Outcome, world::World};
use crate::hex;

/// The mini program that has no `EncodingAESKey` signs with this.
pub(super) const TOKEN: &str = "clearPushToken";
/// The mini program that has one.
pub(super) const SECURE_APPID: &str = "wxfedcba9876543210";
pub(super) const SECURE_TOKEN: &str = "securePushToken";
/// 32 times the byte 0x69.
pub(super) const AES_KEY: &str = "aWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWk";

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    world.advance();
    let input = world.render(input);
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    match kind {
        b'm' => ("in the clear", send(world, TOKEN, None, rest)),
        b'j' => {
            let encrypted = encrypted(rest);
            let body = json!({ "ToUserName": "gh_1", "Encrypt": encrypted }).to_string();
            ("encrypted, JSON", send(world, SECURE_TOKEN, Some(&encrypted), body.as_bytes()))
        }
        b'x' => {
            let encrypted = encrypted(rest);
            let body = format!("<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>");
            ("encrypted, XML", send(world, SECURE_TOKEN, Some(&encrypted), body.as_bytes()))
        }
        _ => {
            let text = String::from_utf8_lossy(rest);
            let encrypted = text.split(['"', '<', '>', '[', ']']).max_by_key(|part| part.len());
            ("envelope", send(world, SECURE_TOKEN, encrypted, rest))
        }
    }
}

/// The owner's function: it can read whatever it is given, and has an answer to everything.
pub(super) struct Owner;

#[async_trait]
impl AskOwner for Owner {
    async fn ask(&self, event: Vec<u8>) -> Result<Vec<u8>, OwnerError> {
        let event: Value = serde_json::from_slice(&event).expect("JSON");
        assert!(event["message"].is_object() && event["appid"].is_string() && event["received_at"].is_u64(), "{event}");
        Ok(json!({ "ErrCode": 0, "result_code": 0, "result_info": "", "evidence": "none" }).to_string().into_bytes())
    }
}

fn send(world: &World, token: &str, encrypted: Option<&str>, body: &[u8]) -> &'static str {
    let now = world.clock.now().to_string();
    let mut query = format!("timestamp={now}&nonce=1&signature={}", signature(&mut [token, &now, "1"]));
    if let Some(encrypted) = encrypted {
        query = format!("{query}&msg_signature={}", signature(&mut [token, &now, "1", encrypted]));
    }
    let answer = world.send(Request::post(format!("/v1/push?{query}")), body.to_vec());
    let name = world.judge(&answer, &[]);
    let verdicts = ["USER_AUTHORIZATION_CANCELLATION", "USER_AUTHORIZATION_REVOKE", "USER_INFO_MODIFIED"];
    let verdict = verdicts.into_iter().find(|verdict| world.notes(verdict));
    assert!(verdict.is_none() || name == "done", "{verdict:?} and {name}");
    verdict.unwrap_or(name)
}

/// What WeChat signs: the texts in order.
pub(super) fn signature(texts: &mut [&str]) -> String {
    texts.sort_unstable();
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes()).as_ref())
}

/// A message as WeChat encrypts it.
fn encrypted(message: &[u8]) -> String {
    let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
    let mut text = [&[7; 16], &length[..], message, SECURE_APPID.as_bytes()].concat();
    let padding = 32 - text.len() % 32;
    text.resize(text.len() + padding, u8::try_from(padding).expect("at most 32"));
    let cipher = cbc::Encryptor::<Aes256>::new_from_slices(&[0x69; 32], &[0x69; 16]).expect("a key");
    STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&text))
}
