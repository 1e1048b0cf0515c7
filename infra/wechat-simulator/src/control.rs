//! The control routes: what a client, its user, the owner of the app and a test of faults can do.
//!
//! Unknown fields are refused, so that a misspelt one does not go unnoticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::error::ControlError;
use crate::opendata::{self, PhoneInfo, Profile, UserInfo, Watermark};
use crate::script::{Entry, Fault};
use crate::state::{KeyRule, State};
use crate::users::User;
use crate::{codes, purchase, push, signature};

type ControlResult = Result<Value, ControlError>;

pub(crate) fn control(state: &mut State, route: &str, request: Value, now: u64) -> ControlResult {
    match route {
        "login" => login(state, &read(request)?, now),
        "phone" => phone(state, &read(request)?, now),
        "userinfo" => userinfo(state, &read(request)?, now),
        "opendata" => open_data(state, read(request)?, now),
        "encrypt" => encrypt(state, &read(request)?),
        "user" => change_user(state, read(request)?),
        "settings" => change_settings(state, &read(request)?),
        "purchase" => purchase::purchase(state, &read(request)?, now),
        "goods" => purchase::publish(state, &read(request)?),
        "push" => push::compose(state, read(request)?, now),
        "repeat" => push::repeat(state, &read(request)?, now),
        "answer" => push::answered(state, &read(request)?),
        "script" => script(state, read(request)?),
        "secret" => change_secret(state, read(request)?),
        _ => Err(ControlError::UnknownRoute),
    }
}

