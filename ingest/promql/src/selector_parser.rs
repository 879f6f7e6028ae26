//! Selectors: names, matchers in braces.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::go_quote::quote;
use model::{METRIC_NAME, MatchOp, Matcher, MatcherDialect};

use crate::ast::{BinaryOp, Boundary, VectorSelector};
use crate::cursor::Parser;
use crate::literal;
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Token, TokenKind};

impl Parser<'_> {
    /// What follows the name, if there is one, of a selector.
    pub(crate) fn selector(&mut self, name: Option<Span>) -> Result<VectorSelector, ParseError> {
        let start = name.map_or(self.token().span.start, |span| span.start);
        let mut selector = VectorSelector {
            name: name.map(|span| self.text_of(span).to_owned()),
            matchers: Vec::new(),
            at: None,
            offset: None,
            boundary: Boundary::Plain,
            span: Span::default(),
        };
        if self.kind() == TokenKind::LeftBrace {
            self.advance();
            let names = self.matchers(&mut selector.matchers)?;
            if let [first, second, ..] = names.as_slice() {
                return Err(self.error(
                    Span::new(start, self.last_closing),
                    format!(
                        "metric name must not be set twice: {} or {}",
                        quote(first),
                        quote(second)
                    ),
                ));
            }
        }
        selector.span = Span::new(start, self.last_closing);
        if let Some(name) = &selector.name {
            selector.matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        // Rules keep it for good.
        selector.matchers.shrink_to_fit();
        Ok(selector)
    }

    /// What stands between braces. Returns the metric names that are quoted there.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<Vec<String>, ParseError> {
        const CONTEXT: &str = "label matching";
        let mut names = Vec::new();
        loop {
            let token = self.token();
            match token.kind {
                TokenKind::RightBrace => break,
                TokenKind::Identifier | TokenKind::Text => {
                    self.advance();
                    let alone = matches!(self.kind(), TokenKind::Comma | TokenKind::RightBrace);
                    let matcher = self.matcher(token)?;
                    if alone {
                        names.push(matcher.value().to_owned());
                    }
                    matchers.push(matcher);
                }
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            }
            match self.kind() {
                TokenKind::Comma => {
                    self.advance();
                }
                TokenKind::RightBrace => {}
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \"}\"")),
            }
        }
        self.advance();
        Ok(names)
    }

    /// `name op "value"`, or a quoted metric name alone.
    fn matcher(&mut self, name_token: Token) -> Result<Matcher, ParseError> {
        const CONTEXT: &str = "label matching";
        let text = self.text_of(name_token.span);
        let quoted = name_token.kind == TokenKind::Text;
        let name = if quoted {
            literal::text(text)
        } else {
            text.to_owned()
        };
        let op = match self.kind() {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::RegexEqual => MatchOp::Regex,
            TokenKind::RegexNotEqual => MatchOp::NotRegex,
            TokenKind::Comma | TokenKind::RightBrace if quoted => {
                return Ok(Matcher::equal(METRIC_NAME, &name));
            }
            _ if quoted => return Err(self.unexpected(CONTEXT, "\",\" or \"}\"")),
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance();
        let value_token = self.token();
        if value_token.kind != TokenKind::Text {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        self.advance();
        let value = literal::text(self.text_of(value_token.span));
        Matcher::new(op, &name, &value, MatcherDialect::PromQl)
            .map_err(|error| self.error(name_token.span.to(value_token.span), error.to_string()))
    }
}
