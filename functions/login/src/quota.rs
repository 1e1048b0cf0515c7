//! What strangers may cost: each code that looks like one is a call to WeChat, and the owner's quota of those is finite.
//!
//! A code that WeChat refused is not sent again for half a minute. An address may have a hundred codes refused at once
//! and then one a second. Good codes count for nothing, so users behind one address do not shut each other out; who shares
//! one with an attacker is asked to try again, and gets through between the attacker's. Each process counts for itself,
//! and the gateway's throttle bounds all addresses together.

use std::net::IpAddr;

use shared::{clock::Secs, ids::AppId, recent::Recent, session::claim::CodeHash, wechat::Upstream};

/// How long a refused code is not sent again.
const REFUSED: Secs = 30;

/// How many refused codes an address may owe; one is forgiven each second.
const MOST: Secs = 100;

/// What this process remembers of refused codes.
#[derive(Debug, Default)]
pub struct Quota {
    /// The codes, and whether WeChat called them used.
    codes: Recent<String, bool>,
    addresses: Recent<Address, ()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Address {
    appid: AppId,
    /// An address, or the network of one: an IPv6 customer has as many as they like.
    network: String,
}

/// Why WeChat is not asked.
#[derive(Debug)]
pub(crate) enum Denied {
    /// WeChat would say this: it did a moment ago.
    Known(Upstream),
    /// Too many refused codes came from this address.
    TooMany {
        /// Seconds until the next one.
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
            // A /56: what a provider gives to one customer.
            Ok(IpAddr::V6(address)) => format!("{:x?}", &address.octets()[..7]),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => self.source.to_owned(),
        };
        Address { appid: self.appid.clone(), network }
    }
}

impl Quota {
    /// Whether WeChat may be asked about this code.
    pub(crate) fn admit(&self, attempt: &Attempt<'_>) -> Result<(), Denied> {
        match self.addresses.get(&attempt.address(), attempt.now) {
            Some(((), owed)) if owed >= MOST => return Err(Denied::TooMany { retry_after: owed - MOST + 1 }),
            _ => {}
        }
        match self.codes.get(&attempt.code.as_str().to_owned(), attempt.now) {
            Some((true, _)) => Err(Denied::Known(Upstream::CodeUsed)),
            Some((false, _)) => Err(Denied::Known(Upstream::CodeInvalid)),
            None => Ok(()),
        }
    }

    /// Remembers a code that WeChat refused.
    pub(crate) fn refused(&self, attempt: &Attempt<'_>, used: bool) {
        let now = attempt.now;
        self.codes.put(attempt.code.as_str().to_owned(), used, now + REFUSED, now);
        self.addresses.owe(attempt.address(), now);
    }
}
