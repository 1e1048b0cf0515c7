//! The messages that WeChat has pushed, so that each can be repeated until it is acknowledged.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// More than a test or an afternoon with the page looks back.
const MAX_MESSAGES: usize = 1000;

/// In WeChat's order, which XML keeps.
pub(crate) type Fields = Vec<(String, Value)>;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    Plain,
    /// The fields and `Encrypt`.
    Compatible,
    Secure,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    #[default]
    Json,
    Xml,
}

/// What WeChat wants to hear of a message, and how long it asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `xpay_*`: a word or `ErrCode` 0.
    Money,
    /// A delivery of a mini game: the same.
    MiniGame,
    /// Apple's question about a refund: a verdict.
    Refund,
    /// All else: a word.
    Other,
}

impl Kind {
    /// The seconds between a try and the one after it; `None` after the last one. `tries` have been made.
    ///
    /// WeChat names no unit for the first row, and no pause for the last two.
    pub(crate) fn pause_after(self, tries: u32) -> Option<u64> {
        const MINI_GAME: [u64; 15] =
            [15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10_800, 10_800, 10_800, 21_600, 21_600];
        match self {
            Self::Money => (tries <= 15).then(|| 1 << tries),
            Self::MiniGame => MINI_GAME.get(usize::try_from(tries).ok()?.checked_sub(1)?).copied(),
            Self::Refund => (tries < 3).then_some(3),
            Self::Other => (tries < 3).then_some(5),
        }
    }

    /// How long WeChat waits for an answer, in seconds.
    pub(crate) fn patience(self) -> u64 {
        if self == Self::Refund { 3 } else { 5 }
    }
}

/// A message as it was first pushed, and what became of it.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) appid: String,
    pub(crate) kind: Kind,
    pub(crate) fields: Fields,
    pub(crate) format: Format,
    pub(crate) mode: Mode,
    /// The `EncodingAESKey` of the console, where the server has another one or none.
    pub(crate) aes_key: Option<String>,
    /// The mini program for which it is encrypted.
    pub(crate) encrypted_for: String,
    /// What is encrypted instead of the fields.
    pub(crate) text: Option<String>,
    /// Of the first try.
    pub(crate) timestamp: String,
    pub(crate) nonce: String,
    /// How often it was pushed.
    pub(crate) tries: u32,
    pub(crate) last_try: u64,
    pub(crate) acknowledged: bool,
    /// Whether the simulator sends it, where it was told an address.
    pub(crate) sends: bool,
}

impl Message {
    /// One more try: `RetryTimes` counts those before it.
    pub(crate) fn count(&mut self, now: u64) {
        for (name, value) in &mut self.fields {
            if name == "RetryTimes" {
                *value = json!(self.tries);
            }
        }
        self.tries += 1;
        self.last_try = now;
    }

    /// The seconds until it comes again, if it does.
    pub(crate) fn again_in(&self) -> Option<u64> {
        self.kind.pause_after(self.tries).filter(|_| !self.acknowledged)
    }

    fn is_due(&self, now: u64) -> bool {
        let pause = if self.tries == 0 { Some(0) } else { self.again_in() };
        self.sends && pause.is_some_and(|pause| now >= self.last_try + pause)
    }
}

#[derive(Default)]
pub(crate) struct Messages {
    messages: BTreeMap<u64, Message>,
    last: u64,
}

impl Messages {
    pub(crate) fn remember(&mut self, message: Message) -> u64 {
        self.last += 1;
        self.messages.insert(self.last, message);
        if self.messages.len() > MAX_MESSAGES {
            self.messages.pop_first();
        }
        self.last
    }

    pub(crate) fn find(&mut self, id: u64) -> Option<&mut Message> {
        self.messages.get_mut(&id)
    }

    /// What is to be sent now.
    pub(crate) fn due(&self, now: u64) -> Vec<u64> {
        self.messages.iter().filter(|(_, message)| message.is_due(now)).map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(kind: Kind) -> Vec<u64> {
        (1..).map_while(|tries| kind.pause_after(tries)).collect()
    }

    #[test]
    fn a_message_comes_again_as_often_as_wechat_says() {
        let money = pauses(Kind::Money);

        assert_eq!((&money[..4], money.len()), (&[2, 4, 8, 16][..], 15));
        assert_eq!((pauses(Kind::MiniGame)[..3].to_vec(), pauses(Kind::MiniGame).len()), (vec![15, 15, 30], 15));
        assert_eq!((pauses(Kind::Refund), pauses(Kind::Other)), (vec![3, 3], vec![5, 5]));
    }
}
