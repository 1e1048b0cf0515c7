//! The simulator over TCP, as the backend meets it: WeChat's rules, the control routes, every fault.

#![expect(clippy::unwrap_used, reason = "clippy lets tests unwrap, but not the helpers beside them")]

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aes::cipher::block_padding::{NoPadding, Pkcs7};
use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _};
use aes::{Aes128, Aes256};
use aws_lc_rs::{digest, hmac};
use axum::extract::Query;
use axum::http::Uri;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wechat_simulator::{App, Push, Simulator};

const SECOND_APP: &str = "wxfedcba9876543210";

/// A running simulator with two apps, and the client's end of the wire.
struct Wire {
    simulator: Simulator,
    address: SocketAddr,
    clock: Arc<AtomicU64>,
    app: App,
    running: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn errcode(&self) -> i64 {
        self.json()["errcode"].as_i64().unwrap()
    }

    fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap().to_owned()
    }
}

impl Wire {
    async fn start() -> Self {
        let app = App::demo();
        let clock = Arc::new(AtomicU64::new(1_700_000_000));
        let read = Arc::clone(&clock);
        let apps = vec![app.clone(), App { appid: SECOND_APP.to_owned(), secret: "other".to_owned(), push: None }];
        let simulator = Simulator::with_clock(apps, Arc::new(move || read.load(Ordering::SeqCst)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(simulator.clone().serve(listener, async {
            let _ = stopped.await;
        }));
        Self { simulator, address, clock, app, running, stop }
    }

    fn advance(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Everything the simulator sends until it closes, and how the connection ended.
    async fn raw(&self, method: &str, target: &str, body: &str) -> (Vec<u8>, io::Result<()>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        let ended = stream.read_to_end(&mut received).await.map(|_| ());
        (received, ended)
    }

    async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        let (received, ended) = self.raw(method, target, body).await;
        ended.unwrap();
        let text = String::from_utf8(received).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    async fn sim(&self, route: &str, body: Value) -> Value {
        let reply = self.send("POST", &format!("/sim/{route}"), &body.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    async fn fault(&self, api: &str, fault: Value, after: bool) {
        self.sim("script", json!({ "api": api, "fault": fault, "times": 1, "after": after })).await;
    }

    async fn code(&self, user: &str) -> String {
        self.sim("login", json!({ "user": user })).await["code"].as_str().unwrap().to_owned()
    }

    fn exchange_target(&self, code: &str) -> String {
        let App { appid, secret, .. } = &self.app;
        format!("/sns/jscode2session?appid={appid}&secret={secret}&js_code={code}&grant_type=authorization_code")
    }

    async fn exchange(&self, code: &str) -> Reply {
        self.send("GET", &self.exchange_target(code), "").await
    }

    async fn session_key(&self, user: &str) -> String {
        let code = self.code(user).await;
        self.exchange(&code).await.text("session_key")
    }

    async fn stable(&self, force: Value) -> Reply {
        let App { appid, secret, .. } = &self.app;
        let body =
            json!({ "grant_type": "client_credential", "appid": appid, "secret": secret, "force_refresh": force });
        self.send("POST", "/cgi-bin/stable_token", &body.to_string()).await
    }

    async fn token(&self) -> String {
        self.stable(json!(false)).await.text("access_token")
    }

    async fn plain(&self) -> Reply {
        let App { appid, secret, .. } = &self.app;
        let target = format!("/cgi-bin/token?grant_type=client_credential&appid={appid}&secret={secret}");
        self.send("GET", &target, "").await
    }

    async fn number(&self, token: &str, body: Value) -> Reply {
        let target = format!("/wxa/business/getuserphonenumber?access_token={token}");
        self.send("POST", &target, &body.to_string()).await
    }

    /// What a call with this token gets: 40029 means that the token was good, for the code is not.
    async fn errcode_of(&self, token: &str) -> i64 {
        self.number(token, json!({ "code": "none" })).await.errcode()
    }

    async fn check(&self, api: &str, token: &str, openid: &str, key: &str) -> Reply {
        let target = format!(
            "/wxa/{api}?access_token={token}&openid={openid}&signature={}&sig_method=hmac_sha256",
            session_signature(key)
        );
        self.send("GET", &target, "").await
    }
}

fn session_signature(key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    lower_hex(hmac::sign(&key, b"").as_ref())
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn decrypt(sealed: &Value, key: &str) -> Option<Value> {
    let bytes = |text: &str| STANDARD.decode(text).unwrap();
    let iv = bytes(sealed["iv"].as_str().unwrap());
    let cipher = cbc::Decryptor::<Aes128>::new_from_slices(&bytes(key), &iv).unwrap();
    let plaintext = cipher.decrypt_padded_vec::<Pkcs7>(&bytes(sealed["encryptedData"].as_str().unwrap())).ok()?;
    serde_json::from_slice(&plaintext).ok()
}

/// A push, read as a mini program's server reads it.
struct Pushed {
    request: Value,
    query: HashMap<String, String>,
}

impl Pushed {
    async fn ask(wire: &Wire, wanted: Value) -> Self {
        let request = wire.sim("push", wanted).await;
        let uri: Uri = format!("/?{}", request["query"].as_str().unwrap()).parse().unwrap();
        let Query(query) = Query::try_from_uri(&uri).unwrap();
        Self { request, query }
    }

    fn body(&self) -> &str {
        self.request["body"].as_str().unwrap()
    }

    /// Whether the query's signature of this name is the one over the Token and these texts.
    fn is_signed(&self, name: &str, push: &Push, more: &str) -> bool {
        let mut texts = [&push.token, &self.query["timestamp"], &self.query["nonce"], more];
        texts.sort_unstable();
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, texts.concat().as_bytes());
        self.query[name] == lower_hex(hash.as_ref())
    }

    /// What `Encrypt` holds: the message, and the appid behind it.
    fn opened(push: &Push, encrypted: &str) -> (String, String) {
        let lenient = NO_PAD.with_decode_allow_trailing_bits(true);
        let key = GeneralPurpose::new(&alphabet::STANDARD, lenient);
        let key = key.decode(push.encoding_aes_key.as_ref().unwrap()).unwrap();
        let cipher = cbc::Decryptor::<Aes256>::new_from_slices(&key, &key[..16]).unwrap();
        let text = cipher.decrypt_padded_vec::<NoPadding>(&STANDARD.decode(encrypted).unwrap()).unwrap();
        let padding = usize::from(*text.last().unwrap());
        assert!(text.len() % 32 == 0 && (1..=32).contains(&padding));
        let end = 20 + u32::from_be_bytes(text[16..20].try_into().unwrap()) as usize;
        let part = |range| str::from_utf8(&text[range]).unwrap().to_owned();
        (part(20..end), part(end..text.len() - padding))
    }
}

// Codes.

#[tokio::test]
async fn a_code_is_exchanged_once() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    let (first, second) = (wire.exchange(&code).await, wire.exchange(&code).await);

    assert_eq!(first.status, 200);
    assert!(first.head.contains("content-type: text/plain"), "{}", first.head);
    assert_eq!(first.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["openid", "session_key"]);
    assert_eq!(first.text("openid").len(), 28);
    assert_eq!(STANDARD.decode(first.text("session_key")).unwrap().len(), 16);
    assert_eq!(second.errcode(), 40163);
    assert!(second.text("errmsg").contains("rid: "));
}

#[tokio::test]
async fn a_used_code_gets_40029_when_so_set() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "used_code_errcode": 40029 })).await;
    let code = wire.code("ada").await;
    wire.exchange(&code).await;

