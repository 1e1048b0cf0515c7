//! The playground: the page at `GET /`, where phones in the browser run the client package against the laptop.
//!
//! The page controls the simulated WeChat and the clock, so no other page may: the playground responds only to requests of
//! its own page, from this machine or, where it listens to them, from the networks that the machine is in. All other requests
//! go on to the front, which responds with 404 to the routes of the playground. Pages whose DNS name points at this machine
//! ("DNS rebinding") are among the others.

use std::{
    collections::VecDeque,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Millis, Secs},
    http::record::Log,
};
use tokio::sync::Notify;
use wechat_simulator::{ControlError, Simulator};

use crate::{
    clock::AdjustableClock,
    data_folder, front,
    networks::Networks,
    owner::{self, Owner},
};

/// How many log lines the page can read: enough for several runs of the button that sends the most requests.
const MAX_LINES: usize = 500;

/// Well above any body that the page sends.
const MAX_BODY: usize = 64 * 1024;

/// How far one request may move the clock: past the end of every session.
const MAX_STEP: Secs = 40 * 24 * 60 * 60;

/// The content security policy: no inline scripts or styles, nothing of another origin, no `eval`.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// A file of the page: its name below `/playground/`, and its text.
type Asset = (&'static str, &'static str);

const PAGE: &str = include_str!("../playground/index.html");

/// What the page loads.
const ASSETS: &[Asset] = &[
    ("style.css", include_str!("../playground/style.css")),
    ("define.js", include_str!("../playground/define.js")),
    ("main.js", include_str!("../playground/main.js")),
    ("icon.svg", include_str!("../playground/icon.svg")),
    ("app.js", include_str!("../playground/app.js")),
    ("dom.js", include_str!("../playground/dom.js")),
    ("entries.js", include_str!("../playground/entries.js")),
    ("feed.js", include_str!("../playground/feed.js")),
    ("journal.js", include_str!("../playground/journal.js")),
    ("laptop.js", include_str!("../playground/laptop.js")),
    ("network.js", include_str!("../playground/network.js")),
    ("panel.js", include_str!("../playground/panel.js")),
    ("phone.js", include_str!("../playground/phone.js")),
    ("pushes.js", include_str!("../playground/pushes.js")),
    ("screens.js", include_str!("../playground/screens.js")),
    ("runtime.js", include_str!("../playground/runtime.js")),
    ("shop.js", include_str!("../playground/shop.js")),
    ("stage.js", include_str!("../playground/stage.js")),
    ("stories.css", include_str!("../playground/stories.css")),
    ("stories.js", include_str!("../playground/stories.js")),
    ("story-texts.js", include_str!("../playground/story-texts.js")),
    ("texts.js", include_str!("../playground/texts.js")),
    ("tokens.js", include_str!("../playground/tokens.js")),
    ("tutorial.js", include_str!("../playground/tutorial.js")),
    ("wx.js", include_str!("../playground/wx.js")),
];

/// The client package that mini programs use.
const PACKAGE: &[Asset] = &[
    ("index.js", include_str!("../../../shared/miniprogram/index.js")),
    ("lib/guard.js", include_str!("../../../shared/miniprogram/lib/guard.js")),
    ("lib/session.js", include_str!("../../../shared/miniprogram/lib/session.js")),
    ("lib/wire.js", include_str!("../../../shared/miniprogram/lib/wire.js")),
];

/// The log lines that the page shows, and the clock that it moves.
pub struct Playground {
    lines: Arc<Lines>,
    clock: Arc<AdjustableClock>,
    start_over: Arc<Notify>,
    since: Millis,
}

