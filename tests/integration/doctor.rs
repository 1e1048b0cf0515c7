//! The doctor, run against a running laptop: it finds what is broken, one line each, and shows nothing that is secret.

use std::{fs, sync::Arc};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
};
use local::doctor::{Level, Options, Report, examine};
use serde_json::json;
use shared::clock::{Clock, SystemClock};
use tests::{APPID, Folder, Laptop, Start, public_client, send, suites::rotation::secrets_manager::SecretsManager};

/// A laptop whose secrets lie in a folder, and the variables that describe it.
struct Patient {
    laptop: Laptop,
    folder: Folder,
    vars: Vec<(String, String)>,
}

impl Patient {
    async fn new() -> Self {
        let folder = Folder::new();
        let laptop = Start::default().folder(&folder).go().await;
        let file = |name: &str| format!("file:{}", folder.0.join(name).display());
        let vars = [
            ("WXAUTH_TABLE", "wxauth".to_owned()),
            ("WXAUTH_APPS", file("apps.json")),
            ("WXAUTH_KEYRING", file("keyring.json")),
            ("WXAUTH_SIGNING_KEYS", file("signing-keys.json")),
            ("WXAUTH_JWKS", file("jwks.json")),
            ("WXAUTH_ISSUER", laptop.world.url.clone()),
            ("WXAUTH_WECHAT_URL", laptop.world.wechat_url.clone()),
            ("AWS_ENDPOINT_URL_DYNAMODB", laptop.world.dynamodb_url.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "MARKER-key".to_owned()),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value)).into();
        Self { laptop, folder, vars }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.vars.retain(|(given, _)| given != name);
        self.vars.push((name.to_owned(), value.to_owned()));
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.0.join(file), text).unwrap();
    }

    async fn examined_by(&self, clock: Arc<dyn Clock>, url: Option<&str>) -> Report {
        self.asked(Options { url: url.map(str::to_owned), quota: false, rid: None, clock }).await
    }

    async fn asked(&self, options: Options) -> Report {
        let report = examine(self.vars.clone(), options).await;
        self.shows_nothing_secret(&report);
        report
    }

    /// The servers say the machine's time, whatever the clock of the laptop is.
    async fn examined(&self) -> Report {
        self.examined_by(Arc::new(SystemClock), None).await
    }

    /// No long text of a secret file but the kids, which are public; no other value; no address with a query.
    fn shows_nothing_secret(&self, report: &Report) {
        let text = report.to_string();
        for file in ["apps.json", "keyring.json", "signing-keys.json"] {
            let secret = fs::read_to_string(self.folder.0.join(file)).unwrap_or_default();
            let texts: Vec<_> = secret.split('"').collect();
            for part in texts.windows(3).filter(|part| part[0] != "kid" && part[2].len() >= 20) {
                assert!(!text.contains(part[2]), "a part of {file} is shown");
            }
        }
        assert!(!text.contains("MARKER") && !text.contains('?'), "{text}");
    }
}

/// The lines of a level.
fn lines(report: &Report, level: Level) -> Vec<&str> {
    report.findings.iter().filter(|finding| finding.level == level).map(|finding| finding.text.as_str()).collect()
}

/// Asserts that one thing is wrong, and that its line says so.
#[track_caller]
fn assert_wrong(report: &Report, words: &[&str]) {
    let wrong = lines(report, Level::Wrong);
    assert_eq!(wrong.len(), 1, "{report}");
    assert!(words.iter().all(|word| wrong[0].contains(word)), "{report}");
    assert!(report.is_wrong());
}