    assert_eq!(wire.exchange(&code).await.errcode(), 40029);
}

#[tokio::test]
async fn two_exchanges_at_once_have_one_winner() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    let (one, other) = tokio::join!(wire.exchange(&code), wire.exchange(&code));

    let winners = [one, other].iter().filter(|reply| reply.json().get("openid").is_some()).count();
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn a_code_expires_after_five_minutes() {
    let wire = Wire::start().await;
    let (early, late) = (wire.code("ada").await, wire.code("ada").await);

    wire.advance(299);
    assert!(wire.exchange(&early).await.json().get("openid").is_some());
    wire.advance(1);
    assert_eq!(wire.exchange(&late).await.errcode(), 40029);
}

#[tokio::test]
async fn a_code_of_another_app_is_refused_and_stays_good_there() {
    let wire = Wire::start().await;
    let code =
        wire.sim("login", json!({ "user": "ada", "appid": SECOND_APP })).await["code"].as_str().unwrap().to_owned();

    assert_eq!(wire.exchange(&code).await.errcode(), 40029);

    let target =
        format!("/sns/jscode2session?appid={SECOND_APP}&secret=other&js_code={code}&grant_type=authorization_code");
    assert!(wire.send("GET", &target, "").await.json().get("openid").is_some());
}

#[tokio::test]
async fn parameters_are_checked_before_the_code_is_spent() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    let good = wire.exchange_target(&code);

    for (from, to, errcode) in [
        ("appid=wx0123456789abcdef&", "", 41002),
        ("appid=wx0123456789abcdef&", "appid=&", 41002),
        ("secret=0123456789abcdef0123456789abcdef&", "", 41004),
        (code.as_str(), "", 41008),
        ("authorization_code", "client_credential", 40002),
        ("wx0123456789abcdef", "wx0000000000000000", 40013),
        ("secret=0", "secret=1", 40125),
    ] {
        assert_eq!(wire.send("GET", &good.replace(from, to), "").await.errcode(), errcode);
    }

    assert_eq!(wire.send("POST", &good, "").await.errcode(), 43001);
    assert!(wire.exchange(&code).await.json().get("openid").is_some());
}

