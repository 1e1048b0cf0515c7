//! Limits what strangers may cost: each code that looks like one is a call to WeChat, and the owner's quota is finite.
//!
//! A code that WeChat refused is not sent again for half a minute, which begins anew each time that it comes. An address
//! may have a hundred codes refused at once and then one a second. Good codes do not count, so users behind one address
//! do not keep each other out. A user who shares an address with an attacker is asked to try again and gets through
//! between the attacker's codes. Each process counts for itself, and the gateway's throttle bounds all addresses
//! together.

use shared::{
    clock::Secs,
    expiring::{ExpiringMap, LeakyBuckets},
    http::extract::ClientIp,
    ids::AppId,
    session::idempotency::CodeHash,
    wechat::error::WechatError,
};

use crate::error::LoginError;

/// How long a refused code is not sent again.
const REFUSED: Secs = 30;

/// How many refused codes the bucket of an address holds.
const CAPACITY: u64 = 100;

/// The codes that WeChat refused to this process.
#[derive(Debug, Default)]
pub struct RefusedCodes {
    codes: ExpiringMap<CodeHash, WechatError>,
    /// By app and network: an IPv6 customer has as many addresses as they like.
    networks: LeakyBuckets<(AppId, String)>,
}

impl RefusedCodes {
    /// Whether WeChat may be asked about this code. The error is what WeChat said of it, or that the address has to wait.
    pub(crate) fn check(
        &self,
        appid: &AppId,
        client_ip: &ClientIp,
        code: &CodeHash,
        now: Secs,
    ) -> Result<(), LoginError> {
        let level = self.networks.level(&(appid.clone(), client_ip.network()), now);
        if level >= CAPACITY {
            return Err(LoginError::TooManyRefusedCodes { retry_after: level - CAPACITY + 1 });
        }
        self.codes.get(code, now).map_or(Ok(()), |refusal| Err(refusal.into()))
    }

    pub(crate) fn add(&self, appid: &AppId, client_ip: &ClientIp, code: &CodeHash, refusal: &WechatError, now: Secs) {
        self.codes.put(code.clone(), refusal.clone(), now + REFUSED, now);
        self.networks.add((appid.clone(), client_ip.network()), now);
    }
}
