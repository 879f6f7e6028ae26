//! From tokens to the expression tree, by precedence climbing.
//!
//! Every rule of the grammar is a method that reads its tokens or stops with the one error that is shown. Each
//! returns with the tree its height, and no tree grows higher than [`HEIGHT_MAX`]: whoever walks or drops one may
//! recurse without fear for the stack. The parser itself recurses less deep still ([`DEPTH_MAX`]).
use model::go_quote::quote;
use model::{METRIC_NAME, MatchOp, Matcher, MatcherDialect, Timestamp};

use crate::ast::{
    Aggregate, AggregateOp, AtModifier, Binary, BinaryOp, Boundary, Call, Cardinality,
    DurationValue, Expr, Fill, MatrixSelector, NumberLiteral, Paren, Subquery, TextLiteral, Unary,
    VectorMatching, VectorSelector,
};
use crate::check::check;
use crate::duration_parser;
use crate::function;
use crate::lexer::lex;
use crate::literal;
use crate::options::ParserOptions;
use crate::parse_error::ParseError;
use crate::span::Span;
use crate::token::{Keyword, Token, TokenKind, word};

/// How high a tree may be. A generated chain of `or` may have some hundred parts.
pub const HEIGHT_MAX: usize = 500;
/// How deep parentheses, calls and signs may be nested. Rules in the wild stay below 30. A level takes some two
/// kilobytes of stack, so all of them take half a megabyte of the two that a thread mostly has.
pub const DEPTH_MAX: usize = 250;

/// Parses and checks a whole query.
pub fn parse(text: &str, options: &ParserOptions) -> Result<Expr, ParseError> {
    let lexed = lex(text);
    let mut parser = Parser {
        text,
        tokens: &lexed.tokens,
        lex_error: lexed.error.as_deref().unwrap_or_default(),
        options,
        next: 0,
        depth: 0,
        last_closing: 0,
    };
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

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    lex_error: &'a str,
    pub(crate) options: &'a ParserOptions,
    next: usize,
    depth: usize,
    /// Where the token ends that was read last.
    last_closing: u32,
}

/// A part of the tree and how high it is.
pub(crate) struct Tree<T> {
    pub(crate) expr: T,
    pub(crate) height: usize,
}

/// How tightly an operator binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
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

    /// `by (…)` or `without (…)`.
    fn aggregate_modifier(&mut self) -> Result<Option<(bool, Vec<String>)>, ParseError> {
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

    fn binary_modifiers(&mut self, op: BinaryOp) -> Result<(bool, VectorMatching), ParseError> {
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

    /// What follows the name, if there is one, of a selector.
    fn selector(&mut self, name: Option<Span>) -> Result<VectorSelector, ParseError> {
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

    /// Ranges, offsets and the like, behind an operand.
    fn postfix(&mut self, mut tree: Tree<Expr>) -> Result<Tree<Expr>, ParseError> {
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
                model::go_number::format_f(value)
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

    fn accept(&mut self, keyword: Keyword) -> bool {
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

    fn token(&self) -> Token {
        self.tokens[self.next]
    }

    pub(crate) fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn after_next(&self) -> TokenKind {
        let last = self.tokens.len() - 1;
        self.tokens[last.min(self.next + 1)].kind
    }

    pub(crate) fn follows(&self, kind: TokenKind) -> bool {
        self.after_next() == kind
    }

    fn text_of(&self, span: Span) -> &str {
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
