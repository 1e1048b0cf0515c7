//! A stand-in for `api.weixin.qq.com` that also has the buttons of the client and the messages that WeChat pushes.
//!
//! It guarantees: the answers of the documents (bodies, content types, errcodes, life times, single use), one
//! valid `session_key` per user, ciphertexts made with it, and faults exactly as scripted under `/sim/script`. An
//! openid is a function of appid and user name, so the users of a database are the same after a restart.
//!
//! It does not guarantee secrecy (anyone who reaches it may log in as anyone: keep it on loopback), and it keeps
//! nothing else over a restart. It shares no code with the crate `shared`: a mistake in common code would go unnoticed.
//!
//! The files from top to bottom; each uses only files of lower lines:
//! ```text
//! main                      the command line
//! lib                       Simulator
//! connection  routes        from a TCP connection to a response
//! sender                    sends what WeChat pushes, until it is acknowledged
//! control  fault            what a control request does; what a scripted fault does to a response
//! purchase  push            a payment of the client; the messages that WeChat pushes
//! answer  event  dispatch   whether an answer acknowledges one; what they say; from a call to its API
//! code2session  openapi  phone_number  platform_token  session_check  response     the APIs, and the form of what they say
//! state  opendata           everything that is remembered; the encrypted payloads
//! codes  messages  orders  requests  script  tokens  users
//! api  app  call  error  identity  msg_crypt  random
//! signature
//! ```

#![expect(missing_docs, reason = "the crate is not published; items whose names say it all have no sentence")]

mod answer;
mod api;
mod app;
mod call;
mod code2session;
mod codes;
mod connection;
mod control;
mod data_check;
mod dispatch;
mod error;
mod event;
mod fault;
mod identity;
mod messages;
mod msg_crypt;
mod openapi;
mod opendata;
mod orders;
mod phone_number;
mod platform_token;
mod purchase;
mod push;
mod random;
mod requests;
mod response;
mod routes;
mod script;
mod sender;
mod session_check;
mod signature;
mod state;
mod tokens;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::net::TcpListener;

pub use app::{App, AppKeys, Push};
pub use error::ControlError;
pub use state::FOREIGN_USER;

use api::Api;
use state::{Clock, SharedState};

/// One simulated WeChat; clones share its state.
#[derive(Clone)]
pub struct Simulator(SharedState);

impl Simulator {
    /// A simulator on the system's clock. The first app is the one that control requests mean by default.
    #[must_use]
    pub fn new(apps: Vec<App>) -> Self {
        Self::with_clock(apps, Arc::new(system_clock))
    }

    /// A simulator on the given clock, in Unix seconds.
    #[must_use]
    pub fn with_clock(apps: Vec<App>, clock: Clock) -> Self {
        Self(SharedState::new(apps, clock))
    }

    /// Serves HTTP/1.1 until `shutdown` resolves, then drops every connection, the silent ones included.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        connection::accept(listener, routes::router(self.0), shutdown).await;
    }

    /// Sends each message that is to be sent to this http address, and again until it is acknowledged, until `shutdown` resolves.
    pub async fn push_to(self, url: axum::http::Uri, shutdown: impl Future<Output = ()> + Send) {
        sender::run(self.0, url, shutdown).await;
    }

    /// What `POST /sim/{route}` does, in process: `control("phone", json!({"user": "ada"}))`.
    pub fn control(&self, route: &str, request: Value) -> Result<Value, ControlError> {
        self.0.with(|state, now| control::control(state, route, request, now))
    }

    /// What `wx.login` gives to this user of the first app. Empty if the simulator has no app.
    #[must_use]
    pub fn login(&self, user: &str) -> String {
        let response = self.control("login", serde_json::json!({ "user": user })).unwrap_or_default();
        response["code"].as_str().unwrap_or_default().to_owned()
    }

    /// From now on, codes that no simulator made log in as [`FOREIGN_USER`], as `foreign_codes` under `/sim/settings` says.
    pub fn admit_foreign_codes(&self) {
        self.0.with(|state, _| state.foreign_codes.are_admitted = true);
    }

    /// How many requests reached this WeChat API (`"jscode2session"`), those that met a fault included.
    #[must_use]
    pub fn calls(&self, api: &str) -> u64 {
        self.0.with(|state, _| Api::named(api).map_or(0, |api| state.calls(api)))
    }

    /// Every secret and every personal value that it knows now, each after its kind: what no log line may contain.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.0.with(|state, _| state.secrets())
    }

    /// The user's valid `session_key`; `None` means the first app.
    #[must_use]
    pub fn session_key(&self, appid: Option<&str>, user: &str) -> Option<String> {
        self.0.with(|state, _| state.users.session_key(&state.appid(appid).ok()?, user).cloned())
    }

    /// The faults that are scripted and still to come, as `GET /sim/script` gives them.
    #[must_use]
    pub fn script(&self) -> Value {
        self.0.with(|state, _| state.script.to_come())
    }

    /// Forgets every scripted fault, as `DELETE /sim/script` does.
    pub fn clear_script(&self) {
        self.0.with(|state, _| state.script.clear());
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
        let (push, keys) = (app.push.unwrap(), app.app_keys.unwrap());
        let keys = [keys.production.unwrap(), keys.sandbox.unwrap()];
        for secret in [app.secret, push.token, push.encoding_aes_key.unwrap()].into_iter().chain(keys) {
            assert!(!shown.contains(&secret));
        }
    }

    #[test]
    fn login_without_any_app_gives_no_code() {
        assert_eq!(Simulator::new(Vec::new()).login("ada"), "");
    }
}
