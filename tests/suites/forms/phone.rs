//! A phone number in any form, by code and by data.

use proptest::{prelude::*, sample::select};
use serde_json::{Map, Value, json};

use super::{Tally, laptop, sample};
use crate::{Laptop, Response, Tokens};

/// The members that are handed on.
const NAMES: [&str; 3] = ["phoneNumber", "purePhoneNumber", "countryCode"];

/// What a member may be: `core` are the digits of the number with separators, `code` those of its country. After `#` it is a
/// JSON number.
const NUMBERS: [&str; 12] = [
    "core",
    "+core",
    "0core",
    "00core",
    "codecore",
    "+code core",
    "00code-core",
    "(+code) core",
    "+code(0)core",
    "code0core",
    "#core",
    "#codecore",
];
const PURE_NUMBERS: [&str; 7] = ["absent", "null", "", "core", "0core", " core", "#core"];
const PURE_NUMBERS_WITH_CODE: [&str; 2] = ["codecore", "+code core"];
const CODES: [&str; 4] = ["code", "+code", "00code", "#code"];
/// The country is not said.
const NO_CODES: [&str; 5] = ["absent", "null", "", "Hong Kong", "{}"];
const SEPARATORS: [&str; 12] = ["", "", "", "", "", "-", " ", ".", "(", ")", "\u{a0}", "\u{3000}"];

/// What WeChat may say of a number.
#[derive(Clone, Debug)]
pub struct Form {
    /// As WeChat gives it, but for the watermark.
    pub info: Value,
    /// With this number the digits end, if it is known.
    core: String,
    /// The encrypted form, where a fixture has it.
    sealed: Option<Value>,
}

impl Form {
    pub fn of(info: Value) -> Self {
        Self { info, core: String::new(), sealed: None }
    }
}

/// A number and how it is written.
#[derive(Clone, Debug)]
struct Written {
    core: String,
    code: String,
    number: &'static str,
    pure: &'static str,
    said: &'static str,
    /// The members that WeChat may add.
    more: bool,
    between: Vec<usize>,
}

impl Written {
    fn any() -> impl Strategy<Value = Self> {
        // Where the country is not said, its code cannot be told from the digits of the pure number.
        let said = prop_oneof![
            (select(&CODES[..]), select([&PURE_NUMBERS[..], &PURE_NUMBERS_WITH_CODE].concat())),
            (select(&NO_CODES[..]), select(&PURE_NUMBERS[..])),
        ];
        let between = proptest::collection::vec(0..SEPARATORS.len(), 1..20);
        ("[1-9][0-9]{4,10}", "[1-9][0-9]{0,2}", select(&NUMBERS[..]), said, any::<bool>(), between).prop_map(
            |(core, code, number, (said, pure), more, between)| Self { core, code, number, pure, said, more, between },
        )
    }

    /// A member, or nothing where it is absent.
    fn member(&self, form: &str, core: &str) -> Option<Value> {
        let mut between = self.between.iter().cycle();
        let separated: String = core
            .chars()
            .flat_map(|digit| [SEPARATORS[between.next().copied().unwrap_or_default()].to_owned(), digit.into()])
            .collect();
        match (form, form.strip_prefix('#')) {
            ("absent", _) => None,
            ("null", _) => Some(Value::Null),
            ("{}", _) => Some(json!({})),
            (_, Some(digits)) => {
                let digits = digits.replace("code", &self.code).replace("core", core);
                Some(digits.parse::<u64>().expect("digits").into())
            }
            (text, None) => Some(text.replace("code", &self.code).replace("core", &separated).into()),
        }
    }

