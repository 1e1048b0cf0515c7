//! Every binary with marked secrets, at the highest log level, on good and on failing requests: what it writes is searched.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use local::mounts::{EntryPoint, Mount};
use serde_json::{Value, json};
use shared::{
    clock::{Clock as _, SystemClock},
    token::jwks::KeyKind,
};

use crate::{
    APPID, Folder, Laptop, Start, Tokens,
    canary::{Canary, spellings},
    contract::{self, filled},
    event,
    runtime_api::{Function, Process, binary, function},
};

const SECRET: &str = "MARKERsecretMARKERsecretMARKER00";
const APP_KEY: &str = "MARKERappkeyMARKERappkeyMARKER00";
const SESSION_KEY: &str = "TUFSS0VSc2Vzc2lvbmtleQ==";
const NUMBER: &str = "13912345678";
const UNIONID: &str = "uMARKERunionid";
const OPENID: &str = "oMARKERopenidMARKERopenid123";
const KEY: &str = "MARKERidempotencykey";
const PUSH_TOKEN: &str = "MARKERpushtoken";
const AES_KEY: &str = "MARKERencodingaeskeyMARKERencodingaeskeyMAR";
const NICK_NAME: &str = "MARKERnickname";
const CREDENTIAL: &str = "MARKERawscredential";

/// What was searched, and what was found.
#[derive(Debug, Default)]
pub struct Searched {
    pub kinds: usize,
    /// Ways in which each may be written down.
    pub spellings: usize,
    pub lines: usize,
    pub bytes: usize,
    /// The binary, the kind and the spelling of each secret that was found.
    pub found: Vec<String>,
}

/// Runs the binaries of a folder and searches their output.
pub async fn search(binaries: &Path) -> Searched {
    let mut traced = Traced::new(binaries).await;
    traced.journey().await;
    traced.failures().await;
    traced.wrong_configurations();
    traced.the_owners_events().await;
    traced.laptop().await;
    traced.doctor();
    traced.searched()
}

struct Traced<'a> {
    binaries: &'a Path,
    laptop: Laptop,
    secrets: Folder,
    output: Folder,
    known: Vec<(&'static str, String)>,
    /// The functions that routes lead to.
    routed: Vec<&'static str>,
    /// The others, but `rotation`, which needs a Secrets Manager.
    invoked: Vec<&'static str>,
}

fn apps() -> Value {
    let push = json!({ "token": PUSH_TOKEN, "encoding_aes_key": AES_KEY });
    json!({ "apps": { APPID: { "secret": SECRET, "app_keys": { "production": APP_KEY }, "push": push } } })
}

fn request(path: &str, body: &Value, access: Option<&str>) -> Value {
    let mut event = event("POST", path, &body.to_string());
    event["headers"]["idempotency-key"] = KEY.into();
    if let Some(access) = access {
        event["headers"]["authorization"] = format!("Bearer {access}").into();
    }
    event
}

fn body(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().unwrap_or_default()).unwrap_or_default()
}

