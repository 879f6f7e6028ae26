//! How Alertmanager's users write matchers: `team="x"`, `{severity=~"page|ticket", env!=test}`.
//!
//! There are two grammars. The classic one knows ASCII names and splits at commas outside quotes; the UTF-8 one has
//! tokens, and names may be quoted. By default both are tried (`ParserMode::Fallback`): where they differ the classic
//! result counts, and a [`Report`] says so, for the caller to log.
use std::fmt;

use crate::go_regex::RegexError;
use crate::label_name::{is_classic_label_name, is_classic_metric_name, is_label_name};
use crate::matcher::{MatchOp, Matcher, MatcherDialect, is_reserved};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParserMode {
    Classic,
    #[default]
    Fallback,
    Utf8,
}

impl ParserMode {
    /// What may name a label in this mode.
    #[must_use]
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Classic => is_classic_label_name(name),
            Self::Fallback | Self::Utf8 => is_label_name(name),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    pub value: T,
    pub report: Option<Report>,
}

/// What the fallback mode has to say about an input that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Both grammars accept the input and understand different things.
    Disagreement,
    /// Only the classic grammar accepts the input; `suggestion` is what both would understand in the same way.
    Incompatible {
        error: MatcherSyntaxError,
        suggestion: String,
    },
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MatcherSyntaxError {
    #[error("bad matcher format: {0}")]
    BadFormat(String),
    #[error("unexpected open or close brace: {0}")]
    Brace(String),
    #[error("expected 1 matcher, found {0}")]
    Count(usize),
    #[error("no matchers")]
    NoMatchers,
    #[error(transparent)]
    Regex(#[from] RegexError),
    #[error("failed to create matcher: {0}")]
    RegexInToken(RegexError),
    /// The UTF-8 grammar's sentence: columns, token and reason.
    #[error("{0}")]
    Token(String),
    #[error("matcher value contains unescaped double quote: {0}")]
    UnescapedQuote(String),
}

/// A list: braces may be left out, one trailing comma is allowed, an empty text is an empty list.
pub fn parse_list(
    input: &str,
    mode: ParserMode,
) -> Result<Parsed<Vec<Matcher>>, MatcherSyntaxError> {
    match mode {
        ParserMode::Classic => classic_list(input).map(agreed),
        ParserMode::Fallback => fall_back(utf8_list(input), classic_list(input), |matchers| {
            PrintedList(matchers).to_string()
        }),
        ParserMode::Utf8 => utf8_list(input).map(agreed),
    }
}

/// Exactly one matcher, without braces around it (the classic grammar takes a brace as part of the value).
pub fn parse_one(input: &str, mode: ParserMode) -> Result<Parsed<Matcher>, MatcherSyntaxError> {
    let braced = input.starts_with('{') || input.ends_with('}');
    match mode {
        ParserMode::Classic => classic_one(input).map(agreed),
        ParserMode::Fallback | ParserMode::Utf8 if braced => {
            Err(MatcherSyntaxError::Brace(input.to_owned()))
        }
        ParserMode::Fallback => fall_back(utf8_one(input), classic_one(input), Matcher::to_string),
        ParserMode::Utf8 => utf8_one(input).map(agreed),
    }
}

/// `{a="x",b=~"y"}`: how Alertmanager prints a list.
pub struct PrintedList<'m>(pub &'m [Matcher]);

impl fmt::Display for PrintedList<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (index, matcher) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(formatter, "{comma}{matcher}")?;
        }
        formatter.write_str("}")
    }
}

fn agreed<T>(value: T) -> Parsed<T> {
    Parsed {
        value,
        report: None,
    }
}

fn fall_back<T: PartialEq>(
    utf8: Result<T, MatcherSyntaxError>,
    classic: Result<T, MatcherSyntaxError>,
    print: impl FnOnce(&T) -> String,
) -> Result<Parsed<T>, MatcherSyntaxError> {
    match (utf8, classic) {
        (Err(_), Err(classic)) => Err(classic),
        (Err(error), Ok(classic)) => {
            let suggestion = print(&classic);
            Ok(Parsed {
                value: classic,
                report: Some(Report::Incompatible { error, suggestion }),
            })
        }
        (Ok(utf8), Ok(classic)) if utf8 != classic => Ok(Parsed {
            value: classic,
            report: Some(Report::Disagreement),
        }),
        (Ok(utf8), _) => Ok(agreed(utf8)),
    }
}

