//! The embedded DynamoDB as a backend, reached through the real SDK.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use tests::Laptop;
use tests::table::{
    conformance::{Backend, Show},
    memory::{Snapshot, Value},
};

/// The items behind the SDK.
pub(crate) struct Scan {
    client: Client,
    table: String,
}

impl Scan {
    async fn all(&self) -> Vec<HashMap<String, AttributeValue>> {
        let answer = self.client.scan().table_name(&self.table).consistent_read(true).send().await.unwrap();
        assert!(answer.last_evaluated_key.is_none(), "more than a page");
        answer.items.unwrap_or_default()
    }

    pub(crate) async fn clear(&self) {
        for mut item in self.all().await {
            item.retain(|name, _| name == "pk" || name == "sk");
            self.client.delete_item().table_name(&self.table).set_key(Some(item)).send().await.unwrap();
        }
    }
}

#[async_trait]
impl Show for Scan {
    async fn show(&self) -> Snapshot {
        let text = |value: Option<AttributeValue>| value.unwrap().as_s().unwrap().clone();
        let keyed = |mut item: HashMap<String, AttributeValue>| {
            let key = (text(item.remove("pk")), text(item.remove("sk")));
            (key, item.into_iter().map(|(name, value)| (name, plain(value))).collect())
        };
        self.all().await.into_iter().map(keyed).collect()
    }
}

fn plain(value: AttributeValue) -> Value {
    match value {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::N(number) => Value::Number(number.parse().unwrap()),
        AttributeValue::S(text) => Value::Text(text),
        AttributeValue::B(bytes) => Value::Bytes(bytes.into_inner()),
        AttributeValue::Ss(texts) => Value::Texts(texts.into_iter().collect()),
        other => panic!("we store no {other:?}"),
    }
}

/// The laptop's table.
pub(crate) fn backend(laptop: &Laptop) -> (Backend, Arc<Scan>) {
    let (client, table) = laptop.dynamodb();
    let scan = Arc::new(Scan { client, table });
    (Backend { table: laptop.world.env.table().unwrap(), items: scan.clone() }, scan)
}
