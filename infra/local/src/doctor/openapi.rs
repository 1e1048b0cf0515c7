//! What WeChat's account of our calls means: quotas that run out, and what became of one request.

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use shared::ids::AppId;

use super::{
    finding::{Finding, ok, warn, wrong},
    forms,
    gather::openapi::{OpenapiError, Quota, Request},
    wechat,
};

/// The calls that the functions make, and [`OTHER_ISSUER`]. WeChat tells no quota of code2Session.
pub(super) const COUNTED: [&str; 6] = [
    "/cgi-bin/stable_token",
    "/wxa/business/getuserphonenumber",
    "/wxa/business/checkencryptedmsg",
    "/wxa/checksession",
    "/wxa/resetusersessionkey",
    OTHER_ISSUER,
];

/// Gives an `access_token` of another kind, which no function asks for.
const OTHER_ISSUER: &str = "/cgi-bin/token";

pub(super) fn quota(appid: &AppId, path: &str, quota: &Result<Quota, OpenapiError>) -> Finding {
    let appid = forms::shown(appid);
    let Quota { daily_limit, used, remain } = match quota {
        Ok(quota) => *quota,
        Err(error) => return untold(&format!("the quota of {path} for {appid}"), *error),
    };
    if path == OTHER_ISSUER && used > 0 {
        return warn(
            format_args!("somebody else fetched {used} tokens for {appid} today, by {path}, which wxauth never calls"),
            "it ends no token of ours, but who does that has the AppSecret: let them ask the function platform",
        );
    }
    let count = format!("{path} was called {used} times today for {appid}, of {daily_limit}");
    if daily_limit == 0 {
        return ok(format!("{path} was called {used} times today for {appid}, and WeChat names no limit"));
    }
    if remain == 0 {
        return wrong(
            count,
            "the quota begins anew at midnight in China; it can be cleared ten times a month (公众平台 → 开发管理 → 接口设置)",
        );
    }
    if remain < daily_limit / 10 {
        return warn(count, "nine tenths are used: look for who else calls it, or for a client that calls in a loop");
    }
    ok(count)
}

pub(super) fn request(rid: &str, told: &Result<Request, OpenapiError>) -> Finding {
    match told {
        Ok(Request { invoke_time, cost_in_ms, client_ip, errcode }) => {
            let seconds = i64::try_from(*invoke_time).unwrap_or_default();
            let at = DateTime::from_secs(seconds).fmt(DateTimeFormat::DateTime).unwrap_or_default();
            let from = client_ip.as_deref().unwrap_or("an address that it does not tell");
            let said = errcode.map_or("without an errcode".to_owned(), |errcode| format!("with errcode {errcode}"));
            ok(format!("WeChat got the request {rid} at {at} from {from} and answered {said} after {cost_in_ms} ms"))
        }
        Err(OpenapiError::Errcode(76001)) => warn(
            format_args!("WeChat does not know the request {rid}"),
            "it tells of a request for seven days, and only the mini program that made it",
        ),
        Err(error) => untold(&format!("the request {rid}"), *error),
    }
}

fn untold(what: &str, error: OpenapiError) -> Finding {
    match error {
        OpenapiError::Fetch(error) => wechat::unreachable("WeChat", error, "WXAUTH_WECHAT_URL and proxies"),
        OpenapiError::Errcode(errcode @ (76021 | 76022)) => {
            warn(format_args!("WeChat does not tell {what} (errcode {errcode})"), "look into its console")
        }
        OpenapiError::Errcode(errcode) => warn(
            format_args!("WeChat does not tell {what} (errcode {errcode})"),
            "look the errcode up on WeChat's page of getApiQuota or getRidInfo",
        ),
        OpenapiError::Unreadable => {
            warn(format_args!("WeChat does not tell {what} in a form that is known"), "try again, then report it")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{finding::Level, gather::FetchError};

    fn appid() -> AppId {
        AppId::parse("wx0123456789abcdef").unwrap()
    }

    #[test]
    fn a_quota_is_well_nearly_used_or_used_up() {
        let found = |daily_limit, used| {
            let told = Quota { daily_limit, used, remain: daily_limit.saturating_sub(used) };
            quota(&appid(), "/wxa/checksession", &Ok(told)).level
        };

        assert_eq!([found(1000, 0), found(1000, 900), found(0, 7)], [Level::Ok; 3]);
        assert_eq!([found(1000, 901), found(1000, 999)], [Level::Warn; 2]);
        assert_eq!([found(1000, 1000), found(1000, 2000)], [Level::Wrong; 2]);
    }

    #[test]
    fn a_token_of_the_other_issuer_shows_somebody_else_with_the_appsecret() {
        let found = |used| quota(&appid(), OTHER_ISSUER, &Ok(Quota { daily_limit: 2000, used, remain: 2000 - used }));

        assert_eq!(found(0).level, Level::Ok);
        assert!(found(1).level == Level::Warn && found(1).text.contains("platform"), "{}", found(1));
    }

    #[test]
    fn what_wechat_does_not_tell_is_a_warning_with_its_number() {
        for errcode in [76001, 76021, 76022, 48001] {
            let finding = quota(&appid(), "/wxa/checksession", &Err(OpenapiError::Errcode(errcode)));
            assert!(finding.level == Level::Warn && finding.text.contains(&errcode.to_string()), "{finding}");
        }
        assert_eq!(request("5f0c-1", &Err(OpenapiError::Unreadable)).level, Level::Warn);
        assert_eq!(request("5f0c-1", &Err(OpenapiError::Fetch(FetchError::TooLate))).level, Level::Wrong);
        assert!(request("5f0c-1", &Err(OpenapiError::Errcode(76001))).text.contains("seven days"));
    }

    #[test]
    fn a_request_is_told_without_what_was_in_it() {
        let mut told = Request {
            invoke_time: 1_795_348_800,
            cost_in_ms: 30,
            client_ip: Some("192.0.2.1".to_owned()),
            errcode: Some(40029),
        };
        let text = request("5f0c-1", &Ok(told.clone())).text;
        assert_eq!(
            text,
            "WeChat got the request 5f0c-1 at 2026-11-22T12:00:00Z from 192.0.2.1 and answered with errcode 40029 after 30 ms"
        );
        told.client_ip = None;
        told.errcode = None;
        assert!(request("5f0c-1", &Ok(told)).text.contains("an address that it does not tell and answered without"));
    }
}
