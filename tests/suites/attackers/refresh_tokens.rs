//! Invented refresh tokens, at the real `POST /v1/refresh` before a table that counts what it is asked.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use http::{Request, StatusCode};
use local::secrets::SecretFiles;
use serde_json::json;
use shared::{
    clock::Deadline,
    entropy::OsEntropy,
    env::Env,
    http::{
        extract::{ClientIp, Origin, RequestId},
        record::Log,
        stack,
    },
    ids::{AppId, DeviceId, Family, OpenId},
    secrets::FromSecret as _,
    token::{
        jwks::KeyKind,
        keyring::{KeyId, Keyring},
        refresh::RefreshToken,
    },
    vars::Vars,
};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::comparable;
use crate::{APPID, BEGIN, Folder, ManualClock, Response, seeded::Seeded};

const PREFIX: &str = "wxr1_";
const TAG: usize = 32;

/// The function, and how often its table was asked.
pub struct Endpoint {
    router: Router,
    keyring: Keyring,
    calls: Arc<AtomicU64>,
    _scratch: Folder,
}

/// What came of a number of invented tokens.
#[derive(Debug)]
pub struct Gains {
    /// What the table was asked, by the SDK, over HTTP.
    pub calls: u64,
    /// How many were taken for genuine.
    pub accepted: u64,
    pub answers: HashSet<String>,
}

impl Endpoint {
    /// The real function with the real SDK. Its table refuses everything: whatever arrives there has cost a call.
    pub async fn start() -> Self {
        let scratch = Folder::new();
        let files = SecretFiles::in_folder(&scratch.0, KeyKind::Ec).expect("secrets");
        let keyring = std::fs::read_to_string(&files.keyring).expect("a keyring");
        let calls = Arc::new(AtomicU64::new(0));
        let vars: Vars = [
            ("WXAUTH_TABLE", "wxauth".to_owned()),
            ("WXAUTH_KEYRING", format!("file:{}", files.keyring.display())),
            ("WXAUTH_SIGNING_KEYS", format!("file:{}", files.signing_keys.display())),
            ("AWS_ENDPOINT_URL_DYNAMODB", counting(Arc::clone(&calls)).await),
            ("AWS_REGION", "local".to_owned()),
            ("AWS_ACCESS_KEY_ID", "x".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
        ]
        .into_iter()
        .collect();
        let log = Log::new(|_| ());
        let env = Env::new(vars, Arc::new(ManualClock::at(BEGIN)), Arc::new(OsEntropy), log).expect("an environment");
        let deps = refresh::Deps::from_env(env).await.expect("the function starts");
        let keyring = Keyring::from_secret(&keyring).expect("a keyring");
        Self { router: stack(refresh::router(deps), Log::new(|_| {})), keyring, calls, _scratch: scratch }
    }

    /// Presents a token, as the gateway would.
    pub async fn present(&self, token: &str) -> Response {
        let request = Request::post("/v1/refresh")
            .header("content-type", "application/json")
            .extension(Origin("https://api.example.com".to_owned()))
            .extension(ClientIp("192.0.2.1".to_owned()))
            .extension(RequestId("r".to_owned()))
            .extension(Deadline::after(Duration::from_hours(1)))
            .body(Body::from(json!({ "refresh_token": token }).to_string()))
            .expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 16).await.expect("a body");
        Response { status: parts.status, headers: parts.headers, text: String::from_utf8(body.into()).expect("text") }
    }

    /// How often the table was asked so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// A token that the function has made, by all that it can tell: of a user of any name, in any generation.
    pub fn genuine(&self, random: &mut Seeded) -> String {
        self.encode(&token(random))
    }

    fn encode(&self, token: &RefreshToken) -> String {
        token.encode(&self.keyring).expect("a key of the ring").expose().to_owned()
    }

    /// Presents as many invented tokens.
    pub async fn invented(&self, tokens: u64, seed: u64) -> Gains {
        let (before, mut random) = (self.calls(), Seeded::new(seed));
        let (mut accepted, mut answers) = (0, HashSet::new());
        for number in 0..tokens {
            let answer = self.present(&self.invent(number, &mut random)).await;
            accepted += u64::from(answer.status.is_success());
            answers.insert(comparable(&answer));
        }
        Gains { calls: self.calls() - before, accepted, answers }
    }

