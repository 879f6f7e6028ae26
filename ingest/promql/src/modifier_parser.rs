//! What stands behind an operator or an aggregation: `by`, `on`, `group_left`, `fill`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::go_quote::quote;

use crate::ast::{BinaryOp, Cardinality, Fill, VectorMatching};
use crate::cursor::Parser;
use crate::literal;
use crate::parse_error::ParseError;
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// `by (…)` or `without (…)`.
    pub(crate) fn aggregate_modifier(&mut self) -> Result<Option<(bool, Vec<String>)>, ParseError> {
        let without = match self.kind() {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((without, self.grouping_labels()?)))
    }

    /// `(a, b)`; a comma may follow the last.
    fn grouping_labels(&mut self) -> Result<Vec<String>, ParseError> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        if self.kind() == TokenKind::RightParen {
            self.advance();
            return Ok(labels);
        }
        loop {
            let token = self.token();
            let text = self.text_of(token.span);
            match token.kind {
                TokenKind::Text => labels.push(literal::text(text)),
                TokenKind::MetricIdentifier => {
                    return Err(self.error(
                        token.span,
                        format!("invalid label name for grouping: {}", quote(text)),
                    ));
                }
                kind if kind.names_label() => labels.push(text.to_owned()),
                _ => return Err(self.unexpected(CONTEXT, "label")),
            }
            self.advance();
            match self.kind() {
                TokenKind::Comma => {
                    self.advance();
                    if self.kind() != TokenKind::RightParen {
                        continue;
                    }
                }
                TokenKind::RightParen => {}
                _ => return Err(self.unexpected(CONTEXT, "\",\" or \")\"")),
            }
            self.advance();
            return Ok(labels);
        }
    }

    pub(crate) fn binary_modifiers(
        &mut self,
        op: BinaryOp,
    ) -> Result<(bool, VectorMatching), ParseError> {
        let return_bool = self.accept(Keyword::Bool);
        let mut matching = VectorMatching::default();
        if op.is_set() {
            matching.cardinality = Cardinality::ManyToMany;
        }
        let on = self.accept(Keyword::On);
        if on || self.accept(Keyword::Ignoring) {
            matching.on = on;
            matching.labels = self.grouping_labels()?;
            let grouped = match self.kind() {
                TokenKind::Keyword(Keyword::GroupLeft) => Some(Cardinality::ManyToOne),
                TokenKind::Keyword(Keyword::GroupRight) => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(cardinality) = grouped {
                self.advance();
                matching.cardinality = cardinality;
                if self.kind() == TokenKind::LeftParen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        matching.fill = self.fill_modifiers()?;
        Ok((return_bool, matching))
    }

    fn fill_modifiers(&mut self) -> Result<Fill, ParseError> {
        let mut fill = Fill::default();
        while let TokenKind::Keyword(
            keyword @ (Keyword::Fill | Keyword::FillLeft | Keyword::FillRight),
        ) = self.kind()
        {
            // Without a parenthesis it is a metric of that name.
            if !self.follows(TokenKind::LeftParen) {
                break;
            }
            let span = self.advance();
            if !self.options.fill_modifiers {
                return Err(self.error(
                    span,
                    "binop fill modifiers are experimental and not enabled",
                ));
            }
            self.advance();
            let value = self.signed_number()?;
            self.expect(TokenKind::RightParen, "", "")?;
            if keyword != Keyword::FillRight {
                fill.left = Some(value);
            }
            if keyword != Keyword::FillLeft {
                fill.right = Some(value);
            }
        }
        Ok(fill)
    }

    fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negate = match self.kind() {
            TokenKind::Operator(BinaryOp::Sub) => true,
            TokenKind::Operator(BinaryOp::Add) => false,
            TokenKind::Number => return Ok(self.number_literal()?.value),
            _ => return Err(self.unexpected("", "")),
        };
        self.advance();
        if self.kind() != TokenKind::Number {
            return Err(self.unexpected("", ""));
        }
        let value = self.number_literal()?.value;
        Ok(if negate { -value } else { value })
    }
}