impl Playground {
    /// A playground whose clock is `clock` plus the seconds in the data folder, which also has the sessions of that time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, data: &Path) -> Self {
        let since = clock.now_ms();
        let clock = Arc::new(AdjustableClock::new(clock, data.join(data_folder::CLOCK)));
        Self { lines: Arc::default(), clock, start_over: Arc::default(), since }
    }

    /// The clock that the page moves, for functions and simulator.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// How many seconds that clock is ahead.
    #[must_use]
    pub fn ahead(&self) -> Secs {
        self.clock.ahead()
    }

    /// Is notified when the page wants everything as it was at the first start.
    #[must_use]
    pub fn start_over(&self) -> Arc<Notify> {
        Arc::clone(&self.start_over)
    }

    /// A log that writes to standard output and remembers its last lines for the page.
    #[must_use]
    pub fn log(&self) -> Log {
        let lines = Arc::clone(&self.lines);
        Log::new(move |line| {
            // A closed standard output must not fail a request.
            drop(writeln!(std::io::stdout().lock(), "{line}"));
            lines.push(line);
        })
    }

    /// The front, and the page at its own routes. Without a simulator, the buttons of the page report that it is missing.
    /// `owns_table` is whether the table is the laptop's, to be deleted when the page starts over.
    pub(crate) fn in_front_of(
        self,
        front: Router,
        simulator: Option<Simulator>,
        owner: Owner,
        networks: fn() -> Networks,
        owns_table: bool,
    ) -> Router {
        let page = Page { playground: Arc::new(self), simulator, owner: Arc::new(owner), networks, owns_table };
        front.layer(middleware::from_fn_with_state(page, respond))
    }
}

#[derive(Clone)]
struct Page {
    playground: Arc<Playground>,
    simulator: Option<Simulator>,
    owner: Arc<Owner>,
    networks: fn() -> Networks,
    owns_table: bool,
}

