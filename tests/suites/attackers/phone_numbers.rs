//! A user who wants somebody else's number of `POST /v1/phone`, with all that a user has: several devices, logins, deletion
//! of themselves, the other routes that decrypt, the profile that a login decrypts, many requests at once, and time.

use std::collections::{HashSet, VecDeque};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use shared::{
    clock::{Clock as _, Secs},
    session::{DEVICES, TRIES},
};

use super::{
    cbc_r::{Data, forge, wanted},
    comparable,
};
use crate::{APPID, Laptop, Response, Tokens, seeded::Seeded, send};

const USER: &str = "mallory";
const HOUR: Secs = 3_600;

/// The result of the attempts.
#[derive(Debug, Default)]
pub struct Gains {
    /// Numbers that the endpoint answered, and blocks of a forged answer that were found: 0 unless it tells something.
    pub forged: u64,
    /// Attempts at the routes that were decrypted.
    pub looked_at: u64,
    /// Attempts as the profile of a login. Whether they were decrypted is not told either.
    pub by_login: u64,
    /// Attempts that were refused because the hour's are used up.
    pub refused: u64,
    /// The most that were decrypted at the routes within any hour.
    pub most_within_an_hour: u64,
    /// Different answers to what was decrypted.
    pub answers: HashSet<String>,
}

/// The forger, and the processes that they ask by turns.
struct Forger<'a> {
    processes: &'a [Laptop],
    devices: Vec<Tokens>,
    /// What WeChat signed for this user: the signature is right, whatever data is sent with it.
    signed: Value,
    asked: usize,
    hour: VecDeque<Secs>,
    /// How many logins of this hour decrypt a profile still.
    profiles_left: u32,
    /// The answer of the routes to what says nothing.
    usual: String,
    gains: Gains,
}

/// Lets the CBC-R attacker ask until this many attempts were decrypted, in as many hours as that takes.
pub async fn attack(processes: &[Laptop], attempts: u64, seed: u64) -> Gains {
    // WeChat often gives the same key again; the attack needs one that stays.
    let _ = processes[0].sim("settings", json!({ "session_key": "keep" }));
    let mut devices = Vec::new();
    for process in processes {
        devices.push(process.login(USER).await);
    }
    let signed = processes[0].sim("userinfo", json!({ "user": USER }));
    let (hour, usual, gains) = (VecDeque::new(), String::new(), Gains::default());
    let mut forger = Forger { processes, devices, signed, asked: 0, hour, profiles_left: TRIES, usual, gains };
    let mut random = Seeded::new(seed);
    while forger.gains.looked_at + forger.gains.by_login < attempts {
        let found = forge(&wanted(), &mut random, &mut async |data: &Data| forger.ask(data).await).await;
        if let Some(data) = found {
            forger.gains.forged += 1;
            forger.ask(&data).await;
        }
    }
    forger.gains
}

impl Forger<'_> {
    /// Asks until an attempt is looked at: by a login, by every trick, and then by waiting for the next hour.
    async fn ask(&mut self, data: &Data) -> String {
        if self.profiles_left > 0 && !self.asked.is_multiple_of(2) {
            self.profiles_left -= 1;
            return self.ask_by_login(data).await;
        }
        loop {
            for trick in [Trick::OtherDevice, Trick::Login, Trick::DeleteAndLogin] {
                let answer = self.post(data).await;
                if answer.status != StatusCode::TOO_MANY_REQUESTS {
                    return self.looked_at(&answer);
                }
                self.gains.refused += 1;
                self.play(trick).await;
            }
            let refused = self.post(data).await;
            if refused.status != StatusCode::TOO_MANY_REQUESTS {
                return self.looked_at(&refused);
            }
            let wait = refused.json()["retry_after"].as_u64().expect("a time to wait");
            self.processes[0].clock.advance(wait);
            self.profiles_left = TRIES;
            // The access tokens are over by now.
            for at in 0..self.devices.len() {
                self.log_in(at).await;
            }
        }
    }

    /// The answer of a login says no more than whether a profile is in it.
    async fn ask_by_login(&mut self, data: &Data) -> String {
        self.asked += 1;
        let (process, at) = (self.process(), self.asked % self.devices.len());
        let mut profile = self.signed.clone();
        for member in ["encryptedData", "iv"] {
            profile[member] = data.body()[member].take();
        }
        let login = json!({ "code": process.code(USER), "device": self.devices[at].device, "userInfo": profile });
        let answer = process.post("/v1/login", &login).await.ok();
        self.devices[at] = Tokens::in_body(&answer);
        self.gains.by_login += 1;
        let Some(given) = answer.get("userInfo") else { return self.usual.clone() };
        self.gains.forged += 1;
        given.to_string()
    }

    async fn post(&mut self, data: &Data) -> Response {
        self.asked += 1;
        let (process, device) = (self.process(), &self.devices[self.asked % self.devices.len()]);
        // All three decrypt, and none may tell more than another.
        let route = ["/v1/phone", "/v1/userinfo", "/v1/opendata"][self.asked / 2 % 3];
        process.post_as(&device.access, route, &data.body()).await
    }

    fn process(&self) -> &Laptop {
        // Not in step with the devices: each of them asks each process.
        &self.processes[self.asked / self.devices.len() % self.processes.len()]
    }

    fn looked_at(&mut self, answer: &Response) -> String {
        let now = self.processes[0].clock.now();
        self.hour.retain(|at| at + HOUR > now);
        self.hour.push_back(now);
        self.gains.looked_at += 1;
        self.gains.forged += u64::from(answer.status.is_success());
        self.gains.most_within_an_hour = self.gains.most_within_an_hour.max(self.hour.len() as u64);
        let answer = comparable(answer);
        if self.usual.is_empty() {
            self.usual.clone_from(&answer);
        }
        self.gains.answers.insert(answer.clone());
        answer
    }

    async fn play(&mut self, trick: Trick) {
        let at = self.asked % self.devices.len();
        match trick {
            // The next attempt is the next device's anyhow.
            Trick::OtherDevice => {}
            Trick::Login => self.log_in(at).await,
            Trick::DeleteAndLogin => {
                let delete = self.process().method(Method::DELETE, "/v1/user").bearer_auth(&self.devices[at].access);
                assert_eq!(send(delete).await.status, StatusCode::NO_CONTENT);
                for at in 0..self.devices.len() {
                    self.log_in(at).await;
                }
            }
        }
    }

    async fn log_in(&mut self, at: usize) {
        let process = self.process();
        let login = json!({ "code": process.code(USER), "device": self.devices[at].device });
        self.devices[at] = process.login_with(&login).await;
    }
}