fn classic_list(input: &str) -> Result<Vec<Matcher>, MatcherSyntaxError> {
    let inside = input.strip_prefix('{').unwrap_or(input);
    let inside = inside.strip_suffix('}').unwrap_or(inside);
    let mut matchers = Vec::new();
    let (mut quoted, mut escaped) = (false, false);
    let mut start = 0;
    for (at, character) in inside.char_indices() {
        match character {
            ',' if !quoted => {
                matchers.push(classic_one(&inside[start..at])?);
                start = at + 1;
            }
            // A comma inside quotes does not end an escape; Alertmanager's does not either.
            ',' => {}
            '"' if !escaped => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    let last = inside[start..].trim();
    if !last.is_empty() {
        matchers.push(classic_one(last)?);
    }
    Ok(matchers)
}

fn classic_one(input: &str) -> Result<Matcher, MatcherSyntaxError> {
    let bad_format = || MatcherSyntaxError::BadFormat(input.to_owned());
    let is_space = |character: char| matches!(character, '\t' | '\n' | '\x0c' | '\r' | ' ');
    let text = input.trim_matches(is_space);
    let name_end = text
        .find(|character: char| {
            !character.is_ascii_alphanumeric() && character != '_' && character != ':'
        })
        .ok_or_else(bad_format)?;
    let (name, rest) = text.split_at(name_end);
    if !is_classic_metric_name(name) {
        return Err(bad_format());
    }
    let rest = rest.trim_start_matches(is_space);
    let (op, written) = operator(rest).ok_or_else(bad_format)?;
    let written = written.trim_start_matches(is_space);
    Ok(Matcher::new(
        op,
        name,
        &classic_value(written)?,
        MatcherDialect::Alertmanager,
    )?)
}

fn operator(text: &str) -> Option<(MatchOp, &str)> {
    [
        MatchOp::Regex,
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::NotRegex,
    ]
    .into_iter()
    .find_map(|op| Some((op, text.strip_prefix(op.as_str())?)))
}

/// Bare, or in double quotes as a whole. `\"`, `\\` and `\n` are escapes in both; other backslashes are themselves.
fn classic_value(written: &str) -> Result<String, MatcherSyntaxError> {
    let unescaped_quote = || MatcherSyntaxError::UnescapedQuote(written.to_owned());
    let (mut open, inside) = match written.strip_prefix('"') {
        Some(inside) => (true, inside),
        None => (false, written),
    };
    let mut value = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if open && characters.as_str().is_empty() => open = false,
            '"' => return Err(unescaped_quote()),
            other => value.push(other),
        }
    }
    if open {
        Err(unescaped_quote())
    } else {
        Ok(value)
    }
}

fn utf8_one(input: &str) -> Result<Matcher, MatcherSyntaxError> {
    let mut matchers = utf8_list(input)?;
    match (matchers.pop(), matchers.len()) {
        (None, _) => Err(MatcherSyntaxError::NoMatchers),
        (Some(matcher), 0) => Ok(matcher),
        (Some(_), others) => Err(MatcherSyntaxError::Count(others + 1)),
    }
}

fn utf8_list(input: &str) -> Result<Vec<Matcher>, MatcherSyntaxError> {
    let mut lexer = Lexer::new(input);
    let mut matchers = Vec::new();
    let braced = lexer.peek().map_err(MatcherSyntaxError::Token)?.kind == TokenKind::OpenBrace;
    if braced {
        lexer.advance();
    }
    let mut is_first = true;
    loop {
        let next = lexer.peek();
        let ends = match &next {
            Ok(token) => matches!(token.kind, TokenKind::CloseBrace | TokenKind::End),
            Err(_) => false,
        };
        if ends {
            break;
        }
        if !is_first {
            expect(
                next,
                |kind| kind.is_text(),
                "expected a matcher or close brace after comma",
            )?;
        }
        matchers.push(utf8_matcher(&mut lexer)?);
        is_first = false;
        let after = lexer.peek();
        if matches!(&after, Ok(token) if token.kind == TokenKind::End) {
            break;
        }
        let separates = |kind| matches!(kind, TokenKind::Comma | TokenKind::CloseBrace);
        let after = expect(after, separates, "expected a comma or close brace")?;
        if after.kind == TokenKind::CloseBrace {
            break;
        }
        lexer.advance();
    }
    close_brace(&mut lexer, braced)?;
    match lexer.peek() {
        Ok(token) if token.kind == TokenKind::End => Ok(matchers),
        Ok(token) => {
            let Token {
                start, end, text, ..
            } = token;
            Err(said(format!(
                "{start}:{end}: {text}: expected end of input"
            )))
        }
        Err(reason) => Err(said(format!("{reason}: expected end of input"))),
    }
}

