//! Two users in each of two apps, of whom one and the same openid text names a user of each app; any requests in any
//! order; a model that says what each must answer and whose items each may touch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Write as _,
};

use aws_sdk_dynamodb::types::AttributeValue;
use http::StatusCode;
use serde_json::{Value, json};
use tests::{BEGIN, Items, KEY, Laptop, Response, jwt_claims, seeded::Seeded, send};

use super::{ONE, TWO, same_openid, two_apps};

const OPEN_DATA: usize = 0;
const LOGIN_PROFILE: usize = 1;
const PHONE_CODE: usize = 2;

/// An access token and what it was made for.
#[derive(Clone)]
struct Held {
    access: String,
    made_at: u64,
    device: String,
    login: usize,
}

struct Session {
    /// Which login made it: a device may log in twice within a second.
    login: usize,
    refresh: String,
    created_at: u64,
    rotated_at: u64,
}

impl Session {
    fn last_seen_at(&self, now: u64) -> u64 {
        day_of(self.rotated_at).min(day_of(now) - 86_400).max(self.created_at)
    }
}

/// The beginning of a day.
fn day_of(at: u64) -> u64 {
    at - at % 86_400
}

/// A user of an app, and what the table should know.
struct User {
    appid: &'static str,
    name: &'static str,
    openid: String,
    number: String,
    nick: String,
    unionid: String,
    devices: Vec<String>,
    is_known: bool,
    sessions: BTreeMap<String, Session>,
    /// The last tokens, dead ones among them.
    held: Vec<Held>,
    /// Refresh tokens of ended sessions.
    ended: Vec<String>,
    /// Of encrypted data, profiles in logins and phone codes.
    tries: [(u32, u64); 3],
    /// The last phone code, and when it gave a number.
    redeemed: Option<(Value, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Admitted {
    Yes,
    Expired,
    Gone,
}

impl User {
    fn admitted(&self, held: &Held, now: u64) -> Admitted {
        let is_there = self.sessions.get(&held.device).is_some_and(|session| session.login == held.login);
        match (now < held.made_at + 930, is_there) {
            (false, _) => Admitted::Expired,
            (true, true) => Admitted::Yes,
            (true, false) => Admitted::Gone,
        }
    }

    fn end(&mut self, device: &str) {
        self.ended.extend(self.sessions.remove(device).map(|session| session.refresh));
    }

    /// Counts an attempt; false if none is left.
    fn take(&mut self, kind: usize, now: u64) -> bool {
        let (tries, from) = &mut self.tries[kind];
        if *from + 3_600 <= now {
            (*tries, *from) = (0, now);
        }
        let is_left = *tries < 30;
        *tries += u32::from(is_left);
        is_left
    }

    fn partition(&self) -> String {
        format!("{}#{}", self.appid, self.openid)
    }
}

struct Model {
    laptop: Laptop,
    dice: Seeded,
    now: u64,
    users: Vec<User>,
    before: Items,
    /// Who made each idempotency record.
    records: HashMap<String, usize>,
    /// What was done, for the message of a failure.
    story: String,
    done: BTreeMap<&'static str, usize>,
}

/// What a request may do to the items of its user.
#[derive(Clone, Copy, PartialEq)]
enum Touches {
    Nothing,
    Own,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let laptop = two_apps().await;
        same_openid(&laptop);
        let mut users = Vec::new();
        for (at, (appid, name)) in [(ONE, "alice"), (ONE, "bob"), (TWO, "alice"), (TWO, "bob")].into_iter().enumerate()
        {
            let (number, nick, unionid) = (format!("1390000000{at}"), format!("nick-{at}-"), format!("union-{at}-"));
            let set = json!({
                "user": name, "appid": appid, "phoneNumber": number, "nickName": nick, "unionid": unionid,
            });
            let openid = laptop.sim("user", set)["openid"].as_str().unwrap().to_owned();
            let devices = (0..3).map(|device| format!("device{at}{device}AAAAAAAAAAAAAA")).collect();
            let (sessions, held, ended) = (BTreeMap::new(), Vec::new(), Vec::new());
            let (is_known, tries, redeemed) = (false, [(0, 0); 3], None);
            users.push(User {
                appid,
                name,
                openid,
                number,
                nick,
                unionid,
                devices,
                is_known,
                sessions,
                held,
                ended,
                tries,
                redeemed,
            });
        }
        assert_eq!(users[0].openid, users[2].openid);
        let (dice, before, records) = (Seeded::new(seed), Items::new(), HashMap::new());
        Self { laptop, dice, now: BEGIN, users, before, records, story: String::new(), done: BTreeMap::new() }
    }

    /// Whose an item is; nobody's if it is a platform token.
    fn owner(&self, pk: &str) -> Option<usize> {
        self.records.get(pk).copied().or_else(|| self.users.iter().position(|user| user.partition() == pk))
    }

    /// What a request of `who` has answered and done: nothing of anybody else is in it.
    async fn settle(&mut self, who: usize, answer: &Response, touches: Touches) {
        for (at, other) in self.users.iter().enumerate().filter(|(at, _)| *at != who) {
            let openid = Some(&other.openid).filter(|openid| **openid != self.users[who].openid);
            let secrets = [&other.number, &other.nick, &other.unionid].into_iter().chain(&other.devices).chain(openid);
            for secret in secrets {
                assert!(!answer.text.contains(secret), "{at}'s {secret} for {who}: {answer:?}{}", self.story);
            }
        }
        let after = self.laptop.items().await;
        for (pk, sk) in after.keys().filter(|key| !self.before.contains_key(*key)) {
            if sk == "code" {
                self.records.insert(pk.clone(), who);
            }
        }
        let keys: HashSet<_> = self.before.keys().chain(after.keys()).collect();
        for key in keys.into_iter().filter(|(pk, _)| !pk.starts_with("app#")) {
            let may = touches == Touches::Own && self.owner(&key.0) == Some(who);
            assert!(may || self.before.get(key) == after.get(key), "{key:?} by {who}: {answer:?}{}", self.story);
        }
        self.before = after;
    }

    fn tell(&mut self, what: &'static str, who: usize) {
        *self.done.entry(what).or_default() += 1;
        write!(self.story, "\n{} {what} of {who}", self.now - BEGIN).unwrap();
    }

    /// A token of this user, mostly one that should be admitted.
    fn some_token(&mut self, who: usize) -> Option<(Held, Admitted)> {
        let (now, user) = (self.now, &self.users[who]);
        let is_good = |held: &&Held| user.admitted(held, now) == Admitted::Yes;
        let good: Vec<Held> = user.held.iter().filter(is_good).cloned().collect();
        let all = user.held.clone();
        let among = if self.dice.index(5) > 0 && !good.is_empty() { good } else { all };
        if among.is_empty() {
            return None;
        }
        let held = among[self.dice.index(among.len())].clone();
        let admitted = self.users[who].admitted(&held, self.now);
        Some((held, admitted))
    }

    /// Checks a refusal of the token; true if the request should have been admitted.
    #[track_caller]
    fn is_admitted(admitted: Admitted, answer: &Response) -> bool {
        match admitted {
            Admitted::Yes => return true,
            Admitted::Expired => answer.is_problem(401, "token_expired", "refresh"),
            Admitted::Gone => answer.is_problem(401, "token_invalid", "refresh"),
        }
        false
    }

    fn who(&mut self) -> usize {
        self.dice.index(self.users.len())
    }

    fn of(&self, who: usize) -> Value {
        json!({ "user": self.users[who].name, "appid": self.users[who].appid })
    }

    async fn log_in(&mut self, who: usize) {
        self.tell("login", who);
        let (now, device) = (self.now, self.dice.index(3));
        let device = self.users[who].devices[device].clone();
        let code = self.laptop.sim("login", self.of(who))["code"].clone();
        let mut body = json!({ "code": code, "appid": self.users[who].appid, "device": device });
        let with_profile = self.dice.index(3) == 0;
        if with_profile {
            body["userInfo"] = self.laptop.sim("userinfo", self.of(who));
        }
        let mut request = self.laptop.request("/v1/login").json(&body);
        if self.dice.index(2) == 0 {
            request = request.header("idempotency-key", KEY);
        }
        let answer = send(request).await;

        let (body, user) = (answer.ok(), &mut self.users[who]);
        assert_eq!(
            (&body["openid"], &body["new_user"]),
            (&json!(user.openid), &json!(!user.is_known)),
            "{}",
            self.story
        );
        assert!(body["device"].as_str().unwrap().starts_with(&format!("{device}.")));
        let profile = body.get("userInfo").map(|profile| profile["nickName"].clone());
        assert_eq!(
            profile,
            (with_profile && user.take(LOGIN_PROFILE, now)).then(|| json!(user.nick)),
            "{}",
            self.story
        );
        user.is_known = true;
        user.end(&device);
        let (login, refresh) = (self.done["login"], answer.text_of("refresh_token"));
        user.sessions.insert(device.clone(), Session { login, refresh, created_at: now, rotated_at: now });
        self.hold(who, &answer, &device);
        self.settle(who, &answer, Touches::Own).await;
    }

    /// Keeps the access token of an answer.
    fn hold(&mut self, who: usize, answer: &Response, device: &str) {
        let (user, access) = (&mut self.users[who], answer.text_of("access_token"));
        let claims = jwt_claims(&access);
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(user.openid), &json!(user.appid)));
        let login = user.sessions[device].login;
        user.held.push(Held { access, made_at: self.now, device: device.to_owned(), login });
        if user.held.len() > 8 {
            user.held.remove(0);
        }
    }

    async fn refresh(&mut self, who: usize) {
        self.tell("refresh", who);
        let dead = self.users[who].ended.last().cloned();
        let devices: Vec<String> = self.users[who].sessions.keys().cloned().collect();
        if let Some(dead) = dead.filter(|_| devices.is_empty() || self.dice.index(4) == 0) {
            let answer = self.laptop.refresh(&dead).await;
            answer.is_problem(400, "login_required", "relogin");
            return self.settle(who, &answer, Touches::Nothing).await;
        }
        if devices.is_empty() {
            return;
        }
        let device = &devices[self.dice.index(devices.len())];
        let answer = self.laptop.refresh(&self.users[who].sessions[device].refresh).await;

        answer.ok();
        let (now, refresh) = (self.now, answer.text_of("refresh_token"));
        let session = self.users[who].sessions.get_mut(device).unwrap();
        let is_rotated = now >= session.rotated_at + 120;
        assert_eq!(refresh != session.refresh, is_rotated, "{}", self.story);
        if is_rotated {
            (session.refresh, session.rotated_at) = (refresh, now);
        }
        self.hold(who, &answer, device);
        self.settle(who, &answer, Touches::Own).await;
    }

    /// A number by either way, or a profile: the user's own.
    async fn own_data(&mut self, who: usize, way: &'static str) {
        let Some((held, admitted)) = self.some_token(who) else { return };
        self.tell(way, who);
        let (now, tap) = (self.now, self.laptop.sim("phone", self.of(who)));
        let data = json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] });
        let again = self.users[who].redeemed.clone().filter(|(_, at)| now < at + 300 && self.dice.index(2) == 0);
        let code = again.map_or_else(|| tap["code"].clone(), |(code, _)| code);
        let (path, body) = match way {
            "phone by data" => ("/v1/phone", data),
            "phone by code" => ("/v1/phone", json!({ "code": code })),
            _ => ("/v1/userinfo", self.laptop.sim("userinfo", self.of(who))),
        };
        let answer = self.laptop.post_as(&held.access, path, &body).await;

        let mut touches = Touches::Nothing;
        if Self::is_admitted(admitted, &answer) {
            touches = Touches::Own;
            let user = &mut self.users[who];
            let kind = if way == "phone by code" { PHONE_CODE } else { OPEN_DATA };
            if user.take(kind, now) {
                let answer = answer.ok();
                let is_own = answer["phoneNumber"] == user.number
                    || (answer["nickName"] == user.nick
                        && answer["openId"] == user.openid
                        && answer["unionId"] == user.unionid);
                assert!(is_own, "{answer}{}", self.story);
                if way == "phone by code" {
                    user.redeemed = Some((code, now));
                }
            } else {
                answer.is_problem(429, "rate_limited", "retry");
                assert_eq!(answer.json()["retry_after"], user.tries[kind].1 + 3_600 - now, "{}", self.story);
            }
        }
        self.settle(who, &answer, touches).await;
    }

    /// A user sends what is another one's, of the same app or not.
    async fn anothers_data(&mut self, who: usize) {
        let Some((held, admitted)) = self.some_token(who) else { return };
        let other = (who + 1 + self.dice.index(self.users.len() - 1)) % self.users.len();
        self.tell("the data of another", who);
        let (tap, info) = (self.laptop.sim("phone", self.of(other)), self.laptop.sim("userinfo", self.of(other)));
        let way = self.dice.index(3);
        let (path, body) = match way {
            0 => ("/v1/phone", json!({ "encryptedData": tap["encryptedData"], "iv": tap["iv"] })),
            1 => ("/v1/phone", json!({ "code": tap["code"] })),
            _ => ("/v1/userinfo", info),
        };
        let answer = self.laptop.post_as(&held.access, path, &body).await;

        let mut touches = Touches::Nothing;
        if Self::is_admitted(admitted, &answer) {
            touches = Touches::Own;
            let kind = if way == 1 { PHONE_CODE } else { OPEN_DATA };
            match (self.users[who].take(kind, self.now), way) {
                (false, _) => answer.is_problem(429, "rate_limited", "retry"),
                (true, 1) => answer.is_problem(403, "data_rejected", "stop"),
                _ => answer.is_problem(409, "session_key_expired", "relogin_then_retap"),
            }
        }
        self.settle(who, &answer, touches).await;
    }

    /// A login with a code of the other app.
    async fn code_of_the_other_app(&mut self, who: usize) {
        self.tell("a login with a code of the other app", who);
        let code = self.laptop.sim("login", self.of(who))["code"].clone();
        let other = if self.users[who].appid == ONE { TWO } else { ONE };
        let answer = self.laptop.post("/v1/login", &json!({ "code": code, "appid": other })).await;
        answer.is_problem(400, "code_invalid", "relogin");
        self.settle(who, &answer, Touches::Nothing).await;
        // `wx.login` has replaced the key: the client logs in with a new code.
        self.log_in(who).await;
    }

    async fn read(&mut self, who: usize, path: &'static str) {
        let Some((held, admitted)) = self.some_token(who) else { return };
        self.tell(path, who);
        let answer = self.laptop.get(&held.access, path).await;

        if Self::is_admitted(admitted, &answer) {
            let (user, body, now) = (&self.users[who], answer.ok(), self.now);
            let session = &user.sessions[&held.device];
            let expected = match path {
                "/v1/sessions" => {
                    let mut body = body.clone();
                    let listed = body["sessions"].as_array_mut().unwrap();
                    listed.sort_by_key(|line| line["device"].to_string());
                    let line = |(device, session): (&String, &Session)| {
                        json!({
                            "device": device, "current": *device == held.device,
                            "created_at": session.created_at, "last_seen_at": session.last_seen_at(now),
                        })
                    };
                    assert_eq!(*listed, user.sessions.iter().map(line).collect::<Vec<_>>(), "{}", self.story);
                    return self.settle(who, &answer, Touches::Nothing).await;
                }
                "/v1/session" => "unchecked",
                // After a deletion nothing is asked, and a login has replaced the key: always the present one.
                _ => "ok",
            };
            let expected = json!({
                "openid": user.openid, "appid": user.appid, "device": held.device, "wechat_session": expected,
                "created_at": session.created_at, "expires_at": day_of(now + 604_800),
            });
            assert_eq!(body, expected, "{}", self.story);
        }
        self.settle(who, &answer, Touches::Nothing).await;
    }

    async fn end(&mut self, who: usize, path: &'static str) {
        let Some((held, admitted)) = self.some_token(who) else { return };
        self.tell(if path == "/v1/session" { "logout" } else { path }, who);
        let answer = self.laptop.delete(&held.access, path).await;
        if path == "/v1/session" && admitted == Admitted::Gone {
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", self.story);
            return self.settle(who, &answer, Touches::Nothing).await;
        }
        if !Self::is_admitted(admitted, &answer) {
            return self.settle(who, &answer, Touches::Nothing).await;
        }

        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""), "{}", self.story);
        let user = &mut self.users[who];
        let devices: Vec<String> = user.sessions.keys().cloned().collect();
        for device in devices.iter().filter(|device| path != "/v1/session" || **device == held.device) {
            user.end(device);
        }
        if path == "/v1/user" {
            (user.is_known, user.redeemed) = (false, None);
        }
        self.settle(who, &answer, Touches::Own).await;
        let (user, mut left) = (&self.users[who], self.before.clone());
        left.retain(|(pk, _), _| *pk == user.partition());
        // A count that outlives its user is left to the table's TTL.
        let users = usize::from(user.is_known || user.tries.iter().any(|(tries, _)| *tries > 0));
        assert_eq!(left.len(), user.sessions.len() + users, "{left:?}{}", self.story);
        if path == "/v1/user" {
            let is_bare = |item: &HashMap<String, AttributeValue>| {
                item.keys().all(|name| ["pk", "sk", "ttl"].contains(&name.as_str()) || name.contains("tries"))
            };
            assert!(left.values().all(is_bare), "{left:?}{}", self.story);
        }
    }

    async fn step(&mut self) {
        let who = self.who();
        match self.dice.index(32) {
            0..=5 => self.log_in(who).await,
            6..=9 => self.refresh(who).await,
            10..=11 => self.own_data(who, "phone by data").await,
            12..=14 => self.own_data(who, "phone by code").await,
            15..=16 => self.own_data(who, "userinfo").await,
            17..=19 => self.anothers_data(who).await,
            20 => self.code_of_the_other_app(who).await,
            21 => self.read(who, "/v1/session").await,
            22..=23 => self.read(who, "/v1/session?wechat=check").await,
            24..=25 => self.read(who, "/v1/sessions").await,
            26 => self.end(who, "/v1/session").await,
            27 => self.end(who, "/v1/sessions").await,
            28 => self.end(who, "/v1/user").await,
            _ => {
                let seconds = [1, 7, 60, 119, 120, 250, 1_000][self.dice.index(7)];
                self.laptop.clock.advance(seconds);
                self.now += seconds;
            }
        }
    }
}

#[tokio::test]
async fn nobody_sees_or_touches_what_is_anothers() {
    let mut done = BTreeMap::<_, usize>::new();
    for seed in [1, 20_261_122, 0x9e37_79b9_7f4a_7c15] {
        let mut model = Model::new(seed).await;
        for _ in 0..300 {
            model.step().await;
        }
        for (what, times) in model.done {
            *done.entry(what).or_default() += times;
        }
    }

    assert_eq!(done.len(), 12, "{done:?}");
    assert!(done.values().all(|times| *times >= 10), "each was tried: {done:?}");
}
