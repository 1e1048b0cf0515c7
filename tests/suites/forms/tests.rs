//! Numbers and optional parts of a login in any form: a small number of them, and that what is wrong is counted.

use std::collections::BTreeSet;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tests::{
    Laptop, Response,
    suites::forms::{
        Tally, laptop,
        optional::{logins, with_any_json},
        phone::{self, Form, Redeemed, by_code, by_data, by_data_with_two, fixture, is_handed_on, one_number},
    },
};

#[track_caller]
fn is_right(tally: &Tally, tried: u64) {
    assert!(tally.wrong.is_empty(), "{:#?}", tally.wrong);
    assert_eq!(tally.tried, tried);
}

#[tokio::test]
async fn every_form_of_a_phone_number_by_code_is_handed_on_and_repeated() {
    let tally = by_code(60).await;

    is_right(&tally, 67);
}

#[tokio::test]
async fn every_form_of_a_phone_number_by_data_is_handed_on() {
    let tally = by_data(60).await;

    is_right(&tally, 67);
}

#[tokio::test]
async fn two_numbers_in_data_are_never_taken_for_one() {
    let tally = by_data_with_two(60).await;

    is_right(&tally, 61);
}

#[tokio::test]
async fn any_json_beside_a_good_code_logs_in() {
    let tally = with_any_json(150).await;

    is_right(&tally, 5 + 2 * 179);
}

#[tokio::test]
async fn a_form_that_is_not_handed_on_is_counted() {
    let laptop = laptop(&fixture()).await;
    let one = Form::of(json!({ "phoneNumber": "+8613800138000", "purePhoneNumber": "13800138000" }));
    let two = Form::of(json!({ "phoneNumber": "+8613800138000", "purePhoneNumber": "13900139000" }));
    let none = Form::of(json!({ "phoneNumber": "", "purePhoneNumber": "13800138000" }));
    let forms = [one, two, none];

    // WeChat may say two numbers where nobody else can have said them.
    let (code, data, two) =
        (phone::code(&laptop, &forms).await, phone::data(&laptop, &forms).await, phone::two(&laptop, &forms).await);

    assert_eq!([code.right(), data.right(), two.right()], [2, 1, 1]);
    assert_eq!([code.wrong(), data.wrong(), two.wrong()], [1, 2, 2]);
}

#[test]
fn a_number_that_is_asked_for_twice_or_given_once_is_not_right() {
    let info = json!({ "phoneNumber": "+8613800138000", "purePhoneNumber": "13800138000", "countryCode": "86" });
    let form = Form::of(info.clone());
    let answer = |status, body: &Value| Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        text: body.to_string(),
    };
    let (given, refused) = (answer(200, &info), answer(409, &json!({ "code": "phone_code_invalid" })));
    let is_right = |first: &Response, again: &Response, calls| {
        Redeemed { first: first.clone(), again: again.clone(), calls }.is_right(&form)
    };

    assert!(is_right(&given, &given, 1));
    assert!(!is_right(&given, &given, 2));
    assert!(!is_right(&given, &refused, 1));
    assert!(!is_right(&refused, &given, 1));
}

#[test]
fn a_number_is_handed_on_as_it_was_given() {
    let form = Form::of(json!({ "phoneNumber": "+852 5123", "purePhoneNumber": 5123, "countryCode": [] }));
    let answer = |number: &str, pure: &str, code: &str| json!({ "phoneNumber": number, "purePhoneNumber": pure, "countryCode": code });

    assert!(is_handed_on(&form, &answer("+852 5123", "5123", "")));
    for other in [
        answer("+8525123", "5123", ""),
        answer("+852 5123", "", ""),
        answer("+852 5123", "5123", "852"),
        json!({ "phoneNumber": "+852 5123", "purePhoneNumber": "5123" }),
    ] {
        assert!(!is_handed_on(&form, &other), "{other}");
    }
}

#[test]
fn each_member_of_a_number_is_of_every_kind() {
    let kind = |value: Option<&Value>| match value {
        None => "absent",
        Some(Value::Null) => "null",
        Some(Value::Number(_)) => "number",
        Some(Value::String(text)) if text.is_empty() => "empty",
        Some(Value::String(text)) if text.chars().all(|digit| digit.is_ascii_digit()) => "digits",
        Some(Value::String(_)) => "text",
        Some(_) => "another",
    };
    let forms = one_number(200);
    let kinds = |name| forms.iter().map(|form| kind(form.info.get(name))).collect::<BTreeSet<_>>();

    assert_eq!(kinds("phoneNumber"), ["digits", "number", "text"].into());
    assert_eq!(kinds("purePhoneNumber"), ["absent", "digits", "empty", "null", "number", "text"].into());
    assert_eq!(kinds("countryCode"), ["absent", "another", "digits", "empty", "null", "number", "text"].into());
}

#[tokio::test]
async fn a_login_that_is_refused_is_counted() {
    let tally = logins(&Laptop::start().await, &["{}", "{"].map(str::to_owned)).await;

    assert_eq!((tally.tried, tally.wrong()), (4, 2));
}
