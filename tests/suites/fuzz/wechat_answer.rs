//! An answer of WeChat, read by itself and by the function that asked.
//!
//! The first byte says what was asked (`0` code2Session, `1` `stable_token`, `2` `getuserphonenumber`, `3` `checksession`, `8`
//! `checkencryptedmsg`, `9` `resetusersessionkey`) and that the status is 200; with `4` to `7` for the first four, and `<` and `=` for
//! the other two, the next two bytes say the status.

use std::time::Duration;

use http::Request;
use serde_json::json;
use shared::{
    clock::Deadline,
    ids::{Network, OpenId},
    platform_token::{PlatformError, calls::CheckData},
    problem::Code,
    wechat::{errcode::Api, error::WechatError, opendata::EncryptedData, response},
};

use super::{
    Outcome, open_data,
    world::{Given, World},
};
use crate::APPID;

const APIS: [Api; 8] = [
    Api::Code2Session,
    Api::StableToken,
    Api::PhoneNumber,
    Api::CheckSession,
    Api::CheckData,
    Api::ResetSessionKey,
    Api::CheckData,
    Api::ResetSessionKey,
];

/// What a client may hear of a WeChat that does not work.
const EXCUSED: [Code; 4] = [Code::WechatError, Code::WechatBusy, Code::WechatTimeout, Code::Misconfigured];

pub(super) fn take(world: &World, input: &[u8]) -> Outcome {
    world.advance();
    let (kind, rest) = input.split_first().unwrap_or((&b'0', &[]));
    let (status, body) = match rest.split_first_chunk::<2>() {
        Some((status, body)) if kind & 4 != 0 => (100 + u16::from_be_bytes(*status) % 500, body),
        _ => (200, rest),
    };
    let (api, body) = (APIS[usize::from(kind & 3 | (kind >> 1) & 4)], world.render(body));
    let read = read(api, &body);
    assert!(is_object(&body) || matches!(read, Err(WechatError::Unreadable(_))), "no object, and read: {read:?}");
    world.give(Given { api, status, body });
    let outcome = match api {
        Api::Code2Session => login(world),
        Api::StableToken => platform(world),
        Api::PhoneNumber => phone(world),
        Api::CheckSession => session(world),
        Api::CheckData => data(world),
        Api::ResetSessionKey => reset(world),
    };
    if status == 200 && ![Api::CheckSession, Api::CheckData].contains(&api) {
        assert_eq!(read.is_ok(), outcome.1 == "done", "{read:?} became {outcome:?}");
        assert!(
            !matches!(read, Err(WechatError::Unreadable(_))) || outcome.1 == "wechat_error",
            "{read:?}: {outcome:?}"
        );
    }
    outcome
}

/// Reads the answer without a function around the reader.
fn read(api: Api, body: &[u8]) -> Result<(), WechatError> {
    match api {
        Api::Code2Session => response::code_exchange(body).map(drop),
        Api::StableToken => response::platform_token(body).map(|(_, seconds)| assert!((1..=7_200).contains(&seconds))),
        Api::PhoneNumber => response::phone(body, &World::appid()).map(drop),
        Api::CheckSession => response::session_check(body).map(drop),
        Api::CheckData => response::data_check(body).map(drop),
        Api::ResetSessionKey => response::new_session_key(body).map(drop),
    }
}

/// Whether it may be a JSON object at all; what is a blank or a control character beside it counts for nothing.
fn is_object(body: &[u8]) -> bool {
    let body: Vec<u8> = body.iter().map(|byte| (*byte).max(b' ')).collect();
    let text = String::from_utf8_lossy(&body);
    let text = text.trim_start_matches('\u{feff}').trim();
    text.starts_with('{') && text.ends_with('}')
}

/// A code or number that was not seen in this world before.
fn new(world: &World) -> String {
    use shared::clock::Clock as _;
    format!("at-{}", world.clock.now())
}

fn login(world: &World) -> Outcome {
    let request = Request::post("/v1/login").header("content-type", "application/json");
    let body = json!({ "code": new(world), "appid": APPID }).to_string();
    let answer = world.send(request, body.into());
    ("session", world.judge(&answer, &EXCUSED))
}

fn phone(world: &World) -> Outcome {
    let request = Request::post("/v1/phone")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", world.user().access));
    let answer = world.send(request, json!({ "code": new(world) }).to_string().into());
    ("phone", world.judge(&answer, &EXCUSED))
}

fn session(world: &World) -> Outcome {
    let bearer = format!("Bearer {}", world.user().access);
    let request = Request::get("/v1/session?wechat=check").header("authorization", bearer);
    let answer = world.send(request, Vec::new());
    assert_eq!(world.judge(&answer, &[]), "done");
    let said = answer.json();
    let known = ["ok", "stale", "unknown"].into_iter().find(|name| said["wechat_session"] == *name);
    let known = known.expect("one of three");
    // The owner's backend hears the same of the same key.
    let request = json!({ "appid": APPID, "openid": world.user().openid, "message": "{}", "check": true });
    let signed = world.wait(sign::handle(world.sign(), serde_json::from_value(request).expect("a request")));
    match signed.map(|answer| json!(answer)) {
        Ok(answer) if answer.get("signature").is_some() => assert_eq!(known, "ok"),
        Ok(answer) => assert_eq!((known, &answer["refused"]), ("stale", &"stale".into())),
        Err(error) => assert_eq!(known, "unknown", "{error}"),
    }
    ("check", known)
}

fn data(world: &World) -> Outcome {
    let (app, openid) = (world.app(), OpenId::parse(&world.user().openid).expect("an openid"));
    let data = EncryptedData::try_from(open_data::encrypted(b"{}")).expect("whole blocks").hash();
    let (network, deadline) = (Network::of("192.0.2.1"), Deadline::after(Duration::from_secs(10)));
    let name = match world.wait(CheckData::check(&*world.tokens(), &app, &openid, &data, &network, deadline)) {
        Ok(true) => "known",
        Ok(false) => "unknown",
        Err(PlatformError::Wechat(error)) => {
            // No failure becomes a verdict on the data.
            assert!(!matches!(error, WechatError::DataUnknown), "{error}");
            "wechat_error"
        }
        Err(error) => panic!("{error}"),
    };
    ("data", name)
}

fn reset(world: &World) -> Outcome {
    let request = json!({ "operation": "reset_session_key", "appid": APPID, "openid": world.user().openid });
    let request = serde_json::from_value(request).expect("a request");
    let name = match world.wait(admin::handle(world.admin(), request)).map(|answer| json!(answer)) {
        Ok(answer) if answer["session_key"] == "replaced" => "done",
        Ok(answer) => {
            assert_eq!(answer, json!({ "session_key": "dropped" }));
            "stale"
        }
        Err(admin::flow::AdminError::Platform(_)) => "wechat_error",
        Err(error) => panic!("{error}"),
    };
    ("reset", name)
}

fn platform(world: &World) -> Outcome {
    let request = serde_json::from_value(json!({ "appid": APPID })).expect("a request");
    let name = match world.wait(platform::handle(world.platform(), request)) {
        Ok(answer) => {
            assert!(json!(answer)["expires_in"].as_u64().is_some_and(|seconds| seconds <= 7_200));
            "done"
        }
        Err(platform::PlatformTokenError::Platform(PlatformError::Wechat(error))) => match error {
            WechatError::Misconfigured { .. } => "misconfigured",
            WechatError::Busy { .. } => "wechat_busy",
            _ => "wechat_error",
        },
        Err(error) => panic!("{error}"),
    };
    ("platform token", name)
}
