//! All that the simulator remembers, behind the one lock of [`Simulator`](crate::Simulator).
//!
//! Plain data and its few shared steps; what an API does with it stands in the module of that API.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::answer::Refusal;
use crate::api::Api;
use crate::codes::Codes;
use crate::draws::Draws;
use crate::platform_token::{Issued, Tokens};
use crate::script::Script;
use crate::users::Users;
use crate::{App, Push};

/// A mini program and the platform tokens it may use.
pub(crate) struct Program {
    pub(crate) secret: String,
    pub(crate) push: Option<Push>,
    pub(crate) issued: Issued,
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
    /// What a `session_key` that is not the current one gets: today 87009, in older documents 87007.
    pub(crate) stale_key_errcode: i64,
}

/// Everything.
pub(crate) struct State {
    pub(crate) programs: BTreeMap<String, Program>,
    pub(crate) default_appid: Option<String>,
    pub(crate) users: Users,
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
        let program = |App { appid, secret, push }| (appid, Program { secret, push, issued: Issued::default() });
        Self {
            programs: apps.into_iter().map(program).collect(),
            default_appid,
            users: Users::default(),
            login_codes: Codes::default(),
            phone_codes: Codes::default(),
            tokens: Tokens::default(),
            settings: Settings {
                session_key: KeyRule::Replace,
                success_errcode: false,
                extra_fields: false,
                errcode_as_text: false,
                used_code_errcode: 40163,
                stale_key_errcode: 87009,
            },
            script: Script::default(),
            draws: Draws::new(),
            calls: BTreeMap::new(),
        }
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

    /// See [`Simulator::secrets`](crate::Simulator::secrets).
    pub(crate) fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut secrets = self.users.secrets();
        for program in self.programs.values() {
            secrets.push(("AppSecret", program.secret.clone()));
            let push = program.push.iter().flat_map(|push| [Some(&push.token), push.encoding_aes_key.as_ref()]);
            secrets.extend(push.flatten().map(|text| ("push secret", text.clone())));
        }
        let codes = self.login_codes.texts().map(|text| ("login code", text));
        let codes = codes.chain(self.phone_codes.texts().map(|text| ("phone code", text)));
        let tokens = self.tokens.texts().map(|text| ("platform token", text));
        secrets.extend(codes.chain(tokens).map(|(kind, text)| (kind, text.clone())));
        secrets
    }

    pub(crate) fn count(&mut self, api: Api) {
        *self.calls.entry(api).or_default() += 1;
    }

    pub(crate) fn calls(&self, api: Api) -> u64 {
        self.calls.get(&api).copied().unwrap_or_default()
    }
}
