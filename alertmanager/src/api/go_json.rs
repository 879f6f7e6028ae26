//! JSON as Go's decoder takes it, for bodies that a strict parser refuses: names of members in any case, members twice
//! (the last word counts, objects are merged), `null` for anything, bytes that are not UTF-8 and halves of surrogate
//! pairs (U+FFFD each), and text behind the value. One odd label must not lose the whole batch that it came with.
use std::collections::BTreeMap;

use crate::api::wire::{PostedAlert, PostedMatcher, PostedSilence};

/// As deep as Go's decoder goes.
const DEPTH_MAX: usize = 10_000;

/// In the words of Go's decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GoJsonError {
    #[error("exceeded max depth")]
    Depth,
    #[error("unexpected EOF")]
    End,
    #[error("null in place of an object")]
    Null,
    #[error("json: cannot unmarshal {found} into Go value of type {wanted}")]
    Type {
        found: &'static str,
        wanted: &'static str,
    },
    #[error("invalid character {found:?} {place}")]
    Unexpected { found: char, place: &'static str },
}

type Read<T> = Result<T, GoJsonError>;

/// An array of alerts, each handed to `take` as soon as it is read. `null` is none.
pub(crate) fn read_alerts(body: &[u8], mut take: impl FnMut(PostedAlert)) -> Read<()> {
    let mut reader = Reader { body, at: 0 };
    reader.array(|reader| {
        let mut alert = PostedAlert::default();
        let is_there = reader.object(|reader, name| {
            match field(
                name,
                &[
                    "labels",
                    "annotations",
                    "startsAt",
                    "endsAt",
                    "generatorURL",
                ],
            ) {
                Some("labels") => reader.texts(&mut alert.labels),
                Some("annotations") => reader.texts(&mut alert.annotations),
                Some("startsAt") => reader.text(&mut alert.starts_at),
                Some("endsAt") => reader.text(&mut alert.ends_at),
                Some("generatorURL") => reader.text(&mut alert.generator_url),
                Some(_) | None => reader.skip(),
            }
        })?;
        if is_there {
            take(alert);
            Ok(())
        } else {
            Err(GoJsonError::Null)
        }
    })?;
    Ok(())
}

/// `null` is a silence of which nothing is said.
pub(crate) fn read_silence(body: &[u8]) -> Read<PostedSilence> {
    let mut silence = PostedSilence::default();
    let names = [
        "id",
        "matchers",
        "startsAt",
        "endsAt",
        "createdBy",
        "comment",
        "annotations",
    ];
    Reader { body, at: 0 }.object(|reader, name| match field(name, &names) {
        Some("id") => reader.text(&mut silence.id),
        Some("matchers") => reader.matchers(&mut silence.matchers),
        Some("startsAt") => reader.text_or_none(&mut silence.starts_at),
        Some("endsAt") => reader.text_or_none(&mut silence.ends_at),
        Some("createdBy") => reader.text_or_none(&mut silence.created_by),
        Some("comment") => reader.text_or_none(&mut silence.comment),
        Some("annotations") => reader.texts(&mut silence.annotations),
        Some(_) | None => reader.skip(),
    })?;
    Ok(silence)
}

