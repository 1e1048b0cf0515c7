//! Idempotency records.

use async_trait::async_trait;

use super::{
    DynamoTable, Item,
    item::{bytes, get_bytes, get_number, number, record_item_key},
};
use crate::{
    clock::Secs,
    session::{
        WriteResult,
        idempotency::{CodeHash, IdempotencyRecord},
    },
    store::{
        StoreError,
        grants::{BeginExchange, BindSignature, EraseIdempotencyRecord, GiveUpExchange, KeepIdempotencyRecord},
    },
};

fn item(record: &IdempotencyRecord) -> Item {
    let mut item = record_item_key(&record.code);
    // An erased record has nothing but its time.
    if !record.is_erased() {
        item.insert("sealed".to_owned(), bytes(record.sealed.clone()));
    }
    item.insert("until".to_owned(), number(record.expires_at));
    // Without TTL slack, because the record may hold a phone number.
    item.insert("ttl".to_owned(), number(record.expires_at));
    item
}

#[async_trait]
impl KeepIdempotencyRecord for DynamoTable {
    async fn put_idempotency_record(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        // What was erased stays erased: a phone number that comes late, or again, is not kept any more.
        let condition = "attribute_not_exists(pk) OR attribute_exists(#sealed)";
        self.put(item(record), condition, Vec::new()).await.map(drop)
    }

    async fn get_idempotency_record(&self, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError> {
        let Some(item) = self.get(record_item_key(code)).await? else {
            return Ok(None);
        };
        let sealed = item.contains_key("sealed").then(|| get_bytes(&item, "sealed")).transpose()?;
        let (sealed, expires_at) = (sealed.unwrap_or_default().to_vec(), get_number(&item, "until")?);
        Ok(Some(IdempotencyRecord { code: code.clone(), sealed, expires_at }))
    }
}

impl DynamoTable {
    /// Puts a mark where there is none that is valid, but itself.
    async fn put_mark(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        // The SDK may repeat the write, and must not take its own mark for another's.
        let condition = "attribute_not_exists(pk) OR #until <= :now OR #sealed = :mark";
        let values = vec![(":now", number(now)), (":mark", bytes(mark.sealed.clone()))];
        Ok(matches!(self.put(item(mark), condition, values).await?, WriteResult::Applied(_)))
    }
}

#[async_trait]
impl BeginExchange for DynamoTable {
    async fn begin_exchange(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        self.put_mark(mark, now).await
    }
}

#[async_trait]
impl BindSignature for DynamoTable {
    async fn bind_signature(&self, mark: &IdempotencyRecord, now: Secs) -> Result<bool, StoreError> {
        self.put_mark(mark, now).await
    }
}

#[async_trait]
impl GiveUpExchange for DynamoTable {
    async fn give_up_exchange(&self, mark: &IdempotencyRecord) -> Result<(), StoreError> {
        let values = vec![(":mark", bytes(mark.sealed.clone()))];
        self.delete(record_item_key(&mark.code), "#sealed = :mark", values).await
    }
}

#[async_trait]
impl EraseIdempotencyRecord for DynamoTable {
    async fn erase_idempotency_record(&self, code: &CodeHash, now: Secs) -> Result<(), StoreError> {
        self.put(item(&IdempotencyRecord::erased(code.clone(), now)), "", Vec::new()).await.map(drop)
    }
}