impl<'a> Traced<'a> {
    async fn new(binaries: &'a Path) -> Self {
        // At the time of the binaries, so that they take what WeChat signs.
        let (laptop, secrets) = (Start::default().apps(apps()).at(SystemClock.now()).go().await, Folder::new());
        std::fs::write(secrets.0.join("apps.json"), apps().to_string()).expect("a file");
        local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).expect("secrets");
        let marked = [
            ("AppSecret", SECRET),
            ("AppKey", APP_KEY),
            ("session_key", SESSION_KEY),
            ("phone number", NUMBER),
            ("unionid", UNIONID),
            ("openid", OPENID),
            ("idempotency key", KEY),
            ("push secret", PUSH_TOKEN),
            ("push secret", AES_KEY),
            ("profile", NICK_NAME),
            ("AWS credential", CREDENTIAL),
        ];
        let mut known: Vec<_> = marked.map(|(kind, text)| (kind, text.to_owned())).into();
        let read = |name: &str| -> Value {
            serde_json::from_slice(&std::fs::read(secrets.0.join(name)).expect("a file")).expect("JSON")
        };
        let text = |key: &Value| key.as_str().expect("text").to_owned();
        let (keyring, signing) = (read("keyring.json"), read("signing-keys.json"));
        known.extend(keyring["keys"].as_object().expect("keys").values().map(|key| ("keyring", text(key))));
        known.extend(signing["keys"].as_array().expect("keys").iter().map(|key| ("signing key", text(&key["d"]))));
        let mounts = local::mounts::all(&laptop.world.env).await.expect("the functions");
        let (routed, invoked): (Vec<_>, Vec<_>) =
            mounts.into_iter().partition(|mount| matches!(mount.entry_point, EntryPoint::Routes(..)));
        let names = |mounts: Vec<Mount>| mounts.into_iter().map(|mount| mount.name);
        let (routed, invoked) = (names(routed).collect(), names(invoked).filter(|name| *name != "rotation").collect());
        Self { binaries, laptop, secrets, output: Folder::new(), known, routed, invoked }
    }

    /// A binary that says all it can say, to a file.
    fn loud(&self, name: &str) -> Command {
        let mut command = function(&binary(self.binaries, name), &self.laptop, &self.secrets);
        let path = self.output.0.join(name);
        let file = File::options().create(true).append(true).open(path).expect("a file");
        command
            .env("RUST_LOG", "trace")
            .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("RUST_BACKTRACE", "full")
            .env("AWS_SECRET_ACCESS_KEY", CREDENTIAL)
            .stdout(file.try_clone().expect("a file"))
            .stderr(file);
        command
    }

    async fn ask(&self, name: &str, event: &Value) -> Value {
        Function::start(self.loud(name)).await.invoke(event).await
    }

    fn learn(&mut self, kind: &'static str, secret: &Value) -> String {
        let secret = secret.as_str().expect("a secret").to_owned();
        self.known.push((kind, secret.clone()));
        secret
    }

    /// A code of `wx.login`, whose user has every marker.
    fn code(&mut self) -> String {
        let code = self.laptop.code("alice");
        let user = json!({
            "user": "alice", "session_key": SESSION_KEY, "phoneNumber": NUMBER, "unionid": UNIONID,
            "nickName": NICK_NAME, "openid": OPENID,
        });
        let _ = self.laptop.sim("user", user);
        self.learn("login code", &code.into())
    }

    async fn log_in(&mut self) -> Tokens {
        let profile = |laptop: &Laptop| laptop.sim("userinfo", json!({ "user": "alice" }));
        let code = self.code();
        let login = json!({ "code": code, "userInfo": profile(&self.laptop) });
        let answer = body(&self.ask("login", &request("/v1/login", &login, None)).await);
        assert_eq!(answer["openid"], OPENID, "{answer}");
        self.learn_tokens(&answer);
        Tokens::in_body(&answer)
    }

    fn learn_tokens(&mut self, body: &Value) {
        for (kind, name) in [("access token", "access_token"), ("refresh token", "refresh_token")] {
            if body[name].is_string() {
                self.learn(kind, &body[name]);
            }
        }
    }

    /// What goes well: every route, as in the examples of the contract.
    async fn journey(&mut self) {
        let mut answers = String::new();
        for (operation, examples) in contract::done() {
            let function = contract::function(operation.route);
            for example in examples {
                let user = self.log_in().await;
                let known = example.known(&self.laptop, "alice", Some(&user));
                for (kind, name) in [("login code", "code"), ("phone code", "phone_code")] {
                    self.known.extend(known.get(name).map(|code| (kind, code.clone())));
                }
                let mut event = contract::event(&filled(&example.request, &known));
                event["headers"]["idempotency-key"] = KEY.into();
                let answer = self.ask(&function, &event).await;
                assert_eq!(answer["statusCode"], example.response["status"], "{}: {answer}", example.name());
                self.learn_tokens(&body(&answer));
                answers.push_str(answer["body"].as_str().unwrap_or_default());
            }
        }
        for marker in [NUMBER, NICK_NAME, OPENID] {
            assert!(answers.contains(marker), "{marker} did not get through");
        }
    }

    /// What fails: at WeChat, at the table, and for what the client sends.
    async fn failures(&mut self) {
        let Tokens { access, refresh, .. } = self.log_in().await;
        for fault in ["reset", "html", "truncated", "cut"] {
            self.laptop.script("*", &json!({ "kind": fault }), Some(2));
            let login = json!({ "code": self.code() });
            assert_ne!(self.ask("login", &request("/v1/login", &login, None)).await["statusCode"], 200, "{fault}");
            self.laptop.simulator.clear_script();
        }
        let errmsg = format!("{SECRET} {OPENID} {refresh}");
        self.laptop.script("*", &json!({ "kind": "errcode", "errcode": 40125, "errmsg": errmsg }), None);
        let (login, code) = (json!({ "code": self.code() }), json!({ "code": format!("{access}x") }));
        self.ask("login", &request("/v1/login", &login, None)).await;
        self.ask("phone", &request("/v1/phone", &code, Some(&access))).await;
        self.laptop.simulator.clear_script();
        for event in [
            request("/v1/login", &json!({ "code": [SECRET] }), None),
            request("/v1/login", &json!({ "code": SECRET, "appid": SECRET, "device": refresh }), None),
            request(&format!("/v1/{SECRET}"), &json!({ SECRET: refresh }), Some(&access)),
            json!({ "version": SECRET, "body": refresh }),
            json!([access, refresh]),
        ] {
            for name in self.routed.clone() {
                assert_ne!(self.ask(name, &event).await["statusCode"], 200, "{name}: {event}");
            }
        }
        let mut without_a_table = self.loud("refresh");
        without_a_table.env("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9");
        let event = request("/v1/refresh", &json!({ "refresh_token": refresh }), None);
        assert_eq!(Function::start(without_a_table).await.invoke(&event).await["statusCode"], 503);
    }

    /// Configurations with which a function does not start.
    fn wrong_configurations(&self) {
        let files = [
            ("WXAUTH_APPS", format!(r#"{{"apps":{{"{APPID}":"{SECRET}"}}}}"#)),
            ("WXAUTH_APPS", format!(r#"{{"apps":{{"{APPID}":{{"secret":"{SECRET}""#)),
            ("WXAUTH_KEYRING", format!(r#"{{"current":1,"keys":{{"1":"{SECRET}"}}}}"#)),
            ("WXAUTH_SIGNING_KEYS", format!(r#"{{"keys":[{{"state":"current","kty":"EC","d":"{SECRET}"}}]}}"#)),
        ];
        let broken = self.secrets.0.join("broken.json");
        for (variable, text) in files {
            std::fs::write(&broken, text).expect("a file");
            self.does_not_start(variable, &format!("file:{}", broken.display()));
        }
        let with_password = format!("http://user:{SECRET}@127.0.0.1");
        for variable in ["WXAUTH_ISSUER", "WXAUTH_WECHAT_URL", "WXAUTH_IDLE_SECONDS", "SSL_CERT_FILE"] {
            self.does_not_start(variable, &with_password);
        }
    }

    fn does_not_start(&self, variable: &str, value: &str) {
        let mut command = self.loud("login");
        let ended = command.env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9").env(variable, value).status();
        assert!(!ended.expect("it runs").success(), "{variable}={value}");
    }

    /// What the owner's own services ask.
    async fn the_owners_events(&mut self) {
        let user = self.log_in().await;
        let access = &user.access;
        let authorize = json!({
            "version": "2.0", "type": "REQUEST", "routeArn": "arn", "identitySource": [format!("Bearer {access}")],
            "routeKey": "GET /", "headers": { "authorization": format!("Bearer {access}") }, "requestContext": {},
        });
        assert_eq!(self.ask("authorizer", &authorize).await["isAuthorized"], true);
        let token = self.ask("platform", &json!({ "appid": APPID })).await;
        let token = self.learn("platform token", &token["access_token"]);
        let sign = |message: &str, more: Value| {
            let mut event = json!({ "appid": APPID, "openid": OPENID, "message": message });
            event.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            event
        };
        let paid = json!({ "check": true, "uri": "requestVirtualPayment" });
        let signed = self.ask("sign", &sign(r#"{"env":0}"#, paid.clone())).await;
        assert!(signed["paySig"].is_string() && signed["signature"].is_string(), "{signed}");
        for (message, more) in [(SECRET, paid), (SECRET, json!({ SECRET: access })), ("", json!({ "uri": SECRET }))] {
            self.ask("sign", &sign(message, more)).await;
        }
        self.laptop.script("*", &json!({ "kind": "errcode", "errcode": 40125, "errmsg": SECRET }), None);
        self.ask("platform", &json!({ "appid": APPID, "refused": token })).await;
        self.laptop.simulator.clear_script();
        for operation in ["read", "reset_session_key", "block", "unblock", "export", "delete", SECRET] {
            self.ask("admin", &json!({ "operation": operation, "appid": APPID, "openid": OPENID })).await;
        }
        for name in self.invoked.clone() {
            self.ask(name, &contract::given_event(name, &user)).await;
            self.ask(name, &json!({ "openid": [OPENID], "appid": { SECRET: access } })).await;
        }
    }

    /// `cargo run`, and a login on it.
    async fn laptop(&mut self) {
        let apps = self.secrets.0.join("apps.json");
        let mut command = self.loud("local");
        command.args(["--memory", "--listen", "127.0.0.1:0", "--wechat-listen", "127.0.0.1:0"]);
        command.args(["--wechat-url", "simulator", "--apps"]).arg(apps);
        for variable in ["WXAUTH_WECHAT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "WXAUTH_KEYRING", "WXAUTH_SIGNING_KEYS"] {
            command.env_remove(variable);
        }
        command.env_remove("WXAUTH_JWKS").stdout(Stdio::piped());
        let mut process = Process::start(command);
        let mut said = BufReader::new(process.0.stdout.take().expect("it is piped"));
        let mut printed = String::new();
        let [mut api, mut wechat] = ["ready at ", "simulated at "].map(|before| {
            loop {
                let mut line = String::new();
                assert_ne!(said.read_line(&mut line).expect("text"), 0, "the laptop starts: {printed}");
                printed.push_str(&line);
                if let Some((_, url)) = line.split_once(before) {
                    return url.split_whitespace().next().expect("a URL").to_owned();
                }
            }
        });
        wechat.truncate(wechat.trim_end_matches(',').len());
        let http = crate::client();
        let post = async |url: &str, body: Value| -> Value {
            let answer = http.post(url).json(&body).send().await.expect("an answer");
            answer.json().await.expect("JSON")
        };
        wechat.push_str("/sim/login");
        let code = self.learn("login code", &post(&wechat, json!({ "user": "bob" })).await["code"]);
        api.push_str("/v1/login");
        let login = post(&api, json!({ "code": code })).await;
        self.learn("refresh token", &login["refresh_token"]);
        self.learn("openid", &login["openid"]);
        drop(process);
        said.read_to_string(&mut printed).expect("text");
        std::fs::write(self.output.0.join("local, printed"), printed).expect("a file");
    }

    /// `cargo run -- doctor`, who looks at all of it.
    fn doctor(&self) {
        let ended = self.loud("local").arg("doctor").status();
        assert!(ended.is_ok());
    }

    fn searched(&self) -> Searched {
        let mut canary = Canary::default();
        for (kind, secret) in &self.known {
            canary.add(kind, secret);
        }
        let kinds: std::collections::BTreeSet<_> = self.known.iter().map(|(kind, _)| kind).collect();
        let mut searched = Searched { kinds: kinds.len(), spellings: spellings(SECRET).len(), ..Searched::default() };
        for file in std::fs::read_dir(&self.output.0).expect("a folder") {
            let path = file.expect("a file").path();
            let output = std::fs::read(&path).expect("a file");
            searched.lines += output.split(|byte| *byte == b'\n').count();
            searched.bytes += output.len();
            let found = canary.find(&output).map(|(kind, spelling)| format!("{}: {kind}, {spelling}", path.display()));
            searched.found.extend(found);
        }
        searched
    }
}
