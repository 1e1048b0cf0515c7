//! Pushes whose process is killed: what is acknowledged has reached the owner's function, and the table where it concerns it.
//!
//! Requests to the function wait on the [`Wire`], too, so that a process also dies while the function is asked.

use std::{path::Path, process::Command, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use shared::{
    clock::{Clock as _, SystemClock},
    token::jwks::KeyKind,
};

use super::{
    AT_ONCE, kill_after, kill_before,
    owner::{Does, Owner},
};
use crate::{
    Folder, Laptop, Start, event,
    runtime_api::{Function, binary, function},
    wire::Wire,
};

/// So many messages are pushed before they are repeated, all at once: a killed process counts as alive for a while.
const BATCH: u64 = 250;

/// The time after which nobody thinks that a killed process lives.
const DEAD: Duration = Duration::from_secs(13);

/// Before and after each request of a process, and after its last.
const STEPS: u64 = 22;

/// What came of pushes that were killed, and repeated until they were acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// How many were pushed to a process that was killed.
    pub killed: u64,
    /// How many were acknowledged in the end.
    pub acknowledged: u64,
    /// How many were acknowledged, and reached neither the table nor the owner.
    pub lost: u64,
    /// How often the owner's function was asked about a message again, because nobody knew that it had been.
    pub asked_again: u64,
    /// How often it was asked about a message a third time.
    pub asked_thrice: u64,
}

/// Where messages are pushed to.
struct Post<'a> {
    laptop: Laptop,
    owner: Owner,
    secrets: Folder,
    binaries: &'a Path,
}

/// A message that WeChat has to tell, and by what the owner's function knows it.
struct Message {
    wanted: Value,
    /// A member, and what it says.
    name: (&'static str, String),
    /// Of a user who is to be forgotten.
    refresh_token: Option<String>,
}

impl<'a> Post<'a> {
    async fn new(binaries: &'a Path) -> Self {
        // At the time of the binaries, so that they take what WeChat signs.
        let (laptop, secrets) = (Start::default().at(SystemClock.now()).go().await, Folder::new());
        local::secrets::SecretFiles::in_folder(&secrets.0, KeyKind::Ec).expect("secrets");
        Self { laptop, owner: Owner::start().await, secrets, binaries }
    }

    fn command(&self) -> Command {
        let mut command = function(&binary(self.binaries, "push"), &self.laptop, &self.secrets);
        command.env("WXAUTH_PUSH_TARGET", "owner").env("AWS_ENDPOINT_URL_LAMBDA", &self.owner.url);
        command
    }

    async fn message(&self, number: u64) -> Message {
        if number.is_multiple_of(3) {
            let user = format!("user-{number}");
            let tokens = self.laptop.login(&user).await;
            return Message {
                wanted: json!({ "user": user, "event": "user_authorization_cancellation" }),
                name: ("OpenID", tokens.openid),
                refresh_token: Some(tokens.refresh),
            };
        }
        let order = format!("order-{number}");
        let delivery = json!({ "MsgType": "event", "Event": "xpay_goods_deliver_notify", "OutTradeNo": order });
        Message {
            wanted: json!({ "user": "nobody", "event": "user_info_modified", "message": delivery.to_string() }),
            name: ("OutTradeNo", order),
            refresh_token: None,
        }
    }

    /// The message as WeChat signs it now.
    fn request(&self, message: &Message) -> Value {
        self.laptop.clock.advance(SystemClock.now().saturating_sub(shared::clock::Clock::now(&self.laptop.clock)));
        let push = self.laptop.sim("push", message.wanted.clone());
        let mut event = event("POST", "/v1/push", push["body"].as_str().expect("text"));
        event["rawQueryString"] = push["query"].clone();
        event
    }

    async fn has_arrived(&self, message: &Message) -> bool {
        let is_gone = match &message.refresh_token {
            Some(token) => self.laptop.refresh(token).await.status == 400,
            None => true,
        };
        is_gone && self.owner.count(message.name.0, &message.name.1) > 0
    }

    /// Pushes a message to a process that is killed at this step, and gives whether it was acknowledged before.
    async fn kill(&self, message: &Message, step: u64) -> bool {
        let mut wire = Wire::to(&[&self.laptop.world.dynamodb_url, &self.owner.url]).await;
        let mut command = self.command();
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &wire.urls[0]).env("AWS_ENDPOINT_URL_LAMBDA", &wire.urls[1]);
        wire.hold();
        let mut doomed = Function::start(command).await;
        doomed.give(&self.request(message));
        for _ in 0..step / 2 {
            tokio::select! {
                next = wire.arrival() => next.pass().await,
                answer = doomed.answer() => {
                    doomed.kill();
                    return answer["statusCode"] == 200;
                }
            }
        }
        tokio::select! {
            next = wire.arrival() => match step % 2 {
                0 => kill_before(&mut doomed, next),
                _ => kill_after(&mut doomed, next).await,
            },
            answer = doomed.answer() => {
                doomed.kill();
                return answer["statusCode"] == 200;
            }
        }
        false
    }

    async fn batch(&self, numbers: std::ops::Range<u64>) -> Pushes {
        let (mut came, mut messages) = (Pushes::default(), Vec::new());
        for number in numbers {
            let message = self.message(number).await;
            // Of some, the function says nothing that means that it took them.
            if number % 5 == 4 {
                self.owner.will([Does::Answers("{".to_owned())]);
            }
            let is_acknowledged = self.kill(&message, number % STEPS).await;
            self.owner.forget_what_to_do();
            came.killed += 1;
            came.lost += u64::from(is_acknowledged && !self.has_arrived(&message).await);
            messages.push(message);
        }
        tokio::time::sleep(DEAD).await;
        let mut survivor = Function::start(self.command()).await;
        for message in &messages {
            if survivor.invoke(&self.request(message)).await["statusCode"] == 200 {
                came.acknowledged += 1;
                came.lost += u64::from(!self.has_arrived(message).await);
            }
            let asked = self.owner.count(message.name.0, &message.name.1);
            came.asked_again += u64::from(asked > 1);
            came.asked_thrice += u64::from(asked > 2);
        }
        came
    }
}

/// Pushes so many messages, each to a process that is killed at one of its steps.
pub async fn pushes(binaries: &Path, count: u64) -> Pushes {
    let each = count.div_ceil(AT_ONCE as u64);
    let worker = |_| async move {
        let post = Post::new(binaries).await;
        let mut all = Pushes::default();
        let mut next = 0;
        while next < each {
            let came = post.batch(next..(next + BATCH).min(each)).await;
            all = all.and(came);
            next += BATCH;
        }
        all
    };
    stream::iter(0..AT_ONCE)
        .map(worker)
        .buffer_unordered(AT_ONCE)
        .fold(Pushes::default(), async |all, one| all.and(one))
        .await
}

impl Pushes {
    fn and(self, other: Self) -> Self {
        Self {
            killed: self.killed + other.killed,
            acknowledged: self.acknowledged + other.acknowledged,
            lost: self.lost + other.lost,
            asked_again: self.asked_again + other.asked_again,
            asked_thrice: self.asked_thrice + other.asked_thrice,
        }
    }
}
