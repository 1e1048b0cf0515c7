//! What can be made of a token of one's own, the public keys, and keys of one's own.

use aws_lc_rs::{
    digest::{SHA256, digest},
    hmac,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::{Key, with};

/// The order of P-256 and the prime of its field (FIPS 186-5).
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";

/// What precedes the numbers of a key in DER (RFC 5280 section 4.1.2.7), of P-256 and of RSA with 2048 bits.
const SPKI_EC: &str = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";
const SPKI_RSA: &str = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
const RSA_EXPONENT: &str = "0203010001";

/// What precedes a SHA-256 in a PKCS#1 signature (RFC 8017 section 9.2).
const DIGEST_INFO: &str = "3031300d060960864801650304020105000420";

/// A token's three parts.
struct Parts<'a> {
    header: Value,
    claims: Value,
    text: &'a str,
    signature: Vec<u8>,
    /// The public key that verifies it.
    jwk: &'a Value,
}

/// Every forgery that is worth a name. None of them may be taken for anybody.
pub fn forgeries(token: &str, jwks: &Value, stranger: &[Key]) -> Vec<(&'static str, String)> {
    let (text, signature) = token.rsplit_once('.').expect("three parts");
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).expect("three parts")).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let header = part(0);
    let jwk = jwks["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == header["kid"]).expect("its key");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let parts = Parts { header, claims: part(1), text, signature, jwk };
    [
        without_a_signature(&parts),
        by_the_public_key(&parts, jwks),
        of_another_key(&parts, jwks, stranger),
        with_other_words(&parts),
        with_another_signature(&parts),
        in_another_spelling(token, &parts),
    ]
    .concat()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn signed(text: &str, signature: &[u8]) -> String {
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// RFC 8725 section 2.1: `none`, in every spelling that a list of the forbidden might forget.
fn without_a_signature(parts: &Parts<'_>) -> Vec<(&'static str, String)> {
    let mut forged = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "none ", ""] {
        let text = unsigned(&with(&parts.header, "alg", alg.into()), &parts.claims);
        forged.push(("alg none", format!("{text}.")));
        forged.push(("alg none, two parts", text.clone()));
        forged.push(("alg none, signed", signed(&text, &parts.signature)));
    }
    forged
        .push(("no alg", signed(&unsigned(&with(&parts.header, "alg", Value::Null), &parts.claims), &parts.signature)));
    forged.push(("no signature", format!("{}.", parts.text)));
    forged.push(("two parts", parts.text.to_owned()));
    forged
}

/// RFC 8725 section 2.1: the public key, in every form in which somebody may hold it, as the secret of an HMAC.
fn by_the_public_key(parts: &Parts<'_>, jwks: &Value) -> Vec<(&'static str, String)> {
    let mut forged = Vec::new();
    for (alg, hash) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        let text = unsigned(&with(&parts.header, "alg", alg.into()), &parts.claims);
        for secret in secrets(parts.jwk, jwks) {
            let key = hmac::Key::new(hash, &secret);
            forged.push(("an HMAC by the public key", signed(&text, hmac::sign(&key, text.as_bytes()).as_ref())));
            let tag = hmac::sign(&key, parts.text.as_bytes());
            forged.push(("an HMAC for a signature", signed(parts.text, tag.as_ref())));
        }
    }
    forged
}

fn secrets(jwk: &Value, jwks: &Value) -> Vec<Vec<u8>> {
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).expect("base64url");
    let der = if jwk["kty"] == "RSA" {
        [from_hex(SPKI_RSA), member("n"), from_hex(RSA_EXPONENT)].concat()
    } else {
        [from_hex(SPKI_EC), member("x"), member("y")].concat()
    };
    let base64 = STANDARD.encode(&der);
    let lines: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    [pem.clone(), format!("{pem}\n"), pem.replace('\n', "\r\n"), base64, jwk.to_string(), jwks.to_string()]
        .map(String::into_bytes)
        .into_iter()
        .chain([der.clone(), der[24..].to_vec(), member("n"), member("x"), Vec::new(), vec![0; 32]])
        .collect()
}

