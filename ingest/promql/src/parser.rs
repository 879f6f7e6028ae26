//! From tokens to the expression tree, by precedence climbing.
//!
//! Every rule of the grammar is a method that reads its tokens or stops with the one error that is shown. Each
//! returns with the tree its height, and no tree grows higher than `HEIGHT_MAX`: whoever walks or drops one may
//! recurse without fear for the stack. The parser itself recurses less deep still (`DEPTH_MAX`).
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::go_quote::quote;

use crate::ast::{Aggregate, AggregateOp, Binary, BinaryOp, Call, Expr, Paren, TextLiteral, Unary};
use crate::check::check;
use crate::cursor::{Parser, Tree};
use crate::function;
use crate::lexer::lex;
use crate::literal;
use crate::options::ParserOptions;
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Keyword, TokenKind, word};

/// Parses and checks a whole query.
pub fn parse(text: &str, options: &ParserOptions) -> Result<Expr, ParseError> {
    let lexed = lex(text);
    let lex_error = lexed.error.as_deref().unwrap_or_default();
    let mut parser = Parser::new(text, &lexed.tokens, lex_error, options);
    if parser.kind() == TokenKind::End {
        return Err(ParseError::new(
            text,
            Span::default(),
            "no expression found in input",
        ));
    }
    let tree = parser.expression(Strength::Or)?;
    if parser.kind() != TokenKind::End {
        return Err(parser.unexpected("", ""));
    }
    let mut expr = tree.expr;
    check(text, &mut expr)?;
    Ok(expr)
}

/// How tightly an operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Power,
}

impl Strength {
    const fn of(op: BinaryOp) -> Self {
        match op {
            BinaryOp::Or => Self::Or,
            BinaryOp::And | BinaryOp::Unless => Self::And,
            BinaryOp::Equal
            | BinaryOp::Greater
            | BinaryOp::GreaterEqual
            | BinaryOp::Less
            | BinaryOp::LessEqual
            | BinaryOp::NotEqual
            | BinaryOp::TrimLower
            | BinaryOp::TrimUpper => Self::Comparison,
            BinaryOp::Add | BinaryOp::Sub => Self::Sum,
            BinaryOp::Atan2 | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Mul => Self::Product,
            BinaryOp::Pow => Self::Power,
        }
    }

    /// The strength that the right side of a left-associative operator must have.
    const fn above(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product | Self::Power => Self::Power,
        }
    }
}

