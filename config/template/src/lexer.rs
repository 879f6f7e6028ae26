//! The words of a template, with Go's complaints about what is none.
use crate::format::go_rune;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Assign,
    Bool,
    Char,
    CharConstant,
    Declare,
    Dot,
    End,
    Error,
    Field,
    Identifier,
    Keyword,
    LeftDelimiter,
    LeftParen,
    Nil,
    Number,
    Pipe,
    RawString,
    RightDelimiter,
    RightParen,
    Space,
    Str,
    Text,
    Variable,
}

/// One word. `text` of an error is its message.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: usize,
    pub(crate) line: usize,
    pub(crate) text: String,
}

pub(crate) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    line: usize,
    inside: bool,
    parens: u32,
    /// The text before this place was trimmed away by a marker.
    trim: bool,
    finished: bool,
}

const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self {
            input,
            at: 0,
            line: 1,
            inside: false,
            parens: 0,
            trim: false,
            finished: false,
        }
    }

    /// The next word; after an error or the end only the end follows.
    pub(crate) fn token(&mut self) -> Token {
        if self.finished {
            return self.end();
        }
        if self.inside {
            return self.inside_action();
        }
        loop {
            if let Some(token) = self.text() {
                return token;
            }
        }
    }

    /// One piece of text or a left delimiter; `None` where only a comment was passed.
    fn text(&mut self) -> Option<Token> {
        let rest = &self.input[self.at..];
        if self.trim {
            let trimmed = rest.trim_start_matches(SPACES);
            self.skip(rest.len() - trimmed.len());
            self.trim = false;
            return None;
        }
        if rest.is_empty() {
            self.finished = true;
            return Some(self.end());
        }
        let Some(delimiter) = rest.find("{{") else {
            return Some(self.emit(Kind::Text, rest.len()));
        };
        if delimiter > 0 {
            let mut text = &rest[..delimiter];
            if trims_left(&rest[delimiter + 2..]) {
                text = text.trim_end_matches(SPACES);
            }
            let token = (!text.is_empty()).then(|| self.emit(Kind::Text, text.len()));
            self.skip(delimiter - text.len());
            return token;
        }
        let marker = if trims_left(&rest[2..]) { 2 } else { 0 };
        let after = &rest[2 + marker..];
        if after.starts_with("/*") {
            return self.comment(2 + marker);
        }
        let token = self.emit(Kind::LeftDelimiter, 2);
        self.skip(marker);
        self.inside = true;
        self.parens = 0;
        Some(token)
    }

    fn comment(&mut self, start: usize) -> Option<Token> {
        let rest = &self.input[self.at..];
        let Some(close) = rest[start + 2..].find("*/") else {
            return Some(self.error("unclosed comment".to_owned()));
        };
        let end = start + 2 + close + 2;
        let after = &rest[end..];
        let (length, trim) = match right_delimiter(after) {
            Some(found) => found,
            None => {
                return Some(self.error("comment ends before closing delimiter".to_owned()));
            }
        };
        self.skip(end + length);
        self.trim = trim;
        None
    }

    fn inside_action(&mut self) -> Token {
        let rest = &self.input[self.at..];
        if let Some((length, trim)) = right_delimiter(rest) {
            if self.parens > 0 {
                return self.error("unclosed left paren".to_owned());
            }
            self.skip(length - 2);
            let token = self.emit(Kind::RightDelimiter, 2);
            self.trim = trim;
            self.inside = false;
            return token;
        }
        let Some(first) = rest.chars().next() else {
            return self.error("unclosed action".to_owned());
        };
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            c if SPACES.contains(&c) => self.space(),
            '=' => self.emit(Kind::Assign, 1),
            ':' if second == Some('=') => self.emit(Kind::Declare, 2),
            ':' => self.error("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe, 1),
            '"' => self.quoted('"', Kind::Str, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => match rest[1..].find('`') {
                Some(close) => self.emit(Kind::RawString, close + 2),
                None => self.error("unterminated raw quoted string".to_owned()),
            },
            '$' => self.field_or_variable(Kind::Variable),
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                self.field_or_variable(Kind::Field)
            }
            '.' | '+' | '-' | '0'..='9' => self.number(),
            c if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen, 1)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren".to_owned()),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen, 1)
            }
            c if c.is_ascii_graphic() => self.emit(Kind::Char, 1),
            c => self.error(format!("unrecognized character in action: {}", go_rune(c))),
        }
    }

    /// A run of spaces; the last of them belongs to ` -}}`.
    fn space(&mut self) -> Token {
        let rest = &self.input[self.at..];
        let mut length = rest.len() - rest.trim_start_matches(SPACES).len();
        if rest[length..].starts_with("-}}") {
            length -= 1;
            if length == 0 {
                return self.inside_action();
            }
        }
        self.emit(Kind::Space, length)
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Token {
        let rest = &self.input[self.at..];
        let mut escaped = false;
        for (index, c) in rest.char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == quote => return self.emit(kind, index + 1),
                _ => {}
            }
        }
        self.error(unterminated.to_owned())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token {
        let rest = &self.input[self.at..];
        let length = 1 + word_length(&rest[1..]);
        let kind = match kind {
            Kind::Field if length == 1 => Kind::Dot,
            other => other,
        };
        match rest[length..].chars().next() {
            Some(c) if !self.terminates(length) => {
                self.error(format!("bad character {}", go_rune(c)))
            }
            _ => self.emit(kind, length),
        }
    }

    fn identifier(&mut self) -> Token {
        let rest = &self.input[self.at..];
        let length = word_length(rest);
        let word = &rest[..length];
        if !self.terminates(length) {
            let c = rest[length..].chars().next().unwrap_or_default();
            return self.error(format!("bad character {}", go_rune(c)));
        }
        let kind = match word {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            _ if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind, length)
    }

    fn number(&mut self) -> Token {
        let rest = &self.input[self.at..];
        let bytes = rest.as_bytes();
        let mut length = usize::from(matches!(bytes[0], b'+' | b'-'));
        let digits: &[u8] = match (bytes.get(length), bytes.get(length + 1)) {
            (Some(b'0'), Some(b'x' | b'X')) => b"0123456789abcdefABCDEF_",
            (Some(b'0'), Some(b'o' | b'O')) => b"01234567_",
            (Some(b'0'), Some(b'b' | b'B')) => b"01_",
            _ => b"0123456789_",
        };
        if digits.len() != 11 {
            length += 2;
        }
        let run = |from: usize, set: &[u8]| {
            bytes[from..]
                .iter()
                .take_while(|byte| set.contains(byte))
                .count()
        };
        length += run(length, digits);
        if bytes.get(length) == Some(&b'.') {
            length += 1;
            length += run(length, digits);
        }
        if digits.len() == 11 && matches!(bytes.get(length), Some(b'e' | b'E')) {
            length += 1;
            length += usize::from(matches!(bytes.get(length), Some(b'+' | b'-')));
            length += run(length, b"0123456789_");
        }
        match rest[length..].chars().next() {
            Some(c) if is_alphanumeric(c) => {
                let shown = &rest[..length + c.len_utf8()];
                self.error(format!(
                    "bad number syntax: {}",
                    model::go_quote::quote(shown)
                ))
            }
            _ => self.emit(Kind::Number, length),
        }
    }

    /// Whether what stands `offset` bytes ahead may follow a name.
    fn terminates(&self, offset: usize) -> bool {
        let rest = &self.input[self.at + offset..];
        rest.starts_with("}}")
            || match rest.chars().next() {
                None => true,
                Some(c) => SPACES.contains(&c) || ".,|:)(".contains(c),
            }
    }

    fn emit(&mut self, kind: Kind, length: usize) -> Token {
        let token = Token {
            kind,
            at: self.at,
            line: self.line,
            text: self.input[self.at..self.at + length].to_owned(),
        };
        self.skip(length);
        token
    }

    fn skip(&mut self, length: usize) {
        self.line += self.input[self.at..self.at + length].matches('\n').count();
        self.at += length;
    }

    fn error(&mut self, message: String) -> Token {
        self.finished = true;
        Token {
            kind: Kind::Error,
            at: self.at,
            line: self.line,
            text: message,
        }
    }

    fn end(&self) -> Token {
        Token {
            kind: Kind::End,
            at: self.at,
            line: self.line,
            text: String::new(),
        }
    }
}

pub(crate) fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_alphanumeric(c)).unwrap_or(text.len())
}

/// `- ` after `{{`.
fn trims_left(after: &str) -> bool {
    after.starts_with('-') && after[1..].starts_with(SPACES)
}

/// The length of `}}` or ` -}}` at the start of the text, and whether it trims.
fn right_delimiter(text: &str) -> Option<(usize, bool)> {
    if text.starts_with(SPACES) && text[1..].starts_with("-}}") {
        Some((4, true))
    } else {
        text.starts_with("}}").then_some((2, false))
    }
}
