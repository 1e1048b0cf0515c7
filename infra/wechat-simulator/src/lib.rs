//! A stand-in for `api.weixin.qq.com`, with the buttons of the client and the messages it pushes beside it.
//!
//! It guarantees: the answers of the documents (bodies, content types, errcodes, life times, single use), one
//! valid `session_key` per user, ciphertexts made with it, and faults exactly as scripted under `/sim/script`. An
//! openid is a function of appid and user name, so a restart keeps the users of a database.
//!
//! It does not guarantee secrecy (anyone who reaches it may log in as anyone: keep it on loopback), and it keeps
//! nothing else over a restart. It shares no code with the crate `shared`: a common mistake would hide.

mod answer;
mod api;
mod code2session;
mod codes;
pub mod command;
mod connection;
mod control;
mod draws;
mod fault;
mod identity;
mod msg_crypt;
mod opendata;
mod phone_number;
mod platform_token;
mod push;
mod routes;
mod script;
mod session_check;
mod signature;
mod state;
mod users;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub use control::ControlError;
pub use push::Push;

use state::State;

/// A mini program that the simulator answers for.
#[derive(Clone)]
pub struct App {
    /// The AppID, `wx` and 16 hex digits.
    pub appid: String,
    /// The AppSecret; not shown by `Debug`.
    pub secret: String,
    /// Its message push, if it is configured.
    pub push: Option<Push>,
}

impl App {
    /// The one app of a simulator that was given no other.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            appid: "wx0123456789abcdef".to_owned(),
            secret: "0123456789abcdef0123456789abcdef".to_owned(),
            push: Some(Push {
                token: "demoPushToken".to_owned(),
                // As with most keys of the console, a reader of canonical base64 would refuse its last character.
                encoding_aes_key: Some("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG".to_owned()),
            }),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = out.debug_struct("App");
        shown.field("appid", &self.appid).field("secret", &"[redacted]").field("push", &self.push).finish()
    }
}

/// Unix seconds; tests advance it.
type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// One simulated WeChat; clones share its state.
#[derive(Clone)]
pub struct Simulator {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl Simulator {
    /// A simulator on the system's clock. The first app is the one that control requests mean by default.
    #[must_use]
    pub fn new(apps: Vec<App>) -> Self {
        Self::with_clock(apps, Arc::new(system_clock))
    }

    /// A simulator on the given clock, in Unix seconds.
    #[must_use]
    pub fn with_clock(apps: Vec<App>, clock: Clock) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(apps))), clock }
    }

    /// Answers HTTP/1.1 until `shutdown` resolves, then drops every connection, the silent ones included.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        connection::accept(listener, routes::router(self), shutdown).await
    }

    /// What `POST /sim/{route}` does, in process: `control("phone", json!({"user": "ada"}))`.
    pub fn control(&self, route: &str, request: Value) -> Result<Value, ControlError> {
        self.with(|state, now| control::control(state, route, request, now))
    }

    /// What `wx.login` gives to this user of the first app. Empty if the simulator has no app.
    #[must_use]
    pub fn login(&self, user: &str) -> String {
        let answer = self.control("login", serde_json::json!({ "user": user })).unwrap_or_default();
        answer["code"].as_str().unwrap_or_default().to_owned()
    }

    /// How many requests reached this WeChat API (`"jscode2session"`), those that met a fault included.
    #[must_use]
    pub fn calls(&self, api: &str) -> u64 {
        self.with(|state, _| api::Api::named(api).map_or(0, |api| state.calls(api)))
    }

    /// Every secret and every personal value that it knows now, each behind its kind: what no log line may hold.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.with(|state, _| state.secrets())
    }

    /// The user's valid `session_key`; `None` means the first app.
    #[must_use]
    pub fn session_key(&self, appid: Option<&str>, user: &str) -> Option<String> {
        self.with(|state, _| {
            let appid = appid.or(state.default_appid.as_deref())?;
            state.users.session_key(appid, user).cloned()
        })
    }

    /// Forgets every scripted fault, as `DELETE /sim/script` does.
    pub fn clear_script(&self) {
        self.with(|state, _| state.script.clear());
    }

    /// Every read and write of the state goes through here; nothing inside waits or panics.
    fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> T) -> T {
        let now = (self.clock)();
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Simulator").finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one default clock; the crate may not use `shared`")]
fn system_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let app = App::demo();

        let shown = format!("{app:?} {:?}", Simulator::new(vec![app.clone()]));

        assert!(shown.contains(&app.appid));
        let push = app.push.unwrap();
        for secret in [app.secret, push.token, push.encoding_aes_key.unwrap()] {
            assert!(!shown.contains(&secret));
        }
    }

    #[test]
    fn login_without_any_app_gives_no_code() {
        assert_eq!(Simulator::new(Vec::new()).login("ada"), "");
    }
}
