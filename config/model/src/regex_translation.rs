//! From Go's RE2 syntax to the syntax of the crate `regex`.
//!
//! The two agree on nearly everything, leftmost-first matching included. Where they differ, Go's meaning is kept:
//! `\d \w \s \b` are ASCII, a `{` that begins no repetition is a plain character, a class knows no set operations
//! and no nesting, `\Q…\E` quotes, `\101` is octal, `\<` and `\_` are the characters themselves, names of groups may begin
//! with a digit and come twice; what Go refuses (`a**`, counts over 1000, `(?x)`, `[b-a]`) is refused.

/// Counts above this are refused by Go.
const REPEAT_MAX: u32 = 1000;

/// `[:alnum:]` and the like, which both know.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TranslationError {
    pub(crate) reason: &'static str,
    pub(crate) fragment: Option<String>,
}

/// An expression for the crate, in which groups have no names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Translated {
    pub(crate) pattern: String,
    /// Of each group, from the first on.
    pub(crate) group_names: Vec<Option<String>>,
}

/// `is_wrapped`: something stands around the pattern, which a quotation without an end would take in.
pub(crate) fn translate(pattern: &str, is_wrapped: bool) -> Result<Translated, TranslationError> {
    let mut translator = Translator {
        rest: pattern,
        out: String::with_capacity(pattern.len() + 16),
        repeated: None,
        group_names: Vec::new(),
        is_wrapped,
    };
    while let Some(character) = translator.rest.chars().next() {
        translator.step(character)?;
    }
    Ok(Translated {
        pattern: translator.out,
        group_names: translator.group_names,
    })
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    /// The repetition that has just been written, to refuse a second one behind it.
    repeated: Option<&'a str>,
    group_names: Vec<Option<String>>,
    is_wrapped: bool,
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
            self.group_names.push(None);
            self.advance(1);
            return Ok(());
        };
        let named = after.starts_with("P<")
            || (after.starts_with('<') && !after.starts_with("<=") && !after.starts_with("<!"));
        if named {
            let length = self.rest.find('>').map_or(self.rest.len(), |end| end + 1);
            let (_, name) = self.rest[..length].split_once('<').unwrap_or_default();
            let name = name.strip_suffix('>').unwrap_or_default();
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            if name.is_empty() || !name.bytes().all(is_word) {
                return Err(self.error("invalid named capture", length));
            }
            self.out.push('(');
            self.group_names.push(Some(name.to_owned()));
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
            'Q' if !in_class => self.quoted()?,
            'p' | 'P' => self.unicode_class()?,
            _ => {
                let character = self.escaped_character(next)?;
                push_literal(&mut self.out, character);
            }
        }
        Ok(())
    }

    /// The one character that an escape sequence stands for; `next` is what follows the backslash. All in ASCII that is
    /// no letter and no digit stands for itself.
    fn escaped_character(&mut self, next: char) -> Result<char, TranslationError> {
        let length = 1 + next.len_utf8();
        let character = match next {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => return self.hexadecimal(),
            '0'..='7' => return self.octal(),
            _ if next.is_ascii() && !next.is_ascii_alphanumeric() => next,
            _ => return Err(self.error("invalid escape sequence", length)),
        };
        self.advance(length);
        Ok(character)
    }

    fn quoted(&mut self) -> Result<(), TranslationError> {
        self.advance(2);
        let (text, length) = match self.rest.find("\\E") {
            Some(end) => (&self.rest[..end], end + 2),
            None if self.is_wrapped => {
                return Err(TranslationError {
                    reason: "missing closing )",
                    fragment: None,
                });
            }
            None => (self.rest, self.rest.len()),
        };
        for character in text.chars() {
            push_literal(&mut self.out, character);
        }
        self.advance(length);
        Ok(())
    }

    /// `\pL`, `\p{Greek}`, `\p{^Greek}`: one-letter categories and names; the crate knows the same tables.
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
        let text = &self.rest[..length];
        match text[2..].strip_prefix("{^") {
            Some(name) => {
                let other = if text.starts_with("\\p") { 'P' } else { 'p' };
                self.out.push_str(&format!("\\{other}{{{name}"));
            }
            None => self.out.push_str(text),
        }
        self.advance(length);
        Ok(())
    }

    /// `\x7f`, `\x{10ffff}`.
    fn hexadecimal(&mut self) -> Result<char, TranslationError> {
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
                self.advance(length);
                Ok(character)
            }
            _ => Err(self.error(
                "invalid escape sequence",
                self.rest.floor_char_boundary(length),
            )),
        }
    }

    /// `\0`, `\101`; a single digit from 1 to 7 would be a back-reference, which Go refuses.
    fn octal(&mut self) -> Result<char, TranslationError> {
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
        self.advance(1 + digits);
        Ok(char::from_u32(code).expect("three octal digits are below the surrogates"))
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
            let next = self.rest[character.len_utf8()..].chars().next();
            match (character, next) {
                (']', _) if !first => {
                    self.out.push(']');
                    self.advance(1);
                    return Ok(());
                }
                ('[', Some(':')) if self.rest[2..].contains(":]") => self.named_class()?,
                ('\\', Some('d' | 'w' | 's' | 'D' | 'W' | 'S' | 'p' | 'P')) => self.escape(true)?,
                _ => self.range(&unclosed)?,
            }
            first = false;
        }
    }

    /// `[:alpha:]`, `[:^alpha:]`
    fn named_class(&mut self) -> Result<(), TranslationError> {
        let length = self.rest[2..].find(":]").map_or(2, |end| 2 + end + 2);
        let name = &self.rest[2..length - 2];
        if !NAMED_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(self.error("invalid character class range", length));
        }
        self.out.push_str(&self.rest[..length]);
        self.advance(length);
        Ok(())
    }

    /// `a`, `a-z`: a hyphen between two characters makes a range of them, another is a plain character.
    fn range(&mut self, unclosed: &impl Fn() -> TranslationError) -> Result<(), TranslationError> {
        let begin = self.rest;
        let low = self.class_character(unclosed)?;
        push_literal(&mut self.out, low);
        let mut following = self.rest.chars();
        if following.next() != Some('-') || matches!(following.next(), Some(']') | None) {
            return Ok(());
        }
        self.advance(1);
        let high = self.class_character(unclosed)?;
        if high < low {
            return Err(TranslationError {
                reason: "invalid character class range",
                fragment: Some(begin[..begin.len() - self.rest.len()].to_owned()),
            });
        }
        self.out.push('-');
        push_literal(&mut self.out, high);
        Ok(())
    }

    fn class_character(
        &mut self,
        unclosed: &impl Fn() -> TranslationError,
    ) -> Result<char, TranslationError> {
        let mut characters = self.rest.chars();
        match (characters.next(), characters.next()) {
            (None, _) => Err(unclosed()),
            (Some('\\'), Some(next)) => self.escaped_character(next),
            (Some('\\'), None) => Err(TranslationError {
                reason: "trailing backslash at end of expression",
                fragment: Some(String::new()),
            }),
            (Some(character), _) => {
                self.advance(character.len_utf8());
                Ok(character)
            }
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
    // `\<` and `\>` are the beginning and the end of a word to the crate.
    if character.is_ascii_punctuation() && !matches!(character, '<' | '>') {
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
            ("[!--]+", "#-", true),
            ("[a-b-c]+", "b-c", true),
            ("[a-b-c]", "-", true),
            ("[+--]+", "+,-", true),
            (r"[\x41-\x43]+", "ABC", true),
            (r"[\n-\r]", "\r", true),
            (r"[\d-z]+", "1-z", true),
            ("[é-ü]", "ö", true),
            (r"[\^a]", "^", true),
            (r"a\_b", "a_b", true),
            (r"my\ host", "my host", true),
            (r"a\<b\>", "a<b>", true),
            (r"\<b", "b", false),
            (r"[\<\_]+", "<_", true),
            (r"\Qa<b>\E", "a<b>", true),
            ("a<b>", "a<b>", true),
            (r"\p{^Greek}", "a", true),
            (r"\p{^Greek}", "α", false),
            (r"\P{^Greek}", "α", true),
            (r"[\p{^Greek}]", "α", false),
            ("(?P<1a>x)(?P<a>y)(?P<a>z)", "xyz", true),
            (r"\a\f\v\t", "\u{7}\u{c}\u{b}\t", true),
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
                "[a--b]",
                "error parsing regexp: invalid character class range: `a--`",
            ),
            (
                "[z-a]",
                "error parsing regexp: invalid character class range: `z-a`",
            ),
            (
                "[[:foo:]]",
                "error parsing regexp: invalid character class range: `[:foo:]`",
            ),
            (
                "(?P<é>x)",
                "error parsing regexp: invalid named capture: `(?P<é>`",
            ),
            (
                "(?P<a.b>x)",
                "error parsing regexp: invalid named capture: `(?P<a.b>`",
            ),
            (
                r"\Qa.b",
                r"error parsing regexp: missing closing ): `^(?:\Qa.b)$`",
            ),
            (
                r"[\b]",
                r"error parsing regexp: invalid escape sequence: `\b`",
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
        let named = GoRegex::anchored("(?:(?P<a>x)|(?P<a>y))(?P<1b>z)(w)?").unwrap();
        for (text, template, expanded) in [
            ("xz", "$a", "x"),
            ("yz", "$a", "y"),
            ("yz", "${1b}$1b", "zz"),
            ("yz", "$2-$3-$4-$5-$x", "y-z---"),
            ("yz", "$$a $", "$a $"),
            ("yz", "${a $-", "${a $-"),
            ("yz", "${}", "${}"),
            ("yz", "$0$01", "yz"),
            ("yz", "$aé", ""),
        ] {
            let found = named.expand(text, template);
            assert_eq!(found.as_deref(), Some(expanded), "{text} {template}");
        }
    }

    #[test]
    fn refuses_what_would_not_fit_in_memory() {
        assert!(GoRegex::anchored("((a{1000}){1000}){1000}").is_err());
        assert!(GoRegex::anchored(&"a.".repeat(100_000)).is_err());
    }
}
