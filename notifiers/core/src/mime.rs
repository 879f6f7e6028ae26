//! A mail as text: headers that cannot be broken out of, and bodies in quoted-printable (RFC 2045, 2047, 5322).
use std::fmt::Write as _;

/// Longest encoded line of a body, the `=` of a soft break included.
const BODY_LINE_MAX: usize = 76;
/// Longest encoded word of a header.
const ENCODED_WORD_MAX: usize = 75;
/// A plain header line longer than this is folded at a space; SMTP takes 998 octets.
const HEADER_LINE_MAX: usize = 900;
/// More of a header's value than this is cut off.
const HEADER_VALUE_RUNES_MAX: usize = 8000;

/// `Name: value` with its line end. Line breaks and other white space in the value become single spaces where they would
/// end the line, so that no value can begin another header; what is not ASCII is Q-encoded.
pub(crate) fn header(name: &str, value: &str) -> String {
    let value: String = value
        .replace(['\r', '\n'], " ")
        .chars()
        .take(HEADER_VALUE_RUNES_MAX)
        .collect();
    let plain = value
        .bytes()
        .all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t');
    let value = if plain {
        fold(&value)
    } else {
        encoded_words(&value)
    };
    format!("{name}: {value}\r\n")
}

/// A header that holds addresses: of `Jörg <joerg@example.org>` only the name is encoded, so that the address stays one.
pub(crate) fn address_header(name: &str, value: &str) -> String {
    if value.is_ascii() {
        return header(name, value);
    }
    let encoded: Vec<String> = parts(value)
        .iter()
        .map(|part| match part.trim().rsplit_once('<') {
            Some((name, address)) if !name.is_ascii() => {
                let name = name.trim().trim_matches('"').replace(['\r', '\n'], " ");
                format!("{} <{address}", encoded_words(&name))
            }
            Some(_) | None => part.trim().to_owned(),
        })
        .collect();
    let list = encoded.join(",\r\n ");
    if list.is_ascii() && !encoded.iter().any(|part| breaks_out(part)) {
        format!("{name}: {list}\r\n")
    } else {
        header(name, value)
    }
}

/// Whether a line break stands where it does not fold an encoded name.
fn breaks_out(part: &str) -> bool {
    part.replace("?=\r\n =?", "").contains(['\r', '\n'])
}

/// Folds at spaces; a word that is longer than a line is cut.
fn fold(value: &str) -> String {
    if value.len() <= HEADER_LINE_MAX {
        return value.to_owned();
    }
    let mut folded = String::with_capacity(value.len() + 16);
    let mut length = 0;
    for word in value.split(' ') {
        let mut word = word;
        if length > 0 && length + 1 + word.len() > HEADER_LINE_MAX {
            folded.push_str("\r\n");
            length = 0;
        }
        if !folded.is_empty() {
            folded.push(' ');
        }
        while word.len() > HEADER_LINE_MAX {
            let (line, rest) = word.split_at(HEADER_LINE_MAX);
            folded.push_str(line);
            folded.push_str("\r\n ");
            word = rest;
        }
        folded.push_str(word);
        length += 1 + word.len();
    }
    folded
}

/// `=?utf-8?q?…?=`, as many as needed, never splitting a character.
fn encoded_words(value: &str) -> String {
    const OPEN: &str = "=?utf-8?q?";
    const CLOSE: &str = "?=";
    let mut words = vec![String::new()];
    for character in value.chars() {
        let mut encoded = String::new();
        let mut bytes = [0; 4];
        for byte in character.encode_utf8(&mut bytes).bytes() {
            match byte {
                b' ' => encoded.push('_'),
                b'!'..=b'~' if !b"=?_".contains(&byte) => encoded.push(char::from(byte)),
                // Writing to a string cannot fail.
                _ => drop(write!(encoded, "={byte:02X}")),
            }
        }
        let current = words.last().map_or(0, String::len);
        if OPEN.len() + current + encoded.len() + CLOSE.len() > ENCODED_WORD_MAX {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&encoded);
        }
    }
    words
        .iter()
        .map(|word| format!("{OPEN}{word}{CLOSE}"))
        .collect::<Vec<_>>()
        .join("\r\n ")
}

/// Lines of at most 76 characters that end with CRLF; white space at the end of a line is encoded.
pub(crate) fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push_str("\r\n");
        }
        push_line(&mut out, line);
    }
    out
}

fn push_line(out: &mut String, line: &str) {
    let mut length = 0;
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let last = at + 1 == bytes.len();
        let literal =
            matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !last);
        let width = if literal { 1 } else { 3 };
        if length + width > BODY_LINE_MAX - 1 {
            out.push_str("=\r\n");
            length = 0;
        }
        if literal {
            out.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "={byte:02X}");
        }
        length += width;
    }
}

/// The addresses of a list such as `Ops <ops@example.org>, on.call@example.org`; names are left out.
pub(crate) fn addresses(list: &str) -> Result<Vec<String>, String> {
    parts(list)
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .map(address)
        .collect()
}

