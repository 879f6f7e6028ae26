//! The expression tree. Every node knows its place in the text.
use model::{METRIC_NAME, Matcher, Timestamp};

use crate::function::Function;
use crate::span::Span;

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Aggregate(Aggregate),
    Binary(Binary),
    Call(Call),
    Matrix(MatrixSelector),
    Number(NumberLiteral),
    Paren(Paren),
    Selector(VectorSelector),
    Subquery(Subquery),
    Text(TextLiteral),
    Unary(Unary),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    Matrix,
    Scalar,
    Text,
    Vector,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub op: AggregateOp,
    /// `k`, a quantile, a ratio or the label of `count_values`.
    pub param: Option<Box<Expr>>,
    pub expr: Box<Expr>,
    pub grouping: Vec<String>,
    /// Grouped by all labels but those in `grouping`.
    pub without: bool,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateOp {
    Avg,
    BottomK,
    Count,
    CountValues,
    Group,
    LimitK,
    LimitRatio,
    Max,
    Min,
    Quantile,
    StdDev,
    StdVar,
    Sum,
    TopK,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    pub op: BinaryOp,
    pub lhs: Box<Expr>,
    pub rhs: Box<Expr>,
    /// Comparisons give 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// Present between two instant vectors.
    pub matching: Option<VectorMatching>,
    /// Where the operator stands.
    pub op_span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BinaryOp {
    Add,
    And,
    Atan2,
    Div,
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Mod,
    Mul,
    NotEqual,
    Or,
    Pow,
    Sub,
    TrimLower,
    TrimUpper,
    Unless,
}

/// How the elements of two vectors find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    pub cardinality: Cardinality,
    /// Match on `labels` alone; otherwise on all but them.
    pub on: bool,
    pub labels: Vec<String>,
    /// Labels that `group_left` or `group_right` copies from the side of which there is one.
    pub include: Vec<String>,
    pub fill: Fill,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cardinality {
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Values that stand for elements which have no partner.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fill {
    pub left: Option<f64>,
    pub right: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    pub expr: Box<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    pub negate: bool,
    pub expr: Box<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NumberLiteral {
    pub value: f64,
    /// Written as a duration, and so printed as one.
    pub duration: bool,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TextLiteral {
    pub value: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name written before the braces, or quoted inside them.
    pub name: Option<String>,
    /// As written, that of the metric name last.
    pub matchers: Vec<Matcher>,
    pub at: Option<AtModifier>,
    pub offset: Offset,
    pub boundary: Boundary,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtModifier {
    End,
    Start,
    Time(Timestamp),
}

/// What a selector does at the edges of its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Boundary {
    Anchored,
    #[default]
    Plain,
    Smoothed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    pub selector: VectorSelector,
    pub range: DurationValue,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    pub expr: Box<Expr>,
    pub range: DurationValue,
    pub step: Option<DurationValue>,
    pub at: Option<AtModifier>,
    pub offset: Offset,
    pub span: Span,
}

/// How far back a selector looks; ahead, where negative. `None` where none is written.
pub type Offset = Option<DurationValue>;

/// A duration, known when the query is written or when it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationValue {
    Computed(DurationExpr),
    Millis(i64),
}

/// Arithmetic over seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    pub kind: DurationKind,
    /// Written in parentheses.
    pub wrapped: bool,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum DurationKind {
    Binary(DurationOp, Box<DurationExpr>, Box<DurationExpr>),
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    Negate(Box<DurationExpr>),
    Number(NumberLiteral),
    Plus(Box<DurationExpr>),
    /// From the query's start to its end.
    Range,
    /// The query's step.
    Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationOp {
    Add,
    Div,
    Mod,
    Mul,
    Pow,
    Sub,
}

impl Expr {
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Aggregate(node) => node.span,
            Self::Binary(node) => node.lhs.span().to(node.rhs.span()),
            Self::Call(node) => node.span,
            Self::Matrix(node) => node.span,
            Self::Number(node) => node.span,
            Self::Paren(node) => node.span,
            Self::Selector(node) => node.span,
            Self::Subquery(node) => node.span,
            Self::Text(node) => node.span,
            Self::Unary(node) => node.span,
        }
    }

    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Aggregate(_) | Self::Selector(_) => ValueType::Vector,
            Self::Binary(node) => match (node.lhs.value_type(), node.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Self::Call(node) => node.function.returns,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Number(_) => ValueType::Scalar,
            Self::Paren(node) => node.expr.value_type(),
            Self::Text(_) => ValueType::Text,
            Self::Unary(node) => node.expr.value_type(),
        }
    }

    /// The expression inside any parentheses.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }

    /// Direct parts, in the order in which they are written.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Aggregate(node) => node
                .param
                .iter()
                .chain([&node.expr])
                .map(Box::as_ref)
                .collect(),
            Self::Binary(node) => vec![&node.lhs, &node.rhs],
            Self::Call(node) => node.args.iter().collect(),
            Self::Paren(node) => vec![&node.expr],
            Self::Subquery(node) => vec![&node.expr],
            Self::Unary(node) => vec![&node.expr],
            Self::Matrix(_) | Self::Number(_) | Self::Selector(_) | Self::Text(_) => Vec::new(),
        }
    }

    /// Every selector in the expression, those of range vectors and subqueries too, from left to right.
    #[must_use]
    pub fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        let mut open = vec![self];
        while let Some(expr) = open.pop() {
            match expr {
                Self::Matrix(matrix) => found.push(&matrix.selector),
                Self::Selector(selector) => found.push(selector),
                Self::Aggregate(_)
                | Self::Binary(_)
                | Self::Call(_)
                | Self::Number(_)
                | Self::Paren(_)
                | Self::Subquery(_)
                | Self::Text(_)
                | Self::Unary(_) => open.extend(expr.children().into_iter().rev()),
            }
        }
        found
    }
}

