//! The client's end of the wire.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wechat_simulator::{App, Simulator};

pub(crate) const SECOND_APP: &str = "wxfedcba9876543210";

/// A running simulator with two apps.
pub(crate) struct Wire {
    pub(crate) simulator: Simulator,
    pub(crate) address: SocketAddr,
    clock: Arc<AtomicU64>,
    pub(crate) app: App,
    pub(crate) running: JoinHandle<()>,
    pub(crate) stop: oneshot::Sender<()>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn errcode(&self) -> i64 {
        self.json()["errcode"].as_i64().unwrap()
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap().to_owned()
    }

    /// Whether this is the success of a code2Session.
    pub(crate) fn is_success(&self) -> bool {
        self.json().get("openid").is_some()
    }
}

impl Wire {
    pub(crate) async fn start() -> Self {
        Self::with_app(App::demo()).await
    }

    pub(crate) async fn with_app(app: App) -> Self {
        let clock = Arc::new(AtomicU64::new(1_700_000_000));
        let read = Arc::clone(&clock);
        let apps = vec![
            app.clone(),
            App { appid: SECOND_APP.to_owned(), secret: "other".to_owned(), push: None, app_keys: None },
        ];
        let simulator = Simulator::with_clock(apps, Arc::new(move || read.load(Ordering::SeqCst)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(simulator.clone().serve(listener, async {
            let _ = stopped.await;
        }));
        Self { simulator, address, clock, app, running, stop }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Everything the simulator sends until it closes, and how the connection ended.
    pub(crate) async fn raw(&self, method: &str, target: &str, body: &str) -> (Vec<u8>, io::Result<()>) {
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

    pub(crate) async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        let (received, ended) = self.raw(method, target, body).await;
        ended.unwrap();
        let text = String::from_utf8(received).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    pub(crate) async fn sim(&self, route: &str, body: Value) -> Value {
        let reply = self.send("POST", &format!("/sim/{route}"), &body.to_string()).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    pub(crate) async fn fault(&self, api: &str, fault: Value, after: bool) {
        self.sim("script", json!({ "api": api, "fault": fault, "times": 1, "after": after })).await;
    }

    pub(crate) async fn code(&self, user: &str) -> String {
        self.sim("login", json!({ "user": user })).await["code"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn openid(&self, user: &str) -> String {
        self.sim("user", json!({ "user": user })).await["openid"].as_str().unwrap().to_owned()
    }

    pub(crate) fn exchange_target(&self, code: &str) -> String {
        exchange_target(&self.app.appid, &self.app.secret, code)
    }

    pub(crate) async fn exchange(&self, code: &str) -> Reply {
        self.send("GET", &self.exchange_target(code), "").await
    }

    pub(crate) async fn session_key(&self, user: &str) -> String {
        let code = self.code(user).await;
        self.exchange(&code).await.text("session_key")
    }

    pub(crate) async fn stable(&self, force: Value) -> Reply {
        let App { appid, secret, .. } = &self.app;
        let body =
            json!({ "grant_type": "client_credential", "appid": appid, "secret": secret, "force_refresh": force });
        self.send("POST", "/cgi-bin/stable_token", &body.to_string()).await
    }

    pub(crate) async fn token(&self) -> String {
        self.stable(json!(false)).await.text("access_token")
    }

    pub(crate) async fn plain(&self) -> Reply {
        let App { appid, secret, .. } = &self.app;
        let target = format!("/cgi-bin/token?grant_type=client_credential&appid={appid}&secret={secret}");
        self.send("GET", &target, "").await
    }

    pub(crate) async fn number(&self, token: &str, body: Value) -> Reply {
        let target = format!("/wxa/business/getuserphonenumber?access_token={token}");
        self.send("POST", &target, &body.to_string()).await
    }

    /// What a call with this token gets: 40029 means that the token was good, for the code is not.
    pub(crate) async fn errcode_of(&self, token: &str) -> i64 {
        self.number(token, json!({ "code": "none" })).await.errcode()
    }

    pub(crate) async fn check(&self, api: &str, token: &str, openid: &str, key: &str) -> Reply {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let signature = lower_hex(hmac::sign(&key, b"").as_ref());
        let target =
            format!("/wxa/{api}?access_token={token}&openid={openid}&signature={signature}&sig_method=hmac_sha256");
        self.send("GET", &target, "").await
    }
}

pub(crate) fn exchange_target(appid: &str, secret: &str, code: &str) -> String {
    format!("/sns/jscode2session?appid={appid}&secret={secret}&js_code={code}&grant_type=authorization_code")
}

pub(crate) fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