/// A list cut at the commas that stand outside of quotes.
fn parts(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut escaped = false;
    for character in list.chars() {
        match character {
            '"' if !escaped => quoted = !quoted,
            ',' if !quoted => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts
}

/// An address of ASCII: servers that take others (SMTPUTF8) are not spoken to in that way.
fn address(part: &str) -> Result<String, String> {
    let inner = match (part.rfind('<'), part.rfind('>')) {
        _ if quoted_local_part(part).is_some() => part,
        (Some(open), Some(close)) if open < close => &part[open + 1..close],
        _ => part,
    };
    let plain = |text: &str| {
        !text.is_empty()
            && !text.contains(|character: char| {
                character.is_whitespace() || "<>@\"".contains(character)
            })
    };
    let well_formed = match quoted_local_part(inner) {
        Some(domain) => plain(domain),
        None => inner
            .split_once('@')
            .is_some_and(|(local, domain)| plain(local) && plain(domain)),
    };
    if well_formed && inner.is_ascii() && !inner.contains(|character: char| character.is_control())
    {
        Ok(inner.to_owned())
    } else {
        Err(format!(
            "{} is not a mail address",
            model::go_quote::quote(part)
        ))
    }
}

/// The domain of an address such as `"on call"@example.org` (RFC 5321 4.1.2, `Quoted-string`), whose quotes belong to it.
fn quoted_local_part(address: &str) -> Option<&str> {
    let text = address.strip_prefix('"')?;
    let mut escaped = false;
    let end = text.find(|character| {
        let ends = character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        ends
    })?;
    text[end + 1..].strip_prefix('@')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{address_header, addresses, header, quoted_printable};

    #[test]
    fn headers_are_plain_where_they_can_be() {
        assert_eq!(
            header("Subject", r#"[FIRING:1] a "b"\c"#),
            "Subject: [FIRING:1] a \"b\"\\c\r\n"
        );
        assert_eq!(
            header("Subject", "é x_y"),
            "Subject: =?utf-8?q?=C3=A9_x=5Fy?=\r\n"
        );
        assert_eq!(
            header("Subject", "a\r\nBcc: evil@example.org"),
            "Subject: a  Bcc: evil@example.org\r\n"
        );
    }

    #[test]
    fn names_are_encoded_and_addresses_are_not() {
        for (value, written) in [
            ("a@b, Ops <c@d>", "To: a@b, Ops <c@d>\r\n"),
            (
                "a@b, Jörg <j@d>",
                "To: a@b,\r\n =?utf-8?q?J=C3=B6rg?= <j@d>\r\n",
            ),
            (
                "J\u{f6}\r\nBcc: x <j@d>",
                "To: =?utf-8?q?J=C3=B6__Bcc:_x?= <j@d>\r\n",
            ),
            (
                "Jörg <j@d\r\nBcc: x>",
                "To: =?utf-8?q?J=C3=B6rg_<j@d__Bcc:_x>?=\r\n",
            ),
        ] {
            assert_eq!(address_header("To", value), written);
        }
    }

    #[test]
    fn bodies_are_quoted_as_go_quotes_them() {
        for (text, quoted) in [
            ("a=b", "a=3Db"),
            ("x \ny\t", "x=20\r\ny=09"),
            ("é", "=C3=A9"),
            ("", ""),
            ("a\r\nb", "a\r\nb"),
        ] {
            assert_eq!(quoted_printable(text), quoted);
        }
        let long = "0123456789".repeat(8);
        assert_eq!(
            quoted_printable(&long),
            format!("{}=\r\n{}", &long[..75], &long[75..])
        );
    }

    #[test]
    fn address_lists_are_read() {
        assert_eq!(
            addresses("a@b, Ops \"x, y\" <ops@example.org>").unwrap(),
            ["a@b", "ops@example.org"]
        );
        assert_eq!(
            addresses(r#""on call"@b, "a\", <x>@y, b"@c,"Ops \"x, y" <"o p"@d>"#).unwrap(),
            [r#""on call"@b"#, r#""a\", <x>@y, b"@c"#, r#""o p"@d"#]
        );
        assert_eq!(addresses("").unwrap(), Vec::<String>::new());
        for wrong in [
            "nobody",
            "a@b c",
            "@b",
            "<a@>",
            "é@b",
            "a@b\r\nx",
            "a@b@c",
            "\"a b@c",
            "\"a\"b@c",
            "\"a b\"@",
            "\"a\r\nb\"@c",
            "\"é\"@b",
        ] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_value_breaks_out_of_its_header(value in "\\PC{0,200}|[ -~\r\n\t]{0,2000}") {
            let header = header("Subject", &value);
            let body = header.strip_suffix("\r\n").unwrap();
            for line in body.split("\r\n").skip(1) {
                prop_assert!(line.starts_with(' '), "{header:?}");
            }
            prop_assert!(body.split("\r\n").all(|line| line.len() < 998 && line.is_ascii()));
        }

        #[test]
        fn quoted_lines_are_short_ascii(text in "(?s).{0,400}") {
            let quoted = quoted_printable(&text);
            prop_assert!(quoted.split("\r\n").all(|line| line.len() <= 76 && line.is_ascii()));
        }
    }
}
