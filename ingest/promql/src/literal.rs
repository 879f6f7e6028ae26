//! What number, duration and string tokens mean.
use model::duration;
use model::go_quote::quote;

/// A number token: an integer with Go's base prefixes, else a decimal. The error is the text's last part.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let lower = digits.to_ascii_lowercase();
    match lower.as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        _ => {}
    }
    let syntax = || {
        format!(
            "strconv.ParseFloat: parsing {}: invalid syntax",
            quote(text)
        )
    };
    if let Some(hexadecimal) = lower.strip_prefix("0x") {
        return i64::from_str_radix(hexadecimal, 16)
            .map(|value| value as f64)
            .map_err(|_| syntax());
    }
    let octal = lower.len() > 1
        && lower.starts_with('0')
        && lower.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    if octal {
        return i64::from_str_radix(&lower, 8)
            .map(|value| value as f64)
            .map_err(|_| syntax());
    }
    let value: f64 = lower.parse().map_err(|_| syntax())?;
    if value.is_infinite() {
        return Err(format!(
            "strconv.ParseFloat: parsing {}: value out of range",
            quote(text)
        ));
    }
    Ok(value)
}

/// A duration token in seconds.
pub(crate) fn duration_seconds(text: &str) -> Result<f64, String> {
    duration::parse(text)
        .map(|duration| duration.as_millis() as f64 / 1000.0)
        .map_err(|error| error.to_string())
}

/// A string token with its quotes, whose escapes the lexer has checked. Bytes that are no UTF-8 become U+FFFD:
/// label values are text.
pub(crate) fn text(token: &str) -> String {
    let inner = &token[1..token.len() - 1];
    if token.starts_with('`') || !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = unescape(&rest[at + 1..], &mut bytes);
    }
    bytes.extend_from_slice(rest.as_bytes());
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// Writes what follows a backslash and returns what is left behind it.
fn unescape<'a>(rest: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    let (digits_from, digits, base) = match rest.as_bytes().first() {
        Some(b'x') => (1, 2, 16),
        Some(b'u') => (1, 4, 16),
        Some(b'U') => (1, 8, 16),
        Some(b'0'..=b'7') => (0, 3, 8),
        Some(other) => {
            bytes.push(match other {
                b'a' => 0x07,
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                other => *other,
            });
            return &rest[1..];
        }
        None => return rest,
    };
    let end = digits_from + digits;
    let value = u32::from_str_radix(&rest[digits_from..end], base).unwrap_or_default();
    match (digits, u8::try_from(value), char::from_u32(value)) {
        (2 | 3, Ok(byte), _) => bytes.push(byte),
        (_, _, Some(character)) => {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        (_, _, None) => {}
    }
    &rest[end..]
}
