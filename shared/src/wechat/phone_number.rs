//! Phone numbers in any form: which digits one has, and whether two texts are the same number. Pure.
//!
//! WeChat does not document the form. A plus sign, `00`, the country code or the zero of a trunk call may stand before a
//! number, and blanks, hyphens, dots and parentheses in it.

/// With the country code; E.164 allows 15.
const LENGTHS: std::ops::RangeInclusive<usize> = 5..=15;

/// Some islands have four digits without it.
const SHORTEST_PURE: usize = 4;

/// What stands before the number proper where nobody says which country it is of.
const LONGEST_COUNTRY_CODE: usize = 4;

/// Whether this is a phone number, and the other text the same one without the country code.
#[must_use]
pub fn is_one(number: &str, pure: Option<&str>, country_code: Option<&str>) -> bool {
    let Some(whole) = digits(number) else { return false };
    let Some(pure) = pure else { return LENGTHS.contains(&whole.len()) };
    let Some(pure) = digits(pure) else { return false };
    let code = country_code.and_then(digits).filter(|code| code.len() <= LONGEST_COUNTRY_CODE);
    let fits = LENGTHS.contains(&whole.len()) && (SHORTEST_PURE..=*LENGTHS.end()).contains(&pure.len());
    let forms = |digits: &str| [Some(digits.to_owned()), code.as_deref().and_then(|code| without(digits, code))];
    let (whole_forms, pure_forms) = (forms(&whole), forms(&pure));
    let is_same = whole_forms.iter().flatten().any(|form| pure_forms.iter().flatten().any(|other| form == other));
    let is_after_any_code = code.is_none() && (is_end(&whole, &pure) || is_end(&pure, &whole));
    fits && (is_same || is_after_any_code)
}

/// Whether no digit is missing at the beginning of a number: a plus sign is there, or it has all eleven of a Chinese one.
#[must_use]
pub fn is_whole(number: &str, country_code: Option<&str>) -> bool {
    let is_chinese = country_code.and_then(digits).is_some_and(|code| code == "86");
    let has_eleven = digits(number).is_some_and(|digits| digits.strip_prefix("86").unwrap_or(&digits).len() == 11);
    number.trim_start().starts_with('+') || (is_chinese && has_eleven)
}

/// The digits of a number without the zeros before them; nothing if the text has anything else in it, or no digit.
fn digits(text: &str) -> Option<String> {
    let mut digits = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' => digits.push(character),
            '+' if digits.is_empty() => {}
            '-' | '.' | '(' | ')' => {}
            blank if blank.is_whitespace() => {}
            _ => return None,
        }
    }
    Some(digits.trim_start_matches('0').to_owned()).filter(|digits| !digits.is_empty())
}

/// The digits that follow the country code, if it stands before them and they are enough. A number may begin like its code.
fn without(digits: &str, country_code: &str) -> Option<String> {
    let rest = digits.strip_prefix(country_code)?.trim_start_matches('0');
    (rest.len() >= SHORTEST_PURE).then(|| rest.to_owned())
}

