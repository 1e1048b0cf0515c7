//! Login codes as one process knows them: which are being exchanged, which WeChat refused, and what their senders owe.
//!
//! Each code that a stranger makes up is a call to WeChat, and the owner's quota is finite. What a code provokes at WeChat is
//! charged to its sender: the network, and the user if the request proves that one logged in before. A user is let through
//! for what they owe themselves, whoever is behind the same address. Of strangers whose network owes too much all are let
//! through while this process has asked WeChat about few such codes, then one in three by chance, so that who tries again
//! gets in beside any flood and WeChat is asked about a third of it; and none when there were very many, or when WeChat says
//! that its quota is used up. Good codes are not charged, nor is a code that was sent twice.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use shared::{
    clock::Secs,
    entropy::{self, Entropy},
    expiring::{ExpiringMap, LeakyBuckets},
    ids::{AppId, Network},
    session::idempotency::{CodeHash, POLL_DELAYS},
    token::device::KnownUser,
    wechat::error::WechatError,
};

/// How long a refused code is not sent again.
const REFUSED: Secs = 30;

/// How much a user who logged in before may owe; a drop is forgiven each second.
const USER_MAY_OWE: u64 = 10;

/// A network is not charged for more than this beyond what it may owe: a minute after a flood it is as others are.
const BEYOND_LIMIT: u64 = 60;

/// So many charged codes of an app are few for a process.
const FEW: u64 = 150;

/// So many are the most: then WeChat is asked about one a second.
const MOST: u64 = 3_000;

/// How long WeChat's word on its quota counts,
const QUOTA_WORD: Secs = 60;

/// if so many networks were told it: one user alone can bring it about.
const SEVERAL: usize = 3;

/// Who sent a code.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The mini program whose code it should be.
    pub appid: AppId,
    /// Where the request came from.
    pub network: Network,
    /// Who logged in before on the device that the request proves.
    pub user: Option<KnownUser>,
}

/// Why a code gave nothing.
#[derive(Debug)]
pub enum NotExchanged {
    /// It is invalid or used.
    Refused(Refusal),
    /// WeChat refused or failed in another way.
    Wechat(WechatError),
    /// WeChat was not asked: the sender's network owes too much.
    TooManyCharged {
        /// When another try makes sense.
        retry_after: Secs,
    },
}

/// A code that is invalid or used.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What WeChat says of it.
    pub error: WechatError,
    /// How often the table is looked at for the record of a login with this code: [`POLL_DELAYS`] has the time before each.
    pub looks: usize,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Wechat,
    Memory,
    /// Another request of this process is exchanging the code.
    InExchange,
}

#[derive(Clone, Debug)]
struct Refused {
    error: WechatError,
    /// Whether the table was looked at and has no record of the code.
    unrecorded: bool,
}

/// The login codes of one process.
pub struct LoginCodes {
    /// How much a network may owe; 0 is without limit.
    limit: u64,
    entropy: Arc<dyn Entropy>,
    in_exchange: Mutex<HashSet<CodeHash>>,
    refused: ExpiringMap<CodeHash, Refused>,
    networks: LeakyBuckets<(AppId, Network)>,
    users: LeakyBuckets<KnownUser>,
    apps: LeakyBuckets<AppId>,
    /// The networks that WeChat told last that its quota is used up, and when.
    quota_words: Mutex<HashMap<AppId, Vec<(Network, Secs)>>>,
}

impl std::fmt::Debug for LoginCodes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("LoginCodes")
    }
}

/// A code that is being exchanged, until this is dropped.
struct Turn<'a>(&'a LoginCodes, &'a CodeHash);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(&self.0.in_exchange).remove(self.1);
    }
}

impl LoginCodes {
    /// Without any codes. A network may owe `limit` charged codes; 0 is without limit.
    #[must_use]
    pub fn new(limit: u64, entropy: Arc<dyn Entropy>) -> Self {
        let (in_exchange, quota_words) = (Mutex::default(), Mutex::default());
        let (refused, networks) = (ExpiringMap::default(), LeakyBuckets::default());
        let (users, apps) = (LeakyBuckets::default(), LeakyBuckets::default());
        Self { limit, entropy, in_exchange, refused, networks, users, apps, quota_words }
    }