#[tokio::test]
async fn a_reset_secret_is_the_only_good_one() {
    let wire = Wire::start().await;
    wire.sim("secret", json!({ "appid": wire.app.appid, "secret": "new" })).await;
    let code = wire.code("ada").await;

    assert_eq!(wire.exchange(&code).await.errcode(), 40125);

    let target = wire.exchange_target(&code).replace(&wire.app.secret, "new");
    assert!(wire.send("GET", &target, "").await.json().get("openid").is_some());
}

#[tokio::test]
async fn users_have_a_unionid_or_are_blocked_when_so_set() {
    let wire = Wire::start().await;
    let openid = wire.sim("user", json!({ "user": "ada", "unionid": "u1" })).await["openid"].clone();
    wire.sim("user", json!({ "user": "eve", "blocked": true })).await;

    let (ada, eve) = (wire.code("ada").await, wire.code("eve").await);
    let (ada, eve) = (wire.exchange(&ada).await, wire.exchange(&eve).await);

    assert_eq!(ada.json()["unionid"], "u1");
    assert_eq!(ada.json()["openid"], openid);
    assert_eq!(eve.errcode(), 40226);
}

#[tokio::test]
async fn two_apps_may_have_users_of_the_same_openid() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    wire.sim("user", json!({ "user": "ada", "unionid": "u1", "phoneNumber": "13800138000" })).await;
    let (code, phone) = (wire.code("ada").await, wire.sim("phone", json!({ "user": "ada" })).await["code"].clone());
    for (user, appid) in [("ada", &wire.app.appid), ("bob", &SECOND_APP.to_owned())] {
        let set = wire.sim("user", json!({ "user": user, "appid": appid, "openid": "same" })).await;
        assert_eq!(set["openid"], "same");
    }
    let bob = wire.sim("login", json!({ "user": "bob", "appid": SECOND_APP })).await["code"].clone();
    let bob = bob.as_str().unwrap();
    let target =
        format!("/sns/jscode2session?appid={SECOND_APP}&secret=other&js_code={bob}&grant_type=authorization_code");

    // Codes from before the change give the openid of now.
    let (ada, bob) = (wire.exchange(&code).await.json(), wire.send("GET", &target, "").await.json());
    let number = wire.number(&token, json!({ "code": phone, "openid": "same" })).await;

    assert_eq!((&ada["openid"], &ada["unionid"]), (&json!("same"), &json!("u1")));
    assert_eq!((&bob["openid"], bob.get("unionid")), (&json!("same"), None));
    assert_ne!(ada["session_key"], bob["session_key"]);
    assert_eq!(number.json()["phone_info"]["phoneNumber"], "13800138000");
    for (session, errcode) in [(&ada, 0), (&bob, 87009)] {
        let key = session["session_key"].as_str().unwrap();
        assert_eq!(wire.check("checksession", &token, "same", key).await.errcode(), errcode);
    }
    let refused = wire.send("POST", "/sim/user", r#"{"user":"eve","openid":"same"}"#).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn answers_change_their_shape_by_settings() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "success_errcode": true, "extra_fields": true, "errcode_as_text": true })).await;
    let code = wire.code("ada").await;

    let success = wire.exchange(&code).await.json();

    assert_eq!((&success["errcode"], &success["errmsg"]), (&json!("0"), &json!("ok")));
    assert!(success["in_no_document"].is_object());
    assert_eq!(wire.exchange(&code).await.json()["errcode"], "40163");
}

// session_key.

#[tokio::test]
async fn every_login_replaces_the_session_key() {
    let wire = Wire::start().await;
    let first = wire.code("ada").await;
    let old = wire.exchange(&first).await.text("session_key");

    let (second, third) = (wire.code("ada").await, wire.code("ada").await);
    let (second, third) = (wire.exchange(&second).await, wire.exchange(&third).await);

    assert_ne!(second.text("session_key"), old);
    // One valid key per user: exchanges of codes in flight get the one of now.
    assert_eq!(second.text("session_key"), third.text("session_key"));
}

#[tokio::test]
async fn the_session_key_is_kept_when_so_set() {
    let wire = Wire::start().await;
    wire.sim("settings", json!({ "session_key": "keep" })).await;

    assert_eq!(wire.session_key("ada").await, wire.session_key("ada").await);
    assert_ne!(wire.session_key("ada").await, wire.session_key("bob").await);
}

