//! The control routes: what the client, its buttons, the owner of the app and the saboteur do.
//!
//! Every field that is not known is refused, so a misspelt one is not silently without effect.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::Api;
use crate::opendata::{self, Profile, UserInfo, Watermark};
use crate::phone_number::phone_info;
use crate::push::{self, Wanted};
use crate::script::{Entry, Fault};
use crate::signature;
use crate::state::{KeyRule, State};
use crate::users::User;

/// Why a control request had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such route under `/sim/`.
    #[error("no such control route")]
    UnknownRoute,
    /// The body is not JSON, lacks a field, or has one too many.
    #[error("unreadable request: {0}")]
    Unreadable(String),
    /// A value is out of its bounds.
    #[error("{0}")]
    OutOfBounds(&'static str),
    /// The simulator does not answer for this app.
    #[error("no such app: {0}")]
    UnknownApp(String),
    /// The session key that was planted is not the base64 of 16 bytes.
    #[error("the user's session_key cannot encrypt: it is not the base64 of 16 bytes")]
    UnusableKey,
    /// The app has no push configuration.
    #[error("the app has no push configuration: {{\"push\": {{\"token\": \"...\"}}}} beside its secret")]
    NoPush,
    /// The app's `EncodingAESKey` is missing, or does not stand for 32 bytes.
    #[error("the app has no encoding_aes_key of 43 characters")]
    UnusableAesKey,
}

type Control = Result<Value, ControlError>;

pub(crate) fn control(state: &mut State, route: &str, request: Value, now: u64) -> Control {
    match route {
        "login" => login(state, &read(request)?, now),
        "phone" => phone(state, &read(request)?, now),
        "userinfo" => userinfo(state, &read(request)?, now),
        "encrypt" => encrypt(state, &read(request)?),
        "user" => set_user(state, read(request)?),
        "settings" => set(state, &read(request)?),
        "push" => push(state, &read(request)?, now),
        "script" => script(state, read(request)?),
        "secret" => secret(state, read(request)?),
        _ => Err(ControlError::UnknownRoute),
    }
}

