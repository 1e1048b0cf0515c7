//! All that the simulator remembers, behind one lock.
//!
//! Plain data and the steps that several modules share; what an API does with it is in the module of that API.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;

use crate::api::Api;
use crate::app::App;
use crate::call::Refusal;
use crate::codes::{Codes, ForeignCodes};
use crate::data_check::PhoneData;
use crate::error::ControlError;
use crate::messages::Messages;
use crate::orders::Orders;
use crate::random::Random;
use crate::requests::Requests;
use crate::script::Script;
use crate::tokens::Tokens;
use crate::users::Users;

/// Unix seconds; tests advance it.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The state and the clock; clones share both.
#[derive(Clone)]
pub(crate) struct SharedState {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl SharedState {
    pub(crate) fn new(apps: Vec<App>, clock: Clock) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(apps))), clock }
    }

    /// Every read and write of the state goes through here; `act` may neither wait nor panic.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut State, u64) -> T) -> T {
        let now = (self.clock)();
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

/// What `wx.login` does to the user's key. WeChat *may* replace it, so a client has to expect that: it is the default.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyRule {
    Replace,
    Keep,
}

/// The user whom all foreign codes log in.
pub const FOREIGN_USER: &str = "devtools";

/// How the simulator answers where WeChat is known to answer in more than one way.
pub(crate) struct Settings {
    pub(crate) session_key: KeyRule,
    pub(crate) success_errcode: bool,
    pub(crate) extra_fields: bool,
    pub(crate) errcode_as_text: bool,
    /// What a login code gets the second time: reports differ between 40163 and 40029.
    pub(crate) used_code_errcode: i64,
    /// What a `session_key` that is not the current one gets: today 87009, in older documents 87007.
    pub(crate) stale_key_errcode: i64,
    /// What the quota of every call is said to be.
    pub(crate) daily_limit: u64,
}

pub(crate) struct State {
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) default_appid: Option<String>,
    pub(crate) users: Users,
    pub(crate) login_codes: Codes,
    pub(crate) phone_codes: Codes,
    pub(crate) foreign_codes: ForeignCodes,
    pub(crate) phone_data: PhoneData,
    pub(crate) orders: Orders,
    pub(crate) messages: Messages,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Settings,
    pub(crate) script: Script,
    pub(crate) random: Random,
    pub(crate) requests: Requests,
    calls: BTreeMap<Api, u64>,
}

impl State {
    pub(crate) fn new(apps: Vec<App>) -> Self {
        Self {
            default_appid: apps.first().map(|app| app.appid.clone()),
            apps: apps.into_iter().map(|app| (app.appid.clone(), app)).collect(),
            users: Users::default(),
            login_codes: Codes::default(),
            phone_codes: Codes::default(),
            foreign_codes: ForeignCodes::default(),
            phone_data: PhoneData::default(),
            orders: Orders::default(),
            messages: Messages::default(),
            tokens: Tokens::default(),
            settings: Settings {
                session_key: KeyRule::Replace,
                success_errcode: false,
                extra_fields: false,
                errcode_as_text: false,
                used_code_errcode: 40163,
                stale_key_errcode: 87009,
                daily_limit: 500_000,
            },
            script: Script::default(),
            random: Random::new(),
            requests: Requests::default(),
            calls: BTreeMap::new(),
        }
    }

    /// Whether appid and secret are right: 40013 before 40125.
    pub(crate) fn authenticate(&self, appid: &str, secret: &str) -> Result<(), Refusal> {
        let app = self.apps.get(appid).ok_or(Refusal(40013))?;
        if app.secret == secret { Ok(()) } else { Err(Refusal(40125)) }
    }

    /// The app that a control request means: the first one if it names none.
    pub(crate) fn appid(&self, named: Option<&str>) -> Result<String, ControlError> {
        let appid = named.or(self.default_appid.as_deref()).unwrap_or_default().to_owned();
        if self.apps.contains_key(&appid) { Ok(appid) } else { Err(ControlError::UnknownApp(appid)) }
    }

    /// What `wx.login` does to the user's key.
    pub(crate) fn renew_session_key(&mut self, appid: &str, user: &str) {
        let key = self.random.session_key();
        let (_, user) = self.users.named(appid, user);
        if self.settings.session_key == KeyRule::Replace || user.session_key.is_none() {
            user.session_key = Some(key);
        }
    }

    /// A foreign login code becomes one that [`FOREIGN_USER`] got just now.
    pub(crate) fn admit_login_code(&mut self, text: &str, appid: &str, now: u64) {
        if self.foreign_codes.are_admitted && self.foreign_codes.is_new(text) {
            self.renew_session_key(appid, FOREIGN_USER);
            self.login_codes.issue(text, appid, FOREIGN_USER, now);
        }
    }

    /// The same for a phone code, unless it comes with another user's openid: then it is as invalid as any that is made up.
    pub(crate) fn admit_phone_code(&mut self, text: &str, appid: &str, openid: Option<&Value>, now: u64) {
        if !self.foreign_codes.are_admitted {
            return;
        }
        let is_of_user = openid.is_none_or(|openid| *openid == self.users.named(appid, FOREIGN_USER).0);
        if is_of_user && self.foreign_codes.is_new(text) {
            self.phone_codes.issue(text, appid, FOREIGN_USER, now);
        }
    }

    /// Every secret and every personal value that the simulator knows now, each after its kind.
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = self.users.secrets();
        for app in self.apps.values() {
            secrets.push(("AppSecret", app.secret.clone()));
            let push = app.push.iter().flat_map(|push| [Some(&push.token), push.encoding_aes_key.as_ref()]);
            secrets.extend(push.flatten().map(|text| ("push secret", text.clone())));
            let keys = app.app_keys.iter().flat_map(|keys| [keys.production.as_ref(), keys.sandbox.as_ref()]);
            secrets.extend(keys.flatten().map(|text| ("AppKey", text.clone())));
        }
        secrets.extend(self.login_codes.texts().map(|text| ("login code", text.clone())));
        secrets.extend(self.phone_codes.texts().map(|text| ("phone code", text.clone())));
        secrets.extend(self.tokens.texts().map(|text| ("platform token", text.clone())));
        secrets
    }

    pub(crate) fn count(&mut self, api: Api) {
        *self.calls.entry(api).or_default() += 1;
    }

    pub(crate) fn calls(&self, api: Api) -> u64 {
        self.calls.get(&api).copied().unwrap_or_default()
    }
}
