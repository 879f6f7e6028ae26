//! From text to tokens.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::go_quote::quote;

use crate::ast::BinaryOp;
use crate::span::Span;
use crate::token::{Token, TokenKind, word};

/// The tokens of a text, up to the end or to what is none.
pub(crate) struct Lexed {
    /// The last one is `End` or `Error`.
    pub(crate) tokens: Vec<Token>,
    pub(crate) error: Option<String>,
}

pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        position: 0,
        start: 0,
        tokens: Vec::new(),
        parens: 0,
        place: Place::Statement,
        colon_seen: false,
    };
    let error = lexer.run().err().map(|LexError(reason)| reason);
    if error.is_some() {
        lexer.position = text.len().max(lexer.start);
        lexer.emit(TokenKind::Error);
    }
    Lexed {
        tokens: lexer.tokens,
        error,
    }
}

struct LexError(String);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between `{` and `}`, where every word is a label's name.
    Braces,
    /// Between `[` and `]`.
    Brackets,
    Statement,
}

struct Lexer<'a> {
    text: &'a str,
    position: usize,
    /// Where the token begins that is being read.
    start: usize,
    tokens: Vec<Token>,
    parens: usize,
    place: Place,
    colon_seen: bool,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), LexError> {
        loop {
            self.skip_blank();
            let Some(character) = self.next() else {
                return self.end();
            };
            match self.place {
                Place::Braces => self.in_braces(character)?,
                Place::Brackets => self.in_brackets(character)?,
                Place::Statement => self.in_statement(character)?,
            }
        }
    }

    fn end(&mut self) -> Result<(), LexError> {
        match self.place {
            Place::Braces => Err(LexError("unexpected end of input inside braces".to_owned())),
            Place::Brackets => Err(LexError(
                "unexpected end of input in duration expression".to_owned(),
            )),
            Place::Statement if self.parens > 0 => {
                Err(LexError("unclosed left parenthesis".to_owned()))
            }
            Place::Statement => {
                self.emit(TokenKind::End);
                Ok(())
            }
        }
    }

    fn in_statement(&mut self, character: char) -> Result<(), LexError> {
        let kind = match character {
            '{' => {
                self.place = Place::Braces;
                TokenKind::LeftBrace
            }
            '[' => {
                self.place = Place::Brackets;
                self.colon_seen = false;
                TokenKind::LeftBracket
            }
            ']' => return Err(LexError("unexpected right bracket ']'".to_owned())),
            '@' => TokenKind::At,
            '=' => match self.peek() {
                Some('=') => self.operator(1, BinaryOp::Equal),
                Some('~') => {
                    return Err(LexError("unexpected character after '=': '~'".to_owned()));
                }
                Some(_) | None => TokenKind::Equal,
            },
            '!' => match self.next() {
                Some('=') => TokenKind::Operator(BinaryOp::NotEqual),
                other => return Err(unexpected("unexpected character after '!'", other)),
            },
            '<' => match self.peek() {
                Some('=') => self.operator(1, BinaryOp::LessEqual),
                Some('/') => self.operator(1, BinaryOp::TrimUpper),
                Some(_) | None => TokenKind::Operator(BinaryOp::Less),
            },
            '>' => match self.peek() {
                Some('=') => self.operator(1, BinaryOp::GreaterEqual),
                Some('/') => self.operator(1, BinaryOp::TrimLower),
                Some(_) | None => TokenKind::Operator(BinaryOp::Greater),
            },
            '"' | '\'' | '`' => self.quoted(character)?,
            '0'..='9' => self.number_or_duration()?,
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                self.number_or_duration()?
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => self.identifier(),
            _ => self
                .arithmetic(character)?
                .ok_or_else(|| unexpected("unexpected character", Some(character)))?,
        };
        self.emit(kind);
        Ok(())
    }

    fn in_braces(&mut self, character: char) -> Result<(), LexError> {
        let kind = match character {
            '}' => {
                self.place = Place::Statement;
                TokenKind::RightBrace
            }
            '{' => return Err(LexError("unexpected left brace '{'".to_owned())),
            ',' => TokenKind::Comma,
            '=' if self.peek() == Some('~') => {
                self.position += 1;
                TokenKind::RegexEqual
            }
            '=' => TokenKind::Equal,
            '!' => match self.next() {
                Some('~') => TokenKind::RegexNotEqual,
                Some('=') => TokenKind::Operator(BinaryOp::NotEqual),
                other => {
                    return Err(unexpected(
                        "unexpected character after '!' inside braces",
                        other,
                    ));
                }
            },
            '"' | '\'' | '`' => self.quoted(character)?,
            'a'..='z' | 'A'..='Z' | '_' => {
                self.run_of(|next| next.is_ascii_alphanumeric() || next == '_');
                TokenKind::Identifier
            }
            _ => {
                return Err(unexpected(
                    "unexpected character inside braces",
                    Some(character),
                ));
            }
        };
        self.emit(kind);
        Ok(())
    }

    fn in_brackets(&mut self, character: char) -> Result<(), LexError> {
        let kind = match character {
            ']' => {
                self.place = Place::Statement;
                TokenKind::RightBracket
            }
            ':' if self.colon_seen => {
                self.start = self.position;
                return Err(LexError("unexpected colon ':'".to_owned()));
            }
            ':' => {
                self.colon_seen = true;
                TokenKind::Colon
            }
            '0'..='9' => self.number_or_duration()?,
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                self.number_or_duration()?
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                self.run_of(|next| next.is_ascii_alphanumeric() || next == '_');
                match word(&self.text[self.start..self.position]) {
                    kind @ TokenKind::Keyword(_) => kind,
                    _ => {
                        return Err(unexpected(
                            "unexpected character in duration expression",
                            Some(character),
                        ));
                    }
                }
            }
            _ => self.arithmetic(character)?.ok_or_else(|| {
                unexpected(
                    "unexpected character in duration expression",
                    Some(character),
                )
            })?,
        };
        self.emit(kind);
        Ok(())
    }

    /// What may stand between numbers, inside brackets and outside.
    fn arithmetic(&mut self, character: char) -> Result<Option<TokenKind>, LexError> {
        Ok(Some(match character {
            ',' => TokenKind::Comma,
            '*' => TokenKind::Operator(BinaryOp::Mul),
            '/' => TokenKind::Operator(BinaryOp::Div),
            '%' => TokenKind::Operator(BinaryOp::Mod),
            '+' => TokenKind::Operator(BinaryOp::Add),
            '-' => TokenKind::Operator(BinaryOp::Sub),
            '^' => TokenKind::Operator(BinaryOp::Pow),
            '(' => {
                self.parens += 1;
                TokenKind::LeftParen
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or_else(|| {
                    // The place is behind the parenthesis, as upstream has it.
                    self.start = self.position;
                    LexError("unexpected right parenthesis ')'".to_owned())
                })?;
                TokenKind::RightParen
            }
            _ => return Ok(None),
        }))
    }

    fn identifier(&mut self) -> TokenKind {
        self.run_of(|next| next.is_ascii_alphanumeric() || next == '_' || next == ':');
        let text = &self.text[self.start..self.position];
        if text.contains(':') {
            TokenKind::MetricIdentifier
        } else {
            word(text)
        }
    }

    fn number_or_duration(&mut self) -> Result<TokenKind, LexError> {
        self.position = self.start;
        if self.number() {
            return Ok(TokenKind::Number);
        }
        if self.rest_of_duration() {
            return Ok(TokenKind::Duration);
        }
        Err(LexError(format!(
            "bad number or duration syntax: {}",
            quote(&self.text[self.start..self.position])
        )))
    }

    /// Digits with single underscores between them, a point, an exponent; `0x` and hexadecimal digits.
    /// Where it fails the position stays behind what could be read: a duration may go on there.
    fn number(&mut self) -> bool {
        let mut hexadecimal = false;
        if self.accept(|next| next == '0') && self.accept(|next| matches!(next, 'x' | 'X')) {
            hexadecimal = true;
            self.accept(|next| next == '_');
        }
        let digit = |next: char| next.is_ascii_digit() || (hexadecimal && next.is_ascii_hexdigit());
        self.accept(|next| next == '.');
        self.accept(digit);
        let (mut point, mut exponent) = (self.text[self.start..].starts_with('.'), false);
        loop {
            if self.peek() == Some('.') {
                self.position += 1;
                if point || hexadecimal || self.accept(|next| matches!(next, '_' | '.')) {
                    return false;
                }
                point = true;
            } else if self.accept(digit) {
                self.run_of(digit);
            } else if self.accept(|next| matches!(next, 'e' | 'E')) {
                if exponent {
                    return false;
                }
                exponent = true;
                self.accept(|next| matches!(next, '+' | '-'));
                if self.accept(|next| matches!(next, '.' | '_' | 'e' | 'E')) {
                    return false;
                }
            } else if self.accept(|next| next == '_') {
                if self.accept(|next| matches!(next, '.' | '_' | 'e' | 'E')) {
                    return false;
                }
            } else {
                break;
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    fn rest_of_duration(&mut self) -> bool {
        if !self.accept(|next| "smhdwy".contains(next)) {
            return false;
        }
        self.accept(|next| next == 's');
        while self.accept(|next| next.is_ascii_digit()) {
            self.run_of(|next| next.is_ascii_digit());
            if !self.accept(|next| "smhdw".contains(next)) {
                return false;
            }
            self.accept(|next| next == 's');
        }
        if self.peek().is_some_and(is_alphanumeric) {
            // The offending character is part of what the error shows.
            self.next();
            return false;
        }
        true
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind, LexError> {
        if quote == '`' {
            while let Some(character) = self.next() {
                if character == '`' {
                    return Ok(TokenKind::Text);
                }
            }
            return Err(LexError("unterminated raw string".to_owned()));
        }
        loop {
            match self.next() {
                None | Some('\n') => return Err(LexError("unterminated quoted string".to_owned())),
                Some('\\') => self.escape(quote)?,
                Some(character) if character == quote => return Ok(TokenKind::Text),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<(), LexError> {
        let not_terminated = || LexError("escape sequence not terminated".to_owned());
        let kind = self.next().ok_or_else(not_terminated)?;
        let (digits, base, value_max) = match kind {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            _ if kind == quote => return Ok(()),
            '0'..='7' => {
                self.position -= 1;
                (3, 8, 0xff)
            }
            'x' => (2, 16, 0xff),
            'u' => (4, 16, 0x0010_ffff),
            'U' => (8, 16, 0x0010_ffff),
            _ => {
                return Err(LexError(format!(
                    "unknown escape sequence {}",
                    unicode(kind)
                )));
            }
        };
        let mut value = 0_u32;
        for _ in 0..digits {
            let character = self.next().ok_or_else(not_terminated)?;
            let digit = character.to_digit(base).ok_or_else(|| {
                LexError(format!(
                    "illegal character {} in escape sequence",
                    unicode(character)
                ))
            })?;
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        if value > value_max || (0xd800..0xe000).contains(&value) {
            return Err(LexError(
                "escape sequence is an invalid Unicode code point".to_owned(),
            ));
        }
        Ok(())
    }

    fn skip_blank(&mut self) {
        loop {
            self.run_of(|next| matches!(next, ' ' | '\t' | '\n' | '\r'));
            if self.place != Place::Brackets && self.peek() == Some('#') {
                self.run_of(|next| next != '\n');
            } else {
                break;
            }
        }
        self.start = self.position;
    }

    /// An operator that goes on for `more` bytes.
    fn operator(&mut self, more: usize, op: BinaryOp) -> TokenKind {
        self.position += more;
        TokenKind::Operator(op)
    }

    fn run_of(&mut self, accepts: impl Fn(char) -> bool) {
        while self.accept(&accepts) {}
    }

    fn accept(&mut self, accepts: impl Fn(char) -> bool) -> bool {
        match self.peek() {
            Some(next) if accepts(next) => {
                self.position += next.len_utf8();
                true
            }
            Some(_) | None => false,
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.position += next.len_utf8();
        Some(next)
    }

    fn emit(&mut self, kind: TokenKind) {
        let bytes = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        self.tokens.push(Token {
            kind,
            span: Span::new(bytes(self.start), bytes(self.position)),
        });
    }
}

fn is_alphanumeric(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn unexpected(what: &str, character: Option<char>) -> LexError {
    match character {
        Some('\'') => LexError(format!("{what}: '\\''")),
        Some(character) => {
            let quoted = quote(&character.to_string());
            let inner = &quoted[1..quoted.len() - 1];
            let inner = if character == '"' { "\"" } else { inner };
            LexError(format!("{what}: '{inner}'"))
        }
        None => LexError(format!("{what}: '\u{fffd}'")),
    }
}

/// Go's `%#U`: `U+0078 'x'`.
fn unicode(character: char) -> String {
    format!("U+{:04X} '{character}'", u32::from(character))
}