fn close_brace(lexer: &mut Lexer<'_>, braced: bool) -> Result<(), MatcherSyntaxError> {
    let next = lexer.peek();
    let is_brace = matches!(&next, Ok(token) if token.kind == TokenKind::CloseBrace);
    if is_brace {
        lexer.advance();
    }
    let column = lexer.column;
    match (braced, is_brace) {
        (true, true) | (false, false) => Ok(()),
        (true, false) => {
            let reason = match next {
                Ok(token) if token.kind == TokenKind::End => "end of input".to_owned(),
                Ok(token) => token.unexpected(),
                Err(reason) => reason,
            };
            Err(said(format!("0:{column}: {reason}: expected close brace")))
        }
        (false, true) => Err(said(format!("0:{column}: }}: expected opening brace"))),
    }
}

fn utf8_matcher(lexer: &mut Lexer<'_>) -> Result<Matcher, MatcherSyntaxError> {
    let name = expect(lexer.peek(), TokenKind::is_text, "expected label name")?;
    lexer.advance();
    let name = name.content()?;
    let op = expect(
        lexer.peek(),
        |kind| matches!(kind, TokenKind::Operator(_)),
        "expected an operator such as '=', '!=', '=~' or '!~'",
    )?;
    lexer.advance();
    let value = expect(lexer.peek(), TokenKind::is_text, "expected label value")?;
    lexer.advance();
    let value = value.content()?;
    let op = match op.kind {
        TokenKind::Operator(op) => op,
        TokenKind::CloseBrace
        | TokenKind::Comma
        | TokenKind::End
        | TokenKind::OpenBrace
        | TokenKind::Quoted
        | TokenKind::Unquoted => MatchOp::Equal,
    };
    Matcher::new(op, &name, &value, MatcherDialect::Alertmanager)
        .map_err(MatcherSyntaxError::RegexInToken)
}

fn expect<'i>(
    token: Result<Token<'i>, String>,
    accepts: impl FnOnce(TokenKind) -> bool,
    wanted: &str,
) -> Result<Token<'i>, MatcherSyntaxError> {
    let token = token.map_err(|reason| said(format!("{reason}: {wanted}")))?;
    if token.kind == TokenKind::End {
        return Err(said(format!("end of input: {wanted}")));
    }
    if accepts(token.kind) {
        Ok(token)
    } else {
        Err(said(format!("{}: {wanted}", token.unexpected())))
    }
}

fn said(sentence: String) -> MatcherSyntaxError {
    MatcherSyntaxError::Token(sentence)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    CloseBrace,
    Comma,
    End,
    OpenBrace,
    Operator(MatchOp),
    Quoted,
    Unquoted,
}

impl TokenKind {
    fn is_text(self) -> bool {
        matches!(self, Self::Quoted | Self::Unquoted)
    }
}

/// Columns count characters from 0; the end is outside.
#[derive(Clone, Copy, Debug)]
struct Token<'i> {
    kind: TokenKind,
    text: &'i str,
    start: usize,
    end: usize,
}

impl Token<'_> {
    fn unexpected(&self) -> String {
        format!("{}:{}: unexpected {}", self.start, self.end, self.text)
    }

    fn content(&self) -> Result<String, MatcherSyntaxError> {
        if self.kind != TokenKind::Quoted {
            return Ok(self.text.to_owned());
        }
        unquote(self.text).ok_or_else(|| {
            let Token {
                start, end, text, ..
            } = self;
            said(format!("{start}:{end}: {text}: invalid input"))
        })
    }
}

