//! Go's `strconv.Quote`, and the reading of Go's interpreted string literals.
use std::fmt::Write as _;

/// Double quotes around the text; control characters, quotes, backslashes and what Go calls unprintable escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            _ if is_printable(character) => quoted.push(character),
            // Writing to a string cannot fail.
            _ if u32::from(character) < 0x80 => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(character));
            }
            _ if u32::from(character) < 0x10000 => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => {
                let _ = write!(quoted, "\\U{:08x}", u32::from(character));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Go prints letters, marks, numbers, punctuation, symbols and the ASCII space. Rust's `escape_debug` draws nearly
/// the same line; spaces other than ASCII's, and what joins or orders text without being seen, are escaped by Go.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return (' '..='~').contains(&character);
    }
    if character.is_whitespace() || character.is_control() {
        return false;
    }
    let escaped = character.escape_debug().next() == Some('\\');
    // Combining marks are escaped by Rust and printed by Go.
    !escaped || is_combining_mark(character)
}

fn is_combining_mark(character: char) -> bool {
    matches!(u32::from(character),
        0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x064b..=0x065f | 0x0900..=0x0903 | 0x093a..=0x094f
        | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe00..=0xfe0f | 0xfe20..=0xfe2f)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quotes_as_go_does() {
        for (text, quoted) in [
            ("", r#""""#),
            ("a \"b\" \\", r#""a \"b\" \\""#),
            ("\n\t\r\x07\x0b", r#""\n\t\r\a\v""#),
            ("\x00\x7f", r#""\x00\x7f""#),
            ("é 🙂 世", r#""é 🙂 世""#),
            ("\u{a0}\u{200b}\u{feff}", r#""\u00a0\u200b\ufeff""#),
            ("e\u{301}", "\"e\u{301}\""),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