impl VectorSelector {
    /// The one metric that can match, where the selector says so by `=`.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find(|matcher| matcher.name() == METRIC_NAME && matcher.op() == model::MatchOp::Equal)
            .map(Matcher::value)
    }
}

impl ValueType {
    /// As error texts name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Matrix => "range vector",
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
        }
    }

    /// As the HTTP API's `resultType` names it.
    #[must_use]
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::Matrix => "matrix",
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "vector",
        }
    }
}

impl AggregateOp {
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Avg, "avg"),
        (Self::BottomK, "bottomk"),
        (Self::Count, "count"),
        (Self::CountValues, "count_values"),
        (Self::Group, "group"),
        (Self::LimitK, "limitk"),
        (Self::LimitRatio, "limit_ratio"),
        (Self::Max, "max"),
        (Self::Min, "min"),
        (Self::Quantile, "quantile"),
        (Self::StdDev, "stddev"),
        (Self::StdVar, "stdvar"),
        (Self::Sum, "sum"),
        (Self::TopK, "topk"),
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("", |(_, name)| name)
    }

    #[must_use]
    pub const fn takes_param(self) -> bool {
        matches!(
            self,
            Self::BottomK
                | Self::CountValues
                | Self::LimitK
                | Self::LimitRatio
                | Self::Quantile
                | Self::TopK
        )
    }

    #[must_use]
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::LimitK | Self::LimitRatio)
    }
}

impl BinaryOp {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::And => "and",
            Self::Atan2 => "atan2",
            Self::Div => "/",
            Self::Equal => "==",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Mod => "%",
            Self::Mul => "*",
            Self::NotEqual => "!=",
            Self::Or => "or",
            Self::Pow => "^",
            Self::Sub => "-",
            Self::TrimLower => ">/",
            Self::TrimUpper => "</",
            Self::Unless => "unless",
        }
    }

    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::Greater
                | Self::GreaterEqual
                | Self::Less
                | Self::LessEqual
                | Self::NotEqual
        )
    }

    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

impl DurationOp {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Mul => "*",
            Self::Pow => "^",
            Self::Sub => "-",
        }
    }
}