async fn respond(State(page): State<Page>, request: Request, next: Next) -> Response {
    let peer = front::peer(request.extensions());
    if !is_from_the_page(request.headers(), peer, page.networks) {
        return next.run(request).await;
    }
    // On AWS only the owner may have something signed: real keys sign for loopback alone.
    let may_sign = page.simulator.is_some() || peer.is_loopback();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let rest = path.strip_prefix("/playground/").unwrap_or_default();
    match (method, rest) {
        (Method::GET, _) if path == "/" => document("text/html; charset=utf-8", PAGE.to_owned()),
        (Method::GET, "log") => page.log(request.uri()),
        (Method::GET, "miniprogram.js") => document("text/javascript; charset=utf-8", package()),
        (Method::POST, "clock") => page.clock(&body(request).await),
        (Method::POST, "start-over") => page.start_over(),
        (Method::POST, _) if path == owner::SIGN && may_sign => page.owner.sign(&body(request).await).await,
        (Method::POST, _) if path == owner::FUNCTION => page.told(&body(request).await),
        (Method::POST, "owner/conduct") => match page.owner.set_conduct(&body(request).await) {
            Some(()) => json_response(StatusCode::OK, &json!({})),
            None => error_response(StatusCode::BAD_REQUEST, r#"{"conduct": "takes", "fails" or "absent"}"#),
        },
        (Method::DELETE, "sim/script") => page.clear_script(),
        (Method::POST, rest) if rest.starts_with("sim/") => page.control(&rest["sim/".len()..], &body(request).await),
        (Method::GET, name) => match ASSETS.iter().find(|asset| asset.0 == name) {
            Some((name, text)) => document(content_type(name), (*text).to_owned()),
            None => next.run(request).await,
        },
        _ => next.run(request).await,
    }
}

impl Page {
    /// The log lines after the one that the page names, and the state of clock and simulator.
    fn log(&self, uri: &Uri) -> Response {
        let after = uri.query().and_then(|query| query.strip_prefix("after=")?.parse().ok()).unwrap_or(0);
        let (last, lines) = self.playground.lines.after(after);
        let clock = &self.playground.clock;
        let head = json!({
            "last": last, "now": clock.now(), "ahead": clock.ahead(), "simulator": self.simulator.is_some(),
            "script": self.simulator.as_ref().map(Simulator::script), "owner": self.owner.is_played,
            "conduct": self.owner.conduct(), "since": self.playground.since,
        });
        // The lines are JSON already, so they are inserted as text.
        let head = head.to_string();
        let body = format!("{},\"lines\":[{}]}}", head.trim_end_matches('}'), lines.join(","));
        response(StatusCode::OK, "application/json", body)
    }

    fn clock(&self, body: &[u8]) -> Response {
        #[derive(Deserialize)]
        struct Step {
            advance: Secs,
        }

        match serde_json::from_slice(body) {
            Ok(Step { advance }) if advance <= MAX_STEP => match self.playground.clock.advance(advance) {
                Ok(ahead) => json_response(StatusCode::OK, &json!({ "ahead": ahead })),
                Err(_) => error_response(StatusCode::INTERNAL_SERVER_ERROR, "the data folder cannot be written"),
            },
            _ => error_response(StatusCode::BAD_REQUEST, r#"{"advance": seconds}, at most 40 days"#),
        }
    }

    /// The clock cannot go back over sessions that stay, so a table that is not the laptop's is in the way.
    fn start_over(&self) -> Response {
        if !self.owns_table {
            return error_response(StatusCode::CONFLICT, "the table is not the laptop's own (--dynamodb-url)");
        }
        self.playground.start_over.notify_one();
        json_response(StatusCode::OK, &json!({}))
    }

    /// What the owner's function was told is for the page alone: the log of the functions holds no message.
    fn told(&self, event: &[u8]) -> Response {
        let (response, line) = self.owner.told(event);
        if let Some(line) = line {
            self.playground.lines.push(&line.to_string());
        }
        response
    }

    fn clear_script(&self) -> Response {
        let Some(simulator) = &self.simulator else {
            return no_simulator();
        };
        simulator.clear_script();
        json_response(StatusCode::OK, &json!({}))
    }

    fn control(&self, route: &str, body: &[u8]) -> Response {
        let Some(simulator) = &self.simulator else {
            return no_simulator();
        };
        let Ok(request) = serde_json::from_slice(body) else {
            return error_response(StatusCode::BAD_REQUEST, "a body of JSON is wanted");
        };
        match simulator.control(route, request) {
            Ok(response) => json_response(StatusCode::OK, &response),
            Err(error @ ControlError::UnknownRoute) => error_response(StatusCode::NOT_FOUND, &error.to_string()),
            Err(error) => error_response(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    }
}

/// A body that cannot be read counts as empty: its handler then refuses it, because it is no JSON.
async fn body(request: Request) -> Vec<u8> {
    axum::body::to_bytes(request.into_body(), MAX_BODY).await.unwrap_or_default().to_vec()
}

/// Whether the client is near, `Host` is a near address or the one name that no DNS server can set, and `Origin`, if sent, is
/// the same host. Near is this machine and, unless it listens on loopback alone, the networks that it is in.
fn is_from_the_page(headers: &HeaderMap, peer: IpAddr, networks: fn() -> Networks) -> bool {
    let is_near = |address: IpAddr| address.is_loopback() || networks().contain(address);
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let address = host.parse().map(|address: SocketAddr| address.ip());
    let address = address.or_else(|_| host.trim_start_matches('[').trim_end_matches(']').parse());
    (name.map_or(host, |(name, _)| name) == "localhost" || address.is_ok_and(is_near))
        && is_near(peer)
        && text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host))
}

/// The package with each file in a call of `define`, so that the page runs it unchanged, without a bundler or `eval`.
fn package() -> String {
    let wrapped = |(name, text): &Asset| {
        let name = json!(name);
        format!("define({name}, function (require, module, exports) {{\n{text}\n}});\n")
    };
    PACKAGE.iter().map(wrapped).collect::<Vec<_>>().concat()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}

fn document(content_type: &'static str, text: String) -> Response {
    response(StatusCode::OK, content_type, text)
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    response(status, "application/json", value.to_string())
}

fn error_response(status: StatusCode, why: &str) -> Response {
    json_response(status, &json!({ "error": why }))
}

fn no_simulator() -> Response {
    error_response(StatusCode::NOT_FOUND, "WeChat is not simulated here")
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, Body::from(text)).into_response()
}

/// The last log lines, numbered from 1.
#[derive(Default)]
struct Lines(Mutex<(u64, VecDeque<String>)>);

impl Lines {
    fn push(&self, line: &str) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, lines) = &mut *guard;
        *last += 1;
        lines.push_back(line.to_owned());
        if lines.len() > MAX_LINES {
            lines.pop_front();
        }
    }

    /// The number of the last line, and the lines after `number`. A page that is older than this process may send a number
    /// that does not exist yet: it gets all lines.
    fn after(&self, number: u64) -> (u64, Vec<String>) {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, lines) = &*guard;
        let count = last.checked_sub(number).unwrap_or(*last);
        let skipped = lines.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
        (*last, lines.iter().skip(skipped).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::Network;
    use http::HeaderValue;
    use std::{collections::BTreeSet, fs};

    /// The names of the files with one of these extensions in a folder of this package.
    fn names(folder: &str, extensions: &[&str]) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension)))
            .collect()
    }

    #[test]
    fn every_file_of_the_page_and_of_the_package_is_served() {
        let served: BTreeSet<_> = ASSETS.iter().map(|asset| asset.0.to_owned()).collect();
        let packed: BTreeSet<_> =
            PACKAGE.iter().filter_map(|asset| asset.0.strip_prefix("lib/")).map(str::to_owned).collect();

        assert_eq!(served, names("playground", &["css", "js", "svg"]));
        assert_eq!(packed, names("../../shared/miniprogram/lib", &["js"]));
    }

    fn headers(host: &'static str, origin: Option<&'static str>) -> HeaderMap {
        let host = (header::HOST, HeaderValue::from_static(host));
        let origin = origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin)));
        [host].into_iter().chain(origin).collect()
    }

    #[test]
    fn on_loopback_only_the_page_on_this_machine_is_heard() {
        let is_heard =
            |host, origin| is_from_the_page(&headers(host, origin), [127, 0, 0, 1].into(), Networks::default);

        for host in ["127.0.0.1:9000", "localhost:9000", "[::1]:9000", "localhost", "[::1]"] {
            assert!(is_heard(host, None), "{host}");
        }
        assert!(is_heard("localhost:9000", Some("http://localhost:9000")));
        for host in
            ["", "evil.example:9000", "127.0.0.1.evil.example", "localhost.evil.example:9000", "192.168.1.7:9000"]
        {
            assert!(!is_heard(host, None), "{host}");
        }
        for origin in ["https://evil.example", "http://localhost:9001", "http://127.0.0.1:9000", "null", ""] {
            assert!(!is_heard("localhost:9000", Some(origin)), "{origin}");
        }
        assert!(!is_from_the_page(&HeaderMap::new(), [127, 0, 0, 1].into(), Networks::default));
    }

    #[test]
    fn elsewhere_the_networks_of_this_machine_are_heard_too_and_no_others() {
        fn networks() -> Networks {
            [Network { address: [192, 168, 1, 7].into(), prefix: 24 }].into_iter().collect()
        }
        let is_heard = |host, peer: [u8; 4]| is_from_the_page(&headers(host, None), peer.into(), networks);

        assert!(is_heard("192.168.1.7:9000", [192, 168, 1, 20]));
        assert!(is_heard("192.168.1.7", [127, 0, 0, 1]));
        for host in ["10.0.0.7:9000", "8.8.8.8:9000", "192.168.1.7.evil.example:9000", "evil.example"] {
            assert!(!is_heard(host, [192, 168, 1, 20]), "{host}");
        }
        for stranger in [[10, 0, 0, 20], [8, 8, 8, 8]] {
            assert!(!is_heard("192.168.1.7:9000", stranger), "{stranger:?}");
            assert!(!is_heard("localhost:9000", stranger), "{stranger:?}");
        }
        let other_page = headers("192.168.1.7:9000", Some("http://192.168.1.66"));
        assert!(!is_from_the_page(&other_page, [192, 168, 1, 20].into(), networks));
    }

    #[test]
    fn lines_are_kept_in_order_and_given_once() {
        let lines = Lines::default();
        (1..=MAX_LINES + 2).for_each(|number| lines.push(&number.to_string()));

        let (last, all) = lines.after(0);

        assert_eq!((last, all.len(), all[0].as_str()), (502, MAX_LINES, "3"));
        assert_eq!(lines.after(500), (502, vec!["501".to_owned(), "502".to_owned()]));
        assert_eq!(lines.after(502), (502, Vec::new()));
        assert_eq!(lines.after(9000).1.len(), MAX_LINES, "the laptop was started anew");
    }
}
