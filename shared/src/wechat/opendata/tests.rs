//! Open data: the vectors of others, data of our own making, and any bytes.

use super::*;
use crate::wechat::ciphertext::{BLOCK, unpad};
use aes::Aes128;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use proptest::prelude::*;
use serde_json::{Map, json};

/// All bits nought: what a missing key is in the cipher.
const NOUGHT: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
const OTHER: &str = "AQEBAQEBAQEBAQEBAQEBAQ==";

fn keys(current: Option<&str>, previous: Option<&str>) -> SessionKeys {
    SessionKeys { current: current.map(SessionKey::new), previous: previous.map(SessionKey::new) }
}

#[test]
fn padding_is_1_to_16_equal_bytes() {
    let unpadded = |text: &[u8]| {
        let (length, right) = unpad(text);
        bool::from(right).then_some(length)
    };
    for n in 1..=16_u8 {
        let mut text = vec![b'x'; 32];
        text[32 - usize::from(n)..].fill(n);
        assert_eq!(unpadded(&text), Some(32 - usize::from(n)));
        text[31 - usize::from(n)] = n;
        assert_eq!(unpadded(&text), Some(32 - usize::from(n)), "a last byte of the text like the padding {n}");
        if n > 1 {
            text[32 - usize::from(n)] ^= 1;
            assert_eq!(unpadded(&text), None, "first padding byte of {n}");
        }
    }
    for bad in [0, 17, 32, 255] {
        assert_eq!(unpadded(&[bad; 32]), None, "{bad}");
    }
}