#[tokio::test]
async fn ciphertexts_open_with_the_current_key_only() {
    let wire = Wire::start().await;
    let change = json!({ "user": "ada", "phoneNumber": "8613800138000", "purePhoneNumber": "13800138000",
        "countryCode": 86, "unionid": "u1", "nickName": "Ada" });
    let openid = wire.sim("user", change).await["openid"].clone();
    let key = wire.session_key("ada").await;

    let phone = wire.sim("phone", json!({ "user": "ada" })).await;
    let userinfo = wire.sim("userinfo", json!({ "user": "ada" })).await;
    let odd = wire.sim("encrypt", json!({ "user": "ada", "plaintext": "[1]" })).await;

    let watermark = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    let expected = json!({ "phoneNumber": "8613800138000", "purePhoneNumber": "13800138000", "countryCode": 86,
        "watermark": watermark });
    assert_eq!(decrypt(&phone, &key), Some(expected));
    let profile = decrypt(&userinfo, &key).unwrap();
    assert_eq!(
        (&profile["openId"], &profile["unionId"], &profile["nickName"], &profile["watermark"]),
        (&openid, &json!("u1"), &json!("Ada"), &watermark)
    );
    assert!(userinfo["rawData"].as_str().unwrap().starts_with(r#"{"nickName":"Ada","gender":0"#));
    assert_eq!(userinfo["signature"].as_str().unwrap().len(), 40);
    assert_eq!(decrypt(&odd, &key), Some(json!([1])));

    let next = wire.session_key("ada").await;
    assert_eq!(decrypt(&phone, &next), None);
}

// checksession.

#[tokio::test]
async fn the_signature_vectors_of_the_documents_are_accepted() {
    let wire = Wire::start().await;
    let token = wire.token().await;

    for (key, signature) in [
        ("o0q0otL8aEzpcZL/FT9WsQ==", "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"),
        ("tiihtNczf5v6AKRyjwEUhQ==", "7154f9f8b4b76b92f541cbf0e37d48840fa06e5e42da92a6f80168a1516a4735"),
    ] {
        let user = wire.sim("user", json!({ "user": "ada", "session_key": key })).await;
        let openid = user["openid"].as_str().unwrap();
        let target = |signature: &str| {
            format!(
                "/wxa/checksession?access_token={token}&openid={openid}&sig_method=hmac_sha256&signature={signature}"
            )
        };

        assert_eq!(wire.send("GET", &target(signature), "").await.errcode(), 0);
        assert_eq!(wire.send("GET", &target(&signature.to_uppercase()), "").await.errcode(), 87009);
    }
}

#[tokio::test]
async fn checksession_knows_the_current_key_only() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let key = wire.session_key("ada").await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();

    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);
    assert_eq!(wire.check("checksession", &token, "nobody", &key).await.errcode(), 40003);
    assert_eq!(wire.check("checksession", "wrong", &openid, &key).await.errcode(), 40001);
    assert_eq!(wire.check("checksession", "", &openid, &key).await.errcode(), 41001);
    let method = format!("/wxa/checksession?access_token={token}&openid={openid}&signature=x&sig_method=md5");
    assert_eq!(wire.send("GET", &method, "").await.errcode(), 87008);

    wire.code("ada").await;
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
}

#[tokio::test]
async fn a_reset_session_key_replaces_the_old_one_at_once() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let key = wire.session_key("ada").await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();

    let reset = wire.check("resetusersessionkey", &token, &openid, &key).await;

    assert_eq!((reset.errcode(), reset.text("openid")), (0, openid.clone()));
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
    assert_eq!(wire.check("checksession", &token, &openid, &reset.text("session_key")).await.errcode(), 0);
}

#[tokio::test]
async fn a_stale_key_gets_87007_when_so_set() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let old = wire.session_key("ada").await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();
    let key = wire.session_key("ada").await;
    wire.sim("settings", json!({ "stale_key_errcode": 87007 })).await;

    for api in ["checksession", "resetusersessionkey"] {
        assert_eq!(wire.check(api, &token, &openid, &old).await.errcode(), 87007);
    }
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);
    wire.sim("user", json!({ "user": "ada", "session_key": "" })).await;
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87007);
}

#[tokio::test]
async fn checks_of_a_key_fail_as_the_documents_say() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let key = wire.session_key("ada").await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();

    for api in ["checksession", "resetusersessionkey"] {
        for errcode in [-1, 40014, 45011] {
            wire.fault(api, json!({ "kind": "errcode", "errcode": errcode }), false).await;
            assert_eq!(wire.check(api, &token, &openid, &key).await.errcode(), errcode);
        }
        let target = format!("/wxa/{api}?access_token={token}&openid={openid}&signature=x");
        assert_eq!(wire.send("GET", &target, "").await.errcode(), 87008);
        assert_eq!(wire.send("POST", &target, "").await.errcode(), 43001);
        assert_eq!(wire.check(api, &token, "nobody", &key).await.errcode(), 40003);
    }
    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 0);

    let forced = wire.stable(json!(true)).await.text("access_token");
    assert_eq!(wire.check("resetusersessionkey", &token, &openid, &key).await.errcode(), 40001);
    wire.advance(7200);
    assert_eq!(wire.check("resetusersessionkey", &forced, &openid, &key).await.errcode(), 42001);
}