/// Signed, but by a key that is not ours: named by our `kid`, or brought along (RFC 8725 section 2.5).
fn of_another_key(parts: &Parts<'_>, jwks: &Value, stranger: &[Key]) -> Vec<(&'static str, String)> {
    let mut forged = Vec::new();
    let kids = jwks["keys"].as_array().expect("keys").iter().map(|key| key["kid"].clone());
    let victim = with(&parts.claims, "sub", "oVictim".into());
    for kid in kids.chain([Value::Null, "unknown".into(), "".into(), 0.into(), json!(["rsa"])]) {
        for key in stranger {
            let header = with(&key.header(), "kid", kid.clone());
            forged.push(("a stranger's key", key.sign(&header, &victim)));
            forged.push(("a stranger's key, our alg", key.sign(&with(&parts.header, "kid", kid.clone()), &victim)));
            for (member, value) in [
                ("jwk", key.public()),
                ("jku", "https://example.com/jwks.json".into()),
                ("x5u", "https://example.com/x5u.pem".into()),
                ("x5c", json!([STANDARD.encode([48; 64])])),
            ] {
                forged.push(("a key brought along", key.sign(&with(&header, member, value), &victim)));
            }
        }
    }
    for kid in
        ["../../../../dev/null", "/dev/null", "x' UNION SELECT 'key", "| cat /etc/passwd", "\0", &"k".repeat(9_000)]
    {
        let text = unsigned(&with(&parts.header, "kid", kid.into()), &victim);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[]);
        forged.push(("a kid that leads elsewhere", signed(&text, hmac::sign(&key, text.as_bytes()).as_ref())));
        forged.push(("a kid that leads elsewhere", signed(&text, &parts.signature)));
    }
    forged
}