fn read<T: DeserializeOwned>(request: Value) -> Result<T, ControlError> {
    serde_json::from_value(request).map_err(|error| ControlError::Unreadable(error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserRequest {
    user: String,
    appid: Option<String>,
}

/// `wx.login`. The key changes here, not at the exchange: no ciphertext from before opens with the key of this login.
fn login(state: &mut State, request: &UserRequest, now: u64) -> ControlResult {
    let appid = state.appid(request.appid.as_deref())?;
    let code = codes::new_text::<16>(&mut state.random);
    state.renew_session_key(&appid, &request.user);
    state.login_codes.issue(&code, &appid, &request.user, now);
    Ok(json!({ "code": code }))
}

/// The phone number button: its event has both the new way (`code`) and the old one.
fn phone(state: &mut State, request: &UserRequest, now: u64) -> ControlResult {
    let appid = state.appid(request.appid.as_deref())?;
    let payload = |user: &User, _: &str| json_text(&PhoneInfo::of(user, &appid, now));
    let mut response = encrypted(state, &appid, &request.user, payload)?;
    // `encrypt` makes what a forger makes who knows the key, so it is remembered only here.
    state.phone_data.remember(&appid, response["encryptedData"].as_str().unwrap_or_default(), now);
    // 64 characters, so that a phone code does not pass for a login code.
    let code = codes::new_text::<40>(&mut state.random);
    state.phone_codes.issue(&code, &appid, &request.user, now);
    response["code"] = json!(code);
    Ok(response)
}

/// `wx.getUserInfo`.
fn userinfo(state: &mut State, request: &UserRequest, now: u64) -> ControlResult {
    let appid = state.appid(request.appid.as_deref())?;
    let payload = |user: &User, openid: &str| json_text(&UserInfo::of(user, openid, &appid, now));
    let mut response = encrypted(state, &appid, &request.user, payload)?;
    let (_, user) = state.users.named(&appid, &request.user);
    let raw_data = json_text(&Profile::of(user));
    response["signature"] = json!(signature::of_raw_data(&raw_data, user.session_key.as_deref().unwrap_or_default()));
    response["rawData"] = json!(raw_data);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenDataRequest {
    user: String,
    appid: Option<String>,
    data: Map<String, Value>,
}

/// What `wx.getWeRunData`, `wx.getGroupEnterInfo` and others give: any object, with a watermark.
fn open_data(state: &mut State, mut request: OpenDataRequest, now: u64) -> ControlResult {
    let appid = state.appid(request.appid.as_deref())?;
    request.data.insert("watermark".to_owned(), json!(Watermark { timestamp: now, appid: &appid }));
    encrypted(state, &appid, &request.user, |_, _| json_text(&request.data))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptRequest {
    user: String,
    appid: Option<String>,
    plaintext: String,
}

/// Any plaintext under the user's key: odd payloads for tests.
fn encrypt(state: &mut State, request: &EncryptRequest) -> ControlResult {
    let appid = state.appid(request.appid.as_deref())?;
    encrypted(state, &appid, &request.user, |_, _| request.plaintext.clone())
}

/// `encryptedData` and `iv` for the payload that is made from the user and its openid.
fn encrypted(state: &mut State, appid: &str, name: &str, payload: impl FnOnce(&User, &str) -> String) -> ControlResult {
    let (fresh, iv) = (state.random.session_key(), state.random.bytes::<16>());
    let (openid, user) = state.users.named(appid, name);
    let key = user.session_key.get_or_insert(fresh).clone();
    let data = opendata::encrypt(&key, iv, payload(user, &openid).as_bytes()).ok_or(ControlError::UnusableKey)?;
    Ok(json!({ "encryptedData": data, "iv": STANDARD.encode(iv) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserChange {
    user: String,
    appid: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
    phone_number: Option<String>,
    pure_phone_number: Option<String>,
    country_code: Option<Value>,
    #[serde(rename = "phone_info")]
    phone_info: Option<Map<String, Value>>,
    nick_name: Option<String>,
    avatar_url: Option<String>,
    blocked: Option<bool>,
    #[serde(rename = "session_key")]
    session_key: Option<String>,
}

fn change_user(state: &mut State, change: UserChange) -> ControlResult {
    if change.country_code.as_ref().is_some_and(|code| !code.is_string() && !code.is_number()) {
        return Err(ControlError::OutOfBounds("countryCode is a text or a number"));
    }
    let appid = state.appid(change.appid.as_deref())?;
    if change.openid.is_some_and(|openid| !state.users.set_openid(&appid, &change.user, &openid)) {
        return Err(ControlError::OutOfBounds("openid is another user's in this app"));
    }
    let (openid, user) = state.users.named(&appid, &change.user);
    // A number of the usual form ends an odd one.
    if change.phone_info.is_some() || change.phone_number.is_some() {
        user.phone_info = change.phone_info;
    }
    // A number that is given without its pure form has no prefix.
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
    daily_limit: Option<u64>,
    foreign_codes: Option<bool>,
}

fn change_settings(state: &mut State, change: &SettingsChange) -> ControlResult {
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
    replace(&mut settings.daily_limit, change.daily_limit);
    replace(&mut state.foreign_codes.are_admitted, change.foreign_codes);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptRequest {
    api: String,
    fault: Fault,
    times: Option<u32>,
    #[serde(default)]
    after: bool,
}

fn script(state: &mut State, ScriptRequest { api, fault, times, after }: ScriptRequest) -> ControlResult {
    let api = match api.as_str() {
        "*" => None,
        name => Some(Api::named(name).ok_or(ControlError::OutOfBounds("api is the name of a simulated API, or *"))?),
    };
    if times == Some(0) {
        return Err(ControlError::OutOfBounds("times is at least 1, or absent"));
    }
    if matches!(fault, Fault::Status { status, .. } if !(200..600).contains(&status)) {
        return Err(ControlError::OutOfBounds("status is from 200 to 599"));
    }
    state.script.push(Entry { api, fault, times, after });
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretChange {
    appid: String,
    secret: String,
}

/// The owner resets the AppSecret in the console: the old one is wrong at once, but tokens stay valid.
fn change_secret(state: &mut State, change: SecretChange) -> ControlResult {
    let app = state.apps.get_mut(&change.appid).ok_or(ControlError::UnknownApp(change.appid))?;
    app.secret = change.secret;
    Ok(json!({}))
}

/// The text and not a [`Value`], which sorts its fields: `rawData` is signed byte for byte in WeChat's order.
fn json_text(payload: &impl serde::Serialize) -> String {
    // It cannot fail for structs of texts and numbers.
    serde_json::to_string(payload).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

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
