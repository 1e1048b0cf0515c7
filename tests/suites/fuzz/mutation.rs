//! Inputs that are nearly valid: seeds, changed in their bytes or, where there is JSON in them, in its members.

use serde_json::{Value, json};

use crate::seeded::Seeded;

/// Longer than any body that is read.
const LONG: usize = 20_000;

pub(super) struct Mutator {
    seeds: Vec<Vec<u8>>,
    /// The number that the random changes of each seed begin with. It depends on the seed alone, so that one more seed
    /// leaves the others their changes.
    begins: Vec<u64>,
    /// What is put in here and there: names and numbers that mean something, and bytes that are trouble elsewhere.
    words: Vec<Vec<u8>>,
}

impl Mutator {
    /// From these seeds and the words of the dictionary.
    pub(super) fn new(seeds: Vec<Vec<u8>>, dictionary: &str) -> Self {
        let begin = |seed: &Vec<u8>| seed.iter().fold(0, |begin, byte| Seeded::new(begin ^ u64::from(*byte)).number());
        Self { begins: seeds.iter().map(begin).collect(), seeds, words: dictionary.lines().filter_map(word).collect() }
    }

    /// The input at this place in the endless list of them: each round has one input of each seed, in an order of its own.
    ///
    /// What stands for a token or a time is filled in before or after the changes, so that both are met: a valid
    /// token in an odd request, and an odd token.
    pub(super) fn input(&self, place: u64, render: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let count = self.seeds.len() as u64;
        let round = place / count;
        let mut order: Vec<_> = (0..self.seeds.len()).collect();
        order.sort_by_cached_key(|seed| Seeded::new(self.begins[*seed] ^ !round).number());
        let seed = order[usize::try_from(place % count).expect("an index")];
        let random = &mut Seeded::new(self.begins[seed] ^ round);
        let mut input = self.seeds[seed].clone();
        if random.one_in(16) {
            return input;
        }
        if random.one_in(2) {
            input = render(&input);
        }
        // What is JSON altogether would be nothing after most changes of its bytes.
        let is_json = input.starts_with(b"{");
        if is_json || !random.one_in(3) {
            let changed = self.members(random, &input);
            let is_enough = changed.is_some() && !random.one_in(if is_json { 16 } else { 4 });
            input = changed.unwrap_or(input);
            if is_enough {
                return input;
            }
        }
        for _ in 0..=random.below(3) * random.below(3) {
            self.bytes(random, &mut input);
        }
        input
    }

    fn word(&self, random: &mut Seeded) -> &[u8] {
        &self.words[random.index(self.words.len())]
    }

