//! Platform tokens, and the lease of the one process that fetches a new one.

use async_trait::async_trait;

use super::{
    DynamoTable,
    item::{TTL_SLACK, bytes, get_bytes, get_number, number, platform_token_item_key},
};
use crate::{
    clock::Secs,
    ids::AppId,
    session::WriteResult,
    store::{
        StoreError,
        grants::{KeepPlatformToken, LeaseHolder, StoredPlatformToken},
    },
};

#[async_trait]
impl KeepPlatformToken for DynamoTable {
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredPlatformToken>, StoreError> {
        let item = self.get(platform_token_item_key(appid)).await?;
        // While the first token is being fetched the item holds only the lease.
        let Some(item) = item.filter(|item| item.contains_key("sealed")) else {
            return Ok(None);
        };
        Ok(Some(StoredPlatformToken {
            sealed: get_bytes(&item, "sealed")?.to_vec(),
            renew_at: get_number(&item, "renew_at")?,
            expires_at: get_number(&item, "expires_at")?,
        }))
    }

    async fn lease(&self, appid: &AppId, holder: LeaseHolder, now: Secs, until: Secs) -> Result<bool, StoreError> {
        let result = self
            .update(
                platform_token_item_key(appid),
                "SET #leased_until = :until, #holder = :holder",
                "attribute_not_exists(#leased_until) OR #leased_until <= :now OR #holder = :holder",
                vec![(":until", number(until)), (":now", number(now)), (":holder", bytes(holder.0))],
            )
            .await?;
        Ok(matches!(result, WriteResult::Applied(_)))
    }

    async fn release(&self, appid: &AppId, holder: LeaseHolder) -> Result<(), StoreError> {
        let values = vec![(":holder", bytes(holder.0))];
        self.update(platform_token_item_key(appid), "REMOVE #leased_until, #holder", "#holder = :holder", values)
            .await
            .map(drop)
    }

    async fn keep(&self, appid: &AppId, holder: LeaseHolder, token: &StoredPlatformToken) -> Result<(), StoreError> {
        // If this is refused, another process has fetched since, and its token is the newer one.
        self.update(
            platform_token_item_key(appid),
            "SET #sealed = :sealed, #renew_at = :renew_at, #expires_at = :expires_at, #ttl = :ttl \
                REMOVE #leased_until, #holder",
            "#holder = :holder",
            vec![
                (":sealed", bytes(token.sealed.clone())),
                (":renew_at", number(token.renew_at)),
                (":expires_at", number(token.expires_at)),
                (":ttl", number(token.expires_at + TTL_SLACK)),
                (":holder", bytes(holder.0)),
            ],
        )
        .await
        .map(drop)
    }
}
