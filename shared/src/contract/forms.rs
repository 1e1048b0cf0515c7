//! The forms of texts, which the code checks where it parses them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::{
    ids::{AppId, DeviceId, OpenId},
    json::{Lenient, Optional},
    secret_text::{IdempotencyKey, LoginCode, PhoneCode},
    token::device::{PresentedDevice, ProvenDevice},
    wechat::opendata::{EncryptedData, Iv},
};

/// Declares the schema of a text by its pattern.
macro_rules! forms {
    ($($name:ident, $pattern:expr;)*) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

// Where base64 ends within a group, the bits beyond the last byte are zero, so only few characters are possible there.
forms! {
    AppId, "^[A-Za-z0-9_-]{1,64}$";
    DeviceId, "^[A-Za-z0-9_-]{21}[AQgw]$";
    PresentedDevice, r"^[A-Za-z0-9_-]{21}[AQgw](\..*)?$";
    ProvenDevice, r"^[A-Za-z0-9_-]{21}[AQgw](\.[A-Za-z0-9_-]{48})?$";
    OpenId, "^[!-~]{1,128}$";
    LoginCode, "^[A-Za-z0-9_-]{1,512}$";
    PhoneCode, "^[A-Za-z0-9_-]{1,512}$";
    IdempotencyKey, "^[!-~]{16,128}$";
    EncryptedData, concat!(
        "^([A-Za-z0-9+/]{64})*",
        "([A-Za-z0-9+/]{21}[AQgw]==|[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/]{64})$",
    );
    Iv, "^[A-Za-z0-9+/]{21}[AQgw]==$";
}

/// What it should be, and whatever else there is.
impl<T: JsonSchema> JsonSchema for Lenient<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Lenient{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<T>(), true] })
    }

    fn _schemars_private_is_option() -> bool {
        true
    }
}

impl<T: JsonSchema> JsonSchema for Optional<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Optional{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<T>(), { "enum": ["", null] }] })
    }

    fn _schemars_private_is_option() -> bool {
        true
    }
}

/// Exactly one of these groups of texts is given; the members of the others are absent or `null`.
#[must_use]
pub fn one_of(groups: &[&[&str]]) -> Value {
    let form = |given: &&[&str]| {
        let kind = |name: &&str| json!({ "type": if given.contains(name) { "string" } else { "null" } });
        let properties: Map<_, _> = groups.concat().iter().map(|name| ((*name).to_owned(), kind(name))).collect();
        json!({ "required": given, "properties": properties })
    };
    groups.iter().map(form).collect()
}
