//! Durations in brackets and behind `offset`, which may be computed: `[5m * 2]`, `offset -(step() + 1m)`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use crate::ast::{BinaryOp, DurationExpr, DurationKind, DurationOp, DurationValue, NumberLiteral};
use crate::cursor::{Parser, Tree};
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Keyword, TokenKind};

/// Durations count nanoseconds in 63 bits.
const SECONDS_MAX: f64 = 9_223_372_036.0;

/// Whether a duration can begin with this token.
pub(crate) fn begins(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Number
            | TokenKind::Duration
            | TokenKind::LeftParen
            | TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub)
            | TokenKind::Keyword(Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf)
    )
}

/// A range or a step: more than nothing.
pub(crate) fn positive(parser: &mut Parser<'_>) -> Result<DurationValue, ParseError> {
    let tree = sum(parser)?;
    value(parser, tree.expr, true)
}

/// An offset: a single thing with a sign, or anything in parentheses.
pub(crate) fn offset(parser: &mut Parser<'_>) -> Result<DurationValue, ParseError> {
    if !begins(parser.kind()) {
        return Err(parser.unexpected("offset", "number, duration, step(), or range()"));
    }
    let expr = match parser.kind() {
        TokenKind::Operator(op) => {
            let sign = parser.advance();
            if !begins(parser.kind()) || matches!(parser.kind(), TokenKind::Operator(_)) {
                return Err(parser.unexpected("offset", "number, duration, step(), or range()"));
            }
            let tree = primary(parser)?;
            signed(parser, op == BinaryOp::Sub, sign, tree)?.expr
        }
        _ => primary(parser)?.expr,
    };
    value(parser, expr, false)
}

fn value(
    parser: &Parser<'_>,
    expr: DurationExpr,
    positive: bool,
) -> Result<DurationValue, ParseError> {
    let DurationKind::Number(number) = &expr.kind else {
        if !parser.options.duration_expressions && !is_plain_call(&expr) {
            return Err(parser.error(expr.span, "experimental duration expression is not enabled"));
        }
        return Ok(DurationValue::Computed(expr));
    };
    if positive && number.value <= 0.0 {
        return Err(parser.error(number.span, "duration must be greater than 0"));
    }
    if number.value.is_nan() || number.value.abs() >= SECONDS_MAX {
        return Err(parser.error(number.span, "duration out of range"));
    }
    Ok(DurationValue::Millis((number.value * 1000.0).round() as i64))
}

fn is_plain_call(expr: &DurationExpr) -> bool {
    matches!(expr.kind, DurationKind::Step | DurationKind::Range)
}

fn sum(parser: &mut Parser<'_>) -> Result<Tree<DurationExpr>, ParseError> {
    let mut left = product(parser)?;
    loop {
        let op = match parser.kind() {
            TokenKind::Operator(BinaryOp::Add) => DurationOp::Add,
            TokenKind::Operator(BinaryOp::Sub) => DurationOp::Sub,
            _ => return Ok(left),
        };
        let op_span = parser.advance();
        let right = product(parser)?;
        left = binary(parser, op, op_span, left, right)?;
    }
}

fn product(parser: &mut Parser<'_>) -> Result<Tree<DurationExpr>, ParseError> {
    let mut left = unary(parser)?;
    loop {
        let op = match parser.kind() {
            TokenKind::Operator(BinaryOp::Mul) => DurationOp::Mul,
            TokenKind::Operator(BinaryOp::Div) => DurationOp::Div,
            TokenKind::Operator(BinaryOp::Mod) => DurationOp::Mod,
            _ => return Ok(left),
        };
        let op_span = parser.advance();
        let right = unary(parser)?;
        left = binary(parser, op, op_span, left, right)?;
    }
}

/// A power with its sign: the sign is applied last.
fn unary(parser: &mut Parser<'_>) -> Result<Tree<DurationExpr>, ParseError> {
    parser.nested(|parser| {
        if let TokenKind::Operator(op @ (BinaryOp::Add | BinaryOp::Sub)) = parser.kind() {
            let sign = parser.advance();
            let tree = unary(parser)?;
            return signed(parser, op == BinaryOp::Sub, sign, tree);
        }
        let base = primary(parser)?;
        if parser.kind() != TokenKind::Operator(BinaryOp::Pow) {
            return Ok(base);
        }
        let op_span = parser.advance();
        let exponent = unary(parser)?;
        binary(parser, DurationOp::Pow, op_span, base, exponent)
    })
}

