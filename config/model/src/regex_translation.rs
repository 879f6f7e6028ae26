//! From Go's RE2 syntax to the syntax of the crate `regex`.
//!
//! The two agree on nearly everything, leftmost-first matching included. Where they differ, Go's meaning is kept:
//! `\d \w \s \b` are ASCII, a `{` that begins no repetition is a plain character, a class knows no set operations
//! and no nesting, `\Q…\E` quotes, `\101` is octal; what Go refuses (`a**`, counts over 1000, `(?x)`) is refused.

/// Counts above this are refused by Go.
const REPEAT_MAX: u32 = 1000;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TranslationError {
    pub(crate) reason: &'static str,
    pub(crate) fragment: Option<String>,
}

pub(crate) fn translate(pattern: &str) -> Result<String, TranslationError> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        repeated: None,
    };
    while let Some(character) = translator.rest.chars().next() {
        translator.step(character)?;
    }
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// The repetition that has just been written, to refuse a second one behind it.
    repeated: Option<&'a str>,
}

impl<'a> Translator<'a> {
    fn step(&mut self, character: char) -> Result<(), TranslationError> {
        let before = self.repeated.take();
        match character {
            '\\' => self.escape(false),
            '[' => self.class(),
            '(' => self.group(),
            '*' | '+' | '?' => self.repetition(1, before),
            '{' => match counted(self.rest) {
                Some((length, too_many)) => {
                    if too_many {
                        return Err(self.error("invalid repeat count", length));
                    }
                    self.repetition(length, before)
                }
                None => {
                    self.out.push_str("\\{");
                    self.advance(1);
                    Ok(())
                }
            },
            '}' => {
                self.out.push_str("\\}");
                self.advance(1);
                Ok(())
            }
            _ => {
                self.out.push(character);
                self.advance(character.len_utf8());
                Ok(())
            }
        }
    }

    fn advance(&mut self, length: usize) {
        self.rest = &self.rest[length..];
    }

    fn error(&self, reason: &'static str, length: usize) -> TranslationError {
        TranslationError {
            reason,
            fragment: Some(self.rest[..length].to_owned()),
        }
    }

    /// `*`, `+`, `?` or `{n,m}`, each with an optional `?` behind it; never twice in a row.
    fn repetition(
        &mut self,
        length: usize,
        before: Option<&'a str>,
    ) -> Result<(), TranslationError> {
        let lazy = self.rest[length..].starts_with('?');
        let length = length + usize::from(lazy);
        if let Some(before) = before {
            let fragment = Some(format!("{before}{}", &self.rest[..length]));
            return Err(TranslationError {
                reason: "invalid nested repetition operator",
                fragment,
            });
        }
        let text = &self.rest[..length];
        self.out.push_str(text);
        self.repeated = Some(text);
        self.advance(length);
        Ok(())
    }

    /// `(`, `(?:`, `(?P<name>`, `(?<name>` or `(?flags)`; Go knows the flags i, m, s and U.
    fn group(&mut self) -> Result<(), TranslationError> {
        let Some(after) = self.rest.strip_prefix("(?") else {
            self.out.push('(');
            self.advance(1);
            return Ok(());
        };
        let named = after.starts_with("P<")
            || (after.starts_with('<') && !after.starts_with("<=") && !after.starts_with("<!"));
        if named {
            let length = self.rest.find('>').map_or(self.rest.len(), |end| end + 1);
            self.out.push_str(&self.rest[..length]);
            self.advance(length);
            return Ok(());
        }
        let flags = after
            .bytes()
            .take_while(|byte| matches!(byte, b'i' | b'm' | b's' | b'U' | b'-'))
            .count();
        match after[flags..].chars().next() {
            Some(':' | ')') => {
                let length = 2 + flags + 1;
                self.out.push_str(&self.rest[..length]);
                self.advance(length);
                Ok(())
            }
            None => Err(TranslationError {
                reason: "missing closing )",
                fragment: Some(self.rest.to_owned()),
            }),
            Some(other) => Err(self.error(
                "invalid or unsupported Perl syntax",
                2 + flags + other.len_utf8(),
            )),
        }
    }