/// Which of `names` is meant, whatever the case of its letters. Two letters beyond ASCII fold to ones within.
fn field(name: &str, names: &[&'static str]) -> Option<&'static str> {
    let folded = |letter| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    names
        .iter()
        .find(|known| known.chars().map(folded).eq(name.chars().map(folded)))
        .copied()
}

struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> Read<u8> {
        while let Some(byte) = self.body.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(GoJsonError::End)
    }

    /// Whether `null` stood here; it is read.
    fn null(&mut self) -> Read<bool> {
        let is_null = self.peek()? == b'n';
        if is_null {
            self.literal("null")?;
        }
        Ok(is_null)
    }

    /// Says whether there was an array, or `null`. `each` reads an element.
    fn array(&mut self, mut each: impl FnMut(&mut Self) -> Read<()>) -> Read<bool> {
        if self.null()? {
            return Ok(false);
        }
        self.begin(b'[', "array")?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(true);
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(true);
                }
                _ => return Err(self.unexpected("after array element")),
            }
        }
    }

    /// Says whether there was an object, or `null`. `each` reads a member's value.
    fn object(&mut self, mut each: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<bool> {
        if self.null()? {
            return Ok(false);
        }
        self.begin(b'{', "object")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(true);
        }
        loop {
            let name = self.name()?;
            each(self, &name)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(true);
                }
                _ => return Err(self.unexpected("after object key:value pair")),
            }
        }
    }

    fn name(&mut self) -> Read<String> {
        if self.peek()? != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let name = self.quoted()?;
        if self.peek()? != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(name)
    }

    /// `null` says nothing new.
    fn text(&mut self, into: &mut Option<String>) -> Read<()> {
        if !self.null()? {
            *into = Some(self.string()?);
        }
        Ok(())
    }

    /// `null` takes back what was said.
    fn text_or_none(&mut self, into: &mut Option<String>) -> Read<()> {
        *into = if self.null()? {
            None
        } else {
            Some(self.string()?)
        };
        Ok(())
    }

    fn boolean(&mut self, into: &mut Option<bool>) -> Read<()> {
        *into = match self.peek()? {
            b'n' => self.literal("null").map(|()| None)?,
            b't' => self.literal("true").map(|()| Some(true))?,
            b'f' => self.literal("false").map(|()| Some(false))?,
            _ => return Err(self.wrong_type("bool")),
        };
        Ok(())
    }

    /// A second object is merged with the first; `null` takes it back, and within it is the empty text.
    fn texts(&mut self, into: &mut Option<BTreeMap<String, String>>) -> Read<()> {
        let mut texts = into.take().unwrap_or_default();
        let is_there = self.object(|reader, name| {
            let value = if reader.null()? {
                String::new()
            } else {
                reader.string()?
            };
            texts.insert(name.to_owned(), value);
            Ok(())
        })?;
        *into = is_there.then_some(texts);
        Ok(())
    }

    /// A second array's elements say on what the first one's began.
    fn matchers(&mut self, into: &mut Option<Vec<PostedMatcher>>) -> Read<()> {
        let mut before = into.take().unwrap_or_default().into_iter();
        let mut matchers = Vec::new();
        let is_there = self.array(|reader| {
            let mut matcher = before.next().unwrap_or_default();
            let is_there = reader.object(|reader, name| {
                match field(name, &["name", "value", "isRegex", "isEqual"]) {
                    Some("name") => reader.text_or_none(&mut matcher.name),
                    Some("value") => reader.text_or_none(&mut matcher.value),
                    Some("isRegex") => reader.boolean(&mut matcher.is_regex),
                    Some("isEqual") => reader.boolean(&mut matcher.is_equal),
                    Some(_) | None => reader.skip(),
                }
            })?;
            matchers.push(matcher);
            if is_there {
                Ok(())
            } else {
                Err(GoJsonError::Null)
            }
        })?;
        *into = is_there.then_some(matchers);
        Ok(())
    }

    fn string(&mut self) -> Read<String> {
        if self.peek()? == b'"' {
            self.quoted()
        } else {
            Err(self.wrong_type("string"))
        }
    }

    /// From the quote that is next to the one that ends it.
    fn quoted(&mut self) -> Read<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let begin = self.at;
            let plain = self.body[begin..]
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
                .ok_or(GoJsonError::End)?;
            self.at += plain;
            push_replaced(&mut text, &self.body[begin..self.at]);
            match self.body[self.at] {
                b'"' => {
                    self.at += 1;
                    return Ok(text);
                }
                b'\\' => {
                    self.at += 1;
                    let escaped = self.escaped()?;
                    text.push(escaped);
                }
                _ => return Err(self.unexpected("in string literal")),
            }
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Read<char> {
        let character = match self.body.get(self.at).ok_or(GoJsonError::End)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            plain @ (b'"' | b'\\' | b'/') => char::from(*plain),
            _ => return Err(self.unexpected("in string escape code")),
        };
        self.at += 1;
        Ok(character)
    }

    /// From the `u` on. A half of a pair that is alone becomes U+FFFD, and what follows it stands for itself.
    fn unicode(&mut self) -> Read<char> {
        self.at += 1;
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.body[self.at..].starts_with(b"\\u") {
            let behind_first = self.at;
            self.at += 2;
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let both = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind_first;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Read<u32> {
        let mut number = 0;
        for _ in 0..4 {
            let byte = *self.body.get(self.at).ok_or(GoJsonError::End)?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.unexpected("in \\u hexadecimal character escape"));
            };
            number = number * 16 + digit;
            self.at += 1;
        }
        Ok(number)
    }

    /// Passes a value over, whatever it is. What it is nested in is on the heap: a stack would not be deep enough.
    fn skip(&mut self) -> Read<()> {
        let mut open = Vec::new();
        loop {
            match self.peek()? {
                opening @ (b'[' | b'{') => {
                    self.at += 1;
                    if open.len() >= DEPTH_MAX {
                        return Err(GoJsonError::Depth);
                    }
                    let closing = if opening == b'[' { b']' } else { b'}' };
                    if self.peek()? == closing {
                        self.at += 1;
                    } else {
                        open.push(closing);
                        if closing == b'}' {
                            self.name()?;
                        }
                        continue;
                    }
                }
                b'"' => drop(self.quoted()?),
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(self.unexpected("looking for beginning of value")),
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                let Some(closing) = open.last() else {
                    return Ok(());
                };
                let next = self.peek()?;
                if next == *closing {
                    self.at += 1;
                    open.pop();
                } else if next == b',' {
                    self.at += 1;
                    if *closing == b'}' {
                        self.name()?;
                    }
                    break;
                } else if *closing == b'}' {
                    return Err(self.unexpected("after object key:value pair"));
                } else {
                    return Err(self.unexpected("after array element"));
                }
            }
        }
    }

    fn number(&mut self) -> Read<()> {
        if self.body.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.body.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.body.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.body.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.body.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    /// At least one.
    fn digits(&mut self, place: &'static str) -> Read<()> {
        let begin = self.at;
        while self.body.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match self.body.get(self.at) {
            _ if self.at > begin => Ok(()),
            Some(_) => Err(self.unexpected(place)),
            None => Err(GoJsonError::End),
        }
    }

    fn literal(&mut self, literal: &'static str) -> Read<()> {
        for expected in literal.bytes() {
            match self.body.get(self.at) {
                Some(byte) if *byte == expected => self.at += 1,
                Some(_) => return Err(self.unexpected("in literal")),
                None => return Err(GoJsonError::End),
            }
        }
        Ok(())
    }

    fn begin(&mut self, opening: u8, wanted: &'static str) -> Read<()> {
        if self.peek()? != opening {
            return Err(self.wrong_type(wanted));
        }
        self.at += 1;
        Ok(())
    }

    fn wrong_type(&self, wanted: &'static str) -> GoJsonError {
        let found = match self.body.get(self.at) {
            Some(b'"') => "string",
            Some(b'[') => "array",
            Some(b'{') => "object",
            Some(b't' | b'f') => "bool",
            Some(b'-' | b'0'..=b'9') => "number",
            Some(_) | None => return self.unexpected("looking for beginning of value"),
        };
        GoJsonError::Type { found, wanted }
    }

    fn unexpected(&self, place: &'static str) -> GoJsonError {
        match self.body.get(self.at) {
            Some(byte) => GoJsonError::Unexpected {
                found: char::from(*byte),
                place,
            },
            None => GoJsonError::End,
        }
    }
}