fn primary(parser: &mut Parser<'_>) -> Result<Tree<DurationExpr>, ParseError> {
    let kind = parser.kind();
    let (kind, span) = match kind {
        TokenKind::Number | TokenKind::Duration => {
            let number = parser.number_literal()?;
            let span = number.span;
            (DurationKind::Number(number), span)
        }
        TokenKind::LeftParen => {
            let open = parser.advance();
            let mut tree = parser.nested(sum)?;
            let close = parser.expect(TokenKind::RightParen, "", "")?;
            tree.expr.span = open.to(close);
            tree.expr.wrapped = !matches!(tree.expr.kind, DurationKind::Number(_));
            return Ok(tree);
        }
        TokenKind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
            let name = parser.advance();
            parser.expect(TokenKind::LeftParen, "", "")?;
            let close = parser.expect(TokenKind::RightParen, "", "")?;
            let kind = if keyword == Keyword::Step {
                DurationKind::Step
            } else {
                DurationKind::Range
            };
            (kind, name.to(close))
        }
        TokenKind::Keyword(keyword @ (Keyword::MinOf | Keyword::MaxOf)) => {
            let name = parser.advance();
            parser.expect(TokenKind::LeftParen, "", "")?;
            let left = parser.nested(sum)?;
            parser.expect(TokenKind::Comma, "", "")?;
            let right = parser.nested(sum)?;
            let close = parser.expect(TokenKind::RightParen, "", "")?;
            let span = name.to(close);
            let height = parser.grown(left.height.max(right.height), span)?;
            let (left, right) = (Box::new(left.expr), Box::new(right.expr));
            let kind = if keyword == Keyword::MinOf {
                DurationKind::MinOf(left, right)
            } else {
                DurationKind::MaxOf(left, right)
            };
            return Ok(node(kind, span, height));
        }
        _ => return Err(parser.unexpected("", "")),
    };
    Ok(node(kind, span, 1))
}

fn signed(
    parser: &Parser<'_>,
    negate: bool,
    sign: Span,
    tree: Tree<DurationExpr>,
) -> Result<Tree<DurationExpr>, ParseError> {
    let span = sign.to(tree.expr.span);
    if let DurationKind::Number(number) = tree.expr.kind {
        let value = if negate { -number.value } else { number.value };
        return Ok(node(
            DurationKind::Number(NumberLiteral {
                value,
                span,
                ..number
            }),
            span,
            tree.height,
        ));
    }
    let height = parser.grown(tree.height, span)?;
    let inner = Box::new(tree.expr);
    let kind = if negate {
        DurationKind::Negate(inner)
    } else {
        DurationKind::Plus(inner)
    };
    Ok(node(kind, span, height))
}

fn binary(
    parser: &Parser<'_>,
    op: DurationOp,
    op_span: Span,
    left: Tree<DurationExpr>,
    right: Tree<DurationExpr>,
) -> Result<Tree<DurationExpr>, ParseError> {
    let zero = matches!(&right.expr.kind, DurationKind::Number(number) if number.value == 0.0);
    match op {
        DurationOp::Div if zero => return Err(parser.error(op_span, "division by zero")),
        DurationOp::Mod if zero => return Err(parser.error(op_span, "modulo by zero")),
        DurationOp::Add
        | DurationOp::Div
        | DurationOp::Mod
        | DurationOp::Mul
        | DurationOp::Pow
        | DurationOp::Sub => {}
    }
    let span = left.expr.span.to(right.expr.span);
    let height = parser.grown(left.height.max(right.height), span)?;
    Ok(node(
        DurationKind::Binary(op, Box::new(left.expr), Box::new(right.expr)),
        span,
        height,
    ))
}

fn node(kind: DurationKind, span: Span, height: usize) -> Tree<DurationExpr> {
    Tree {
        expr: DurationExpr {
            kind,
            wrapped: false,
            span,
        },
        height,
    }
}