#[tokio::test]
async fn a_reset_whose_answer_is_lost_has_cost_the_key() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let key = wire.session_key("ada").await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();
    wire.fault("resetusersessionkey", json!({ "kind": "empty" }), true).await;

    assert_eq!(wire.check("resetusersessionkey", &token, &openid, &key).await.body, "");

    assert_eq!(wire.check("checksession", &token, &openid, &key).await.errcode(), 87009);
}

// Platform tokens.

#[tokio::test]
async fn a_stable_token_is_the_same_until_its_last_five_minutes() {
    let wire = Wire::start().await;
    let first = wire.stable(json!(false)).await;
    let old = first.text("access_token");
    assert_eq!(first.json()["expires_in"], 7200);

    wire.advance(6899);
    let again = wire.stable(json!(false)).await;
    assert_eq!((again.text("access_token"), &again.json()["expires_in"]), (old.clone(), &json!(301)));

    wire.advance(1);
    let new = wire.token().await;
    assert_ne!(new, old);
    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&new).await), (40029, 40029));

    wire.advance(300);
    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&new).await), (42001, 40029));
}

#[tokio::test]
async fn a_forced_refresh_kills_the_old_token_and_is_limited() {
    let wire = Wire::start().await;
    let old = wire.token().await;

    let forced = wire.stable(json!(true)).await.text("access_token");

    assert_eq!((wire.errcode_of(&old).await, wire.errcode_of(&forced).await), (40001, 40029));
    wire.advance(29);
    assert_eq!(wire.stable(json!(true)).await.errcode(), 45011);
    for _ in 1..20 {
        wire.advance(30);
        wire.stable(json!(true)).await.text("access_token");
    }
    wire.advance(30);
    assert_eq!(wire.stable(json!(true)).await.errcode(), 45009);
    assert_eq!(wire.stable(json!(false)).await.json()["expires_in"], 7170);
}

#[tokio::test]
async fn stable_token_checks_what_it_is_sent() {
    let wire = Wire::start().await;
    let good = json!({ "grant_type": "client_credential", "appid": wire.app.appid, "secret": wire.app.secret });

    for (field, value, errcode) in [
        ("appid", json!(""), 41002),
        ("secret", json!(""), 41004),
        ("grant_type", json!("authorization_code"), 40002),
        ("appid", json!("wx0000000000000000"), 40013),
        ("secret", json!("wrong"), 40125),
        ("force_refresh", json!("true"), 47001),
    ] {
        let mut body = good.clone();
        body[field] = value;
        assert_eq!(wire.send("POST", "/cgi-bin/stable_token", &body.to_string()).await.errcode(), errcode);
    }
    assert_eq!(wire.send("GET", "/cgi-bin/stable_token", "").await.errcode(), 43002);
    assert_eq!(wire.send("POST", "/cgi-bin/stable_token", "appid=wx0").await.errcode(), 47001);
    assert_eq!(wire.send("POST", "/cgi-bin/stable_token", "").await.errcode(), 44002);
}

#[tokio::test]
async fn the_two_issuers_do_not_disturb_each_other() {
    let wire = Wire::start().await;
    let stable = wire.token().await;
    let (first, second) = (wire.plain().await.text("access_token"), wire.plain().await.text("access_token"));

    assert_ne!(first, second);
    wire.advance(299);
    assert_eq!(wire.errcode_of(&first).await, 40029);
    wire.advance(1);
    assert_eq!(wire.errcode_of(&first).await, 40001);
    assert_eq!((wire.errcode_of(&second).await, wire.errcode_of(&stable).await), (40029, 40029));
}

// Phone numbers.

#[tokio::test]
async fn a_phone_code_gives_the_number_once() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    wire.sim("user", json!({ "user": "ada", "phoneNumber": "13800138000" })).await;
    let code = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();

    assert_eq!(wire.number("stale", json!({ "code": code })).await.errcode(), 40001);
    assert_eq!(wire.number(&token, json!({ "code": code, "openid": "another" })).await.errcode(), 40003);
    let first = wire.number(&token, json!({ "code": code })).await;

    assert!(first.head.contains("content-type: application/json; encoding=utf-8"), "{}", first.head);
    let watermark = json!({ "timestamp": 1_700_000_000, "appid": wire.app.appid });
    let info = json!({ "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": watermark });
    assert_eq!(first.json(), json!({ "errcode": 0, "errmsg": "ok", "phone_info": info }));
    assert_eq!(wire.number(&token, json!({ "code": code })).await.errcode(), 40029);
}

#[tokio::test]
async fn a_phone_code_is_refused_when_late_or_of_another_app_or_a_login_code() {
    let wire = Wire::start().await;
    let token = wire.token().await;
    let late = wire.sim("phone", json!({ "user": "ada" })).await["code"].clone();
    wire.advance(300);
    let foreign = wire.sim("phone", json!({ "user": "ada", "appid": SECOND_APP })).await["code"].clone();
    let login = wire.code("ada").await;

    assert_eq!(wire.number(&token, json!({ "code": late })).await.errcode(), 40029);
    assert_eq!(wire.number(&token, json!({ "code": foreign })).await.errcode(), 40013);
    assert_eq!(wire.number(&token, json!({ "code": login })).await.errcode(), 40029);
}

