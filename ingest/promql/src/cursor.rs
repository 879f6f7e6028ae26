//! The place in the token list where the parser stands, and the steps it can take from there.

use crate::ast::NumberLiteral;
use crate::literal;
use crate::options::ParserOptions;
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Keyword, Token, TokenKind};

/// How high a tree may be. A generated chain of `or` may have some hundred parts.
pub const HEIGHT_MAX: usize = 500;
/// How deep parentheses, calls and signs may be nested. Rules in the wild stay below 30. A level takes some two
/// kilobytes of stack, so all of them take half a megabyte of the two that a thread mostly has.
pub const DEPTH_MAX: usize = 250;

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    lex_error: &'a str,
    pub(crate) options: &'a ParserOptions,
    next: usize,
    depth: usize,
    /// Where the token ends that was read last.
    pub(crate) last_closing: u32,
}

/// A part of the tree and how high it is.
pub(crate) struct Tree<T> {
    pub(crate) expr: T,
    pub(crate) height: usize,
}

impl<'a> Parser<'a> {
    /// `tokens` end with one of kind `End` or `Error`; for the latter `lex_error` is what is wrong.
    pub(crate) fn new(
        text: &'a str,
        tokens: &'a [Token],
        lex_error: &'a str,
        options: &'a ParserOptions,
    ) -> Self {
        Self {
            text,
            tokens,
            lex_error,
            options,
            next: 0,
            depth: 0,
            last_closing: 0,
        }
    }

    pub(crate) fn number_literal(&mut self) -> Result<NumberLiteral, ParseError> {
        let token = self.token();
        self.advance();
        let text = self.text_of(token.span);
        let duration = token.kind == TokenKind::Duration;
        let value = if duration {
            literal::duration_seconds(text)
        } else {
            literal::number(text).map_err(|reason| format!("error parsing number: {reason}"))
        };
        Ok(NumberLiteral {
            value: value.map_err(|message| self.error(token.span, message))?,
            duration,
            span: token.span,
        })
    }

    /// Runs a rule one level deeper.
    pub(crate) fn nested<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth == DEPTH_MAX {
            let message = format!("expression is nested more than {DEPTH_MAX} levels deep");
            return Err(self.error(self.token().span, message));
        }
        self.depth += 1;
        let result = rule(self);
        self.depth -= 1;
        result
    }

    /// One more than `height`, unless that is too high.
    pub(crate) fn grown(&self, height: usize, span: Span) -> Result<usize, ParseError> {
        if height < HEIGHT_MAX {
            Ok(height + 1)
        } else {
            Err(self.error(
                span,
                format!("expression is more than {HEIGHT_MAX} levels high"),
            ))
        }
    }

    pub(crate) fn accept(&mut self, keyword: Keyword) -> bool {
        let found = self.kind() == TokenKind::Keyword(keyword);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(
        &mut self,
        kind: TokenKind,
        context: &str,
        expected: &str,
    ) -> Result<Span, ParseError> {
        if self.kind() == kind {
            Ok(self.advance())
        } else {
            Err(self.unexpected(context, expected))
        }
    }

    /// Steps over a token and returns where it stands. The last one stays.
    pub(crate) fn advance(&mut self) -> Span {
        let span = self.token().span;
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
        self.last_closing = span.end;
        span
    }

    pub(crate) fn token(&self) -> Token {
        self.tokens[self.next]
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.token().kind
    }

    pub(crate) fn after_next(&self) -> TokenKind {
        let last = self.tokens.len() - 1;
        self.tokens[last.min(self.next + 1)].kind
    }

    pub(crate) fn follows(&self, kind: TokenKind) -> bool {
        self.after_next() == kind
    }

    pub(crate) fn text_of(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    pub(crate) fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// What the lexer could not read, or that this token does not belong here.
    pub(crate) fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        if token.kind == TokenKind::Error {
            return self.error(token.span, self.lex_error);
        }
        let mut message = format!(
            "unexpected {}",
            token.kind.described(self.text_of(token.span))
        );
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.span, message)
    }
}
