//! Idempotency records.

use async_trait::async_trait;

use super::{
    DynamoTable,
    item::{bytes, get_bytes, get_number, number, record_item_key},
};
use crate::{
    session::idempotency::{CodeHash, IdempotencyRecord},
    store::{
        StoreError,
        grants::{EraseIdempotencyRecord, KeepIdempotencyRecord},
    },
};

#[async_trait]
impl KeepIdempotencyRecord for DynamoTable {
    async fn put_idempotency_record(&self, record: &IdempotencyRecord) -> Result<(), StoreError> {
        let mut item = record_item_key(&record.code);
        item.insert("sealed".to_owned(), bytes(record.sealed.clone()));
        item.insert("until".to_owned(), number(record.expires_at));
        // Without TTL slack, because the record may hold a phone number.
        item.insert("ttl".to_owned(), number(record.expires_at));
        self.put(item, "", Vec::new()).await.map(drop)
    }

    async fn get_idempotency_record(&self, code: &CodeHash) -> Result<Option<IdempotencyRecord>, StoreError> {
        let Some(item) = self.get(record_item_key(code)).await? else {
            return Ok(None);
        };
        let (sealed, expires_at) = (get_bytes(&item, "sealed")?.to_vec(), get_number(&item, "until")?);
        Ok(Some(IdempotencyRecord { code: code.clone(), sealed, expires_at }))
    }
}

#[async_trait]
impl EraseIdempotencyRecord for DynamoTable {
    async fn erase_idempotency_record(&self, code: &CodeHash) -> Result<(), StoreError> {
        self.delete(record_item_key(code), "", Vec::new()).await.map(drop)
    }
}