#[tokio::test]
async fn getuserphonenumber_wants_a_post_with_json_and_a_token() {
    let wire = Wire::start().await;
    let target = format!("/wxa/business/getuserphonenumber?access_token={}", wire.token().await);

    assert_eq!(wire.send("GET", &target, "").await.errcode(), 43002);
    assert_eq!(wire.send("POST", &target, "code=abc").await.errcode(), 47001);
    assert_eq!(wire.send("POST", &target, "").await.errcode(), 44002);
    assert_eq!(wire.send("POST", "/wxa/business/getuserphonenumber", "{}").await.errcode(), 41001);
}

// Pushes.

#[tokio::test]
async fn the_first_push_is_a_get_to_be_echoed() {
    let wire = Wire::start().await;
    let push = wire.app.push.clone().unwrap();

    let usual = Pushed::ask(&wire, json!({ "event": "verify" })).await;
    let odd = Pushed::ask(&wire, json!({ "event": "verify", "echostr": "a b+c&d=%" })).await;

    assert_eq!(usual.request.as_object().unwrap().keys().collect::<Vec<_>>(), ["method", "query"]);
    assert_eq!(usual.request["method"], "GET");
    assert!(usual.is_signed("signature", &push, "") && !usual.query["echostr"].is_empty());
    assert_eq!(odd.query["echostr"], "a b+c&d=%");
    assert_ne!(usual.query["nonce"], odd.query["nonce"]);
}

#[tokio::test]
async fn a_plain_push_has_the_fields_of_the_documents() {
    let wire = Wire::start().await;
    let push = wire.app.push.clone().unwrap();
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].clone();
    let wanted = json!({ "user": "ada", "event": "user_authorization_revoke", "mode": "plain", "RevokeInfo": "8" });

    let pushed = Pushed::ask(&wire, wanted.clone()).await;

    assert_eq!(
        (&pushed.request["method"], &pushed.request["content_type"]),
        (&json!("POST"), &json!("application/json"))
    );
    assert!(pushed.is_signed("signature", &push, ""));
    assert_eq!(pushed.query["timestamp"], "1700000000");
    assert!(!pushed.query.contains_key("encrypt_type"));
    let mut fields: Value = serde_json::from_str(pushed.body()).unwrap();
    let (to, from) = (fields["ToUserName"].take(), fields["FromUserName"].take());
    assert!(to.as_str().unwrap().starts_with("gh_"));
    // The sender is the platform; the user is in OpenID alone.
    assert!(from != openid && from == pushed.query["openid"].as_str());
    let expected = json!({ "ToUserName": null, "FromUserName": null, "CreateTime": 1_700_000_000, "MsgType": "event",
        "Event": "user_authorization_revoke", "OpenID": openid, "AppID": wire.app.appid, "RevokeInfo": "8" });
    assert_eq!(fields, expected);

    wire.sim("user", json!({ "user": "ada", "unionid": "u1" })).await;
    let bound = Pushed::ask(&wire, wanted).await;
    assert_eq!(serde_json::from_str::<Value>(bound.body()).unwrap()["UnionID"], "u1");
}

#[tokio::test]
async fn a_push_in_xml_has_texts_in_cdata() {
    let wire = Wire::start().await;
    let openid = wire.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();
    let wanted = json!({ "user": "ada", "event": "user_authorization_cancellation", "mode": "plain", "format": "xml" });

    let pushed = Pushed::ask(&wire, wanted).await;

    assert_eq!(pushed.request["content_type"], "text/xml");
    assert!(pushed.body().starts_with("<xml><ToUserName><![CDATA[gh_") && pushed.body().ends_with("</xml>"));
    assert!(pushed.body().contains("<CreateTime>1700000000</CreateTime>"));
    assert!(pushed.body().contains(&format!("<OpenID><![CDATA[{openid}]]></OpenID>")));
}

#[tokio::test]
async fn a_secure_push_opens_with_the_apps_key() {
    let wire = Wire::start().await;
    let push = wire.app.push.clone().unwrap();
    let wanted = |format: &str| json!({ "user": "ada", "event": "user_info_modified", "format": format });

    let json = Pushed::ask(&wire, wanted("json")).await;
    let xml = Pushed::ask(&wire, wanted("xml")).await;

    let outer: Value = serde_json::from_str(json.body()).unwrap();
    assert_eq!(outer.as_object().unwrap().keys().collect::<Vec<_>>(), ["Encrypt", "ToUserName"]);
    let (_, rest) = xml.body().split_once("<Encrypt><![CDATA[").unwrap();
    let (in_xml, end) = rest.split_once("]]>").unwrap();
    assert_eq!(end, "</Encrypt></xml>");
    let in_json = outer["Encrypt"].as_str().unwrap();
    for (pushed, encrypted) in [(&json, in_json), (&xml, in_xml)] {
        assert!(pushed.is_signed("signature", &push, "") && pushed.is_signed("msg_signature", &push, encrypted));
        assert_eq!(pushed.query["encrypt_type"], "aes");
    }
    let (message, appid) = Pushed::opened(&push, in_json);
    assert_eq!(appid, wire.app.appid);
    assert_eq!(serde_json::from_str::<Value>(&message).unwrap()["Event"], "user_info_modified");
    let (message, _) = Pushed::opened(&push, in_xml);
    assert!(message.starts_with("<xml>") && message.contains("<Event><![CDATA[user_info_modified]]></Event>"));
}