impl Parser<'_> {
    /// Operands joined by operators that bind at least as tightly as `least`.
    fn expression(&mut self, least: Strength) -> Result<Tree<Expr>, ParseError> {
        let mut left = self.operand()?;
        while let TokenKind::Operator(op) = self.kind() {
            let strength = Strength::of(op);
            if strength < least {
                break;
            }
            let op_span = self.advance();
            let (return_bool, matching) = self.binary_modifiers(op)?;
            // Powers group from the right.
            let right = self.nested(|parser| parser.expression(strength.above()))?;
            let height = self.grown(left.height.max(right.height), op_span)?;
            let binary = Binary {
                op,
                lhs: Box::new(left.expr),
                rhs: Box::new(right.expr),
                return_bool,
                matching: Some(matching),
                op_span,
            };
            left = Tree {
                expr: Expr::Binary(binary),
                height,
            };
        }
        Ok(left)
    }

    /// One operand with its sign and what is attached to it.
    fn operand(&mut self) -> Result<Tree<Expr>, ParseError> {
        self.nested(|parser| {
            let negate = match parser.kind() {
                TokenKind::Operator(BinaryOp::Add) => false,
                TokenKind::Operator(BinaryOp::Sub) => true,
                _ => {
                    let tree = parser.primary()?;
                    return parser.postfix(tree);
                }
            };
            let sign = parser.advance();
            // A sign binds like a product: `-2^2` is `-(2^2)`, and `-a * b` is `(-a) * b`.
            let tree = parser.expression(Strength::Power)?;
            let height = parser.grown(tree.height, sign)?;
            let expr = match tree.expr {
                Expr::Number(mut number) => {
                    if negate {
                        number.value = -number.value;
                    }
                    number.span.start = sign.start;
                    Expr::Number(number)
                }
                expr => Expr::Unary(Unary {
                    negate,
                    span: sign.to(expr.span()),
                    expr: Box::new(expr),
                }),
            };
            Ok(Tree { expr, height })
        })
    }

    fn primary(&mut self) -> Result<Tree<Expr>, ParseError> {
        let token = self.token();
        let expr = match token.kind {
            TokenKind::Number | TokenKind::Duration => Expr::Number(self.number_literal()?),
            TokenKind::Text => {
                self.advance();
                Expr::Text(TextLiteral {
                    value: literal::text(self.text_of(token.span)),
                    span: token.span,
                })
            }
            TokenKind::LeftParen => {
                self.advance();
                let tree = self.expression(Strength::Or)?;
                let close = self.expect(TokenKind::RightParen, "", "")?;
                let height = self.grown(tree.height, token.span)?;
                return Ok(Tree {
                    expr: Expr::Paren(Paren {
                        expr: Box::new(tree.expr),
                        span: token.span.to(close),
                    }),
                    height,
                });
            }
            TokenKind::LeftBrace => Expr::Selector(self.selector(None)?),
            TokenKind::Aggregator(op) if self.begins_aggregation() => return self.aggregate(op),
            _ if self.follows(TokenKind::LeftParen) && self.names_function() => return self.call(),
            kind if kind.names_metric() => {
                self.advance();
                Expr::Selector(self.selector(Some(token.span))?)
            }
            _ => return Err(self.unexpected("", "")),
        };
        Ok(Tree { expr, height: 1 })
    }

    fn begins_aggregation(&self) -> bool {
        matches!(
            self.after_next(),
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        )
    }

    /// Words of duration arithmetic are functions too.
    fn names_function(&self) -> bool {
        matches!(
            self.kind(),
            TokenKind::Identifier
                | TokenKind::Keyword(
                    Keyword::Start
                        | Keyword::End
                        | Keyword::Step
                        | Keyword::Range
                        | Keyword::MinOf
                        | Keyword::MaxOf
                )
        )
    }

    fn call(&mut self) -> Result<Tree<Expr>, ParseError> {
        let name_span = self.advance();
        let name = self.text_of(name_span).to_owned();
        let (args, height) = self.arguments()?;
        // Words that are keywords too are found whatever their case.
        let found = function::find(&name).or_else(|| {
            let lower = name.to_ascii_lowercase();
            matches!(word(&name), TokenKind::Keyword(_))
                .then(|| function::find(&lower))
                .flatten()
        });
        let Some(function) = found else {
            return Err(self.error(
                name_span,
                format!("unknown function with name {}", quote(&name)),
            ));
        };
        if function.experimental && !self.options.experimental_functions {
            return Err(self.error(
                name_span,
                format!("function {} is not enabled", quote(&name)),
            ));
        }
        let span = Span::new(name_span.start, self.last_closing);
        Ok(Tree {
            expr: Expr::Call(Call {
                function,
                args,
                span,
            }),
            height: self.grown(height, span)?,
        })
    }

    /// `(a, b)`, and how high the highest of them is.
    fn arguments(&mut self) -> Result<(Vec<Expr>, usize), ParseError> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let mut args = Vec::new();
        let mut height = 0;
        if self.kind() == TokenKind::RightParen {
            self.advance();
            return Ok((args, height));
        }
        loop {
            let tree = self.expression(Strength::Or)?;
            height = height.max(tree.height);
            args.push(tree.expr);
            if self.kind() != TokenKind::Comma {
                self.expect(TokenKind::RightParen, "", "")?;
                return Ok((args, height));
            }
            let comma = self.advance();
            if self.kind() == TokenKind::RightParen {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    fn aggregate(&mut self, op: AggregateOp) -> Result<Tree<Expr>, ParseError> {
        let start = self.advance();
        let before = self.aggregate_modifier()?;
        if self.kind() != TokenKind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (args, height) = self.arguments()?;
        let modifier = match before {
            Some(modifier) => Some(modifier),
            None => self.aggregate_modifier()?,
        };
        let (without, grouping) = modifier.unwrap_or_default();
        let span = Span::new(start.start, self.last_closing);
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.options.experimental_functions {
            return Err(self.error(
                span,
                format!(
                    "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                    op.as_str()
                ),
            ));
        }
        let given = args.len();
        let wanted = if op.takes_param() { 2 } else { 1 };
        let mut args = args.into_iter();
        let param = if op.takes_param() { args.next() } else { None };
        let (Some(expr), true) = (args.next(), given == wanted) else {
            return Err(self.error(
                span,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {given}"
                ),
            ));
        };
        Ok(Tree {
            height: self.grown(height, span)?,
            expr: Expr::Aggregate(Aggregate {
                op,
                param: param.map(Box::new),
                expr: Box::new(expr),
                grouping,
                without,
                span,
            }),
        })
    }
}
