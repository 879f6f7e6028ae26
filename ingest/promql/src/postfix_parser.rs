//! What is attached to an operand: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::Timestamp;
use model::go_number::format_f;

use crate::ast::{AtModifier, BinaryOp, Boundary, DurationValue, Expr, MatrixSelector, Subquery};
use crate::cursor::{Parser, Tree};
use crate::duration_parser;
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// Ranges, offsets and the like, behind an operand.
    pub(crate) fn postfix(&mut self, mut tree: Tree<Expr>) -> Result<Tree<Expr>, ParseError> {
        loop {
            tree = match self.kind() {
                TokenKind::LeftBracket => self.range_or_subquery(tree)?,
                TokenKind::Keyword(Keyword::Offset) => {
                    self.advance();
                    let offset = duration_parser::offset(self)?;
                    let span = tree.expr.span();
                    let slot = match &mut tree.expr {
                        Expr::Selector(selector) => &mut selector.offset,
                        Expr::Matrix(matrix) => &mut matrix.selector.offset,
                        Expr::Subquery(subquery) => &mut subquery.offset,
                        _ => {
                            return Err(self.error(
                                span,
                                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                            ));
                        }
                    };
                    if slot.is_some() {
                        return Err(self.error(span, "offset may not be set multiple times"));
                    }
                    *slot = Some(offset);
                    self.stretched(tree)
                }
                TokenKind::At => {
                    self.advance();
                    let at = self.at_modifier(tree.expr.span())?;
                    let span = tree.expr.span();
                    let slot = match &mut tree.expr {
                        Expr::Selector(selector) => &mut selector.at,
                        Expr::Matrix(matrix) => &mut matrix.selector.at,
                        Expr::Subquery(subquery) => &mut subquery.at,
                        _ => {
                            return Err(self.error(
                                span,
                                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                            ));
                        }
                    };
                    if slot.is_some() {
                        return Err(self.error(span, "@ <timestamp> may not be set multiple times"));
                    }
                    *slot = Some(at);
                    self.stretched(tree)
                }
                TokenKind::Keyword(Keyword::Anchored) => {
                    self.advance();
                    self.boundary(&mut tree.expr, Boundary::Anchored, "anchored")?;
                    self.stretched(tree)
                }
                TokenKind::Keyword(Keyword::Smoothed) => {
                    self.advance();
                    self.boundary(&mut tree.expr, Boundary::Smoothed, "smoothed")?;
                    self.stretched(tree)
                }
                _ => return Ok(tree),
            };
        }
    }

    /// The selector reaches to the last token read.
    fn stretched(&self, mut tree: Tree<Expr>) -> Tree<Expr> {
        match &mut tree.expr {
            Expr::Selector(selector) => selector.span.end = self.last_closing,
            Expr::Matrix(matrix) => matrix.span.end = self.last_closing,
            Expr::Subquery(subquery) => subquery.span.end = self.last_closing,
            _ => {}
        }
        tree
    }

    fn boundary(&self, expr: &mut Expr, boundary: Boundary, name: &str) -> Result<(), ParseError> {
        let span = expr.span();
        if !self.options.extended_range_selectors {
            return Err(self.error(
                span,
                format!("{name} modifier is experimental and not enabled"),
            ));
        }
        let slot = match expr {
            Expr::Selector(selector) => &mut selector.boundary,
            Expr::Matrix(matrix) => &mut matrix.selector.boundary,
            Expr::Subquery(_) => {
                return Err(self.error(
                    span,
                    format!("{name} modifier is not supported for subqueries"),
                ));
            }
            // Prometheus' words for every other expression: it means that there is no such thing.
            _ => return Err(self.error(span, format!("{name} modifier not implemented"))),
        };
        if *slot != Boundary::Plain && *slot != boundary {
            return Err(self.error(
                span,
                "anchored and smoothed modifiers cannot be used together",
            ));
        }
        *slot = boundary;
        Ok(())
    }

    fn at_modifier(&mut self, of: Span) -> Result<AtModifier, ParseError> {
        const CONTEXT: &str = "@";
        const EXPECTED: &str = "timestamp";
        let edge = match self.kind() {
            TokenKind::Keyword(Keyword::Start) => Some(AtModifier::Start),
            TokenKind::Keyword(Keyword::End) => Some(AtModifier::End),
            _ => None,
        };
        if let Some(edge) = edge {
            self.advance();
            self.expect(TokenKind::LeftParen, CONTEXT, EXPECTED)?;
            self.expect(TokenKind::RightParen, CONTEXT, EXPECTED)?;
            return Ok(edge);
        }
        let negate = match self.kind() {
            TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.advance();
                op == BinaryOp::Sub
            }
            _ => false,
        };
        if !matches!(self.kind(), TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected(CONTEXT, EXPECTED));
        }
        let value = self.number_literal()?.value;
        let value = if negate { -value } else { value };
        // Milliseconds must fit into 63 bits.
        let time = Timestamp::from_secs_f64(value).filter(|_| value.abs() < 9.2e15);
        time.map(AtModifier::Time).ok_or_else(|| {
            let shown = if value.is_finite() {
                format!("{value:.6}")
            } else {
                format_f(value)
            };
            self.error(
                of,
                format!("timestamp out of bounds for @ modifier: {shown}"),
            )
        })
    }

    fn range_or_subquery(&mut self, tree: Tree<Expr>) -> Result<Tree<Expr>, ParseError> {
        const NUMBER: &str = "number, duration, step(), or range()";
        let open = self.advance();
        if !duration_parser::begins(self.kind()) {
            return Err(self.unexpected("subquery or range selector", NUMBER));
        }
        let range = duration_parser::positive(self)?;
        match self.kind() {
            TokenKind::RightBracket => {
                let close = self.advance();
                self.matrix(tree, range, open.to(close))
            }
            TokenKind::Colon => {
                self.advance();
                let step = if self.kind() == TokenKind::RightBracket {
                    None
                } else if duration_parser::begins(self.kind()) {
                    Some(duration_parser::positive(self)?)
                } else {
                    return Err(self.unexpected("subquery selector", &format!("{NUMBER} or \"]\"")));
                };
                if self.kind() != TokenKind::RightBracket {
                    return Err(self.unexpected("subquery selector", "\"]\""));
                }
                let close = self.advance();
                let span = tree.expr.span().to(close);
                Ok(Tree {
                    height: self.grown(tree.height, span)?,
                    expr: Expr::Subquery(Subquery {
                        expr: Box::new(tree.expr),
                        range,
                        step,
                        at: None,
                        offset: None,
                        span,
                    }),
                })
            }
            _ => Err(self.unexpected("subquery or range", "\":\" or \"]\"")),
        }
    }

    fn matrix(
        &self,
        tree: Tree<Expr>,
        range: DurationValue,
        brackets: Span,
    ) -> Result<Tree<Expr>, ParseError> {
        let Expr::Selector(selector) = tree.expr else {
            return Err(self.error(brackets, "ranges only allowed for vector selectors"));
        };
        if selector.offset.is_some() {
            return Err(self.error(brackets, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range"));
        }
        let span = selector.span.to(brackets);
        Ok(Tree {
            expr: Expr::Matrix(MatrixSelector {
                selector,
                range,
                span,
            }),
            height: tree.height,
        })
    }
}
