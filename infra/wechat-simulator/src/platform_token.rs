//! WeChat's `access_token`: its two issuers, which do not disturb each other, and what a call with one gets.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::answer::{Outcome, Refusal};
use crate::api::Call;
use crate::state::State;

/// What the documents give every token.
const LIFE_SECONDS: u64 = 7200;
/// How long old and new work side by side, for either issuer.
const OVERLAP_SECONDS: u64 = 300;
/// Between two forced refreshes (45011 otherwise), and how many a day (45009 beyond).
const FORCED_APART_SECONDS: u64 = 30;
const FORCED_PER_DAY: u32 = 20;
/// The quota's day begins at midnight in China.
const CHINA_OFFSET_SECONDS: u64 = 8 * 3600;

struct Token {
    appid: String,
    expires_at: u64,
    /// Earlier than `expires_at` once a newer token has taken its place.
    works_until: u64,
}

/// Every token ever issued: an expired one is told from one that never was.
#[derive(Default)]
pub(crate) struct Tokens(HashMap<String, Token>);

impl Tokens {
    pub(crate) fn texts(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

/// The newest token of each issuer, and the forced refreshes of one app.
#[derive(Default)]
pub(crate) struct Issued {
    stable: Option<String>,
    plain: Option<String>,
    forced_at: Option<u64>,
    forced_today: u32,
}

/// The app whose `access_token` came with the call: 41001 missing, 42001 expired, 40001 unknown or not the latest.
pub(crate) fn app_of(state: &State, call: &Call, now: u64) -> Result<String, Refusal> {
    let text = call.query("access_token").ok_or(Refusal(41001))?;
    let token = state.tokens.0.get(text).ok_or(Refusal(40001))?;
    if now >= token.expires_at {
        return Err(Refusal(42001));
    }
    if now >= token.works_until {
        return Err(Refusal(40001));
    }
    Ok(token.appid.clone())
}

/// `POST /cgi-bin/stable_token`: the same token until its last five minutes, unless forced.
pub(crate) fn stable(state: &mut State, call: &Call, now: u64) -> Outcome {
    let body = call.json()?;
    let field = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let appid = authenticated(state, field("appid"), field("secret"), field("grant_type"))?;
    // `"true"` as text is a mistake of a known SDK; which errcode WeChat has for it is not documented.
    let forced = match body.get("force_refresh") {
        None => false,
        Some(Value::Bool(forced)) => *forced,
        Some(_) => return Err(Refusal(47001)),
    };

    let current = state.programs.get(appid).and_then(|program| program.issued.stable.clone());
    if forced {
        admit_forced(state, appid, now)?;
        retire(state, current.as_deref(), now);
    } else if let Some(text) = current
        && let Some(token) = state.tokens.0.get(&text)
        && now + OVERLAP_SECONDS < token.expires_at
    {
        return Ok(json!({ "access_token": text, "expires_in": token.expires_at - now }));
    }
    // A token that is renewed in its last five minutes just lives them out: that is the overlap.
    let text = issue(state, appid, now);
    if let Some(program) = state.programs.get_mut(appid) {
        program.issued.stable = Some(text.clone());
    }
    Ok(json!({ "access_token": text, "expires_in": LIFE_SECONDS }))
}

/// `GET /cgi-bin/token`: a new token each time; the one before works for five more minutes.
pub(crate) fn plain(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = authenticated(state, call.query("appid"), call.query("secret"), call.query("grant_type"))?;
    let text = issue(state, appid, now);
    let before = state.programs.get_mut(appid).and_then(|program| program.issued.plain.replace(text.clone()));
    retire(state, before.as_deref(), now + OVERLAP_SECONDS);
    Ok(json!({ "access_token": text, "expires_in": LIFE_SECONDS }))
}

fn authenticated<'a>(
    state: &State,
    appid: Option<&'a str>,
    secret: Option<&str>,
    grant_type: Option<&str>,
) -> Result<&'a str, Refusal> {
    let appid = appid.ok_or(Refusal(41002))?;
    let secret = secret.ok_or(Refusal(41004))?;
    if grant_type != Some("client_credential") {
        return Err(Refusal(40002));
    }
    state.authenticate(appid, secret)?;
    Ok(appid)
}

fn admit_forced(state: &mut State, appid: &str, now: u64) -> Result<(), Refusal> {
    let issued = &mut state.programs.get_mut(appid).ok_or(Refusal(40013))?.issued;
    let day = |at: u64| (at + CHINA_OFFSET_SECONDS) / (24 * 3600);
    if issued.forced_at.is_some_and(|at| day(at) != day(now)) {
        issued.forced_today = 0;
    }
    if issued.forced_today >= FORCED_PER_DAY {
        return Err(Refusal(45009));
    }
    if issued.forced_at.is_some_and(|at| now < at + FORCED_APART_SECONDS) {
        return Err(Refusal(45011));
    }
    issued.forced_at = Some(now);
    issued.forced_today += 1;
    Ok(())
}

fn issue(state: &mut State, appid: &str, now: u64) -> String {
    let text = format!("89_{}", state.draws.text::<99>());
    let expires_at = now + LIFE_SECONDS;
    state.tokens.0.insert(text.clone(), Token { appid: appid.to_owned(), expires_at, works_until: expires_at });
    text
}

fn retire(state: &mut State, text: Option<&str>, at: u64) {
    if let Some(token) = text.and_then(|text| state.tokens.0.get_mut(text)) {
        token.works_until = token.works_until.min(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::App;

    fn state() -> (State, App) {
        let app = App::demo();
        (State::new(vec![app.clone()]), app)
    }

    fn force(state: &mut State, app: &App, now: u64) -> Outcome {
        let body = json!({ "grant_type": "client_credential", "appid": app.appid, "secret": app.secret, "force_refresh": true });
        stable(state, &Call { is_post: true, query: HashMap::new(), body: body.to_string().into_bytes() }, now)
    }

    #[test]
    fn the_quota_of_forced_refreshes_begins_again_at_midnight_in_china() {
        let (mut state, app) = state();
        // 1970-01-01 15:00 UTC is 23:00 in China.
        let evening = 15 * 3600;

        for refresh in 0..20 {
            assert!(force(&mut state, &app, evening + refresh * 30).is_ok());
        }
        assert_eq!(force(&mut state, &app, evening + 3599), Err(Refusal(45009)));

        assert!(force(&mut state, &app, evening + 3600).is_ok());
    }

    #[test]
    fn a_refused_forced_refresh_leaves_the_token_alone() {
        let (mut state, app) = state();
        let first = force(&mut state, &app, 1000).unwrap();

        assert_eq!(force(&mut state, &app, 1029), Err(Refusal(45011)));

        let query = HashMap::from([("access_token".to_owned(), first["access_token"].as_str().unwrap().to_owned())]);
        assert_eq!(app_of(&state, &Call { is_post: true, query, body: Vec::new() }, 1029), Ok(app.appid));
    }
}