    fn bytes(&self, random: &mut Seeded, input: &mut Vec<u8>) {
        let at = random.index(input.len() + 1);
        let to = (at + 1 + random.index(16)).min(input.len());
        match random.below(14) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.number().to_le_bytes()[0],
            2 => drop(input.drain(at..to)),
            3 => input.truncate(at),
            4 => {
                let again = input[at..to].to_vec();
                input.splice(at..at, again);
            }
            5 => {
                let other = &self.seeds[random.index(self.seeds.len())];
                let from = random.index(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
            6 if at < input.len() => {
                let encoded = format!("%{:02X}", input[at]);
                input.splice(at..=at, encoded.into_bytes());
            }
            7 => {
                let deep = ["[", "{\"a\":", "<a>", "%25", "\\u0000", "=", "A"][random.index(7)];
                let most = if random.one_in(50) { LONG / deep.len() } else { 200 };
                let times = random.index(most);
                input.splice(at..at, deep.repeat(times).into_bytes());
            }
            8 => {
                // Replaces a number by another.
                let digits = |byte: &u8| byte.is_ascii_digit();
                if let Some(from) = input.iter().skip(at).position(digits).map(|from| at + from) {
                    let to = from + input[from..].iter().take_while(|byte| digits(byte)).count();
                    let numbers = ["0", "-1", "18446744073709551616", "1e999", "40029", "1.5", "00", "4294967295"];
                    input.splice(from..to, numbers[random.index(numbers.len())].bytes());
                }
            }
            9 => {
                let random: Vec<u8> = (0..=random.below(8)).map(|_| random.number().to_le_bytes()[0]).collect();
                input.splice(at..at, random);
            }
            _ => {
                let word = self.word(random).to_vec();
                let to = if random.one_in(2) { at } else { to };
                input.splice(at..to, word);
            }
        }
    }

    /// Changes members of the JSON that the input ends in.
    fn members(&self, random: &mut Seeded, input: &[u8]) -> Option<Vec<u8>> {
        // `{access_token}` and the like do not begin so.
        let from = input.windows(2).position(|two| two == b"{\"" || two == b"{\n")?;
        let mut value: Value = serde_json::from_slice(&input[from..]).ok()?;
        // An event of the gateway has many members that it cannot do without.
        let times = if from == 0 { random.below(8) / 7 } else { random.below(3) };
        for _ in 0..=times {
            self.member(random, &mut value, 0);
        }
        let mut text = value.to_string();
        if random.one_in(8) && text.starts_with('{') {
            // What no tree of members can say: the same name twice.
            let members = value.as_object()?;
            let name = members.keys().nth(random.index(members.len().max(1)))?;
            text = format!("{{{}:{},{}", json!(name), self.odd(random, &members[name]), &text[1..]);
        }
        Some([&input[..from], text.as_bytes()].concat())
    }

    fn member(&self, random: &mut Seeded, value: &mut Value, depth: usize) {
        // Bodies are JSON in a text of JSON.
        let inside = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
        match (value, inside) {
            (value @ Value::String(_), Some(mut inside @ Value::Object(_))) if !random.one_in(4) => {
                self.member(random, &mut inside, depth);
                *value = inside.to_string().into();
            }
            (Value::Object(members), _) if !members.is_empty() && !random.one_in(if depth == 0 { 24 } else { 6 }) => {
                let name = members.keys().nth(random.index(members.len())).cloned().unwrap_or_default();
                match random.below(12) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let renamed = String::from_utf8_lossy(self.word(random)).into_owned();
                        let moved = members.remove(&name).unwrap_or_default();
                        members.insert(renamed, moved);
                    }
                    2 => {
                        let other = members.values().nth(random.index(members.len())).cloned().unwrap_or_default();
                        members.insert(name, other);
                    }
                    3 => {
                        let added = String::from_utf8_lossy(self.word(random)).into_owned();
                        let odd = self.odd(random, &Value::Null);
                        members.insert(added, odd);
                    }
                    _ => {
                        if let Some(member) = members.get_mut(&name) {
                            self.member(random, member, depth + 1);
                        }
                    }
                }
            }
            (Value::Array(items), _) if !items.is_empty() && !random.one_in(4) => {
                let at = random.index(items.len());
                self.member(random, &mut items[at], depth + 1);
            }
            (value, _) => *value = self.odd(random, value),
        }
    }

    /// Another value in the place of one.
    fn odd(&self, random: &mut Seeded, value: &Value) -> Value {
        let word = String::from_utf8_lossy(self.word(random)).into_owned();
        match (random.below(12), value) {
            (0, _) => Value::Null,
            (1, _) => random.one_in(2).into(),
            (2, _) => [json!(-1), json!(u64::MAX), json!(1.5e300), json!(0), json!(40_029)][random.index(5)].clone(),
            (3, _) => json!([value]),
            (4, _) => json!({ word: value }),
            (5, _) => (0..random.below(200)).fold(value.clone(), |value, _| json!([value])),
            (6, _) => [json!({}), json!([])][random.index(2)].clone(),
            (7, Value::String(text)) if random.one_in(20) => text.repeat(LONG / (text.len() + 1)).into(),
            (7..=10, Value::String(text)) => {
                let mut bytes = text.clone().into_bytes();
                self.bytes(random, &mut bytes);
                String::from_utf8_lossy(&bytes).into_owned().into()
            }
            _ => word.into(),
        }
    }
}

/// A line of the dictionary, in libFuzzer's form: a text in quotes, in which `\xNN` is a byte and `\` stands before a quote.
fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut out = Vec::new();
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                let digits = [*high, *low];
                out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                after
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                out.push(*byte);
                after
            }
            [] => return Some(out),
        };
    }
}