#[tokio::test]
async fn a_laptop_is_well() {
    let patient = Patient::new().await;

    let report = patient.examined_by(Arc::new(SystemClock), Some(&patient.laptop.world.url)).await;

    assert!(!report.is_wrong(), "{report}");
    let warnings = lines(&report, Level::Warn);
    assert!(warnings.len() == 1 && warnings[0].starts_with("only this machine reaches 127.0.0.1"), "{report}");
    for words in [
        "well-formed: WXAUTH_TABLE",
        "WXAUTH_APPS is filled",
        "WXAUTH_KEYRING is filled",
        "WXAUTH_SIGNING_KEYS is filled",
        "WXAUTH_JWKS is filled",
        "every signing key",
        "keys pk and sk",
        "TTL is on",
        "WeChat answers at 127.0.0.1",
        "WeChat accepts the AppSecret of wx0123456789abcdef",
        "names the issuer http://127.0.0.1",
        "the JWKS answers, keys: 2",
        "clock agrees",
    ] {
        assert!(lines(&report, Level::Ok).iter().any(|line| line.contains(words)), "{words}\n{report}");
    }
    assert!(report.to_string().lines().last().unwrap().contains("服务器域名"));
}

#[tokio::test]
async fn one_audience_of_several_mini_programs_is_a_warning() {
    let two = json!({ "apps": { APPID: { "secret": "a" }, "wx1111111111111111": { "secret": "b" } } }).to_string();
    let one = json!({ "apps": { APPID: { "secret": "a" } } }).to_string();
    for (apps, audience, is_warned) in [(&two, "https://api", true), (&one, "https://api", false), (&two, "", false)] {
        let mut patient = Patient::new().await;
        patient.write("apps.json", apps);
        patient.set("WXAUTH_AUDIENCE", audience);

        let report = patient.examined().await;

        let warned = lines(&report, Level::Warn).iter().any(|line| line.starts_with("WXAUTH_AUDIENCE is one for 2"));
        assert_eq!(warned, is_warned, "{report}");
    }
}

#[tokio::test]
async fn the_platform_token_is_asked_for_once_and_left_alone() {
    let patient = Patient::new().await;
    let alice = patient.laptop.login("alice").await;
    let event = patient.laptop.sim("phone", json!({ "user": "alice" }));
    patient.laptop.post_as(&alice.access, "/v1/phone", &json!({ "code": event["code"] })).await.ok();

    let report = patient.examined().await;

    assert!(!report.is_wrong(), "{report}");
    assert_eq!(patient.laptop.simulator.calls("stable_token"), 2);
    let event = patient.laptop.sim("phone", json!({ "user": "alice" }));
    patient.laptop.post_as(&alice.access, "/v1/phone", &json!({ "code": event["code"] })).await.ok();
    assert_eq!(patient.laptop.simulator.calls("stable_token"), 2, "the token before the examination still serves");
}

#[tokio::test]
async fn who_ends_the_platform_token_of_all_is_told_before_its_time_and_not_in_its_last_minutes() {
    let patient = Patient::new().await;
    let alice = patient.laptop.login("alice").await;
    let event = patient.laptop.sim("phone", json!({ "user": "alice" }));
    patient.laptop.post_as(&alice.access, "/v1/phone", &json!({ "code": event["code"] })).await.ok();
    let examined = async || patient.examined_by(Arc::new(patient.laptop.clock.clone()), None).await;
    let has = |report: &Report, words: &str| report.findings.iter().any(|finding| finding.text.contains(words));

    assert!(has(&examined().await, "WeChat gives the access_token of wx0123456789abcdef that the table holds"));

    force_another_token(&patient).await;
    let report = examined().await;
    let told = lines(&report, Level::Warn);
    assert!(
        told.iter().any(|line| line.contains("120 minutes before its time") && line.contains("force_refresh")),
        "{report}"
    );

    patient.laptop.clock.advance(7200 - 300);
    assert!(!has(&examined().await, "before its time"));
}