#[tokio::test]
async fn a_compatible_push_has_the_fields_and_the_encrypted_ones() {
    let wire = Wire::start().await;
    let push = wire.app.push.clone().unwrap();

    let pushed =
        Pushed::ask(&wire, json!({ "user": "ada", "event": "user_info_modified", "mode": "compatible" })).await;

    let mut fields: Value = serde_json::from_str(pushed.body()).unwrap();
    let encrypted = fields.as_object_mut().unwrap().remove("Encrypt").unwrap();
    let encrypted = encrypted.as_str().unwrap();
    assert!(pushed.is_signed("signature", &push, "") && pushed.is_signed("msg_signature", &push, encrypted));
    assert_eq!(serde_json::from_str::<Value>(&Pushed::opened(&push, encrypted).0).unwrap(), fields);
}

#[tokio::test]
async fn a_push_that_cannot_be_is_refused() {
    let wire = Wire::start().await;

    for (wanted, hint) in [
        (json!({ "event": "verify", "appid": SECOND_APP }), "push"),
        (json!({ "event": "user_info_modified" }), "user"),
        (json!({ "user": "ada", "event": "user_info_deleted" }), "user_info_modified"),
        (json!({ "user": "ada", "event": "user_info_modified", "mode": "aes" }), "secure"),
    ] {
        let refused = wire.send("POST", "/sim/push", &wanted.to_string()).await;
        assert!(refused.status == 400 && refused.text("error").contains(hint), "{}", refused.body);
    }
}

// Faults.

#[tokio::test]
async fn a_scripted_errcode_leaves_the_code_unused() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "errcode", "errcode": -1 }), false).await;
    wire.fault("*", json!({ "kind": "errcode", "errcode": 99999, "errmsg": "odd" }), false).await;

    let (busy, odd) = (wire.exchange(&code).await, wire.exchange(&code).await);

    assert_eq!(busy.errcode(), -1);
    assert_eq!((odd.errcode(), odd.text("errmsg")), (99999, "odd".to_owned()));
    assert!(wire.exchange(&code).await.json().get("openid").is_some());
}

#[tokio::test]
async fn gateways_answer_with_html_nothing_or_half() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    for fault in [
        json!({ "kind": "status", "status": 502 }),
        json!({ "kind": "status", "status": 200, "body": "{\"openid\":\"o\"}" }),
        json!({ "kind": "html" }),
        json!({ "kind": "empty" }),
        json!({ "kind": "truncated" }),
    ] {
        wire.fault("jscode2session", fault, false).await;
    }

    let status = wire.exchange(&code).await;
    assert_eq!(status.status, 502);
    assert!(status.head.contains("text/html") && status.body.contains("<html>"));
    let lie = wire.exchange(&code).await;
    assert_eq!((lie.status, lie.body.as_str()), (200, "{\"openid\":\"o\"}"));
    assert!(lie.head.contains("text/plain"));
    let html = wire.exchange(&code).await;
    assert!(html.status == 200 && html.body.contains("<html>"));
    let empty = wire.exchange(&code).await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    let truncated = wire.exchange(&code).await;
    assert!(truncated.status == 200 && truncated.body.starts_with('{'));
    assert!(serde_json::from_str::<Value>(&truncated.body).is_err());

    assert!(wire.exchange(&code).await.json().get("openid").is_some());
}