/// Whether the whole is this, or this after a country code.
fn is_end(whole: &str, end: &str) -> bool {
    whole.strip_suffix(end).is_some_and(|before| before.len() <= LONGEST_COUNTRY_CODE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_has_many_forms() {
        for (number, pure, code) in [
            ("13800138000", Some("13800138000"), Some("86")),
            ("+8613800138000", Some("13800138000"), Some("86")),
            ("+86 138-0013-8000", Some("13800138000"), Some("+86")),
            ("008613800138000", Some("138 0013 8000"), Some("0086")),
            ("+852 5123 4567", Some("51234567"), Some("852")),
            ("85251234567", Some("51234567"), None),
            ("51234567", Some("51234567"), Some("852")),
            ("51234567", Some("85251234567"), Some("852")),
            ("+44 (0)20 7946 0958", Some("020 7946 0958"), Some("44")),
            ("+44 (0)20 7946 0958", Some("2079460958"), None),
            ("(415) 555.0100", Some("4155550100"), Some("1")),
            ("+390612345678", Some("0612345678"), Some("39")),
            ("85251234567", None, None),
            ("+85251234567", None, Some("852")),
            ("+85251234567", None, Some("Hong Kong")),
            ("13800138000", Some("13800138000"), Some("Hong Kong")),
            ("+683 4002", Some("4002"), Some("683")),
            // A number may begin like its country code.
            ("8613012", Some("8613012"), Some("86")),
            ("868613012", Some("8613012"), Some("86")),
        ] {
            assert!(is_one(number, pure, code), "{number} {pure:?} {code:?}");
        }
    }

    #[test]
    fn a_number_is_whole_where_its_beginning_says_so() {
        for (number, code) in [
            ("+85251234567", Some("852")),
            ("+85251234567", None),
            ("13800138000", Some("86")),
            ("8613800138000", Some("+86")),
        ] {
            assert!(is_whole(number, code), "{number} {code:?}");
        }
        for (number, code) in
            [("51234567", Some("852")), ("13800138000", None), ("3800138000", Some("86")), ("86138001", Some("86"))]
        {
            assert!(!is_whole(number, code), "{number} {code:?}");
        }
    }

    #[test]
    fn two_numbers_and_what_is_no_number_are_not_one() {
        for (number, pure, code) in [
            ("13800138000", Some("13900139000"), Some("86")),
            ("13800138000", Some("1380013800"), Some("86")),
            ("+85251234567", Some("51234567"), Some("86")),
            ("1385251234567", Some("51234567"), None),
            ("138****8000", Some("138****8000"), Some("86")),
            ("138****8000", None, None),
            ("1380", None, None),
            ("1380", Some("1380"), Some("86")),
            ("1234567890123456", None, None),
            ("8612123456789012", Some("123456789012"), Some("8612")),
            ("", None, None),
            ("+", None, None),
            ("000000", None, None),
            ("138001+38000", None, None),
            ("13800138000", Some(" "), Some("86")),
            ("13800138000", Some("x"), Some("86")),
            ("one", None, None),
        ] {
            assert!(!is_one(number, pure, code), "{number} {pure:?} {code:?}");
        }
    }

    /// The digits with blanks, hyphens and parentheses anywhere in them.
    fn written(digits: &str, between: &[usize]) -> String {
        let mut between = between.iter().cycle();
        digits
            .chars()
            .flat_map(|digit| {
                [
                    ["", "", "", "-", " ", "(", ")", "."][between.next().map_or(0, |at| at % 8)].to_owned(),
                    digit.to_string(),
                ]
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_form_with_one_core_of_digits_is_one_number_and_with_another_digit_it_is_not(
            core in "[1-9][0-9]{6,9}",
            code in "[1-9][0-9]{0,2}",
            before in prop::sample::select(vec!["", "+", "00", "0", "code", "+code", "00code", "+code0", "code(0)"]),
            pure_before in prop::sample::select(vec!["", "0", " "]),
            code_before in prop::sample::select(vec!["", "+", "00"]),
            between in prop::collection::vec(0..8_usize, 1..20),
            at in 0..20_usize,
        ) {
            let number = format!("{}{}", before.replace("code", &code), written(&core, &between));
            let pure = format!("{pure_before}{}", written(&core, &between[1..]));
            let said = format!("{code_before}{code}");
            prop_assert!(is_one(&number, Some(&pure), Some(&said)), "{number} {pure} {said}");
            prop_assert!(is_one(&number, Some(&pure), None), "{number} {pure}");
            prop_assert!(is_one(&number, None, None), "{number}");

            let at = 1 + at % (core.len() - 1);
            let other = if &core[at..=at] == "7" { "8" } else { "7" };
            let changed = format!("{pure_before}{}{other}{}", &core[..at], &core[at + 1..]);
            prop_assert!(!is_one(&number, Some(&changed), Some(&said)), "{number} {changed} {said}");
        }

        #[test]
        fn any_texts_are_compared_without_a_panic(number in ".{0,30}", pure in ".{0,30}", code in ".{0,8}") {
            let _ = is_one(&number, Some(&pure), Some(&code));
            prop_assert!(!is_one(&(number + "x"), None, Some(&code)));
        }
    }
}
