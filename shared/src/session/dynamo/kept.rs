//! What is kept for a while: claims and platform tokens.

use async_trait::async_trait;

use super::{
    DynamoTable, Fill as _, Written, failed,
    item::{BROOM, bytes, claim_key, get_bytes, get_number, number, platform_token_key},
    sent, written,
};
use crate::{
    clock::Secs,
    ids::AppId,
    session::{
        KeepClaim, KeepPlatformToken, LeaseHolder, StoreError, StoredToken,
        claim::{Claim, CodeHash},
    },
};

#[async_trait]
impl KeepClaim for DynamoTable {
    async fn put(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut item = claim_key(&claim.code);
        item.insert("sealed".to_owned(), bytes(claim.sealed.clone()));
        item.insert("until".to_owned(), number(claim.until));
        // No day longer: it may hold a phone number.
        item.insert("ttl".to_owned(), number(claim.until));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        sent(put.send()).await.map(drop).map_err(|error| failed(&error))
    }

    async fn get(&self, code: &CodeHash) -> Result<Option<Claim>, StoreError> {
        let Some(item) = self.get_item(claim_key(code)).await? else {
            return Ok(None);
        };
        let (sealed, until) = (get_bytes(&item, "sealed")?.to_vec(), get_number(&item, "until")?);
        Ok(Some(Claim { code: code.clone(), sealed, until }))
    }
}

#[async_trait]
impl KeepPlatformToken for DynamoTable {
    async fn stored(&self, appid: &AppId) -> Result<Option<StoredToken>, StoreError> {
        let item = self.get_item(platform_token_key(appid)).await?;
        // While the first token is being fetched the item holds the lease alone.
        let Some(item) = item.filter(|item| item.contains_key("sealed")) else {
            return Ok(None);
        };
        Ok(Some(StoredToken {
            sealed: get_bytes(&item, "sealed")?.to_vec(),
            renew_at: get_number(&item, "renew_at")?,
            expires_at: get_number(&item, "expires_at")?,
        }))
    }

    async fn lease(&self, appid: &AppId, holder: LeaseHolder, now: Secs, until: Secs) -> Result<bool, StoreError> {
        let request = self
            .update(platform_token_key(appid), "SET #leased_until = :until, #holder = :holder")
            .condition_expression("attribute_not_exists(#leased_until) OR #leased_until <= :now OR #holder = :holder")
            .names(&["leased_until", "holder"])
            .values([(":until", number(until)), (":now", number(now)), (":holder", bytes(holder.0))]);
        Ok(matches!(written(sent(request.send()).await)?, Written::Applied(_)))
    }

    async fn release(&self, appid: &AppId, holder: LeaseHolder) -> Result<(), StoreError> {
        let request = self
            .update(platform_token_key(appid), "REMOVE #leased_until, #holder")
            .condition_expression("#holder = :holder")
            .names(&["leased_until", "holder"])
            .values([(":holder", bytes(holder.0))]);
        written(sent(request.send()).await).map(drop)
    }

    async fn keep(&self, appid: &AppId, holder: LeaseHolder, token: &StoredToken) -> Result<(), StoreError> {
        let expression = "SET #sealed = :sealed, #renew_at = :renew_at, #expires_at = :expires_at, #ttl = :ttl \
            REMOVE #leased_until, #holder";
        let request = self
            .update(platform_token_key(appid), expression)
            .condition_expression("#holder = :holder")
            .names(&["sealed", "renew_at", "expires_at", "ttl", "leased_until", "holder"])
            .values([
                (":sealed", bytes(token.sealed.clone())),
                (":renew_at", number(token.renew_at)),
                (":expires_at", number(token.expires_at)),
                (":ttl", number(token.expires_at + BROOM)),
                (":holder", bytes(holder.0)),
            ]);
        // Refused: another has fetched since, and its token is the newer one.
        written(sent(request.send()).await).map(drop)
    }
}