    fn escape(&mut self, in_class: bool) -> Result<(), TranslationError> {
        let Some(next) = self.rest[1..].chars().next() else {
            return Err(TranslationError {
                reason: "trailing backslash at end of expression",
                fragment: Some(String::new()),
            });
        };
        let length = 1 + next.len_utf8();
        let class = match next {
            'd' => "0-9",
            'w' => "0-9A-Za-z_",
            's' => "\\t\\n\\x0C\\r ",
            _ => "",
        };
        if !class.is_empty() {
            self.out.push_str(&if in_class {
                class.to_owned()
            } else {
                format!("[{class}]")
            });
            self.advance(length);
            return Ok(());
        }
        let negated = match next {
            'D' => "[^0-9]",
            'W' => "[^0-9A-Za-z_]",
            'S' => "[^\\t\\n\\x0C\\r ]",
            _ => "",
        };
        if !negated.is_empty() {
            self.out.push_str(negated);
            self.advance(length);
            return Ok(());
        }
        match next {
            'b' | 'B' if !in_class => {
                self.out.push_str(if next == 'b' {
                    "(?-u:\\b)"
                } else {
                    "(?-u:\\B)"
                });
                self.advance(length);
            }
            'A' | 'z' if !in_class => {
                self.out.push_str(&self.rest[..length]);
                self.advance(length);
            }
            'Q' if !in_class => self.quoted(),
            'a' | 'f' | 'n' | 'r' | 't' | 'v' => {
                self.out.push_str(&self.rest[..length]);
                self.advance(length);
            }
            'p' | 'P' => self.unicode_class()?,
            'x' => self.hexadecimal()?,
            '0'..='7' => self.octal()?,
            _ if next.is_ascii_punctuation() && next != '_' => {
                push_literal(&mut self.out, next);
                self.advance(length);
            }
            _ => return Err(self.error("invalid escape sequence", length)),
        }
        Ok(())
    }

    fn quoted(&mut self) {
        self.advance(2);
        let (text, length) = match self.rest.find("\\E") {
            Some(end) => (&self.rest[..end], end + 2),
            None => (self.rest, self.rest.len()),
        };
        for character in text.chars() {
            push_literal(&mut self.out, character);
        }
        self.advance(length);
    }

    /// `\pL`, `\p{Greek}`: one-letter categories and names, handed on; the crate knows the same tables.
    fn unicode_class(&mut self) -> Result<(), TranslationError> {
        let length = if self.rest[2..].starts_with('{') {
            self.rest.find('}').map(|end| end + 1)
        } else {
            self.rest[2..]
                .chars()
                .next()
                .map(|letter| 2 + letter.len_utf8())
        };
        let Some(length) = length else {
            return Err(self.error("invalid character class range", self.rest.len()));
        };
        self.out.push_str(&self.rest[..length]);
        self.advance(length);
        Ok(())
    }

    /// `\x7f`, `\x{10ffff}`.
    fn hexadecimal(&mut self) -> Result<(), TranslationError> {
        let (digits, length) = match self.rest[2..].strip_prefix('{') {
            Some(after) => {
                let end = after.find('}').unwrap_or(after.len());
                (&after[..end], (2 + 1 + end + 1).min(self.rest.len()))
            }
            None => {
                let end = self.rest.len().min(4);
                (self.rest.get(2..end).unwrap_or(""), end)
            }
        };
        let character = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32);
        match character {
            Some(character) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                push_literal(&mut self.out, character);
                self.advance(length);
                Ok(())
            }
            _ => Err(self.error(
                "invalid escape sequence",
                self.rest.floor_char_boundary(length),
            )),
        }
    }

    /// `\0`, `\101`; a single digit from 1 to 7 would be a back-reference, which Go refuses.
    fn octal(&mut self) -> Result<(), TranslationError> {
        let digits = self.rest[1..]
            .bytes()
            .take(3)
            .take_while(|byte| matches!(byte, b'0'..=b'7'))
            .count();
        let text = &self.rest[1..=digits];
        if digits == 1 && text != "0" {
            return Err(self.error("invalid escape sequence", 2));
        }
        let code = text
            .bytes()
            .fold(0_u32, |code, digit| code * 8 + u32::from(digit - b'0'));
        push_literal(
            &mut self.out,
            char::from_u32(code).expect("three octal digits are below the surrogates"),
        );
        self.advance(1 + digits);
        Ok(())
    }

    /// `[…]`: inside it `[`, `&&`, `--` and `~~` are plain characters in Go.
    fn class(&mut self) -> Result<(), TranslationError> {
        let whole = self.rest;
        let unclosed = || TranslationError {
            reason: "missing closing ]",
            fragment: Some(whole.to_owned()),
        };
        self.out.push('[');
        self.advance(1);
        if self.rest.starts_with('^') {
            self.out.push('^');
            self.advance(1);
        }
        let mut first = true;
        loop {
            let Some(character) = self.rest.chars().next() else {
                return Err(unclosed());
            };
            match character {
                ']' if !first => {
                    self.out.push(']');
                    self.advance(1);
                    return Ok(());
                }
                '[' if self.rest.starts_with("[:") && self.rest.contains(":]") => {
                    let length = self.rest.find(":]").map_or(1, |end| end + 2);
                    self.out.push_str(&self.rest[..length]);
                    self.advance(length);
                }
                '\\' => self.escape(true)?,
                '-' => {
                    // A range's hyphen stays; one at either end is a plain character.
                    let next_closes = self.rest[1..].starts_with(']');
                    self.out
                        .push_str(if first || next_closes { "\\-" } else { "-" });
                    self.advance(1);
                }
                '[' | ']' | '&' | '~' => {
                    self.out.push('\\');
                    self.out.push(character);
                    self.advance(1);
                }
                _ => {
                    self.out.push(character);
                    self.advance(character.len_utf8());
                }
            }
            first = false;
        }
    }
}