    /// What WeChat gives for the code, which `ask` asks: unless it is known to be refused, is being exchanged, or its sender
    /// has to wait. What the code provokes is charged here, but for a refusal: see [`Self::keep`].
    pub async fn exchange<T>(
        &self,
        sender: &Sender,
        code: &CodeHash,
        now: Secs,
        ask: impl Future<Output = Result<T, WechatError>>,
    ) -> Result<T, NotExchanged> {
        if let Some(Refused { error, unrecorded }) = self.refused.get(code, now) {
            return Err(NotExchanged::Refused(Refusal {
                error,
                looks: usize::from(!unrecorded),
                origin: Origin::Memory,
            }));
        }
        if !locked(&self.in_exchange).insert(code.clone()) {
            let (error, looks) = (WechatError::CodeUsed, POLL_DELAYS.len());
            return Err(NotExchanged::Refused(Refusal { error, looks, origin: Origin::InExchange }));
        }
        let _turn = Turn(self, code);
        self.admit(sender, now)?;
        ask.await.map_err(|error| match error {
            // Whoever used it may be writing its record still.
            WechatError::CodeUsed => {
                NotExchanged::Refused(Refusal { error, looks: POLL_DELAYS.len(), origin: Origin::Wechat })
            }
            WechatError::CodeInvalid => NotExchanged::Refused(Refusal { error, looks: 1, origin: Origin::Wechat }),
            error => {
                if may_be_provoked(&error) {
                    self.charge(sender, now);
                }
                if let WechatError::Busy { errcode: 45009 | 45011, .. } = error {
                    self.heed_quota_word(sender, now);
                }
                NotExchanged::Wechat(error)
            }
        })
    }

    /// Keeps a refusal that gave no session either, and charges the sender if WeChat has just called the code invalid.
    /// `unrecorded` says that the table was looked at and has no record.
    pub fn keep(&self, sender: &Sender, code: &CodeHash, refusal: &Refusal, unrecorded: bool, now: Secs) {
        if refusal.origin == Origin::InExchange {
            return;
        }
        let is_invalid = matches!(refusal.error, WechatError::CodeInvalid);
        let kept =
            Refused { error: refusal.error.clone(), unrecorded: is_invalid && (unrecorded || refusal.looks == 0) };
        self.refused.put(code.clone(), kept, now + REFUSED, now);
        if is_invalid && refusal.origin == Origin::Wechat {
            self.charge(sender, now);
        }
    }

    fn admit(&self, sender: &Sender, now: Secs) -> Result<(), NotExchanged> {
        let owes_little = |user| self.users.level(&user, now) < USER_MAY_OWE;
        let network = (sender.appid.clone(), sender.network.clone());
        if self.limit == 0 || sender.user.is_some_and(owes_little) || self.networks.level(&network, now) < self.limit {
            return Ok(());
        }
        if let Some(retry_after) = self.quota_word(&sender.appid, now) {
            return Err(NotExchanged::TooManyCharged { retry_after });
        }
        let is_admitted = match self.apps.level(&sender.appid, now) {
            0..FEW => true,
            FEW..MOST => entropy::bytes::<1>(&*self.entropy)[0] < u8::MAX / 3,
            MOST.. => false,
        };
        if is_admitted { Ok(()) } else { Err(NotExchanged::TooManyCharged { retry_after: 1 }) }
    }

    fn charge(&self, sender: &Sender, now: Secs) {
        let network = (sender.appid.clone(), sender.network.clone());
        if self.networks.level(&network, now) < self.limit + BEYOND_LIMIT {
            self.networks.add(network, now);
        }
        if self.apps.level(&sender.appid, now) < MOST {
            self.apps.add(sender.appid.clone(), now);
        }
        if let Some(user) = sender.user.filter(|user| self.users.level(user, now) < USER_MAY_OWE) {
            self.users.add(user, now);
        }
    }

    fn heed_quota_word(&self, sender: &Sender, now: Secs) {
        let mut words = locked(&self.quota_words);
        let told = words.entry(sender.appid.clone()).or_default();
        told.retain(|(network, _)| *network != sender.network);
        told.push((sender.network.clone(), now));
        let surplus = told.len().saturating_sub(SEVERAL);
        told.drain(..surplus);
    }

    /// How long WeChat's word on its quota still counts, if several networks were told it.
    fn quota_word(&self, appid: &AppId, now: Secs) -> Option<Secs> {
        let words = locked(&self.quota_words);
        let told = words.get(appid).filter(|told| told.len() == SEVERAL)?;
        let (_, first) = told.first()?;
        (first + QUOTA_WORD).checked_sub(now).filter(|left| *left > 0)
    }
}

/// Whether the text of a code may have brought this about. No connection is nobody's doing; what is left is WeChat's word
/// about us, about its quota, or about the user of a genuine code.
fn may_be_provoked(error: &WechatError) -> bool {
    matches!(
        error,
        WechatError::NoAnswer(_) | WechatError::Failed(_) | WechatError::Unreadable(_) | WechatError::Unknown { .. }
    )
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