/// Each byte that begins nothing becomes U+FFFD, as in Go; the standard library's own way makes one of several.
fn push_replaced(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
}

#[cfg(test)]
mod tests {
    use super::{GoJsonError, read_alerts, read_silence};

    /// Labels, annotations, start, end and address of each alert, as text.
    fn alerts(body: &[u8]) -> Result<String, GoJsonError> {
        let mut read = Vec::new();
        read_alerts(body, |alert| {
            let pairs = |pairs: &Option<std::collections::BTreeMap<String, String>>| {
                pairs.as_ref().map_or("-".to_owned(), |pairs| {
                    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
                    pairs.collect::<Vec<_>>().join(",")
                })
            };
            let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
            read.push(format!(
                "{} {} {} {} {}",
                pairs(&alert.labels),
                pairs(&alert.annotations),
                text(&alert.starts_at),
                text(&alert.ends_at),
                text(&alert.generator_url),
            ));
        })?;
        Ok(read.join(" | "))
    }

    /// As Alertmanager 0.25 was seen to read them.
    #[test]
    fn reads_as_gos_decoder_does() {
        let rows: &[(&[u8], &str)] = &[
            (b"null", ""),
            (b" [ ] x", ""),
            (br#"[{"labels":{"a":"1"}},{"labels":{}}]"#, "a=1 - - - - |  - - - -"),
            (br#"[{"labels":{"a":null},"annotations":null,"startsAt":null}]"#, "a= - - - -"),
            (br#"[{"LABELS":{"A":"1"},"startsat":"s","EndsAt":"e","generatorUrl":"g"}]"#, "A=1 - s e g"),
            ("[{\"label\u{17f}\":{\"a\":\"1\"}}]".as_bytes(), "a=1 - - - -"),
            (br#"[{"Label\u0073":{"a":"1"}}]"#, "a=1 - - - -"),
            (br#"[{"labels":{"a":"1","b":"1"},"labels":{"a":"2"}}]"#, "a=2,b=1 - - - -"),
            (br#"[{"labels":{"a":"1"},"labels":null}]"#, "- - - - -"),
            (br#"[{"labels":{"a":"1","a":null}}]"#, "a= - - - -"),
            (br#"[{"startsAt":"1","startsAt":"2","StartsAt":null}]"#, "- - 2 - -"),
            (br#"[{"generatorURL":"1","generatorUrl":"2"}]"#, "- - - - 2"),
            (b"[{\"labels\":{\"a\":\"x\xffy\xc3\"}}]", "a=x\u{fffd}y\u{fffd} - - - -"),
            (b"[{\"labels\":{\"a\":\"\xed\xa0\x80\"}}]", "a=\u{fffd}\u{fffd}\u{fffd} - - - -"),
            (b"[{\"labels\":{\"a\":\"\xf0\x9f\x98\"}}]", "a=\u{fffd}\u{fffd}\u{fffd} - - - -"),
            (br#"[{"labels":{"a":"\ud800y\udc00\ud83d\ude00"}}]"#, "a=\u{fffd}y\u{fffd}\u{1f600} - - - -"),
            (br#"[{"labels":{"a":"\ud800\ud83d\ude00"}}]"#, "a=\u{fffd}\u{1f600} - - - -"),
            (br#"[{"labels":{"a":"\ud800\u0041\ud800"}}]"#, "a=\u{fffd}A\u{fffd} - - - -"),
            (br#"[{"labels":{"a":"\"\\\/\b\f\n\r\t"}}]"#, "a=\"\\/\u{8}\u{c}\n\r\t - - - -"),
            (br#"[{"labels":{"a":"1"}}][{"labels":{}}]"#, "a=1 - - - -"),
            (br#"[{"labels":{"a":"1"},"x":{"a":[1,-2.5e+3,{"b":[null,{}]},[]],"c":true},"y":1e999999,"z":-0}]"#, "a=1 - - - -"),
        ];
        for (body, expected) in rows {
            let shown = String::from_utf8_lossy(body);
            assert_eq!(alerts(body).as_deref(), Ok(*expected), "{shown}");
        }
        let deep = |depth| format!("[{{\"x\":{}{}}}]", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(alerts(deep(9_990).as_bytes()).as_deref(), Ok("- - - - -"));
        assert_eq!(alerts(deep(10_010).as_bytes()), Err(GoJsonError::Depth));
    }

    #[test]
    fn refuses_in_gos_words() {
        let rows: &[(&str, &str)] = &[
            (r#"[{"labels":{"a":"1"}}"#, "unexpected EOF"),
            (
                "[{},]",
                "invalid character ']' looking for beginning of value",
            ),
            (
                r#"[{"x":1,}]"#,
                "invalid character '}' looking for beginning of object key string",
            ),
            (
                "[{'labels':{}}]",
                "invalid character '\\'' looking for beginning of object key string",
            ),
            (
                r#"[{"labels" 1}]"#,
                "invalid character '1' after object key",
            ),
            ("[{} {}]", "invalid character '{' after array element"),
            (
                r#"[{"x":01}]"#,
                "invalid character '1' after object key:value pair",
            ),
            (
                r#"[{"x":1.}]"#,
                "invalid character '}' after decimal point in numeric literal",
            ),
            (
                r#"[{"x":[1}}]"#,
                "invalid character '}' after array element",
            ),
            (
                r#"[{"x":{"a":1]}]"#,
                "invalid character ']' after object key:value pair",
            ),
            (r#"[{"x":nul}]"#, "invalid character '}' in literal"),
            (r#"[{"x":-}]"#, "invalid character '}' in numeric literal"),
            (
                "[{\"x\":\"\t\"}]",
                "invalid character '\\t' in string literal",
            ),
            (
                r#"[{"x":"\x"}]"#,
                "invalid character 'x' in string escape code",
            ),
            (
                r#"[{"x":"\u12"}]"#,
                "invalid character '\"' in \\u hexadecimal character escape",
            ),
            (r#"[{"x":"\u12"#, "unexpected EOF"),
            (
                r#"[{"labels":{"a":1}}]"#,
                "json: cannot unmarshal number into Go value of type string",
            ),
            (
                r#"[{"labels":[]}]"#,
                "json: cannot unmarshal array into Go value of type object",
            ),
            (
                r#"[{"startsAt":true}]"#,
                "json: cannot unmarshal bool into Go value of type string",
            ),
            (
                "{}",
                "json: cannot unmarshal object into Go value of type array",
            ),
            ("[null]", "null in place of an object"),
            ("", "unexpected EOF"),
        ];
        for (body, expected) in rows {
            let error = match alerts(body.as_bytes()) {
                Ok(read) => panic!("{body}: {read}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(error, *expected, "{body}");
        }
    }

    #[test]
    fn a_silence_is_read_alike() {
        let body = br#"{"Comment":"c","comment":null,"createdby":"a","MATCHERS":[{"Name":"n","VALUE":"v","isregex":true,
            "ISEQUAL":null}],"matchers":[{"name":"m"},{"name":"o","value":null}],"id":"i","id":null,"startsAt":"s"} x"#;
        let silence = read_silence(body).unwrap();
        assert_eq!(silence.comment, None);
        assert_eq!(silence.created_by.as_deref(), Some("a"));
        assert_eq!(silence.id.as_deref(), Some("i"));
        assert_eq!(silence.starts_at.as_deref(), Some("s"));
        let matchers: Vec<_> = silence
            .matchers
            .unwrap()
            .into_iter()
            .map(|matcher| {
                (
                    matcher.name,
                    matcher.value,
                    matcher.is_regex,
                    matcher.is_equal,
                )
            })
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            matchers,
            [
                (some("m"), some("v"), Some(true), None),
                (some("o"), None, None, None),
            ]
        );
        assert_eq!(
            read_silence(br#"{"matchers":[null]}"#).err(),
            Some(GoJsonError::Null)
        );
    }
}