#[tokio::test]
async fn a_reset_comes_before_any_byte_of_an_answer() {
    let wire = Wire::start().await;
    wire.fault("jscode2session", json!({ "kind": "reset" }), false).await;

    let (received, ended) = wire.raw("GET", &wire.exchange_target("c"), "").await;

    assert!(received.is_empty());
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_cut_answer_promises_more_than_it_sends() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "cut" }), true).await;

    let cut = wire.exchange(&code).await;

    let promised = cut.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(promised.parse::<usize>().unwrap() / 2, cut.body.len());
    assert!(cut.body.starts_with(r#"{"openid":"#));
    assert_eq!(wire.exchange(&code).await.errcode(), 40163);
}

#[tokio::test]
async fn a_call_can_take_effect_and_its_answer_be_lost() {
    let wire = Wire::start().await;
    let code = wire.code("ada").await;

    wire.fault("jscode2session", json!({ "kind": "silence" }), true).await;
    assert!(timeout(Duration::from_millis(200), wire.exchange(&code)).await.is_err());
    assert_eq!(wire.exchange(&code).await.errcode(), 40163);

    let code = wire.code("ada").await;
    wire.fault("jscode2session", json!({ "kind": "silence" }), false).await;
    assert!(timeout(Duration::from_millis(200), wire.exchange(&code)).await.is_err());
    assert!(wire.exchange(&code).await.json().get("openid").is_some());
}

#[tokio::test]
async fn late_answers_are_true_and_late() {
    let wire = Wire::start().await;
    for fault in [json!({ "kind": "latency", "ms": 150 }), json!({ "kind": "slow_body", "ms": 150 })] {
        let code = wire.code("ada").await;
        wire.fault("jscode2session", fault, false).await;
        let exchange = wire.exchange(&code);
        tokio::pin!(exchange);

        assert!(timeout(Duration::from_millis(50), exchange.as_mut()).await.is_err());
        assert!(exchange.await.json().get("openid").is_some());
    }
}

#[tokio::test]
async fn a_caller_that_gives_up_on_a_late_answer_has_made_the_call_only_with_after() {
    let wire = Wire::start().await;
    for (after, errcode) in [(false, None), (true, Some(40163))] {
        let code = wire.code("ada").await;
        wire.fault("jscode2session", json!({ "kind": "latency", "ms": 200 }), after).await;

        assert!(timeout(Duration::from_millis(50), wire.exchange(&code)).await.is_err());
        tokio::time::sleep(Duration::from_millis(300)).await;

        assert_eq!(wire.exchange(&code).await.json()["errcode"].as_i64(), errcode, "after: {after}");
    }
}

#[tokio::test]
async fn a_fault_without_times_stays_until_cleared() {
    let wire = Wire::start().await;
    wire.sim("script", json!({ "api": "*", "fault": { "kind": "empty" } })).await;

    for _ in 0..3 {
        assert_eq!(wire.exchange("c").await.body, "");
    }
    assert_eq!(wire.send("DELETE", "/sim/script", "").await.status, 200);

    assert_eq!(wire.exchange("c").await.errcode(), 40029);
}

// The control side.

#[tokio::test]
async fn calls_are_counted_with_the_faulted_ones() {
    let wire = Wire::start().await;
    wire.fault("jscode2session", json!({ "kind": "empty" }), false).await;
    wire.exchange("a").await;
    wire.exchange("b").await;
    wire.token().await;

    let calls = wire.send("GET", "/sim/calls", "").await.json();

    assert_eq!(calls["calls"]["jscode2session"], 2);
    assert_eq!(calls["calls"]["stable_token"], 1);
    assert_eq!(calls["calls"]["getuserphonenumber"], 0);
    assert_eq!(wire.simulator.calls("jscode2session"), 2);
}

#[tokio::test]
async fn a_restart_keeps_the_openid() {
    let (before, after) = (Wire::start().await, Wire::start().await);
    let openid = before.sim("user", json!({ "user": "ada" })).await["openid"].as_str().unwrap().to_owned();

    let code = after.simulator.login("ada");
    assert_eq!(after.exchange(&code).await.text("openid"), openid);

    // A key from before the restart is a wrong key of a right user.
    let bob = before.sim("user", json!({ "user": "bob" })).await["openid"].as_str().unwrap().to_owned();
    let token = after.token().await;
    assert_eq!(after.check("checksession", &token, &bob, "AAAAAAAAAAAAAAAAAAAAAA==").await.errcode(), 87009);
}

#[tokio::test]
async fn control_errors_and_the_page_say_what_to_do() {
    let wire = Wire::start().await;

    let unknown = wire.send("POST", "/sim/nope", "{}").await;
    let bad = wire.send("POST", "/sim/login", "{}").await;
    let page = wire.send("GET", "/", "").await;

    assert_eq!((unknown.status, bad.status), (404, 400));
    assert!(bad.text("error").contains("user"));
    assert!(page.body.contains("curl http://sim/sim/login") && page.body.contains("curl http://sim/sim/push"));
    assert_eq!(wire.send("GET", "/sim/", "").await.body, page.body);
}

#[tokio::test]
async fn shutdown_ends_silent_connections_too() {
    let wire = Wire::start().await;
    wire.fault("*", json!({ "kind": "silence" }), false).await;
    let mut stream = TcpStream::connect(wire.address).await.unwrap();
    stream.write_all(b"GET /cgi-bin/token HTTP/1.1\r\nHost: sim\r\n\r\n").await.unwrap();
    while wire.simulator.calls("token") == 0 {
        tokio::task::yield_now().await;
    }

    wire.stop.send(()).unwrap();

    wire.running.await.unwrap().unwrap();
    assert!(matches!(stream.read(&mut [0; 1]).await, Ok(0) | Err(_)));
}
