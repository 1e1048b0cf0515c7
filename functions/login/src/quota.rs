//! What strangers may cost: each code that looks like one is a call to WeChat, and the owner's quota of those is finite.
//!
//! A code that WeChat refused is not sent again for half a minute, and an address from which many refused codes came
//! waits out its minute. Good codes count for nothing, so users behind one address do not shut each other out; only who
//! shares an address with an attacker waits with them. Each process counts for itself: so many times over is the bound,
//! and the gateway's throttle of the route is the bound on all addresses together.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use shared::{clock::Secs, ids::AppId, session::claim::CodeHash, wechat::Upstream};

/// How long a refused code is not sent again.
const REFUSED: Secs = 30;

/// How many refused codes an address may send in a minute to one mini program.
const MOST: u32 = 30;

/// The minute in which they are counted.
const WINDOW: Secs = 60;

/// How many codes, and how many addresses, are remembered at most: some hundred kilobytes.
const REMEMBERED: usize = 4_096;

/// What this process remembers of refused codes.
#[derive(Debug, Default)]
pub struct Quota(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    codes: HashMap<String, Refused>,
    addresses: HashMap<Address, Counted>,
}

#[derive(Debug)]
struct Refused {
    used: bool,
    until: Secs,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Address {
    appid: AppId,
    /// An address, or the network of one: an IPv6 host has as many as it likes.
    network: String,
}

#[derive(Debug)]
struct Counted {
    times: u32,
    until: Secs,
}

/// Why WeChat is not asked.
#[derive(Debug)]
pub(crate) enum Denied {
    /// WeChat refused this code just now.
    Known(Upstream),
    /// Too many refused codes came from this address.
    TooMany {
        /// Seconds until the minute is over.
        retry_after: Secs,
    },
}

/// A login as far as this is concerned.
pub(crate) struct Attempt<'a> {
    pub(crate) appid: &'a AppId,
    pub(crate) source: &'a str,
    pub(crate) code: &'a CodeHash,
    pub(crate) now: Secs,
}

impl Attempt<'_> {
    fn address(&self) -> Address {
        let network = match self.source.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => format!("{:x?}", &address.segments()[..4]),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => self.source.to_owned(),
        };
        Address { appid: self.appid.clone(), network }
    }
}

impl Quota {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether WeChat may be asked about this code.
    pub(crate) fn admit(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        let state = self.state();
        let counted = state.addresses.get(&attempt.address()).filter(|counted| counted.until > attempt.now);
        if let Some(counted) = counted.filter(|counted| counted.times >= MOST) {
            return Err(Denied::TooMany { retry_after: counted.until - attempt.now });
        }
        match state.codes.get(attempt.code.as_str()).filter(|refused| refused.until > attempt.now) {
            Some(Refused { used: true, .. }) => Err(Denied::Known(Upstream::CodeUsed)),
            Some(Refused { used: false, .. }) => Err(Denied::Known(Upstream::CodeInvalid)),
            None => Ok(()),
        }
    }

    /// Remembers a code that WeChat refused.
    pub(crate) fn refused(&self, attempt: &Attempt<'_>, used: bool) {
        let mut state = self.state();
        let now = attempt.now;
        make_room(&mut state.codes, |refused| refused.until > now);
        state.codes.insert(attempt.code.as_str().to_owned(), Refused { used, until: now + REFUSED });
        make_room(&mut state.addresses, |counted| counted.until > now);
        let counted = state.addresses.entry(attempt.address()).or_insert(Counted { times: 0, until: now + WINDOW });
        if counted.until <= now {
            *counted = Counted { times: 0, until: now + WINDOW };
        }
        counted.times += 1;
    }
}

/// Forgets what counts no more; if all of it counts, everything: who has so many is not held by a longer list.
fn make_room<K, V>(remembered: &mut HashMap<K, V>, counts: impl Fn(&V) -> bool) {
    if remembered.len() >= REMEMBERED {
        remembered.retain(|_, value| counts(value));
    }
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
}
