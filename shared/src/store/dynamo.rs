//! The table in DynamoDB: expressions, and the one place that turns items into our types and back (`item`).
//!
//! Every write is one request on one item. The SDK may repeat it after a lost acknowledgement. Most writes leave the same
//! item then; where a condition refuses the repetition (a refresh, a lease), the refused item says whose write it met.

mod idempotency;
mod item;
mod platform_tokens;
mod sessions;
mod user_ends;
mod users;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use super::StoreError;
use crate::{request_log, session::WriteResult};

type Item = HashMap<String, AttributeValue>;

/// The values of an expression, named `:x`.
type Values<'a> = Vec<(&'a str, AttributeValue)>;

/// A table of DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    name: String,
}

impl DynamoTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    async fn get(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Ok(measured(request.send()).await.map_err(|error| failed(&error))?.item)
    }

    /// Updates an item if the condition holds, and gives the item either way.
    async fn update(
        &self,
        key: Item,
        update: &str,
        condition: &str,
        values: Values<'_>,
    ) -> Result<WriteResult<Item>, StoreError> {
        self.update_giving(ReturnValue::AllNew, key, update, condition, values).await
    }

    /// Updates an item if the condition holds, and gives the item as it is then or as it was before, or the one that refused it.
    async fn update_giving(
        &self,
        given: ReturnValue,
        key: Item,
        update: &str,
        condition: &str,
        values: Values<'_>,
    ) -> Result<WriteResult<Item>, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(update)
            .set_condition_expression(not_empty(condition))
            .set_expression_attribute_names(attribute_names(&[update, condition]))
            .set_expression_attribute_values(attribute_values(values))
            .return_values(given)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match measured(request.send()).await {
            Ok(output) => Ok(WriteResult::Applied(output.attributes.unwrap_or_default())),
            Err(error) => refused(error, |error| match error {
                UpdateItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                _ => None,
            }),
        }
    }

    /// Puts an item if the condition holds, and gives the one that refused it.
    async fn put(&self, item: Item, condition: &str, values: Values<'_>) -> Result<WriteResult<Item>, StoreError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_condition_expression(not_empty(condition))
            .set_expression_attribute_names(attribute_names(&[condition]))
            .set_expression_attribute_values(attribute_values(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match measured(request.send()).await {
            Ok(_) => Ok(WriteResult::Applied(Item::default())),
            Err(error) => refused(error, |error| match error {
                PutItemError::ConditionalCheckFailedException(refusal) => refusal.item,
                _ => None,
            }),
        }
    }

    /// Deletes an item if the condition holds.
    async fn delete(&self, key: Item, condition: &str, values: Values<'_>) -> Result<(), StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .set_condition_expression(not_empty(condition))
            .set_expression_attribute_names(attribute_names(&[condition]))
            .set_expression_attribute_values(attribute_values(values));
        match measured(request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => refused(error, |_| None).map(|_: WriteResult<Item>| ()),
        }
    }
}

/// DynamoDB refuses an empty condition.
fn not_empty(condition: &str) -> Option<String> {
    Some(condition.to_owned()).filter(|text| !text.is_empty())
}

/// The attributes `x` that expressions name as `#x`: many of ours are reserved words of DynamoDB.
fn attribute_names(expressions: &[&str]) -> Option<HashMap<String, String>> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let after_signs = expressions.iter().flat_map(|expression| expression.split('#').skip(1));
    let attributes = after_signs.map(|text| text.split(|letter| !is_name(letter)).next().unwrap_or_default());
    let names: HashMap<_, _> = attributes.map(|name| (format!("#{name}"), name.to_owned())).collect();
    Some(names).filter(|names| !names.is_empty())
}

fn attribute_values(values: Values<'_>) -> Option<HashMap<String, AttributeValue>> {
    let values: HashMap<_, _> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some(values).filter(|values| !values.is_empty())
}

/// Sends a request and records how long it took.
fn measured<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    // The SDK's futures are large: one allocation per network call is cheaper than a copy in every caller.
    let call = Box::pin(call);
    request_log::timed(|fields| &mut fields.dynamodb, call)
}

/// Tells a condition that did not hold, which is a result, from a failure.
fn refused<T, E: ProvideErrorMetadata>(
    error: SdkError<E>,
    item: impl FnOnce(E) -> Option<T>,
) -> Result<WriteResult<T>, StoreError> {
    match error {
        SdkError::ServiceError(error) if error.err().code() == Some("ConditionalCheckFailedException") => {
            Ok(WriteResult::Refused(item(error.into_err())))
        }
        error => Err(failed(&error)),
    }
}

/// A failure of the service, by its code; the SDK's own errors may quote requests.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

fn failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> StoreError {
    let code = match error {
        SdkError::ServiceError(error) => error.err().code().unwrap_or("unknown"),
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "unreadable response",
        _ => "request not built",
    };
    match code {
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
            StoreError::Throttled
        }
        _ => StoreError::Unavailable(Box::new(Failure(code.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_expressions_are_found() {
        let names = attribute_names(&[
            "SET #a_1 = if_not_exists(#b, :x), #c=#c + :y",
            "attribute_exists(pk) AND NOT #b IN (:z)",
        ]);

        let names = names.unwrap();
        let mut found: Vec<_> = names.iter().map(|(name, attribute)| format!("{name} {attribute}")).collect();
        found.sort();
        assert_eq!(found, ["#a_1 a_1", "#b b", "#c c"]);
        assert!(super::attribute_names(&["attribute_exists(pk)", ""]).is_none());
    }
}
