//! Checks of a deployment: its address and its public documents.

use serde::Deserialize;
use shared::token::jwks::PublicJwks;
use url::{Host, Url};

use super::{
    finding::{Finding, ok, warn, wrong},
    gather::{FetchError, Response},
    wechat::{CONSOLE, unreachable},
};

/// The advice for a deployment that does not respond.
const WHAT_TO_CHECK: &str = "its certificate, DNS record and API mapping";

/// The origin of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Without a slash at its end.
    pub(super) text: String,
    pub(super) host: String,
    is_https: bool,
    is_loopback: bool,
}

impl Origin {
    /// The address of a document.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

/// Reads `--url`. The finding does not repeat it, because it may hold a password.
pub(super) fn origin(url: &str) -> Result<Origin, Finding> {
    let refusal =
        || wrong("--url is no origin", "it should be such as https://auth.example.com, without path or query");
    let url = Url::parse(url).map_err(|_| refusal())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    let (Some(host), "http" | "https") = (url.host(), url.scheme()) else { return Err(refusal()) };
    if !is_bare || !is_anonymous {
        return Err(refusal());
    }
    let is_loopback = match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let text = url.origin().ascii_serialization();
    Ok(Origin { text, host: host.to_string(), is_https: url.scheme() == "https", is_loopback })
}

/// Whether a mini program may call the address.
pub(super) fn address(origin: &Origin) -> Option<Finding> {
    let Origin { host, is_https, is_loopback, .. } = origin;
    if *is_loopback {
        return Some(warn(
            format_args!("only this machine reaches {host}"),
            "the developer tools call it with domain checks off (不校验合法域名), a phone calls a deployment",
        ));
    }
    if !is_https {
        return Some(wrong(format_args!("{host} is called without TLS"), "a mini program calls https addresses only"));
    }
    let is_execute_api = host.contains(".execute-api.");
    is_execute_api.then(|| {
        warn(
            format_args!("{host} is AWS's own domain"),
            "a released mini program calls only a domain of its owner, ICP-filed for mainland China: set DomainName and \
             CertificateArn",
        )
    })
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// A line on TLS and one on the discovery document.
pub(super) fn discovery(
    origin: &Origin,
    fetched: &Result<Response, FetchError>,
    configured: Option<&str>,
) -> Vec<Finding> {
    let response = match fetched {
        Ok(response) => response,
        Err(error) => return vec![unreachable(&origin.host, *error, WHAT_TO_CHECK)],
    };
    let tls = origin.is_https.then(|| ok(format!("the certificate of {} is accepted", origin.host)));
    let document = match read::<Discovery>(response, "the discovery document") {
        Ok(document) => issuer(&document, origin, configured),
        Err(finding) => finding,
    };
    tls.into_iter().chain([document]).collect()
}

fn issuer(document: &Discovery, origin: &Origin, configured: Option<&str>) -> Finding {
    let (expected, whose) = configured.map_or((origin.text.as_str(), "--url"), |issuer| (issuer, "WXAUTH_ISSUER"));
    if document.issuer != expected {
        return wrong(
            format_args!("the discovery document names another issuer than {whose}"),
            "set the template's Issuer or DomainName to the origin that clients call; verifiers compare byte for byte",
        );
    }
    if document.jwks_uri.strip_prefix(expected).is_none() {
        return wrong(
            "the discovery document names keys of another origin than its issuer",
            "deploy this version again",
        );
    }
    ok(format!("the discovery document names the issuer {expected}"))
}

pub(super) fn jwks(fetched: &Result<Response, FetchError>) -> Finding {
    let response = match fetched {
        Ok(response) => response,
        Err(error) => return unreachable("the JWKS", *error, WHAT_TO_CHECK),
    };
    match read::<PublicJwks>(response, "the JWKS") {
        Ok(set) if set.keys.is_empty() => {
            wrong("the JWKS holds no key", "rotate the signing keys (aws secretsmanager rotate-secret)")
        }
        Ok(set) => ok(format!("the JWKS answers, keys: {}", set.keys.len())),
        Err(finding) => finding,
    }
}

fn read<T: for<'de> Deserialize<'de>>(response: &Response, what: &str) -> Result<T, Finding> {
    if response.status != 200 {
        let advice = match response.status {
            404 => "no wxauth is at the root of this address: compare it with the output ApiUrl",
            403 => "the address is not mapped, or its execute-api endpoint is off: call the output ApiUrl",
            429 => "the gateway throttles, or the function has no free instance: try again, then look at concurrency",
            503 => "rotation has not filled the keys yet: rotate the signing keys (aws secretsmanager rotate-secret)",
            _ => "read the log of the function keys",
        };
        return Err(wrong(format_args!("{what} is answered with status {}", response.status), advice));
    }
    let no_document =
        || wrong(format_args!("{what} is something else"), "something else than wxauth answers at this address");
    serde_json::from_str(&response.body).map_err(|_| no_document())
}

/// What only the owner of the mini program can check.
pub(super) fn reminder(origin: Option<&Origin>) -> String {
    let is_public = |origin: &&Origin| origin.is_https && !origin.is_loopback;
    let domain = origin.filter(is_public).map_or("the https domain of the deployment", |origin| origin.text.as_str());
    format!("add {domain} to WeChat's list of request domains: {CONSOLE} → 服务器域名")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Level;

    const URL: &str = "https://auth.example.com";

    fn response(status: u16, body: &str) -> Response {
        Response { status, body: body.to_owned(), date: None, sent_at: 0, received_at: 0 }
    }

    fn document(issuer: &str, keys: &str) -> Response {
        response(200, &serde_json::json!({ "issuer": issuer, "jwks_uri": format!("{keys}/jwks.json") }).to_string())
    }

    fn checked(fetched: &Result<Response, FetchError>, configured: Option<&str>) -> Finding {
        discovery(&origin(URL).unwrap(), fetched, configured).pop().unwrap()
    }

    #[test]
    fn a_url_is_an_origin_and_what_else_it_holds_is_not_shown() {
        assert_eq!(origin("https://auth.example.com/").unwrap().path("/x"), "https://auth.example.com/x");
        for bad in [
            "auth.example.com",
            "ftp://auth.example.com",
            "https://auth.example.com/MARKER",
            "https://auth.example.com/?MARKER=1",
            "https://MARKER@auth.example.com",
            "https://auth.example.com/#MARKER",
        ] {
            let finding = origin(bad).unwrap_err();
            assert!(finding.level == Level::Wrong && !finding.text.contains("MARKER"), "{finding}");
        }
    }

    #[test]
    fn an_address_is_one_that_a_released_mini_program_may_call() {
        let level = |url: &str| address(&origin(url).unwrap()).map(|finding| finding.level);
        assert_eq!(level(URL), None);
        assert_eq!(level("http://auth.example.com"), Some(Level::Wrong));
        assert_eq!(level("http://127.0.0.1:9000"), Some(Level::Warn));
        assert_eq!(level("https://a1.execute-api.cn-north-1.amazonaws.com.cn"), Some(Level::Warn));
    }

    #[test]
    fn the_issuer_is_the_configured_one_or_the_address_itself() {
        let other = "https://other.example.com";
        assert_eq!(checked(&Ok(document(URL, URL)), None).level, Level::Ok);
        assert_eq!(checked(&Ok(document(other, other)), Some(other)).level, Level::Ok);
        assert_eq!(checked(&Ok(document(URL, URL)), Some(other)).level, Level::Wrong);
        assert_eq!(checked(&Ok(document(other, other)), None).level, Level::Wrong);
        assert_eq!(checked(&Ok(document(URL, other)), None).level, Level::Wrong);
    }

    #[test]
    fn what_is_no_discovery_document_says_where_to_look() {
        for (fetched, words) in [
            (Ok(response(404, r#"{"message":"Not Found"}"#)), "ApiUrl"),
            (Ok(response(403, "")), "execute-api endpoint is off"),
            (Ok(response(503, "")), "rotate the signing keys"),
            (Ok(response(500, "")), "read the log"),
            (Ok(response(200, "<html>")), "something else than wxauth"),
            (
                Err(FetchError::Tls("its certificate has expired")),
                "TLS with auth.example.com fails, its certificate has expired",
            ),
            (Err(FetchError::NoConnection), "cannot be connected to"),
        ] {
            let finding = checked(&fetched, None);
            assert!(finding.level == Level::Wrong && finding.text.contains(words), "{finding}");
        }
    }

    #[test]
    fn a_key_set_without_keys_verifies_nothing() {
        assert_eq!(jwks(&Ok(response(200, r#"{"keys":[]}"#))).level, Level::Wrong);
        assert_eq!(jwks(&Ok(response(200, "{}"))).level, Level::Wrong);
        assert_eq!(
            jwks(&Ok(response(200, r#"{"keys":[{"kid":"a","alg":"ES256"}]}"#))),
            ok("the JWKS answers, keys: 1")
        );
    }

    #[test]
    fn the_reminder_names_the_domain_if_it_is_one() {
        assert!(reminder(origin(URL).ok().as_ref()).contains("add https://auth.example.com to"));
        assert!(
            reminder(origin("http://127.0.0.1:1").ok().as_ref()).contains("add the https domain of the deployment to")
        );
        assert!(reminder(None).ends_with("公众平台 → 开发管理 → 开发设置 → 服务器域名"));
    }
}
