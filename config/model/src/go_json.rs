//! JSON as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 escaped inside strings.
use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};

use crate::go_number;

/// Compact, without a trailing newline. Struct members keep their order; maps should be sorted ones.
///
/// # Errors
/// Only where `value` cannot be JSON (a map whose keys are not strings).
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, GoFormatter);
    value.serialize(&mut serializer)?;
    Ok(String::from_utf8(bytes).expect("serde_json writes UTF-8"))
}

struct GoFormatter;

impl Formatter for GoFormatter {
    /// A whole number has no fraction, and exponents stand where Go puts them.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(go_number::format_json(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, character) in fragment.char_indices() {
            let escape = match character {
                '<' => "\\u003c",
                '>' => "\\u003e",
                '&' => "\\u0026",
                '\u{2028}' => "\\u2028",
                '\u{2029}' => "\\u2029",
                _ => continue,
            };
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            writer.write_all(escape.as_bytes())?;
            plain = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        let text = match escape {
            CharEscape::Quote => "\\\"".to_owned(),
            CharEscape::ReverseSolidus => "\\\\".to_owned(),
            CharEscape::Solidus => "/".to_owned(),
            CharEscape::Backspace => "\\b".to_owned(),
            CharEscape::FormFeed => "\\f".to_owned(),
            CharEscape::LineFeed => "\\n".to_owned(),
            CharEscape::CarriageReturn => "\\r".to_owned(),
            CharEscape::Tab => "\\t".to_owned(),
            CharEscape::AsciiControl(byte) => format!("\\u{byte:04x}"),
        };
        writer.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::to_string;

    #[test]
    fn escapes_what_go_escapes() {
        let text = "<b>&\u{2028}\"\\\n\t\u{1}é/";
        assert_eq!(
            to_string(text).unwrap(),
            r#""\u003cb\u003e\u0026\u2028\"\\\n\t\u0001é/""#
        );
    }

    #[test]
    fn numbers_are_as_short_as_gos() {
        for (value, written) in [(2.0, "2"), (1000.0, "1000"), (0.5, "0.5"), (1e21, "1e+21")] {
            assert_eq!(to_string(&value).unwrap(), written);
        }
    }
}