    /// With these digits in the number, and these in the pure one.
    fn form(&self, pure: &str, pure_core: &str) -> Form {
        // Where the pure number is absent, digits may be missing at the beginning: a plus sign says that none are.
        let number = if pure == "absent" && self.said != "absent" { "+code core" } else { self.number };
        let members =
            [self.member(number, &self.core), self.member(pure, pure_core), self.member(self.said, &self.core)];
        let mut info: Map<_, _> =
            NAMES.iter().zip(members).filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect();
        // Data with a number alone and something else beside it may be the end of a profile.
        if self.more && info.len() > 1 {
            info.insert("extra".to_owned(), json!({ "a": [1] }));
        }
        Form { info: info.into(), core: self.core.clone(), sealed: None }
    }

    fn one(&self) -> Form {
        self.form(self.pure, &self.core)
    }

    /// The pure number differs in a digit.
    fn two(&self, at: usize) -> Form {
        let (at, pure) = (at % self.core.len(), self.pure);
        let other = if &self.core[at..=at] == "7" { "8" } else { "7" };
        let says_nothing = ["absent", "null", ""].contains(&pure);
        let core = format!("{}{other}{}", &self.core[..at], &self.core[at + 1..]);
        self.form(if says_nothing { "core" } else { pure }, &core)
    }
}

/// So many forms of one number each.
pub fn one_number(count: usize) -> Vec<Form> {
    sample(&Written::any().prop_map(|written| written.one()), count)
}

/// So many forms with two numbers each, that differ in a digit.
fn two_numbers(count: usize) -> Vec<Form> {
    sample(&(Written::any(), 0..20_usize).prop_map(|(written, at)| written.two(at)), count)
}

/// So many forms that need not even be of a number.
fn any_text(count: usize) -> Vec<Form> {
    let other = prop_oneof![
        Just(Value::Null),
        ".{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::collection::vec(any::<bool>(), 0..3).prop_map(Value::from),
    ];
    let forms = (".{1,40}", other.clone(), other).prop_map(
        |(number, pure, code)| json!({ "phoneNumber": number, "purePhoneNumber": pure, "countryCode": code }),
    );
    sample(&forms.prop_map(Form::of), count)
}

/// The cases that were given.
pub fn fixture() -> Value {
    serde_json::from_str(include_str!("../../fixtures/phone-forms.json")).expect("JSON")
}

/// The given forms by code; by data, one number or two.
fn given(fixture: &Value, is_asked: fn(&Value) -> bool) -> Vec<Form> {
    let form = |case: &Value| {
        let [by_code, by_data] =
            [&case["world"]["getuserphonenumber"]["phone_info"], &case["world"]["plaintext"]].map(Clone::clone);
        let sealed = by_data.is_object().then(|| case["sent"]["body"].clone());
        Form { sealed, ..Form::of(if by_data.is_object() { by_data } else { by_code }) }
    };
    let cases = fixture["cases"].as_array().expect("cases").iter();
    let forms: Vec<_> = cases.filter(|case| is_asked(case)).map(form).collect();
    assert!(!forms.is_empty());
    forms
}

fn is_by_code(case: &Value) -> bool {
    case["world"]["getuserphonenumber"].is_object()
}

fn is_one_by_data(case: &Value) -> bool {
    !is_by_code(case) && case["right"]["status"] == 200
}

fn is_two_by_data(case: &Value) -> bool {
    !is_by_code(case) && case["right"]["status"] == 409
}

