//! All that the simulator remembers, behind the one lock of [`Simulator`](crate::Simulator).
//!
//! Plain data and its few shared steps; what an API does with it stands in the module of that API.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::App;
use crate::answer::Refusal;
use crate::api::Api;
use crate::codes::Codes;
use crate::draws::Draws;
use crate::identity;
use crate::platform_token::{Issued, Tokens};
use crate::script::Script;

/// The grey figure that every user has had since 2022.
const ANONYMOUS_AVATAR: &str = "https://thirdwx.qlogo.cn/mmopen/vi_32/POgEwh4mIHO4nibH0KlMECNjjGxQUq24ZEaGT4poC6icRiccVGKSyXwibcPq4BWmiaIGuG1icwxaQX6grC9VemZoJ8rg/132";

/// A mini program and the platform tokens it may use.
pub(crate) struct Program {
    pub(crate) secret: String,
    pub(crate) issued: Issued,
}

/// A user of one mini program.
pub(crate) struct User {
    pub(crate) unionid: Option<String>,
    pub(crate) phone_number: String,
    pub(crate) pure_phone_number: String,
    pub(crate) country_code: Value,
    pub(crate) nick_name: String,
    pub(crate) avatar_url: String,
    pub(crate) blocked: bool,
    /// The one valid key; none before the first login.
    pub(crate) session_key: Option<String>,
}

impl User {
    fn named(name: &str) -> Self {
        let number = identity::default_number(name);
        Self {
            unionid: None,
            phone_number: number.clone(),
            pure_phone_number: number,
            country_code: Value::from("86"),
            nick_name: "微信用户".to_owned(),
            avatar_url: ANONYMOUS_AVATAR.to_owned(),
            blocked: false,
            session_key: None,
        }
    }
}

/// What `wx.login` does to the user's key. WeChat *may* replace it: the harsher truth is the default.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyRule {
    Replace,
    Keep,
}

/// How the simulator answers where WeChat is known to answer in more than one way.
pub(crate) struct Settings {
    pub(crate) session_key: KeyRule,
    pub(crate) success_errcode: bool,
    pub(crate) extra_fields: bool,
    pub(crate) errcode_as_text: bool,
    /// What a login code gets the second time: reports differ between 40163 and 40029.
    pub(crate) used_code_errcode: i64,
}

/// Everything.
pub(crate) struct State {
    pub(crate) programs: BTreeMap<String, Program>,
    pub(crate) default_appid: Option<String>,
    /// By openid, which already holds appid and user name.
    pub(crate) users: HashMap<String, User>,
    pub(crate) login_codes: Codes,
    pub(crate) phone_codes: Codes,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Settings,
    pub(crate) script: Script,
    pub(crate) draws: Draws,
    calls: BTreeMap<Api, u64>,
}

impl State {
    pub(crate) fn new(apps: Vec<App>) -> Self {
        let default_appid = apps.first().map(|app| app.appid.clone());
        let programs =
            apps.into_iter().map(|app| (app.appid, Program { secret: app.secret, issued: Issued::default() }));
        Self {
            programs: programs.collect(),
            default_appid,
            users: HashMap::new(),
            login_codes: Codes::default(),
            phone_codes: Codes::default(),
            tokens: Tokens::default(),
            settings: Settings {
                session_key: KeyRule::Replace,
                success_errcode: false,
                extra_fields: false,
                errcode_as_text: false,
                used_code_errcode: 40163,
            },
            script: Script::default(),
            draws: Draws::new(),
            calls: BTreeMap::new(),
        }
    }

    /// The user of this name, made on first sight, with its openid.
    pub(crate) fn user(&mut self, appid: &str, name: &str) -> (String, &mut User) {
        let openid = identity::openid(appid, name);
        let user = self.users.entry(openid.clone()).or_insert_with(|| User::named(name));
        (openid, user)
    }

    /// The base64 of 16 bytes that were never a key before.
    pub(crate) fn fresh_session_key(&mut self) -> String {
        STANDARD.encode(self.draws.bytes::<16>())
    }

    /// Whether appid and secret are right: 40013 before 40125.
    pub(crate) fn authenticate(&self, appid: &str, secret: &str) -> Result<(), Refusal> {
        let program = self.programs.get(appid).ok_or(Refusal(40013))?;
        if program.secret == secret { Ok(()) } else { Err(Refusal(40125)) }
    }

    pub(crate) fn count(&mut self, api: Api) {
        *self.calls.entry(api).or_default() += 1;
    }

    pub(crate) fn calls(&self, api: Api) -> u64 {
        self.calls.get(&api).copied().unwrap_or_default()
    }
}