/// Length of a repetition `{n}`, `{n,}` or `{n,m}` at the start of `text`, and whether Go refuses its counts.
fn counted(text: &str) -> Option<(usize, bool)> {
    let end = text.find('}')?;
    let inside = &text[1..end];
    let (low, high) = match inside.split_once(',') {
        Some((low, high)) => (low, high),
        None => (inside, inside),
    };
    let number = |digits: &str| {
        (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| digits.parse().unwrap_or(u32::MAX))
    };
    let low = number(low)?;
    let high = if high.is_empty() {
        None
    } else {
        Some(number(high)?)
    };
    let too_many = low > REPEAT_MAX || high.is_some_and(|high| high > REPEAT_MAX || high < low);
    Some((end + 1, too_many))
}

fn push_literal(out: &mut String, character: char) {
    if character.is_ascii_punctuation() {
        out.push('\\');
    }
    if character == '\0' || (character.is_ascii_control() && !character.is_whitespace()) {
        out.push_str(&format!("\\x{:02x}", u32::from(character)));
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use crate::go_regex::GoRegex;

    #[test]
    fn means_what_it_means_in_go() {
        for (pattern, text, matches) in [
            (r"\d+", "٣", false),
            (r"\d+", "12", true),
            (r"\w+", "é", false),
            (r"[\d.]+", "1.2", true),
            (r"[^\s]+", "ab", true),
            (r"\Da", "٣a", true),
            ("/users/{gid}", "/users/{gid}", true),
            ("a{,5}", "a{,5}", true),
            ("a{2,3}", "aaa", true),
            ("a{2,3}?b", "aab", true),
            ("{", "{", true),
            ("a}", "a}", true),
            ("[a&&b]+", "&ab", true),
            ("[a--c]", "b", false),
            ("[[a]", "[", true),
            ("[[]", "[", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[-a]", "-", true),
            ("[^]]", "x", true),
            ("[[:alpha:]_]+", "a_b", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\101", "A", true),
            (r"\x41\x{42}", "AB", true),
            (r"\pL+", "éa", true),
            (r"(?i)abc", "ABC", true),
            (r"(?P<n>a)(?<m>b)", "ab", true),
            (r"a\-b\/c", "a-b/c", true),
            (r"a\.b", "axb", false),
            (r"[\]]", "]", true),
            (r"[\-a]", "-", true),
            ("a.b", "a\nb", false),
        ] {
            let regex =
                GoRegex::anchored(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(regex.is_match(text), matches, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn refuses_with_gos_words() {
        for (pattern, words) in [
            ("(", "error parsing regexp: missing closing ): `^(?:()$`"),
            (
                "a**",
                "error parsing regexp: invalid nested repetition operator: `**`",
            ),
            (
                "a{1001}",
                "error parsing regexp: invalid repeat count: `{1001}`",
            ),
            (
                "(?x)a",
                "error parsing regexp: invalid or unsupported Perl syntax: `(?x`",
            ),
            (
                "(?=a)",
                "error parsing regexp: invalid or unsupported Perl syntax: `(?=`",
            ),
            (
                r"\1",
                r"error parsing regexp: invalid escape sequence: `\1`",
            ),
            (
                r"\u0041",
                r"error parsing regexp: invalid escape sequence: `\u`",
            ),
            (
                r"\_",
                r"error parsing regexp: invalid escape sequence: `\_`",
            ),
            (
                r"a\",
                r"error parsing regexp: trailing backslash at end of expression: ``",
            ),
            ("[a", "error parsing regexp: missing closing ]: `[a`"),
        ] {
            match GoRegex::anchored(pattern) {
                Ok(_) => panic!("{pattern} was accepted"),
                Err(error) => assert_eq!(error.to_string(), words),
            }
        }
    }

    #[test]
    fn replaces_as_go_does() {
        let regex = GoRegex::unanchored("(a)(?P<second>b)").unwrap();
        assert_eq!(regex.replace_all("abxab", "${second}$1-"), "ba-xba-");
        assert_eq!(
            regex.replace_all("ab", "$1x"),
            "",
            "the group is named 1x, and there is none"
        );
        let anchored = GoRegex::anchored_dot_all("(.*):.*").unwrap();
        assert_eq!(anchored.expand("host:9090", "$1").as_deref(), Some("host"));
        assert_eq!(anchored.expand("host", "$1"), None);
    }

    #[test]
    fn refuses_what_would_not_fit_in_memory() {
        assert!(GoRegex::anchored("((a{1000}){1000}){1000}").is_err());
        assert!(GoRegex::anchored(&"a".repeat(100_000)).is_err());
    }
}
