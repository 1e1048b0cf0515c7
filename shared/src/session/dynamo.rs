//! The table in DynamoDB: expressions, and the one place that turns items into ours and back (`item`).
//!
//! Every write is one conditional request on one item. A repetition by the SDK after a lost acknowledgement meets its own
//! condition and is answered like the first.

mod item;
mod kept;
mod sessions;
mod users;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

use super::StoreError;
use crate::notes;

type Item = HashMap<String, AttributeValue>;

/// A table of DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoTable {
    client: Client,
    table: String,
}

impl DynamoTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(sent(request.send()).await.map_err(|error| failed(&error))?.item)
    }

    /// An update whose refusal shows the item.
    fn update(&self, key: Item, expression: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .update_expression(expression)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// `UpdateItem` with its names and values, which every expression here needs.
trait Fill: Sized {
    /// Names `#x` for each attribute `x`: many of ours are reserved words.
    fn names(self, names: &[&str]) -> Self;
    /// Values `:x`.
    fn values<const N: usize>(self, values: [(&str, AttributeValue); N]) -> Self;
}

impl Fill for UpdateItemFluentBuilder {
    fn names(self, names: &[&str]) -> Self {
        names.iter().fold(self, |request, name| request.expression_attribute_names(format!("#{name}"), *name))
    }

    fn values<const N: usize>(self, values: [(&str, AttributeValue); N]) -> Self {
        values.into_iter().fold(self, |request, (name, value)| request.expression_attribute_values(name, value))
    }
}

/// Sends a request, and notes how long it took.
fn sent<T>(call: impl Future<Output = T>) -> impl Future<Output = T> {
    // The SDK's futures are large: one on the heap beside a network call, not a copy in every caller.
    let call = Box::pin(call);
    notes::timed(|notes| &mut notes.dynamodb, call)
}

/// What became of a conditional update.
enum Written {
    Applied(Item),
    Refused(Option<Item>),
}

/// Tells a refusal, which is an answer, from a failure.
fn written(result: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Written, StoreError> {
    match result {
        Ok(output) => Ok(Written::Applied(output.attributes.unwrap_or_default())),
        Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
            match error.into_err() {
                UpdateItemError::ConditionalCheckFailedException(refusal) => Ok(Written::Refused(refusal.item)),
                other => Err(StoreError::Unavailable(Box::new(Failure::of(&other)))),
            }
        }
        Err(error) => Err(failed(&error)),
    }
}

/// A failure of the service in its own word for it; the SDK's errors may quote requests.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl Failure {
    fn of(error: &impl ProvideErrorMetadata) -> Self {
        Self(error.code().unwrap_or("unknown").to_owned())
    }
}

fn failed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> StoreError {
    let failure = match error {
        SdkError::ServiceError(error) => Failure::of(error.err()),
        SdkError::TimeoutError(_) => Failure("timeout".to_owned()),
        SdkError::DispatchFailure(_) => Failure("no connection".to_owned()),
        SdkError::ResponseError(_) => Failure("unreadable answer".to_owned()),
        _ => Failure("request not built".to_owned()),
    };
    match failure.0.as_str() {
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
            StoreError::Throttled
        }
        _ => StoreError::Unavailable(Box::new(failure)),
    }
}