struct Lexer<'i> {
    rest: &'i str,
    column: usize,
}

impl<'i> Lexer<'i> {
    fn new(input: &'i str) -> Self {
        Self {
            rest: input,
            column: 0,
        }
    }

    /// Takes the token that `peek` showed.
    fn advance(&mut self) {
        if let Ok(token) = self.peek() {
            self.rest = &self.rest[token.text.len()..];
            self.column = token.end;
        }
    }

    /// Skips spaces, and shows the token behind them.
    fn peek(&mut self) -> Result<Token<'i>, String> {
        let trimmed = self.rest.trim_start();
        self.column += self.rest[..self.rest.len() - trimmed.len()].chars().count();
        self.rest = trimmed;
        let Some(first) = trimmed.chars().next() else {
            return Ok(self.token(TokenKind::End, 0));
        };
        match first {
            '{' => Ok(self.token(TokenKind::OpenBrace, 1)),
            '}' => Ok(self.token(TokenKind::CloseBrace, 1)),
            ',' => Ok(self.token(TokenKind::Comma, 1)),
            '=' | '!' => self.operator(),
            '"' => self.quoted(),
            other if !is_reserved(other) => {
                let length = trimmed.find(is_reserved).unwrap_or(trimmed.len());
                Ok(self.token(TokenKind::Unquoted, length))
            }
            other => {
                let (start, end) = (self.column, self.column + 1);
                Err(format!("{start}:{end}: {other}: invalid input"))
            }
        }
    }

    fn operator(&self) -> Result<Token<'i>, String> {
        if let Some((op, _)) = operator(self.rest) {
            return Ok(self.token(TokenKind::Operator(op), op.as_str().len()));
        }
        let (start, end) = (self.column, self.column + 1);
        if self.rest.len() == 1 {
            Err(format!(
                "{start}:{end}: unexpected end of input, expected one of '=~'"
            ))
        } else {
            Err(format!("{start}:{end}: !: expected one of '=~'"))
        }
    }

    fn quoted(&self) -> Result<Token<'i>, String> {
        let mut escaped = false;
        for (at, character) in self.rest.char_indices().skip(1) {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Ok(self.token(TokenKind::Quoted, at + 1)),
                _ => {}
            }
        }
        let token = self.token(TokenKind::Quoted, self.rest.len());
        Err(format!(
            "{}:{}: {}: missing end \"",
            token.start, token.end, token.text
        ))
    }

    fn token(&self, kind: TokenKind, length: usize) -> Token<'i> {
        let text = &self.rest[..length];
        Token {
            kind,
            text,
            start: self.column,
            end: self.column + text.chars().count(),
        }
    }
}

/// A Go string literal in double quotes; `None` where an escape is wrong or the bytes are not UTF-8.
fn unquote(literal: &str) -> Option<String> {
    let inside = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while let Some(character) = rest.next() {
        match character {
            '\n' => return None,
            '\\' => unescape(&mut rest, &mut bytes)?,
            other => push(other, &mut bytes),
        }
    }
    String::from_utf8(bytes).ok()
}

fn unescape(rest: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    let escape = rest.clone().next()?;
    if escape.is_digit(8) {
        bytes.push(u8::try_from(digits(rest, 3, 8)?).ok()?);
        return Some(());
    }
    rest.next();
    match escape {
        'a' => bytes.push(0x07),
        'b' => bytes.push(0x08),
        'f' => bytes.push(0x0c),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(0x0b),
        '\\' | '"' => push(escape, bytes),
        'x' => bytes.push(u8::try_from(digits(rest, 2, 16)?).ok()?),
        'u' => push(char::from_u32(digits(rest, 4, 16)?)?, bytes),
        'U' => push(char::from_u32(digits(rest, 8, 16)?)?, bytes),
        _ => return None,
    }
    Some(())
}

fn push(character: char, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    let text = rest.as_str().get(..count)?;
    let value = text
        .bytes()
        .all(|byte| char::from(byte).is_digit(radix))
        .then(|| u32::from_str_radix(text, radix).ok())??;
    rest.nth(count - 1);
    Some(value)
}

#[cfg(test)]
mod tests;