/// What may come to a user's mind whose attempts are used up.
#[derive(Clone, Copy)]
enum Trick {
    OtherDevice,
    Login,
    DeleteAndLogin,
}

/// How many of so many attempts by all processes are looked at; the others have to be refused. So many are under way at
/// once: with too many the embedded table is busy for longer than the SDK waits.
pub async fn at_once(processes: &[Laptop], user: &Tokens, attempts: usize, under_way: usize) -> u64 {
    let garbage = json!({ "encryptedData": STANDARD.encode([0; 16]), "iv": STANDARD.encode([0; 16]) });
    let ask = |number: usize| processes[number % processes.len()].post_as(&user.access, "/v1/phone", &garbage);
    let answers: Vec<_> = stream::iter((0..attempts).map(ask)).buffer_unordered(under_way).collect().await;
    let (refused, looked_at): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS);
    for answer in &looked_at {
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
    }
    assert_eq!(refused.len() + looked_at.len(), attempts);
    looked_at.len() as u64
}

/// How many of so many logins, by all processes at once, give the profile that came with them. No more are under way than a user
/// may have devices, or the limit of devices would refuse some of them.
pub async fn profiles_at_once(processes: &[Laptop], user: &str, logins: usize) -> u64 {
    // With another key for each login, most profiles could not be read anyhow.
    let _ = processes[0].sim("settings", json!({ "session_key": "keep" }));
    let log_in = async |number: usize| {
        let process = &processes[number % processes.len()];
        let code = process.code(user);
        let profile = process.sim("userinfo", json!({ "user": user }));
        let answer = process.post("/v1/login", &json!({ "code": code, "userInfo": profile })).await;
        u64::from(answer.json().get("userInfo").is_some())
    };
    stream::iter(0..logins).map(log_in).buffer_unordered(DEVICES - 1).fold(0, async |sum, one| sum + one).await
}

/// The different answers to each way in which data under the user's very key may be wrong.
pub async fn answers(laptop: &Laptop) -> HashSet<String> {
    let user = laptop.login(USER).await;
    let mut answers = HashSet::new();
    for malformed in malformations(laptop) {
        let answer = laptop.post_as(&user.access, "/v1/phone", &malformed).await;
        answer.is_problem(409, "session_key_expired", "relogin_then_retap");
        answers.insert(comparable(&answer));
    }
    answers
}

fn malformations(laptop: &Laptop) -> [Value; 12] {
    let encrypted = |text: &str| laptop.sim("encrypt", json!({ "user": USER, "plaintext": text }));
    let info = json!({
        "phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
        "watermark": { "timestamp": 1_800_000_000, "appid": APPID },
    });
    let with = |member: &str, value: Value| {
        let mut info = info.clone();
        info[member] = value;
        encrypted(&info.to_string())
    };
    // Its padding is 16 bytes, so the last byte of the block before decides what the padding says.
    let whole = encrypted("{\"whole\": true}{");
    let changed = |member: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut data = whole.clone();
        let mut bytes = STANDARD.decode(data[member].as_str().expect("text")).expect("base64");
        change(&mut bytes);
        data[member] = STANDARD.encode(bytes).into();
        data
    };
    [
        changed("iv", &|iv| iv[0] ^= 1),
        changed("encryptedData", &|blocks| blocks[15] ^= 0x10),
        changed("encryptedData", &|blocks| blocks[15] ^= 0x10 ^ 0x11),
        changed("encryptedData", &|blocks| blocks[0] ^= 1),
        changed("encryptedData", &|blocks| blocks.truncate(16)),
        encrypted(""),
        encrypted("[1]"),
        encrypted("{\"phoneNumber\":"),
        encrypted(&format!("{info} x")),
        encrypted(&info.to_string().replacen('{', "{\"phoneNumber\":\"1\",", 1)),
        with("phoneNumber", "138****8000".into()),
        with("watermark", Value::Null),
    ]
}
