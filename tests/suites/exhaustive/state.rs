//! What there is at an instant: no time, only ages, in steps, and no older than matters.

use std::collections::BTreeSet;

use shared::session::refresh::Verdict;

/// E + D in steps: nothing depends on how much older something is.
pub(super) const OLD: u64 = 3;

/// A refresh token, as far as tokens differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Token {
    pub(super) login: u8,
    pub(super) generation: u32,
    pub(super) key: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Item {
    /// Its present token.
    pub(super) token: Token,
    /// How long ago it was rotated.
    pub(super) age: u64,
    /// How long before that it was rotated before.
    pub(super) gap: u64,
    /// Whether it is the mark of a session that has ended.
    pub(super) is_over: bool,
}

impl Item {
    /// The session of a login.
    pub(super) fn new(token: Token) -> Self {
        Self { token, age: 0, gap: OLD, is_over: false }
    }
}

/// Who holds tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Party {
    Device,
    Thief,
}

/// What a party knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    pub(super) held: Option<Token>,
    /// For how long it has been asking for the next one.
    pub(super) asking: Option<u64>,
}

/// A message that is on its way, or a step of the server that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    /// A refresh, to the server.
    Refresh(Token),
    /// The same, of which a server that is torn has read the item.
    Seen(Token, Option<Item>),
    /// A reuse was found; its family is about to be ended.
    Ending(Token, Verdict),
    /// The answer to a refresh, and the token in it.
    Response(Token, Verdict, Option<Token>),
    /// A logout, to the server.
    LogOut(Token),
    /// A login's session, to the table: it was put, and may arrive once more.
    Put(Token),
}

/// A message, whose it is, and for how long its party had been asking when it was sent, or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sent {
    pub(super) party: Party,
    pub(super) age: u64,
    pub(super) message: Message,
}

/// A rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    TwoSuccessors,
    /// A refresh succeeded after the end of its session.
    AfterTheEnd,
    /// A token that was rotated away was good for longer than it may be.
    PastTheGrace,
    HonestRefused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) item: Option<Item>,
    pub(super) device: Holder,
    pub(super) thief: Holder,
    pub(super) stolen: bool,
    pub(super) logins: u8,
    pub(super) sent: BTreeSet<Sent>,
    /// The newest token that any answer had.
    pub(super) newest: Option<Token>,
    /// The login whose session has ended, if any: the others before it have too.
    pub(super) ended: Option<u8>,
    pub(super) broken: Option<Broken>,
}

impl State {
    /// Before the first login.
    pub(super) fn new() -> Self {
        Self {
            item: None,
            device: Holder::default(),
            thief: Holder::default(),
            stolen: false,
            logins: 0,
            sent: BTreeSet::new(),
            newest: None,
            ended: None,
            broken: None,
        }
    }

    pub(super) fn holder(&self, party: Party) -> Holder {
        match party {
            Party::Device => self.device,
            Party::Thief => self.thief,
        }
    }

    pub(super) fn holder_mut(&mut self, party: Party) -> &mut Holder {
        match party {
            Party::Device => &mut self.device,
            Party::Thief => &mut self.thief,
        }
    }

    pub(super) fn is_over(&self, login: u8) -> bool {
        self.ended.is_some_and(|ended| login <= ended)
    }

    /// The session, unless it has ended.
    pub(super) fn session(&self) -> Option<Item> {
        self.item.filter(|item| !item.is_over)
    }

    /// The session of this login has ended, and it is known.
    pub(super) fn end(&mut self, login: u8) {
        self.ended = self.ended.max(Some(login));
    }

    pub(super) fn broke(&mut self, rule: Broken) {
        self.broken.get_or_insert(rule);
    }

    /// Forgets the answers that nobody takes any more: to a token that is not held.
    pub(super) fn tidied(mut self) -> Self {
        let (device, thief) = (self.device.held, self.thief.held);
        self.sent.retain(|sent| match (sent.message, sent.party) {
            (Message::Response(to, ..), Party::Device) => device == Some(to),
            (Message::Response(to, ..), Party::Thief) => thief == Some(to),
            _ => true,
        });
        self
    }

    /// A minute later, where messages are no later than this.
    pub(super) fn later(&mut self, late: u64) {
        if let Some(item) = self.item.as_mut().filter(|item| !item.is_over) {
            item.age = OLD.min(item.age + 1);
        }
        for holder in [&mut self.device, &mut self.thief] {
            holder.asking = holder.asking.map(|age| age + 1).filter(|age| *age <= late);
        }
        let sent = std::mem::take(&mut self.sent).into_iter();
        let older = sent.map(|sent| Sent { age: sent.age + 1, ..sent });
        // A server does not live for a minute between two of its requests.
        let is_under_way = |sent: &Sent| sent.age <= late && !matches!(sent.message, Message::Seen(..));
        self.sent = older.filter(is_under_way).collect();
    }

    /// Whether a party's refresh may still arrive.
    pub(super) fn is_heard(&self, party: Party) -> bool {
        self.sent.iter().any(|sent| sent.party == party && matches!(sent.message, Message::Refresh(_)))
    }

    /// Whether an answer of this kind is on its way to this party.
    pub(super) fn answers(&self, party: Party, is: impl Fn(Verdict) -> bool) -> bool {
        self.sent.iter().any(|sent| {
            let verdict = if let Message::Response(_, verdict, _) = sent.message { Some(verdict) } else { None };
            sent.party == party && verdict.is_some_and(&is)
        })
    }
}