/// What a service does that takes `stable_token` for its own.
async fn force_another_token(patient: &Patient) {
    let apps = fs::read_to_string(patient.folder.0.join("apps.json")).unwrap();
    let apps: serde_json::Value = serde_json::from_str(&apps).unwrap();
    let body = json!({ "grant_type": "client_credential", "appid": APPID, "secret": apps["apps"][APPID]["secret"], "force_refresh": true });
    let url = format!("{}/cgi-bin/stable_token", patient.laptop.world.wechat_url);
    send(public_client().post(url).json(&body)).await.ok();
}

#[tokio::test]
async fn quotas_are_told_and_who_else_has_the_appsecret() {
    let patient = Patient::new().await;
    let asked =
        async || patient.asked(Options { url: None, quota: true, rid: None, clock: Arc::new(SystemClock) }).await;

    let report = asked().await;
    assert!(!report.is_wrong() && lines(&report, Level::Warn).is_empty(), "{report}");
    for path in ["stable_token", "getuserphonenumber", "checkencryptedmsg", "checksession", "resetusersessionkey"] {
        assert!(
            lines(&report, Level::Ok).iter().any(|line| line.contains(path) && line.contains("of 500000")),
            "{report}"
        );
    }

    let _ = patient.laptop.sim("settings", json!({ "daily_limit": 2 }));
    assert_wrong(&asked().await, &["/cgi-bin/stable_token was called 2 times today", "midnight in China"]);

    let apps = fs::read_to_string(patient.folder.0.join("apps.json")).unwrap();
    let apps: serde_json::Value = serde_json::from_str(&apps).unwrap();
    let query = [
        ("grant_type", "client_credential"),
        ("appid", APPID),
        ("secret", apps["apps"][APPID]["secret"].as_str().unwrap()),
    ];
    let url = format!("{}/cgi-bin/token", patient.laptop.world.wechat_url);
    send(public_client().get(url).query(&query)).await.ok();
    let report = asked().await;
    let told = lines(&report, Level::Warn);
    assert!(told.iter().any(|line| line.starts_with("somebody else fetched 1 tokens")), "{report}");
}

#[tokio::test]
async fn a_request_that_wechat_refused_is_told_by_its_rid_without_what_was_in_it() {
    let patient = Patient::new().await;
    let refused = json!({ "kind": "errcode", "errcode": 40163, "errmsg": "code been used, rid: 5f0c-11aa-22bb" });
    patient.laptop.script("jscode2session", &refused, Some(1));
    patient.laptop.post("/v1/login", &json!({ "code": "MARKERMARKERMARKER" })).await.is_problem(
        400,
        "code_used",
        "relogin",
    );
    let asked = async |rid: &str| {
        let options = Options { url: None, quota: false, rid: Some(rid.to_owned()), clock: Arc::new(SystemClock) };
        patient.asked(options).await
    };

    let report = asked("5f0c-11aa-22bb").await;
    let told = lines(&report, Level::Ok);
    assert!(
        told.iter().any(|line| line.contains("request 5f0c-11aa-22bb") && line.contains("errcode 40163")),
        "{report}"
    );

    let report = asked("5f0c-11aa-22bc").await;
    assert!(lines(&report, Level::Warn).iter().any(|line| line.contains("seven days")), "{report}");
}

#[tokio::test]
async fn another_appsecret_is_wrong_and_one_that_was_before_a_warning() {
    let patient = Patient::new().await;
    let _ = patient.laptop.sim("secret", json!({ "appid": APPID, "secret": "MARKER-new" }));

    assert_wrong(
        &patient.examined().await,
        &["refuses the AppSecret of wx0123456789abcdef (errcode 40125)", "reset it, and fill WXAUTH_APPS"],
    );

    let apps = json!({ "apps": { APPID: { "secret": "MARKER-later", "previous_secret": "MARKER-new" } } });
    patient.write("apps.json", &apps.to_string());
    let report = patient.examined().await;
    assert!(!report.is_wrong(), "{report}");
    assert!(lines(&report, Level::Warn).iter().any(|line| line.contains("accepts its previous_secret")), "{report}");
}