    /// A token that nobody made: random, or a genuine one with something about it changed. The number goes through all
    /// kinds, and through all positions of each.
    fn invent(&self, number: u64, random: &mut Seeded) -> String {
        let genuine = token(random);
        let text = self.encode(&genuine);
        let mut bytes = decode(&text);
        let (payload, tag) = (bytes.len() - TAG, TAG);
        let at = usize::try_from(number / 16).expect("an index");
        let invented = match number % 16 {
            0 => (0..random.below(600)).map(|_| char::from(32 + random.below(95).to_le_bytes()[0])).collect(),
            1 => encode(&noise(random, 160)),
            2 => {
                bytes[payload..].copy_from_slice(&noise(random, tag));
                encode(&bytes)
            }
            3 | 4 => {
                let bit = at % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                encode(&bytes)
            }
            5 => {
                let (at, mut characters) = (at % text.len(), text.clone().into_bytes());
                characters[at] ^= 1 << random.below(7);
                String::from_utf8(characters).expect("ASCII")
            }
            6 => text[..at % text.len()].to_owned(),
            7 => encode(&bytes[..at % bytes.len()]),
            8 => encode(&[&bytes[..], &noise(random, 1 + at % 40)].concat()),
            // Another key of the ring, or none of it.
            9 => {
                let key_id = [0, 2, 3, u32::MAX][at % 4];
                bytes[..4].copy_from_slice(&key_id.to_be_bytes());
                encode(&bytes)
            }
            // An older or a newer token of the same family.
            10 => {
                let generation = genuine.generation.wrapping_add([1, u32::MAX, 2, 1_000][at % 4]);
                bytes[4..8].copy_from_slice(&generation.to_be_bytes());
                encode(&bytes)
            }
            // One's own tag under another's payload, and the MAC of another key.
            11 => encode(&[&decode(&self.genuine(random))[..payload.min(90)], &bytes[payload..]].concat()),
            12 => {
                let other = decode(&self.encode(&RefreshToken { key_id: KeyId(2), ..genuine.clone() }));
                bytes[payload..].copy_from_slice(&other[payload..]);
                encode(&bytes)
            }
            // The border between appid and openid moved.
            13 => {
                let border = 40 + 1 + usize::from(bytes[40]);
                bytes[40] -= 1;
                bytes[border - 1..=border].reverse();
                bytes[border - 1] += 1;
                encode(&bytes)
            }
            14 => {
                let rest = &text[PREFIX.len()..];
                let prefix = ["", "wxr0_", "wxr2_", "WXR1_", "wxr1", "wxr1__", "Bearer wxr1_"][at % 7];
                format!("{prefix}{rest}")
            }
            _ => respelled(&text, at),
        };
        assert_ne!(invented, text);
        invented
    }
}

/// The same bytes in another spelling.
fn respelled(text: &str, at: usize) -> String {
    let around = |before: &str, after: &str| format!("{before}{text}{after}");
    match at % 9 {
        0 => around("", "="),
        1 => around(" ", ""),
        2 => around("", "\n"),
        3 => around("\u{feff}", ""),
        4 => around("", "\0"),
        5 => format!("{}\n{}", &text[..70], &text[70..]),
        // A last character whose unused bits are not zero, where there are any.
        6 if decode(text).len().is_multiple_of(3) => around("", "=="),
        6 => {
            const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let (rest, last) = text.split_at(text.len() - 1);
            let at = ALPHABET.find(last).expect("base64url");
            format!("{rest}{}", &ALPHABET[at + 1..at + 2])
        }
        // The other alphabet, where the two differ.
        7 => match format!("{PREFIX}{}", STANDARD_NO_PAD.encode(decode(text))) {
            same if same == text => around("", "+"),
            other => other,
        },
        _ => around("\u{200b}", ""),
    }
}

/// What a token says, at random.
fn token(random: &mut Seeded) -> RefreshToken {
    let bytes = |random: &mut Seeded| noise(random, 16).try_into().expect("16 bytes");
    // Of every length modulo 3: some tokens have unused bits at their end.
    let openid: String = format!("o{:016x}{:016x}", random.number(), random.number());
    RefreshToken {
        key_id: KeyId(1),
        generation: u32::try_from(random.below(1_000)).expect("a number"),
        family: Family(bytes(random)),
        device: DeviceId(bytes(random)),
        appid: AppId::parse(APPID).expect("an appid"),
        openid: OpenId::parse(&openid[..20 + random.index(3)]).expect("an openid"),
    }
}

fn noise(random: &mut Seeded, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.number().to_le_bytes()[0]).collect()
}

fn encode(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn decode(token: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(&token[PREFIX.len()..]).expect("base64url")
}

/// A DynamoDB that counts, and refuses in a way that is not tried again.
async fn counting(calls: Arc<AtomicU64>) -> String {
    let refuse = move || {
        calls.fetch_add(1, Ordering::SeqCst);
        let refusal = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "no" });
        async move { (StatusCode::BAD_REQUEST, refusal.to_string()) }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await }));
    format!("http://{address}")
}