/// A genuine signature under other words.
fn with_other_words(parts: &Parts<'_>) -> Vec<(&'static str, String)> {
    let under = |header: &Value, claims: &Value| signed(&unsigned(header, claims), &parts.signature);
    let mut forged = Vec::new();
    for (member, value) in [
        ("sub", "oVictim".into()),
        ("client_id", "wxffffffffffffffff".into()),
        ("aud", "wxffffffffffffffff".into()),
        ("sid", "AAAAAAAAAAAAAAAAAAAAAQ".into()),
        ("auth_time", 0.into()),
        ("exp", u64::MAX.into()),
        ("nbf", 0.into()),
        ("iss", "https://example.com".into()),
        ("jti", Value::Null),
        ("scope", "admin".into()),
    ] {
        forged.push(("another claim", under(&parts.header, &with(&parts.claims, member, value))));
    }
    for (member, value) in [
        ("typ", "JWT".into()),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", false.into()),
        ("cty", "JWT".into()),
        ("zip", "DEF".into()),
        ("alg", "PS256".into()),
        ("alg", "ES384".into()),
        ("alg", "RS512".into()),
        ("alg", "EdDSA".into()),
        ("alg", json!(["RS256"])),
    ] {
        forged.push(("another header", under(&with(&parts.header, member, value), &parts.claims)));
    }
    let twice = |object: &Value, member: &str| object.to_string().replacen('{', &format!("{{{member},"), 1);
    let [header, claims] = [&parts.header, &parts.claims].map(ToString::to_string);
    for (header, claims) in [
        (twice(&parts.header, r#""alg":"none""#), claims.clone()),
        (header.clone(), twice(&parts.claims, r#""sub":"oVictim""#)),
        (header.clone(), format!("{claims}{claims}")),
        (format!(" {header}"), claims),
    ] {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        forged.push(("words twice", signed(&text, &parts.signature)));
    }
    forged
}

/// The genuine words under a signature that a careless verifier takes.
fn with_another_signature(parts: &Parts<'_>) -> Vec<(&'static str, String)> {
    let genuine = &parts.signature;
    let mut signatures: Vec<Vec<u8>> = (0..genuine.len()).map(|length| genuine[..length].to_vec()).collect();
    signatures.extend((1..=8).map(|more| [&genuine[..], &vec![0; more]].concat()));
    signatures.extend((1..=8).map(|more| [&vec![0; more], &genuine[..]].concat()));
    signatures.extend([
        genuine.repeat(2),
        genuine.iter().rev().copied().collect(),
        [0x30, 6, 2, 1, 0, 2, 1, 0].to_vec(),
    ]);
    if parts.jwk["kty"] == "RSA" {
        let n = URL_SAFE_NO_PAD.decode(parts.jwk["n"].as_str().expect("n")).expect("base64url");
        let less_one: Vec<u8> = [&n[..n.len() - 1], &[n[n.len() - 1] - 1]].concat();
        let one = [vec![0; n.len() - 1], vec![1]].concat();
        // As if the exponent were 1: the signature is the padded digest itself.
        let hash = digest(&SHA256, parts.text.as_bytes());
        let tail = [&[0][..], &from_hex(DIGEST_INFO), hash.as_ref()].concat();
        let padded = [vec![0, 1], vec![0xff; n.len() - 2 - tail.len()], tail].concat();
        signatures.extend([vec![0; n.len()], vec![0xff; n.len()], n, less_one, one, padded]);
    } else {
        // CVE-2022-21449 and its neighbours: r and s outside of 1 to n - 1, or at the rim.
        let [order, prime] = [ORDER, PRIME].map(from_hex);
        let less_one = [&order[..31], &[order[31] - 1]].concat();
        let one = [vec![0; 31], vec![1]].concat();
        let numbers = [vec![0; 32], one, less_one, order, prime, vec![0xff; 32]];
        for r in &numbers {
            signatures.extend(numbers.iter().map(|s| [&r[..], s].concat()));
            signatures.extend([[&r[..], &genuine[32..]].concat(), [&genuine[..32], r].concat()]);
        }
        let integers = genuine.chunks(32).map(|number| [&[2, 33, 0][..], number].concat()).collect::<Vec<_>>().concat();
        signatures.push([&[0x30, 70][..], &integers].concat());
        signatures.push([&genuine[32..], &genuine[..32]].concat());
    }
    signatures.into_iter().map(|signature| ("another signature", signed(parts.text, &signature))).collect()
}

/// The very token, spelled in another way.
fn in_another_spelling(token: &str, parts: &Parts<'_>) -> Vec<(&'static str, String)> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!("three parts") };
    let mut spelled = vec![
        format!("{token}="),
        format!("{token}=="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}\n"),
        format!("{token} "),
        format!("{header}.{claims}.\n{signature}"),
        format!("{header}..{claims}.{signature}"),
        format!("{claims}.{header}.{signature}"),
        format!("{header}.{claims}.{}", URL_SAFE.encode(&parts.signature)),
        token.replace('.', ".."),
        token.replace('.', ","),
        token.to_ascii_lowercase(),
        json!({ "protected": header, "payload": claims, "signature": signature }).to_string(),
        format!("{header}.{claims}.{}+", &signature[..signature.len() - 1]),
    ];
    // The last character of a part has bits that no byte needs; they have to be zero.
    for (at, part) in [header, claims, signature].into_iter().enumerate() {
        let last = part.len() - 1;
        for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
            let mut parts = [header, claims, signature].map(str::to_owned);
            parts[at].replace_range(last.., &other.to_string());
            spelled.extend((parts[at] != part).then(|| parts.join(".")));
        }
    }
    spelled.into_iter().map(|token| ("another spelling", token)).collect()
}

/// The token with `n - s` for `s`, which ECDSA cannot tell from the other: a second spelling of the same words, not a forgery.
pub fn with_the_other_s(token: &str) -> String {
    let (text, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let mut borrow = false;
    for (byte, order) in signature[32..].iter_mut().zip(from_hex(ORDER)).rev() {
        let (less, first) = order.overflowing_sub(*byte);
        let (less, second) = less.overflowing_sub(u8::from(borrow));
        (*byte, borrow) = (less, first || second);
    }
    signed(text, &signature)
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digit).collect()
}
