//! Strict JSON: what our parser and another one could read differently is refused.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize as _,
    de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};

/// Nothing of ours nests deeper than an object in an object; a watermark's unknown members may.
const DEEPEST: usize = 4;

/// Why a text is not the JSON it should be. The source may quote the text: it is for tests, never for a log.
#[derive(Debug, thiserror::Error)]
#[error("not the expected JSON")]
pub struct JsonDefect(#[source] serde_json::Error);

/// Reads one JSON object of a known form, at most four levels deep, without a key given twice.
///
/// Unknown members are ignored wherever `T` ignores them: old and new clients must both be understood.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonDefect> {
    nested(text, DEEPEST)
}

/// The same for texts that others shape, which may nest so many levels deep.
pub fn nested<T: DeserializeOwned>(text: &[u8], deepest: usize) -> Result<T, JsonDefect> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    Level(deepest).deserialize(&mut reader).and_then(|()| reader.end()).map_err(JsonDefect)?;
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(JsonDefect(de::Error::custom("not an object")));
    }
    serde_json::from_slice(text).map_err(JsonDefect)
}

/// For `#[serde(deserialize_with)]` on a member that is a struct: serde would also read it from an array.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<T, D::Error> {
    let members = serde_json::Map::deserialize(value)?;
    T::deserialize(serde_json::Value::Object(members)).map_err(de::Error::custom)
}

/// The same for a member that may be absent or `null`.
pub fn optional_object<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<Option<T>, D::Error> {
    let Some(members) = Option::<serde_json::Map<_, _>>::deserialize(value)? else { return Ok(None) };
    T::deserialize(serde_json::Value::Object(members)).map(Some).map_err(de::Error::custom)
}

/// Walks a value that may nest this many levels deeper, keeping nothing of it.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while items.next_element_seed(below)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(de::Error::custom("a key is given twice"));
            }
            members.next_value_seed(below)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Named {
        name: String,
    }

    #[test]
    fn unknown_members_are_ignored() {
        let named: Named = parse(br#"{"name":"a","later":[1,2.5,null,true,"x"]}"#).unwrap();
        assert_eq!(named.name, "a");
    }

    #[test]
    fn a_key_given_twice_is_refused_at_every_level() {
        assert!(parse::<Named>(br#"{"name":"a","name":"b"}"#).is_err());
        assert!(parse::<Named>(br#"{"name":"a","later":{"x":1,"x":2}}"#).is_err());
        assert!(parse::<Named>(br#"{"name":"a","later":1,"later":2}"#).is_err());
        assert!(parse::<Named>(br#"{"name":"a","n\u0061me":"b"}"#).is_err());
    }

    #[test]
    fn nesting_ends_at_four_levels() {
        assert!(parse::<Named>(br#"{"name":"a","later":[[[1]]]}"#).is_ok());
        assert!(parse::<Named>(br#"{"name":"a","later":[[[[1]]]]}"#).is_err());
    }

    #[test]
    fn wrong_types_and_trailing_text_are_refused() {
        for bad in
            [&br#"{"name":1}"#[..], br#"{"name":"a"} x"#, br#"{"name":"a"}{}"#, b"[]", br#"["a"]"#, b"", b"\xff", b"{"]
        {
            assert!(parse::<Named>(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<serde_json::Value>(&bytes);
        }
    }
}