fn read<T: DeserializeOwned>(request: Value) -> Result<T, ControlError> {
    serde_json::from_value(request).map_err(|error| ControlError::Unreadable(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    user: String,
    appid: Option<String>,
}

/// `wx.login`. The key changes here, not at the exchange: a ciphertext fetched before it is dead from now on.
fn login(state: &mut State, who: &Who, now: u64) -> Control {
    let appid = appid(state, who.appid.as_deref())?;
    let key = state.fresh_session_key();
    let rule = state.settings.session_key;
    let (_, user) = state.users.named(&appid, &who.user);
    if rule == KeyRule::Replace || user.session_key.is_none() {
        user.session_key = Some(key);
    }
    let code = state.draws.text::<24>();
    state.login_codes.issue(&code, &appid, &who.user, now);
    Ok(json!({ "code": code }))
}

/// The phone number button: the event has the new way (`code`) and the old one beside it.
fn phone(state: &mut State, who: &Who, now: u64) -> Control {
    let appid = appid(state, who.appid.as_deref())?;
    let mut sealed = sealed(state, &appid, &who.user, |user, _| json_text(&phone_info(user, &appid, now)))?;
    // 64 characters: a phone code should not pass for a login code.
    let code = state.draws.text::<48>();
    state.phone_codes.issue(&code, &appid, &who.user, now);
    sealed["code"] = json!(code);
    Ok(sealed)
}

/// `wx.getUserInfo`.
fn userinfo(state: &mut State, who: &Who, now: u64) -> Control {
    let appid = appid(state, who.appid.as_deref())?;
    let profile = |user: &User| json_text(&Profile::anonymous_but(&user.nick_name, &user.avatar_url));
    let mut sealed = sealed(state, &appid, &who.user, |user, openid| {
        json_text(&UserInfo {
            open_id: openid,
            profile: Profile::anonymous_but(&user.nick_name, &user.avatar_url),
            union_id: user.unionid.as_deref(),
            watermark: Watermark { timestamp: now, appid: &appid },
        })
    })?;
    let (_, user) = state.users.named(&appid, &who.user);
    let raw_data = profile(user);
    sealed["signature"] = json!(signature::of_raw_data(&raw_data, user.session_key.as_deref().unwrap_or_default()));
    sealed["rawData"] = json!(raw_data);
    Ok(sealed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    user: String,
    appid: Option<String>,
    plaintext: String,
}

/// Any plaintext under the user's key: odd payloads for tests.
fn encrypt(state: &mut State, request: &Payload) -> Control {
    let appid = appid(state, request.appid.as_deref())?;
    sealed(state, &appid, &request.user, |_, _| request.plaintext.clone())
}

/// A message push, for the caller to send.
fn push(state: &mut State, wanted: &Wanted, now: u64) -> Control {
    let appid = appid(state, wanted.appid.as_deref())?;
    push::request(state, &appid, wanted, now)
}

/// `encryptedData` and `iv` over what `plaintext` makes of the user and its openid.
fn sealed(state: &mut State, appid: &str, name: &str, plaintext: impl FnOnce(&User, &str) -> String) -> Control {
    let (fresh, iv) = (state.fresh_session_key(), state.draws.bytes::<16>());
    let (openid, user) = state.users.named(appid, name);
    let key = user.session_key.get_or_insert(fresh).clone();
    let encrypted = opendata::encrypt(&key, iv, plaintext(user, &openid).as_bytes());
    let encrypted = encrypted.ok_or(ControlError::UnusableKey)?;
    Ok(json!({ "encryptedData": encrypted, "iv": opendata::iv_text(iv) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserChange {
    user: String,
    appid: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    #[serde(rename = "phoneNumber")]
    phone_number: Option<String>,
    #[serde(rename = "purePhoneNumber")]
    pure_phone_number: Option<String>,
    #[serde(rename = "countryCode")]
    country_code: Option<Value>,
    #[serde(rename = "nickName")]
    nick_name: Option<String>,
    #[serde(rename = "avatarUrl")]
    avatar_url: Option<String>,
    blocked: Option<bool>,
    session_key: Option<String>,
}

fn set_user(state: &mut State, change: UserChange) -> Control {
    if change.country_code.as_ref().is_some_and(|code| !code.is_string() && !code.is_number()) {
        return Err(ControlError::OutOfBounds("countryCode is a text or a number"));
    }
    let appid = appid(state, change.appid.as_deref())?;
    if change.openid.is_some_and(|openid| !state.users.set_openid(&appid, &change.user, &openid)) {
        return Err(ControlError::OutOfBounds("openid is another user's in this app"));
    }
    let (openid, user) = state.users.named(&appid, &change.user);
    // A number without its pure form is one without a prefix.
    let pure = change.pure_phone_number.or_else(|| change.phone_number.clone());
    replace(&mut user.phone_number, change.phone_number);
    replace(&mut user.pure_phone_number, pure);
    replace(&mut user.country_code, change.country_code);
    replace(&mut user.nick_name, change.nick_name);
    replace(&mut user.avatar_url, change.avatar_url);
    replace(&mut user.blocked, change.blocked);
    // An empty text takes the value away.
    replace(&mut user.unionid, change.unionid.map(|id| Some(id).filter(|id| !id.is_empty())));
    replace(&mut user.session_key, change.session_key.map(|key| Some(key).filter(|key| !key.is_empty())));
    Ok(json!({ "openid": openid }))
}

fn replace<T>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    session_key: Option<KeyRule>,
    success_errcode: Option<bool>,
    extra_fields: Option<bool>,
    errcode_as_text: Option<bool>,
    used_code_errcode: Option<i64>,
    stale_key_errcode: Option<i64>,
}

fn set(state: &mut State, change: &SettingsChange) -> Control {
    if change.used_code_errcode.is_some_and(|errcode| ![40163, 40029].contains(&errcode)) {
        return Err(ControlError::OutOfBounds("used_code_errcode is 40163 or 40029"));
    }
    if change.stale_key_errcode.is_some_and(|errcode| ![87009, 87007].contains(&errcode)) {
        return Err(ControlError::OutOfBounds("stale_key_errcode is 87009 or 87007"));
    }
    let settings = &mut state.settings;
    replace(&mut settings.session_key, change.session_key);
    replace(&mut settings.success_errcode, change.success_errcode);
    replace(&mut settings.extra_fields, change.extra_fields);
    replace(&mut settings.errcode_as_text, change.errcode_as_text);
    replace(&mut settings.used_code_errcode, change.used_code_errcode);
    replace(&mut settings.stale_key_errcode, change.stale_key_errcode);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptEntry {
    api: String,
    fault: Fault,
    times: Option<u32>,
    #[serde(default)]
    after: bool,
}

fn script(state: &mut State, entry: ScriptEntry) -> Control {
    let api = match entry.api.as_str() {
        "*" => None,
        name => Some(Api::named(name).ok_or(ControlError::OutOfBounds("api is the name of a simulated API, or *"))?),
    };
    if entry.times == Some(0) {
        return Err(ControlError::OutOfBounds("times is at least 1, or absent"));
    }
    if matches!(entry.fault, Fault::Status { status, .. } if !(200..600).contains(&status)) {
        return Err(ControlError::OutOfBounds("status is from 200 to 599"));
    }
    state.script.push(Entry { api, fault: entry.fault, times: entry.times, after: entry.after });
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretChange {
    appid: String,
    secret: String,
}

/// The owner resets the AppSecret in the console: the old one is wrong at once, tokens live on.
fn secret(state: &mut State, change: SecretChange) -> Control {
    let program = state.programs.get_mut(&change.appid).ok_or(ControlError::UnknownApp(change.appid))?;
    program.secret = change.secret;
    Ok(json!({}))
}

fn appid(state: &State, given: Option<&str>) -> Result<String, ControlError> {
    let appid = given.or(state.default_appid.as_deref()).unwrap_or_default();
    if state.programs.contains_key(appid) {
        Ok(appid.to_owned())
    } else {
        Err(ControlError::UnknownApp(appid.to_owned()))
    }
}

/// The exact text matters: `rawData` is signed as it stands, in WeChat's order of fields.
fn json_text(payload: &impl serde::Serialize) -> String {
    // Structs of texts and numbers always serialize.
    serde_json::to_string(payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    fn state() -> State {
        State::new(vec![App::demo()])
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        let refused = control(&mut state(), "user", json!({ "user": "ada", "phone_number": "1" }), 0);

        assert!(matches!(refused, Err(ControlError::Unreadable(_))));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let mut state = state();

        for (route, request) in [
            ("settings", json!({ "used_code_errcode": 1 })),
            ("settings", json!({ "stale_key_errcode": 1 })),
            ("user", json!({ "user": "ada", "openid": crate::identity::openid(&App::demo().appid, "bob") })),
            ("script", json!({ "api": "nope", "fault": { "kind": "html" } })),
            ("script", json!({ "api": "*", "fault": { "kind": "html" }, "times": 0 })),
            ("script", json!({ "api": "*", "fault": { "kind": "status", "status": 101 } })),
            ("user", json!({ "user": "ada", "countryCode": true })),
        ] {
            assert!(matches!(control(&mut state, route, request, 0), Err(ControlError::OutOfBounds(_))), "{route}");
        }
    }

    #[test]
    fn an_app_that_is_not_simulated_is_refused() {
        let refused = control(&mut state(), "login", json!({ "user": "ada", "appid": "wx1" }), 0);

        assert!(matches!(refused, Err(ControlError::UnknownApp(appid)) if appid == "wx1"));
    }

    #[test]
    fn an_unusable_planted_key_encrypts_nothing() {
        let mut state = state();
        control(&mut state, "user", json!({ "user": "ada", "session_key": "short" }), 0).unwrap();

        let refused = control(&mut state, "phone", json!({ "user": "ada" }), 0);

        assert!(matches!(refused, Err(ControlError::UnusableKey)));
    }
}
