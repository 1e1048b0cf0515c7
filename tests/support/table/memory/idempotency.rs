//! What is kept for a while: idempotency records and platform tokens.

use async_trait::async_trait;

use super::{Clause, Hooks, Item, Items, Key, MemoryTable, Pushes, at_most, bytes, get_bytes, get_number, is, number};
use shared::{
    clock::Secs,
    ids::AppId,
    session::idempotency::{CodeHash, IdempotencyRecord},
    store::{
        StoreError,
        grants::{
            BeginExchange, BindSignature, EraseIdempotencyRecord, GiveUpExchange, KeepIdempotencyRecord,
            KeepPlatformToken, LeaseHolder, StoredPlatformToken,
        },
    },
};

fn record_key(code: &CodeHash) -> Key {
    (format!("code#{}", code.as_str()), "code".to_owned())
}

fn token_key(appid: &AppId) -> Key {
    (format!("app#{appid}"), "access_token".to_owned())
}

fn put(items: &mut Items, record: &IdempotencyRecord) {
    let mut item = Item::from([("until", number(record.expires_at)), ("ttl", number(record.expires_at))]);
    if !record.is_erased() {
        item.insert("sealed", bytes(record.sealed.clone()));
    }
    items.insert(record_key(&record.code), item);
}

#[async_trait]
impl KeepIdempotencyRecord for MemoryTable {
    async fn put_idempotency_record(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        let put = |items: &mut Items| {
            let there = items.get(&record_key(&record.code));
            if self.and(Clause::RecordNotErased, there.is_none_or(|there| there.contains_key("sealed"))) {
                put(items, record);
            }
        };
        self.send(put).await
    }

    async fn get_idempotency_record(&self, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError> {
        let get = |items: &mut Items| {
            let item = items.get(&record_key(code))?;
            let sealed = get_bytes(item, "sealed").unwrap_or_default().to_vec();
            let expires_at = get_number(item, "until")?;
            Some(IdempotencyRecord { code: code.clone(), sealed, expires_at })
        };
        self.send(get).await
    }
}

#[async_trait]
impl BeginExchange for MemoryTable {
    async fn begin_exchange(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        // Of a message that deletes something; another mark says that the owner's function is asked.
        let is_arrival = mark.push_arrival().is_some();
        let written = match (self.hooks.pushes, is_arrival) {
            (Pushes::Done, true) => IdempotencyRecord::of_obeyed_push(mark.code.clone(), mark.expires_at),
            (Pushes::Done, false) => IdempotencyRecord::of_push_answer(mark.code.clone(), b"null", now + 86_400),
            _ => mark.clone(),
        };
        let begin = |items: &mut Items| {
            let there = items.get(&record_key(&mark.code)).cloned();
            let has = |holds: &dyn Fn(&Item) -> bool| there.as_ref().is_some_and(holds);
            let may = self.or(Clause::ExchangeNone, there.is_none())
                || self.or(Clause::ExchangeOver, has(&|there| at_most(there, "until", now)))
                || self.or(Clause::ExchangeOwn, has(&|there| is(there, "sealed", &bytes(mark.sealed.clone()))));
            let may = may || self.hooks.pushes == Pushes::Forgotten && is_arrival;
            if may {
                put(items, &written);
            }
            may
        };
        self.send(begin).await
    }
}

#[async_trait]
impl BindSignature for MemoryTable {
    /// One mark is put as the other is.
    async fn bind_signature(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        self.hooked(Hooks::default()).begin_exchange(mark, now).await
    }
}

#[async_trait]
impl GiveUpExchange for MemoryTable {
    async fn give_up_exchange(&self, mark: &IdempotencyRecord) -> Result<(), StoreError> {
        let give_up = |items: &mut Items| {
            let there = items.get(&record_key(&mark.code));
            if there.is_some_and(|there| self.and(Clause::GiveUpOwn, is(there, "sealed", &bytes(mark.sealed.clone()))))
            {
                items.remove(&record_key(&mark.code));
            }
        };
        self.send(give_up).await
    }
}

#[async_trait]
impl EraseIdempotencyRecord for MemoryTable {
    async fn erase_idempotency_record(&self, code: &CodeHash, now: Secs) -> Result<(), StoreError> {
        self.send(|items| put(items, &IdempotencyRecord::erased(code.clone(), now))).await
    }
}

impl MemoryTable {
    /// Changes a platform token if the lease on it is the holder's.
    async fn if_held(
        &self,
        (appid, holder): (&AppId, LeaseHolder),
        clause: Clause,
        token: Option<&StoredPlatformToken>,
    ) -> Result<(), StoreError> {
        let update = |items: &mut Items| {
            let item = items.get(&token_key(appid));
            if !self.and(clause, item.is_some_and(|item| is(item, "holder", &bytes(holder.0)))) {
                return;
            }
            let item = items.entry(token_key(appid)).or_default();
            item.retain(|name, _| !["leased_until", "holder"].contains(name));
            if let Some(token) = token {
                item.insert("sealed", bytes(token.sealed.clone()));
                item.insert("renew_at", number(token.renew_at));
                item.insert("expires_at", number(token.expires_at));
                item.insert("ttl", number(token.expires_at + 86_400));
            }
        };
        self.send(update).await
    }
}

#[async_trait]
impl KeepPlatformToken for MemoryTable {
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredPlatformToken>, StoreError> {
        let get = |items: &mut Items| {
            let item = items.get(&token_key(appid))?;
            Some(StoredPlatformToken {
                sealed: get_bytes(item, "sealed")?.to_vec(),
                renew_at: get_number(item, "renew_at")?,
                expires_at: get_number(item, "expires_at")?,
            })
        };
        self.send(get).await
    }

    async fn lease(&self, appid: &AppId, holder: LeaseHolder, now: Secs, until: Secs) -> Result<bool, StoreError> {
        let update = |items: &mut Items| {
            let there = items.get(&token_key(appid)).cloned().unwrap_or_default();
            let may = self.or(Clause::LeaseFree, !there.contains_key("leased_until"))
                || self.or(Clause::LeaseOver, at_most(&there, "leased_until", now))
                || self.or(Clause::LeaseOwn, is(&there, "holder", &bytes(holder.0)));
            if may {
                let item = items.entry(token_key(appid)).or_default();
                item.insert("leased_until", number(until));
                item.insert("holder", bytes(holder.0));
            }
            may
        };
        self.send(update).await
    }

    async fn release(&self, appid: &AppId, holder: LeaseHolder) -> Result<(), StoreError> {
        self.if_held((appid, holder), Clause::ReleaseOwn, None).await
    }

    async fn keep(&self, appid: &AppId, holder: LeaseHolder, token: &StoredPlatformToken) -> Result<(), StoreError> {
        self.if_held((appid, holder), Clause::KeepOwn, Some(token)).await
    }
}