/// Whether this is the number of the form: texts as they are, numbers by their digits, anything else as an empty text.
pub fn is_handed_on(form: &Form, answer: &Value) -> bool {
    let expected = |name| match &form.info[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let number = answer["phoneNumber"].as_str().unwrap_or_default();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    NAMES.iter().all(|name| answer[*name] == expected(*name)) && digits.ends_with(&form.core)
}

/// A user of its own for each form, whose attempts are all left, with the key of the fixture.
async fn user(laptop: &Laptop, number: usize) -> (String, Tokens) {
    let name = format!("user{number}");
    let key = &fixture()["cases"][1]["world"]["session_key"];
    let _ = laptop.sim("user", json!({ "user": name, "session_key": key }));
    let tokens = laptop.login(&name).await;
    (name, tokens)
}

/// One tap, and the same request again.
#[derive(Debug)]
pub struct Redeemed {
    pub first: Response,
    pub again: Response,
    /// How often WeChat was asked for the number.
    pub calls: u64,
}

impl Redeemed {
    async fn of(laptop: &Laptop, number: usize, form: &Form) -> Self {
        let (name, tokens) = user(laptop, number).await;
        let _ = laptop.sim("user", json!({ "user": name, "phone_info": form.info }));
        let tap = json!({ "code": laptop.sim("phone", json!({ "user": name }))["code"] });
        let before = laptop.simulator.calls("getuserphonenumber");
        let first = laptop.post_as(&tokens.access, "/v1/phone", &tap).await;
        let again = laptop.post_as(&tokens.access, "/v1/phone", &tap).await;
        Self { first, again, calls: laptop.simulator.calls("getuserphonenumber") - before }
    }

    /// Whether both gave the number of the form, and WeChat was asked once.
    pub fn is_right(&self, form: &Form) -> bool {
        let gave = |answer: &Response| answer.status == 200 && is_handed_on(form, &answer.json());
        gave(&self.first) && gave(&self.again) && self.calls == 1
    }
}

/// The number of each form by code.
pub async fn code(laptop: &Laptop, forms: &[Form]) -> Tally {
    let mut tally = Tally::default();
    for (number, form) in forms.iter().enumerate() {
        let redeemed = Redeemed::of(laptop, number, form).await;
        tally.count(redeemed.is_right(form), &form.info, &redeemed);
    }
    tally
}

async fn decrypted(laptop: &Laptop, number: usize, form: &Form) -> Response {
    let (name, tokens) = user(laptop, number).await;
    let seal = || {
        let mut plaintext = form.info.clone();
        plaintext["watermark"] = json!({ "timestamp": 1, "appid": fixture()["appid"] });
        laptop.sim("encrypt", json!({ "user": name, "plaintext": plaintext.to_string() }))
    };
    let body = form.sealed.clone().unwrap_or_else(seal);
    laptop.post_as(&tokens.access, "/v1/phone", &body).await
}

/// The number of each form by data.
pub async fn data(laptop: &Laptop, forms: &[Form]) -> Tally {
    let mut tally = Tally::default();
    for (number, form) in forms.iter().enumerate() {
        // Data is read by us, so its country code always has the same form.
        let mut expected = form.clone();
        if let Some(code) = form.info["countryCode"].as_str().and_then(|code| code.strip_prefix('+')) {
            expected.info["countryCode"] = code.into();
        }
        let answer = decrypted(laptop, number, form).await;
        tally.count(answer.status == 200 && is_handed_on(&expected, &answer.json()), &form.info, &answer);
    }
    tally
}

/// Two numbers in data, which is refused as what cannot be read: a splice would look like this.
pub async fn two(laptop: &Laptop, forms: &[Form]) -> Tally {
    let mut tally = Tally::default();
    for (number, form) in forms.iter().enumerate() {
        let answer = decrypted(laptop, number, form).await;
        let is_refused = answer.status == 409 && answer.json()["code"] == "session_key_expired";
        tally.count(is_refused, &form.info, &answer);
    }
    tally
}

/// The given forms by code and so many others, half of them of numbers.
pub async fn by_code(count: usize) -> Tally {
    let fixture = fixture();
    let forms = [given(&fixture, is_by_code), one_number(count / 2), any_text(count - count / 2)].concat();
    code(&laptop(&fixture).await, &forms).await
}

/// The given forms by data and so many others.
pub async fn by_data(count: usize) -> Tally {
    let fixture = fixture();
    let forms = [given(&fixture, is_one_by_data), one_number(count)].concat();
    data(&laptop(&fixture).await, &forms).await
}

/// The given data with two numbers and so much other.
pub async fn by_data_with_two(count: usize) -> Tally {
    let fixture = fixture();
    let forms = [given(&fixture, is_two_by_data), two_numbers(count)].concat();
    two(&laptop(&fixture).await, &forms).await
}
