//! Numbers, strings and characters as Go writes them.
use model::go_quote::quote;

use crate::value::Value;

/// A number: integers in any base, else a float.
pub(crate) fn number(text: &str) -> Result<Value, String> {
    let bad = || format!("illegal number syntax: {}", quote(text));
    let overflow = || format!("integer overflow: {}", quote(text));
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits: String = unsigned.chars().filter(|c| *c != '_').collect();
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    if base == 10 && lower.contains(['.', 'e']) {
        let float: f64 = lower.parse().map_err(|_| bad())?;
        return Ok(Value::Float(if negative { -float } else { float }));
    }
    // Go takes `08` for a float that is too large for an integer.
    if base == 8 && digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.contains(['8', '9'])
    {
        return Err(overflow());
    }
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Err(bad());
    }
    let magnitude = i128::from_str_radix(digits, base).map_err(|_| overflow())?;
    i64::try_from(if negative { -magnitude } else { magnitude })
        .map(Value::Int)
        .map_err(|_| overflow())
}

/// The text of `"…"` or `` `…` ``; `None` where an escape is none.
pub(crate) fn unquote(text: &str) -> Option<String> {
    if let Some(raw) = text.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (unit, after) = unit(rest, '"')?;
        match unit {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        rest = after;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The character of `'…'`.
pub(crate) fn unquote_char(text: &str) -> Option<char> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    match unit(inner, '\'')? {
        (Unit::Char(c), "") => Some(c),
        (Unit::Byte(byte), "") => Some(char::from(byte)),
        _ => None,
    }
}

enum Unit {
    Byte(u8),
    Char(char),
}

fn unit(text: &str, delimiter: char) -> Option<(Unit, &str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if first != '\\' {
        let legal = first != delimiter && first != '\n';
        return legal.then_some((Unit::Char(first), chars.as_str()));
    }
    let simple = |c| Some(Unit::Char(c));
    let escape = chars.next()?;
    let rest = chars.as_str();
    let coded = |length: usize| {
        let digits = rest.get(..length)?;
        let legal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| legal)?;
        Some((code, &rest[length..]))
    };
    let unit = match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == delimiter => simple(escape),
        'x' => {
            let (code, rest) = coded(2)?;
            return Some((Unit::Byte(u8::try_from(code).ok()?), rest));
        }
        'u' | 'U' => {
            let (code, rest) = coded(if escape == 'u' { 4 } else { 8 })?;
            return Some((Unit::Char(char::from_u32(code)?), rest));
        }
        '0'..='7' => {
            let digits = text.get(1..4)?;
            let code = u32::from_str_radix(digits, 8).ok()?;
            return Some((Unit::Byte(u8::try_from(code).ok()?), &text[4..]));
        }
        _ => None,
    }?;
    Some((unit, rest))
}