#[tokio::test]
async fn an_appsecret_of_another_form_is_told_before_a_reset_is_advised() {
    let patient = Patient::new().await;
    let apps = json!({ "apps": { APPID: { "secret": "0123456789abcdef0123456789abcde" } } });
    patient.write("apps.json", &apps.to_string());

    let report = patient.examined().await;
    assert_wrong(&report, &["is not 32 of 0-9 a-f", "no reset is needed"]);
    assert!(lines(&report, Level::Warn)[0].starts_with("the AppSecret of wx0123456789abcdef"), "{report}");

    let patient = Patient::new().await;
    let whole = json!({ "apps": { APPID: { "secret": " 0123456789abcdef0123456789abcdef\n\u{200b}" } } });
    patient.write("apps.json", &whole.to_string());
    let report = patient.examined().await;
    assert!(!report.is_wrong() && lines(&report, Level::Warn).is_empty(), "{report}");
}

#[tokio::test]
async fn a_push_without_a_key_is_told_that_the_secure_mode_needs_one() {
    let patient = Patient::new().await;
    let secret = "0123456789abcdef0123456789abcdef";
    let apps = json!({ "apps": { APPID: { "secret": secret, "push": { "token": "MARKERtoken" } } } });
    patient.write("apps.json", &apps.to_string());

    let report = patient.examined().await;
    let warnings = lines(&report, Level::Warn);
    assert!(!report.is_wrong() && warnings.len() == 1, "{report}");
    assert!(warnings[0].contains("has no encoding_aes_key") && warnings[0].contains("secure mode"), "{report}");
}

#[tokio::test]
async fn each_refusal_of_wechat_is_told() {
    let patient = Patient::new().await;
    for (errcode, words) in [
        (40164, "Lambda calls from other addresses than this machine"),
        (40013, "does not know the AppID"),
        (89503, "administrator"),
        (45009, "daily quota"),
    ] {
        let errmsg = format!("invalid ip 192.0.2.1 MARKER, rid: {errcode}");
        patient.laptop.script(
            "stable_token",
            &json!({ "kind": "errcode", "errcode": errcode, "errmsg": errmsg }),
            Some(1),
        );
        assert_wrong(&patient.examined().await, &[words, &format!("errcode {errcode}")]);
    }
}

#[tokio::test]
async fn an_appid_of_another_form_and_a_misspelt_variable_are_warnings() {
    let mut patient = Patient::new().await;
    patient.set("WXAUTH_ISUER", "MARKER");
    patient.write("apps.json", &json!({ "apps": { "gh_1": { "secret": "MARKER" } } }).to_string());

    let report = patient.examined().await;

    let warnings = lines(&report, Level::Warn);
    assert!(warnings[0].starts_with("WXAUTH_ISUER is read by nobody"), "{report}");
    assert!(warnings[1].starts_with("an AppID is not wx and 16 of"), "{report}");
    assert_wrong(&report, &["does not know the AppID", "an AppID of another form"]);
}

/// An AppSecret is pasted into the place of the AppID, and the other way round.
#[tokio::test]
async fn an_appsecret_in_the_place_of_the_appid_is_not_shown() {
    let patient = Patient::new().await;
    let secret = "0123456789abcdef0123456789abcdef";
    for push in [json!(null), json!(1), json!({ "token": "MARKER token", "encoding_aes_key": "MARKER" })] {
        let app = json!({ "secret": APPID, "previous_secret": APPID, "push": push });
        patient.write("apps.json", &json!({ "apps": { secret: app } }).to_string());

        let report = patient.examined().await;

        assert!(report.is_wrong() && !report.to_string().contains(secret), "{report}");
        assert!(lines(&report, Level::Warn)[0].starts_with("an AppID is not wx and 16 of"), "{report}");
    }
}

