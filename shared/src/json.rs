//! Strict JSON: what our parser and another one could read differently is refused.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

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
    read(text, DEEPEST, &[])
}

/// The same, but the members of these names may hold anything that is JSON: they are [`Lenient`] parts of a whole that must
/// not fail for their sake.
pub fn with_lenient<T: DeserializeOwned>(text: &[u8], lenient: &[&str]) -> Result<T, JsonDefect> {
    read(text, DEEPEST, lenient)
}

/// The same for texts that others shape, which may nest so many levels deep.
pub fn nested<T: DeserializeOwned>(text: &[u8], deepest: usize) -> Result<T, JsonDefect> {
    read(text, deepest, &[])
}

fn read<T: DeserializeOwned>(text: &[u8], deepest: usize, lenient: &[&str]) -> Result<T, JsonDefect> {
    let whole: &RawValue = serde_json::from_slice(text).map_err(JsonDefect)?;
    if !whole.get().starts_with('{') {
        return Err(JsonDefect(de::Error::custom("not an object")));
    }
    Level { deeper: deepest, lenient }.check(whole).map_err(JsonDefect)?;
    serde_json::from_str(whole.get()).map_err(JsonDefect)
}

/// For `#[serde(deserialize_with)]` on a member that is a struct: serde would also read it from an array.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(value: D) -> Result<T, D::Error> {
    let members = serde_json::Map::deserialize(value)?;
    T::deserialize(serde_json::Value::Object(members)).map_err(de::Error::custom)
}

/// An optional member that never makes its whole unreadable: what is no `T` counts as absent.
#[derive(Clone, Copy, Debug)]
pub struct Lenient<T>(pub Option<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let strict = Level { deeper: DEEPEST, lenient: &[] };
        let value = Option::<Box<RawValue>>::deserialize(value)?.filter(|value| strict.check(value).is_ok());
        Ok(Self(value.and_then(|value| serde_json::from_str(value.get()).ok())))
    }
}

/// An optional member: `""` and `null` count as absent, and anything else has to be a `T`.
#[derive(Clone, Debug)]
pub struct Optional<T>(pub Option<T>);

impl<'de, T: TryFrom<String, Error: fmt::Display>> Deserialize<'de> for Optional<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(value)?.filter(|text| !text.is_empty());
        text.map(T::try_from).transpose().map(Self).map_err(de::Error::custom)
    }
}

/// A value that may nest so many levels deeper. Keys are read; texts and numbers are not, as nobody may want them: half an
/// emoji in a member that is ignored makes nothing else unreadable.
#[derive(Clone, Copy)]
struct Level<'a> {
    deeper: usize,
    /// Members of this object in which nothing is looked at.
    lenient: &'a [&'a str],
}

impl Level<'_> {
    fn check(self, value: &RawValue) -> Result<(), serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(value.get());
        match value.get().as_bytes().first() {
            Some(b'{') => reader.deserialize_map(self),
            Some(b'[') => reader.deserialize_seq(self),
            _ => Ok(()),
        }
    }

    fn below<E: de::Error>(self) -> Result<Level<'static>, E> {
        let deeper = self.deeper.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Level { deeper, lenient: &[] })
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below()?;
        while let Some(item) = items.next_element::<&RawValue>()? {
            below.check(item).map_err(de::Error::custom)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            let member = members.next_value::<&RawValue>()?;
            if !self.lenient.contains(&key.as_str()) {
                below.check(member).map_err(de::Error::custom)?;
            }
            if !seen.insert(key) {
                return Err(de::Error::custom("a key is given twice"));
            }
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

    #[derive(Debug, serde::Deserialize)]
    struct Login {
        name: String,
        device: Lenient<Named>,
        appid: Optional<String>,
    }

    fn login(text: &str) -> Result<Login, JsonDefect> {
        with_lenient(text.as_bytes(), &["device"])
    }

    #[test]
    fn a_lenient_member_is_read_or_absent_and_never_makes_the_whole_unreadable() {
        let device = |text: &str| login(&format!(r#"{{"name":"a","device":{text}}}"#)).unwrap().device.0;

        assert_eq!(device(r#"{"name":"b"}"#), Some(Named { name: "b".into() }));
        for odd in [
            "null",
            "1e999",
            r#""\ud83d""#,
            r#"{"\ud83d":1}"#,
            r#"{"name":"b","name":"c"}"#,
            r#"{"name":"b","later":[[[[[1]]]]]}"#,
            r#"{"name":"\ud83d"}"#,
        ] {
            assert_eq!(device(odd), None, "{odd}");
        }
        assert_eq!(device(&format!("{}{}", "[".repeat(8_000), "]".repeat(8_000))), None);
        assert!(login(r#"{"name":"a"}"#).unwrap().device.0.is_none());
        for bad in
            [r#"{"name":"\ud83d","device":1}"#, r#"{"name":"a","device":1,"device":2}"#, r#"{"name":"a","device":{}"#]
        {
            assert!(login(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_optional_member_is_absent_if_it_is_empty_or_null_and_has_its_form_otherwise() {
        let appid = |text: &str| login(&format!(r#"{{"name":"a","appid":{text}}}"#)).map(|login| login.appid.0);

        assert_eq!(appid("\"x\"").unwrap().as_deref(), Some("x"));
        assert_eq!((appid("\"\"").unwrap(), appid("null").unwrap()), (None, None));
        assert_eq!((appid("1").is_err(), appid("{}").is_err()), (true, true));
        assert_eq!(login(r#"{"name":"a"}"#).unwrap().name, "a");
    }

    #[test]
    fn texts_and_numbers_that_nobody_reads_may_be_any() {
        assert!(parse::<Named>(br#"{"name":"a","later":["\ud83d",1e999]}"#).is_ok());
        assert!(parse::<Named>(br#"{"name":"\ud83d"}"#).is_err());
        assert!(parse::<Named>(br#"{"name":"a","later":"\x"}"#).is_err());
        assert!(parse::<Named>(b"{\"name\":\"a\",\"later\":\"\xff\"}").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<serde_json::Value>(&bytes);
        }
    }
}
