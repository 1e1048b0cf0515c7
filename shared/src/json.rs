//! Strict JSON: what our parser and another one could read differently is refused.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::{
    Deserialize,
    de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Nothing of ours nests deeper than an object in an object; a watermark's unknown members may.
const DEEPEST: usize = 4;

/// Why a text is not the JSON it should be. The source may quote the text: it is for tests, never for a log.
#[derive(Debug, thiserror::Error)]
#[error("not the expected JSON")]
pub struct JsonDefect(#[source] serde_json::Error);

/// Reads one JSON object of a known form, at most so many levels deep, without a key given twice.
///
/// Unknown members are ignored wherever `T` ignores them: old and new clients must both be understood.
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

/// Reads the body of a request, at most four levels deep. The defect names the member that is wrong.
///
/// The members of these names may hold anything that is JSON: they are [`Lenient`] parts of a whole that must not fail for
/// their sake.
pub fn object_of<T: DeserializeOwned>(text: &[u8], lenient: &[&str]) -> Result<T, MemberDefect> {
    let members = read::<BTreeMap<String, Box<RawValue>>>(text, DEEPEST, lenient);
    let members = members.map_err(|_| MemberDefect::NotAnObject)?;
    members_of(members.iter().map(|(name, value)| (name.clone(), &**value)))
}

/// Reads a struct from its members.
pub fn members_of<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    members: impl IntoIterator<Item = (String, D)>,
) -> Result<T, MemberDefect> {
    T::deserialize(Members { rest: members.into_iter(), value: None, known: &[] })
}

/// Why the members of a request are not what they should be. A name is that of a field of a type, and nothing that the
/// client wrote is kept: this may be logged and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberDefect {
    /// It is not one object in strict JSON.
    #[error("it is not one JSON object, a key is given twice, or it nests too deep")]
    NotAnObject,
    /// A member is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A member is given twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// A member is of another type, length or form than it should be.
    #[error("{0} is not of its form")]
    Malformed(&'static str),
    /// Something else is wrong.
    #[error("it is not of its form")]
    Other,
}

impl MemberDefect {
    /// The member that is wrong, if that is known.
    #[must_use]
    pub fn member(self) -> Option<&'static str> {
        match self {
            Self::Missing(name) | Self::Twice(name) | Self::Malformed(name) => Some(name),
            Self::NotAnObject | Self::Other => None,
        }
    }
}

impl de::Error for MemberDefect {
    /// The text may quote a value, so nothing of it is kept.
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::Twice(name)
    }
}

/// The members of an object, read one by one, so that it is known at which one reading failed.
struct Members<I, D> {
    rest: I,
    /// What comes next: the value of a member, and its name if the struct has such a field.
    value: Option<(Option<&'static str>, D)>,
    known: &'static [&'static str],
}

impl<'de, I: Iterator<Item = (String, D)>, D: Deserializer<'de>> Deserializer<'de> for Members<I, D> {
    type Error = MemberDefect;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, MemberDefect> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, MemberDefect> {
        visitor.visit_map(Self { known: fields, ..self })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, I: Iterator<Item = (String, D)>, D: Deserializer<'de>> MapAccess<'de> for Members<I, D> {
    type Error = MemberDefect;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, MemberDefect> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((self.known.iter().find(|known| **known == name).copied(), value));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, MemberDefect> {
        let (name, value) = self.value.take().ok_or(MemberDefect::Other)?;
        seed.deserialize(value).map_err(|_| name.map_or(MemberDefect::Other, MemberDefect::Malformed))
    }
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

/// A text of JSON. Half of an emoji may be left in it, written as `\ud83d`: no text can hold that, so U+FFFD has its place.
#[must_use]
pub fn readable_text(written: &str) -> Option<String> {
    serde_json::Deserializer::from_str(written).deserialize_bytes(Readable).ok()
}

struct Readable;

impl Visitor<'_> for Readable {
    type Value = String;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    /// In bytes a half is there as if it were a character.
    fn visit_bytes<E>(self, text: &[u8]) -> Result<String, E> {
        let mut text = text.to_vec();
        for at in 0..text.len().saturating_sub(2) {
            if text[at] == 0xed && text[at + 1] >= 0xa0 {
                text[at..at + 3].copy_from_slice("\u{fffd}".as_bytes());
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
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
    use serde_json::Value;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Named {
        name: String,
    }

    fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonDefect> {
        nested(text, DEEPEST)
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

    /// A text whose defect quotes it.
    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(try_from = "String")]
    struct Short(String);

    impl TryFrom<String> for Short {
        type Error = String;

        fn try_from(text: String) -> Result<Self, String> {
            if text.len() < 5 { Ok(Self(text)) } else { Err(format!("missing field `{text}`")) }
        }
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Request {
        code: Short,
        #[serde(rename = "userInfo")]
        user_info: Option<Named>,
        count: Option<u8>,
    }

    #[test]
    fn the_member_that_is_wrong_is_named_and_never_its_value() {
        use MemberDefect::{Malformed, Missing, NotAnObject};
        for (text, defect) in [
            ("{}", Missing("code")),
            (r#"{"js_code":"MARKER"}"#, Missing("code")),
            (r#"{"code":"MARKER"}"#, Malformed("code")),
            (r#"{"code":null}"#, Malformed("code")),
            (r#"{"code":["MARKER"]}"#, Malformed("code")),
            (r#"{"code":"c","count":"MARKER"}"#, Malformed("count")),
            (r#"{"code":"c","count":256}"#, Malformed("count")),
            (r#"{"code":"c","userInfo":{"MARKER":1}}"#, Malformed("userInfo")),
            (r#"{"code":"c","userInfo":"MARKER"}"#, Malformed("userInfo")),
            (r#"{"code":"c","code":"MARKER"}"#, NotAnObject),
            (r#"{"code":"c","MARKER":[[[[1]]]]}"#, NotAnObject),
            (r#"["MARKER"]"#, NotAnObject),
            ("MARKER", NotAnObject),
        ] {
            let found = object_of::<Request>(text.as_bytes(), &[]).unwrap_err();
            assert_eq!(found, defect, "{text}");
            assert!(!format!("{found} {found:?}").contains("MARKER"), "{found}");
        }
        let pairs = |texts: &[(&str, &str)]| {
            members_of::<Request, _>(texts.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))))
        };
        assert_eq!(pairs(&[("code", "c"), ("code", "d")]).unwrap_err(), MemberDefect::Twice("code"));
        assert_eq!(pairs(&[("code", "c"), ("other", "d"), ("other", "e")]).unwrap().code, Short("c".to_owned()));
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

    fn login(text: &str) -> Result<Login, MemberDefect> {
        object_of(text.as_bytes(), &["device"])
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

        /// Whatever the client sends, what is said of it are names of fields.
        #[test]
        fn only_names_of_fields_are_said(name in "[a-zA-Z_]{1,12}", value in "[ -~]{0,20}", count: i32) {
            for member in [serde_json::json!({ &name: &value }), serde_json::json!({ "code": value, "count": count })] {
                let text = member.to_string();
                let strict = parse::<Request>(text.as_bytes());
                match object_of::<Request>(text.as_bytes(), &[]) {
                    Ok(request) => prop_assert_eq!(request, strict.unwrap()),
                    Err(defect) => {
                        prop_assert!(strict.is_err());
                        prop_assert!(["code", "userInfo", "count"].contains(&defect.member().unwrap()));
                    }
                }
            }
        }
    }
}