/// The plaintext of a vector, or the stage at which it fails.
fn decrypt(vector: &Value) -> Result<String, &'static str> {
    let given = |member: &str| vector[member].as_str().unwrap();
    // The form of a key is checked where it comes in.
    let key = SessionKey::new(given("session_key")).aes_key().ok_or("key")?;
    let data = Ciphertext::parse(given("encrypted_data"), given("iv")).map_err(|_| "form")?;
    let (text, padded) = plaintext(&data, &key).unwrap();
    if !bool::from(padded) {
        return Err("padding");
    }
    let object: Map<String, Value> = json::nested(&text, DEEPEST).map_err(|_| "plaintext")?;
    if vector["check_watermark"] == true {
        let appid = object.get("watermark").and_then(|watermark| watermark["appid"].as_str());
        appid.filter(|appid| *appid == given("appid")).ok_or("watermark")?;
    }
    Ok(String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn every_ciphertext_gives_its_plaintext_or_fails_at_its_stage() {
    for vector in vectors("decrypt") {
        let (id, expect, result) = (&vector["id"], &vector["expect"], decrypt(&vector));
        let stages = |stage: &str| match stage {
            "key" | "form" => ["encoding", "length"].as_slice(),
            "padding" => &["padding"],
            "plaintext" => &["plaintext"],
            _ => &["watermark"],
        };
        match (expect["result"].as_str().unwrap(), result) {
            ("ok" | "either", Ok(text)) => assert_eq!(text, expect["plaintext"].as_str().unwrap(), "{id}"),
            ("error" | "either", Err(stage)) => {
                let accepted = expect["accept_stages"].as_array().unwrap();
                assert!(accepted.iter().any(|at| stages(stage).contains(&at.as_str().unwrap())), "{id}: {stage}");
            }
            (expected, result) => panic!("{id}: {expected}, not {result:?}"),
        }
    }
}

/// Wycheproof: wrong padding of every kind, lengths that are none, empty texts.
#[test]
fn every_published_case_of_aes_cbc_decrypts_or_does_not() {
    use wycheproof::cipher::{TestName, TestSet};
    let groups = TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups;
    let cases = groups.iter().filter(|group| group.key_size == 128).flat_map(|group| &group.tests);

    let mut count = 0;
    for case in cases {
        let (blocks, iv) = (STANDARD.encode(case.ct.as_ref()), STANDARD.encode(case.nonce.as_ref()));
        let text = Ciphertext::parse(&blocks, &iv).ok().and_then(|data| {
            let (text, padded) = plaintext(&data, case.key.as_ref().try_into().unwrap())?;
            bool::from(padded).then_some(text)
        });
        let expected = (!case.result.must_fail()).then_some(case.pt.as_ref());
        assert_eq!(text.as_ref().map(|text| text.as_slice()), expected, "{} {}", case.tc_id, case.comment);
        count += 1;
    }
    assert!(count > 50, "{count}");
}

#[test]
fn no_key_opens_nothing() {
    let data = Ciphertext::parse("AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA==").unwrap();

    assert_eq!(open(&data, &keys(None, None)).unwrap_err(), OpenDataDefect::Unreadable);
}

/// A text as WeChat encrypts it.
fn encrypted(text: &str, key: &str) -> Ciphertext {
    let (key, iv) = (SessionKey::new(key).aes_key().unwrap(), [7; BLOCK]);
    let mut blocks = [text.as_bytes(), &[0; BLOCK]].concat();
    let cipher = cbc::Encryptor::<Aes128>::new((&*key).into(), (&iv).into());
    let length = cipher.encrypt_padded::<Pkcs7>(&mut blocks, text.len()).unwrap().len();
    blocks.truncate(length);
    Ciphertext { encrypted_data: EncryptedData(blocks), iv: Iv(iv) }
}

fn number(number: &str, appid: &str) -> Value {
    let watermark = json!({ "appid": appid });
    json!({ "phoneNumber": number, "purePhoneNumber": number, "countryCode": "86", "watermark": watermark })
}

fn wx1() -> AppId {
    AppId::parse("wx1").unwrap()
}

fn o_a() -> OpenId {
    OpenId::parse("oA").unwrap()
}

#[test]
fn the_data_opens_with_the_key_of_the_last_login_and_with_the_one_before() {
    let data = encrypted(&number("13800138000", "wx1").to_string(), NOUGHT);
    let opens = |current, previous| phone(&data, &keys(current, previous), &wx1(), &o_a()).map(drop);

    assert_eq!(opens(Some(NOUGHT), None), Ok(()));
    assert_eq!(opens(Some(NOUGHT), Some(OTHER)), Ok(()));
    assert_eq!(opens(Some(OTHER), Some(NOUGHT)), Ok(()));
    assert_eq!(opens(Some(OTHER), Some(OTHER)), Err(OpenDataDefect::Unreadable));
    assert_eq!(opens(None, None), Err(OpenDataDefect::Unreadable), "no key is not the key of nought");
}

#[test]
fn what_would_read_without_its_padding_is_not_read() {
    let mut data = encrypted(&format!("{:64}", "{}"), NOUGHT);
    data.encrypted_data.0.truncate(64);

    let read = open(&data, &keys(Some(NOUGHT), None));

    assert_eq!(read.unwrap_err(), OpenDataDefect::Unreadable);
}

#[test]
fn only_what_has_a_whole_watermark_is_told_to_be_anothers() {
    let phone = |text: &Value| phone(&encrypted(&text.to_string(), OTHER), &keys(Some(OTHER), None), &wx1(), &o_a());

    let own = phone(&number("13800138000", "wx1")).unwrap();

    assert_eq!((own.phone_number.as_str(), own.country_code.as_str()), ("13800138000", "86"));
    assert_eq!(format!("{own:?}"), "Phone([REDACTED])");
    assert_eq!(phone(&number("13800138000", "wx2")), Err(OpenDataDefect::Foreign));
    assert_eq!(phone(&json!({ "watermark": { "appid": "wx2" } })), Err(OpenDataDefect::Foreign));
    for watermark in [json!(null), json!({}), json!({ "appid": null }), json!(["wx2"]), json!("wx2")] {
        let mut odd = number("13800138000", "wx2");
        odd["watermark"] = watermark;
        assert_eq!(phone(&odd), Err(OpenDataDefect::Unreadable), "{odd}");
    }
}

#[test]
fn a_profile_is_this_apps_and_this_users_and_signed_if_it_is_said_to_be() {
    let profile = |members: &Value, signed| {
        let data = encrypted(&members.to_string(), OTHER);
        let (keys, openid) = (keys(Some(OTHER), None), OpenId::parse("oA").unwrap());
        profile(&SignedProfile { signed, data: &data }, &keys, &wx1(), &openid)
    };
    let given = |changes: &[(&str, Value)]| {
        let mut members = json!({ "nickName": "n", "openId": "oA", "unionId": "u", "watermark": { "appid": "wx1" } });
        for (name, value) in changes {
            members[*name] = value.clone();
        }
        members
    };
    let defect = |changes: &[(&str, Value)], signed| profile(&given(changes), signed).map(drop).unwrap_err();

    let own = profile(&given(&[]), None).unwrap();
    assert_eq!(serde_json::to_value(&own).unwrap(), json!({ "nickName": "n", "openId": "oA", "unionId": "u" }));
    assert_eq!(own.unionid().map(UnionId::expose), Some("u"));
    assert_eq!(format!("{own:?}"), "Profile([REDACTED])");
    let nameless = profile(&given(&[("openId", Value::Null), ("unionId", Value::Null)]), None).unwrap();
    assert_eq!(nameless.unionid(), None);
    let signature = "8db6b6d13c31202e626c3339c53591bf1cbf4209"; // sha1 of `{}` and the key
    assert!(profile(&given(&[]), Some(("{}", signature))).is_ok());
    assert_eq!(defect(&[], Some(("{ }", signature))), OpenDataDefect::Unreadable);
    assert_eq!(defect(&[("watermark", json!({ "appid": "wx2" }))], None), OpenDataDefect::Foreign);
    assert_eq!(defect(&[("openId", "oB".into())], None), OpenDataDefect::Foreign);
    for nobody in [json!(null), json!("")] {
        assert_eq!(defect(&[("openId", nobody)], None), OpenDataDefect::Unreadable, "a unionid of nobody");
    }
    assert_eq!(defect(&[("openId", json!(1))], None), OpenDataDefect::Foreign);
    // What nobody uses may be anything, and what cannot be stored is handed on.
    for (name, odd) in
        [("nickName", json!(1)), ("nickName", json!(null)), ("unionId", json!("")), ("unionId", json!("u u"))]
    {
        let own = profile(&given(&[(name, odd.clone())]), None).unwrap();
        assert_eq!((&serde_json::to_value(&own).unwrap()[name], own.unionid().is_some()), (&odd, name == "nickName"));
    }
    let steps = json!({ "stepInfoList": [{ "timestamp": 1, "step": 2 }], "watermark": { "appid": "wx1" } });
    assert_eq!(profile(&steps, None).map(drop).unwrap_err(), OpenDataDefect::OtherKind);
    assert_eq!(profile(&number("13800138000", "wx1"), None).map(drop).unwrap_err(), OpenDataDefect::OtherKind);
}

/// What each of the three says to an object: a number, a profile, other data.
fn said_to(text: &str) -> [Result<(), OpenDataDefect>; 3] {
    let (data, keys, openid) = (encrypted(text, OTHER), keys(Some(OTHER), None), OpenId::parse("oA").unwrap());
    [
        phone(&data, &keys, &wx1(), &openid).map(drop),
        profile(&SignedProfile { signed: None, data: &data }, &keys, &wx1(), &openid).map(drop),
        other(&data, &keys, &wx1(), &openid).map(drop),
    ]
}

#[test]
fn an_object_is_of_one_kind_and_is_taken_where_that_kind_is_verified() {
    const KIND: Result<(), OpenDataDefect> = Err(OpenDataDefect::OtherKind);
    const NOT: Result<(), OpenDataDefect> = Err(OpenDataDefect::Unreadable);
    const FOREIGN: Result<(), OpenDataDefect> = Err(OpenDataDefect::Foreign);
    for (members, said) in [
        (r#""stepInfoList":[{"timestamp":1,"step":2}]"#, [KIND, KIND, Ok(())]),
        (r#""opengid":"","chat_type":1"#, [KIND, KIND, Ok(())]),
        (r#""somethingNew":[[[[[[1]]]]]],"half":"\ud83d","huge":1e999"#, [KIND, KIND, Ok(())]),
        (r#""openId":"oA","somethingNew":1"#, [KIND, KIND, Ok(())]),
        (r#""openId":"oB","somethingNew":1"#, [KIND, FOREIGN, FOREIGN]),
        (r#""openId":{},"somethingNew":1"#, [KIND, FOREIGN, FOREIGN]),
        (r#""stepInfoList":[],"unionId":null,"phoneNumber":"""#, [KIND, KIND, Ok(())]),
        (r#""nickName":null"#, [KIND, Ok(()), KIND]),
        (r#""avatarUrl":"","openId":"oA""#, [KIND, Ok(()), KIND]),
        (r#""avatarUrl":"","openId":"oB""#, [KIND, FOREIGN, FOREIGN]),
        (r#""nickName":"\ud83d""#, [KIND, Ok(()), KIND]),
        (r#""unionId":"u""#, [KIND, NOT, KIND]),
        (r#""phoneNumber":"13800138000""#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"13800138000","purePhoneNumber":"13900139000""#, [NOT, KIND, KIND]),
        (r#""phoneNumber":"13800138000","purePhoneNumber":"13800138000","nickName":"n""#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"","purePhoneNumber":"13800138000""#, [KIND, KIND, KIND]),
        (r#""phoneNumber":"13800138000","purePhoneNumber":"","openId":"oB""#, [FOREIGN, FOREIGN, FOREIGN]),
        (r#""phoneNumber":"13800138000","countryCode":"86""#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"51234567","countryCode":"852""#, [NOT, KIND, KIND]),
        (r#""phoneNumber":"+85251234567","countryCode":"852""#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"13800138000","openId":"oA","purePhoneNumber":"""#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"138****8000""#, [NOT, KIND, KIND]),
        (r#""phoneNumber":{}"#, [NOT, KIND, KIND]),
        (r#""phoneNumber":13800138000,"purePhoneNumber":null,"countryCode":{}"#, [Ok(()), KIND, KIND]),
        (r#""phoneNumber":"13800138000","purePhoneNumber":[],"countryCode":"86""#, [NOT, KIND, KIND]),
        (r#""a":1,"a":2"#, [NOT, NOT, NOT]),
    ] {
        assert_eq!(
            said_to(&format!(r#"{{{members},"watermark":{{"timestamp":1,"appid":"wx1"}}}}"#)),
            said,
            "{members}"
        );
    }
    assert_eq!(said_to(r#"{"somethingNew":1}"#), [NOT, NOT, NOT]);
    assert_eq!(said_to("{"), [NOT, NOT, NOT]);
}

#[test]
fn other_data_is_handed_on_as_it_was_written_and_not_shown() {
    let text = r#"{"z":1.50,"a":{"b":[1e999,"\ud83d"]},"watermark":{"timestamp":1,"appid":"wx1"}}"#;

    let data = other(&encrypted(text, OTHER), &keys(Some(OTHER), None), &wx1(), &OpenId::parse("oA").unwrap()).unwrap();

    assert_eq!(serde_json::to_string(&data).unwrap(), r#"{"a":{"b":[1e999,"\ud83d"]},"z":1.50}"#);
    assert_eq!(format!("{data:?}"), "OpenData([REDACTED])");
}

/// Users know the text of their own data, and so what the key makes of each of its blocks: by the `iv` they put any 16 bytes
/// before its end, here before the block that begins at `at`.
fn spliced(text: &str, at: usize) -> Ciphertext {
    let own = encrypted(text, OTHER);
    let wanted = br#"{"phoneNumber":""#;
    let before = &own.encrypted_data.0[at - BLOCK..at];
    let before_that = &own.encrypted_data.0[at - 2 * BLOCK..at - BLOCK];
    let iv = std::array::from_fn(|byte| text.as_bytes()[at - BLOCK + byte] ^ before_that[byte] ^ wanted[byte]);
    Ciphertext { encrypted_data: EncryptedData([before, &own.encrypted_data.0[at..]].concat()), iv: Iv(iv) }
}

/// What a splice reads, by whoever has the key.
fn text_of(data: &Ciphertext) -> String {
    let (read, padded) = plaintext(data, &SessionKey::new(OTHER).aes_key().unwrap()).unwrap();
    assert!(bool::from(padded));
    String::from_utf8(read.to_vec()).unwrap()
}

#[test]
fn no_end_of_a_profile_becomes_a_phone_number() {
    let name = "13900139000";
    let profile = |openid: &str| {
        format!(
            r#"{{"openId":"{openid}","nickName":"xxx{name}","gender":0,"city":"","avatarUrl":"https://a/0","watermark":{{"timestamp":1,"appid":"wx1"}}}}"#
        )
    };
    // The name begins a block.
    let text =
        (1..=BLOCK).map(|length| profile(&"o".repeat(length))).find(|text| text.find(name).unwrap() % BLOCK == 0);
    let text = text.unwrap();
    let spliced = spliced(&text, text.find(name).unwrap());

    let keys = keys(Some(OTHER), None);
    assert!(text_of(&spliced).starts_with(r#"{"phoneNumber":"13900139000","gender":0,"#));
    assert_eq!(phone(&spliced, &keys, &wx1(), &o_a()), Err(OpenDataDefect::Unreadable));
    assert_eq!(other(&spliced, &keys, &wx1(), &o_a()).map(drop), Err(OpenDataDefect::OtherKind));
}

/// The last digits of one's own number are another number.
#[test]
fn no_end_of_a_phone_number_becomes_another() {
    let mut tried = 0;
    for (number, pure, code) in
        [("51234567", "51234567", "852"), ("4155550100", "4155550100", "1"), ("3725123456", "5123456", "372")]
    {
        let text = format!(
            r#"{{"phoneNumber":"{number}","purePhoneNumber":"{pure}","countryCode":"{code}","watermark":{{"timestamp":1,"appid":"wx1"}}}}"#
        );
        for at in (2 * BLOCK..text.len() - BLOCK).step_by(BLOCK) {
            let spliced = spliced(&text, at);
            tried += usize::from(text_of(&spliced).contains(r#""countryCode":"#));
            let read = phone(&spliced, &keys(Some(OTHER), None), &wx1(), &o_a());
            assert_eq!(read, Err(OpenDataDefect::Unreadable), "{}", text_of(&spliced));
        }
    }
    assert!(tried >= 3, "{tried}");
}

proptest! {
    #[test]
    fn any_data_is_refused_without_a_panic(data: Vec<u8>, iv: [u8; 16], key: [u8; 16]) {
        let (data, iv) = (STANDARD.encode(data), STANDARD.encode(iv));
        if let Ok(ciphertext) = Ciphertext::parse(&data, &iv) {
            let keys = keys(Some(&STANDARD.encode(key)), None);
            prop_assert!(phone(&ciphertext, &keys, &wx1(), &o_a()).is_err());
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic(data in ".{0,100}", iv in ".{0,30}") {
        let _ = Ciphertext::parse(&data, &iv);
    }
}