#[tokio::test]
async fn a_table_without_ttl_with_other_keys_or_of_another_name_is_wrong() {
    let mut patient = Patient::new().await;
    let (client, table) = patient.laptop.dynamodb();
    let off = TimeToLiveSpecification::builder().enabled(false).attribute_name("ttl").build().unwrap();
    client.update_time_to_live().table_name(table).time_to_live_specification(off).send().await.unwrap();
    assert_wrong(&patient.examined().await, &["TTL is off", "update-time-to-live"]);

    patient.set("WXAUTH_TABLE", "another");
    assert_wrong(&patient.examined().await, &["WXAUTH_TABLE names no table", "AWS_REGION"]);

    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let attribute = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let another = client.create_table().table_name("another").key_schema(key).billing_mode(BillingMode::PayPerRequest);
    another.attribute_definitions(attribute.build().unwrap()).send().await.unwrap();
    let report = patient.examined().await;
    assert!(lines(&report, Level::Wrong)[0].contains("other keys than pk and sk"), "{report}");
}

#[tokio::test]
async fn a_secret_that_is_empty_malformed_or_gone_is_wrong() {
    let patient = Patient::new().await;

    let keyring = fs::read_to_string(patient.folder.0.join("keyring.json")).unwrap();
    patient.write("keyring.json", r#"{"keys":{}}"#);
    assert_wrong(&patient.examined().await, &["WXAUTH_KEYRING is not filled yet", "rotation"]);
    patient.write("keyring.json", &keyring.replace("current", "MARKER"));
    assert_wrong(&patient.examined().await, &["WXAUTH_KEYRING is malformed", "32 bytes in base64url"]);
    fs::remove_file(patient.folder.0.join("keyring.json")).unwrap();
    assert_wrong(&patient.examined().await, &["WXAUTH_KEYRING names a file that cannot be read"]);
    patient.write("keyring.json", &keyring);

    patient.write("apps.json", r#"{"apps":{}}"#);
    assert_wrong(&patient.examined().await, &["WXAUTH_APPS is not filled yet", "FillApps"]);
}

#[tokio::test]
async fn a_push_that_is_no_push_is_wrong_and_says_of_which_mini_program() {
    let patient = Patient::new().await;
    let apps = fs::read_to_string(patient.folder.0.join("apps.json")).unwrap();
    let mut apps: serde_json::Value = serde_json::from_str(&apps).unwrap();
    apps["apps"][tests::APPID]["push"] = serde_json::json!({ "token": "MARKER", "encoding_aes_key": "short" });
    patient.write("apps.json", &apps.to_string());

    assert_wrong(&patient.examined().await, &["the push of", tests::APPID, "encoding_aes_key"]);
}

#[tokio::test]
async fn secrets_of_secrets_manager_are_read_and_one_that_is_not_there_is_wrong() {
    let mut patient = Patient::new().await;
    let text = |file: &str| fs::read_to_string(patient.folder.0.join(file)).unwrap();
    let texts =
        [("keyring", text("keyring.json")), ("signing", text("signing-keys.json")), ("jwks", text("jwks.json"))];
    let manager = SecretsManager::start(&texts.each_ref().map(|(name, text)| (*name, text.as_str()))).await;
    patient.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &manager.url);
    for (variable, (name, _)) in ["WXAUTH_KEYRING", "WXAUTH_SIGNING_KEYS", "WXAUTH_JWKS"].into_iter().zip(&texts) {
        patient.set(variable, name);
    }

    let report = patient.examined().await;
    assert!(!report.is_wrong() && report.to_string().contains("every signing key"), "{report}");

    patient.set("WXAUTH_KEYRING", "MARKER");
    assert_wrong(&patient.examined().await, &["WXAUTH_KEYRING names no secret of this region", "AWS_REGION"]);

    manager.set_down(true);
    let report = patient.examined().await;
    assert_eq!(lines(&report, Level::Wrong).len(), 3, "{report}");
}

#[tokio::test]
async fn a_public_half_without_the_current_key_is_wrong() {
    let patient = Patient::new().await;
    let path = patient.folder.0.join("jwks.json");
    let mut public: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let removed = public["keys"].as_array_mut().unwrap().remove(0);
    let kid = removed["kid"].as_str().unwrap();
    patient.write("jwks.json", &public.to_string());

    assert_wrong(&patient.examined().await, &["WXAUTH_JWKS lacks the public half of", kid]);
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told() {
    let patient = Patient::new().await;

    let report = patient.examined_by(Arc::new(patient.laptop.clock.clone()), None).await;

    assert_wrong(&report, &["this machine's clock is", "127.0.0.1", "synchronize"]);
}

#[tokio::test]
async fn wrong_variables_are_all_told_and_hide_nothing_else() {
    let mut patient = Patient::new().await;
    patient.set("WXAUTH_ACCESS_SECONDS", "MARKER");
    patient.set("WXAUTH_UNIONID_CLAIM", "MARKER");
    patient.set("SSL_CERT_FILE", "/nowhere/MARKER");

    let report = patient.examined().await;

    let wrong = lines(&report, Level::Wrong);
    assert_eq!(wrong.len(), 3, "{report}");
    assert!(wrong.iter().all(|line| line.contains(" should be ")), "{report}");
    assert!(lines(&report, Level::Ok).iter().any(|line| line.contains("WeChat accepts")), "{report}");
}

#[tokio::test]
async fn a_brake_of_tomorrow_is_wrong() {
    let mut patient = Patient::new().await;
    let tomorrow = SystemClock.now() + 86_400;
    patient.write("brake.json", &json!({ "not_before": tomorrow }).to_string());
    let file = format!("file:{}", patient.folder.0.join("brake.json").display());
    for (name, value, other) in [("WXAUTH_NOT_BEFORE", &tomorrow.to_string(), ""), ("WXAUTH_BRAKE", &file, "0")] {
        patient.set("WXAUTH_NOT_BEFORE", other);
        patient.set(name, value);
        assert_wrong(&patient.examined().await, &["WXAUTH_NOT_BEFORE", "is in the future"]);
    }
}

#[tokio::test]
async fn a_deployment_that_is_not_there_or_speaks_no_tls_is_wrong() {
    let mut patient = Patient::new().await;
    let https = patient.laptop.world.url.replace("http://", "https://");
    let clock = || Arc::new(SystemClock);

    assert_wrong(
        &patient.examined_by(clock(), Some(&https)).await,
        &["TLS with 127.0.0.1 fails", "does not speak TLS"],
    );
    let wechat = patient.laptop.world.wechat_url.clone();
    let report = patient.examined_by(clock(), Some(&wechat)).await;
    assert!(
        lines(&report, Level::Wrong)[0].starts_with("the discovery document is answered with status 404"),
        "{report}"
    );
    let query = format!("{}/?secret=MARKER", patient.laptop.world.url);
    assert_wrong(&patient.examined_by(clock(), Some(&query)).await, &["--url is no origin"]);

    patient.set("WXAUTH_ISSUER", "https://auth.example.com");
    let url = patient.laptop.world.url.clone();
    assert_wrong(&patient.examined_by(clock(), Some(&url)).await, &["another issuer than WXAUTH_ISSUER"]);
}

#[tokio::test]
async fn a_deployment_can_be_looked_at_without_a_configuration() {
    let mut patient = Patient::new().await;
    let url = patient.laptop.world.url.clone();
    patient.vars.clear();

    let report = patient.examined_by(Arc::new(SystemClock), Some(&url)).await;
    assert!(!report.is_wrong(), "{report}");
    assert!(lines(&report, Level::Warn)[0].starts_with("no WXAUTH_ variable is set"), "{report}");

    let report = patient.examined().await;
    assert!(
        lines(&report, Level::Wrong).iter().any(|line| line.starts_with("WXAUTH_TABLE should be set to")),
        "{report}"
    );
}
