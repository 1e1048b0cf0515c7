//! `POST /cgi-bin/stable_token` and `GET /cgi-bin/token`: the two issuers of the platform token.

use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refusal};
use crate::state::State;

pub(crate) fn stable(state: &mut State, call: &Call, now: u64) -> Outcome {
    let body = call.json()?;
    let field = |name: &str| body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let appid = authenticated(state, field)?;
    // `"true"` as text is a mistake of a known SDK; which errcode WeChat has for it is not documented.
    let is_forced = match body.get("force_refresh") {
        None => false,
        Some(Value::Bool(forced)) => *forced,
        Some(_) => return Err(Refusal(47001)),
    };
    let fresh = fresh_token(state);
    Ok(token_body(state.tokens.stable(appid, is_forced, fresh, now)?))
}

pub(crate) fn plain(state: &mut State, call: &Call, now: u64) -> Outcome {
    let appid = authenticated(state, |name| call.query(name))?;
    let fresh = fresh_token(state);
    Ok(token_body(state.tokens.plain(appid, fresh, now)))
}

fn authenticated<'a>(state: &State, field: impl Fn(&str) -> Option<&'a str>) -> Result<&'a str, Refusal> {
    let appid = field("appid").ok_or(Refusal(41002))?;
    let secret = field("secret").ok_or(Refusal(41004))?;
    if field("grant_type") != Some("client_credential") {
        return Err(Refusal(40002));
    }
    state.authenticate(appid, secret)?;
    Ok(appid)
}

fn fresh_token(state: &mut State) -> String {
    format!("89_{}", state.random.text::<99>())
}

fn token_body((text, expires_in): (String, u64)) -> Value {
    json!({ "access_token": text, "expires_in": expires_in })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use std::collections::HashMap;

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
        let call = Call { is_post: true, query, body: Vec::new() };
        assert_eq!(state.tokens.app_of(&call, 1029), Ok(app.appid.as_str()));
    }
}
