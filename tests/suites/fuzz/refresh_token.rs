//! A text as a refresh token, and a token of arbitrary fields as a text.
//!
//! The first byte says which: `t` and a text, `b` and the bytes that a text stands for, or `f` and fields.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{
    ids::{AppId, DeviceId, Family, OpenId},
    token::{keyring::KeyId, refresh::RefreshToken},
};

use super::{Outcome, world::World};

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    let input = world.render(input);
    match input.split_first() {
        Some((b'f', fields)) => ("fields", written(world, fields)),
        Some((b'b', bytes)) => ("bytes", read(world, &format!("wxr1_{}", URL_SAFE_NO_PAD.encode(bytes)))),
        _ => ("text", read(world, &String::from_utf8_lossy(input.get(1..).unwrap_or_default()))),
    }
}

fn read(world: &World, text: &str) -> &'static str {
    let Ok(token) = RefreshToken::parse(text, &world.keyring) else {
        return match text.strip_prefix("wxr1_").map(str::len) {
            None => "without the prefix",
            Some(155..) => "long enough for a tag, refused",
            Some(_) => "too short",
        };
    };
    assert!(world.users.iter().any(|user| user.refresh == text), "not given by us: {text}");
    assert_eq!(token.encode(&world.keyring).expect("a key").expose(), text, "another spelling");
    let successor = token.next(token.key_id).encode(&world.keyring).expect("a key");
    assert!(successor.expose() != text && RefreshToken::parse(successor.expose(), &world.keyring).is_ok());
    "ours"
}

/// What is written reads back as it was.
fn written(world: &World, bytes: &[u8]) -> &'static str {
    let Some((numbers, names)) = bytes.split_first_chunk::<40>() else { return "too short" };
    let (key_id, rest) = numbers.split_first_chunk::<4>().expect("four bytes");
    let (generation, rest) = rest.split_first_chunk::<4>().expect("four bytes");
    let (family, device) = rest.split_first_chunk::<16>().expect("sixteen bytes");
    let names = String::from_utf8_lossy(names);
    let (appid, openid) = names.split_once('\n').unwrap_or((&names, ""));
    let (Ok(appid), Ok(openid)) = (AppId::parse(appid), OpenId::parse(openid)) else { return "no names" };
    let token = RefreshToken {
        key_id: KeyId(u32::from_be_bytes(*key_id)),
        generation: u32::from_be_bytes(*generation),
        family: Family(*family),
        device: DeviceId(device.try_into().expect("sixteen bytes")),
        appid,
        openid,
    };
    let Some(text) = token.encode(&world.keyring) else { return "without a key" };
    assert_eq!(RefreshToken::parse(text.expose(), &world.keyring).ok(), Some(token), "{}", text.expose());
    "read back"
}
