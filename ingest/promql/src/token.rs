//! The words of the language, and how error texts show them.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule names the tokens that it knows"
)]

use model::go_quote::quote;

use crate::ast::{AggregateOp, BinaryOp};
use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Aggregator(AggregateOp),
    At,
    Colon,
    Comma,
    Duration,
    End,
    /// `=`, a matcher's.
    Equal,
    /// The lexer gave up here; its reason is kept beside the tokens.
    Error,
    Identifier,
    Keyword(Keyword),
    LeftBrace,
    LeftBracket,
    LeftParen,
    /// An identifier with a colon in it.
    MetricIdentifier,
    Number,
    Operator(BinaryOp),
    RegexEqual,
    RegexNotEqual,
    RightBrace,
    RightBracket,
    RightParen,
    Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Anchored,
    Bool,
    By,
    End,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    MaxOf,
    MinOf,
    Offset,
    On,
    Range,
    Smoothed,
    Start,
    Step,
    Without,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// Longer values are cut to so many characters in error texts.
const SHOWN_MAX: usize = 10;

/// What an identifier without a colon is; upper and lower case are one.
pub(crate) fn word(text: &str) -> TokenKind {
    let lower = text.to_ascii_lowercase();
    let keyword = match lower.as_str() {
        "and" => return TokenKind::Operator(BinaryOp::And),
        "atan2" => return TokenKind::Operator(BinaryOp::Atan2),
        "or" => return TokenKind::Operator(BinaryOp::Or),
        "unless" => return TokenKind::Operator(BinaryOp::Unless),
        "inf" | "nan" => return TokenKind::Number,
        "anchored" => Keyword::Anchored,
        "bool" => Keyword::Bool,
        "by" => Keyword::By,
        "end" => Keyword::End,
        "fill" => Keyword::Fill,
        "fill_left" => Keyword::FillLeft,
        "fill_right" => Keyword::FillRight,
        "group_left" => Keyword::GroupLeft,
        "group_right" => Keyword::GroupRight,
        "ignoring" => Keyword::Ignoring,
        "max_of" => Keyword::MaxOf,
        "min_of" => Keyword::MinOf,
        "offset" => Keyword::Offset,
        "on" => Keyword::On,
        "range" => Keyword::Range,
        "smoothed" => Keyword::Smoothed,
        "start" => Keyword::Start,
        "step" => Keyword::Step,
        "without" => Keyword::Without,
        _ => {
            return AggregateOp::ALL
                .iter()
                .find(|(_, name)| *name == lower)
                .map_or(TokenKind::Identifier, |(op, _)| TokenKind::Aggregator(*op));
        }
    };
    TokenKind::Keyword(keyword)
}

impl TokenKind {
    /// The token as an error text names it: `identifier "x"`, `<op:+>`, `")"`, `end of input`.
    pub(crate) fn described(self, text: &str) -> String {
        match self {
            Self::End => "end of input".to_owned(),
            Self::Error => text.to_owned(),
            Self::Identifier => format!("identifier {}", quote(text)),
            Self::MetricIdentifier => format!("metric identifier {}", quote(text)),
            Self::Number => format!("number {}", shown(text)),
            Self::Duration => format!("duration {}", shown(text)),
            Self::Text => format!("string {}", shown(text)),
            Self::Keyword(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MinOf
                | Keyword::MaxOf,
            ) => shown(text),
            Self::Keyword(_) => format!("<{text}>"),
            Self::Operator(_) | Self::RegexEqual | Self::RegexNotEqual => format!("<op:{text}>"),
            Self::Aggregator(_) => format!("<aggr:{text}>"),
            Self::At
            | Self::Colon
            | Self::Comma
            | Self::Equal
            | Self::LeftBrace
            | Self::LeftBracket
            | Self::LeftParen
            | Self::RightBrace
            | Self::RightBracket
            | Self::RightParen => shown(text),
        }
    }

    /// Whether a metric may bear this word as its name.
    pub(crate) const fn names_metric(self) -> bool {
        match self {
            Self::Aggregator(_) | Self::Identifier | Self::MetricIdentifier => true,
            Self::Operator(op) => op.is_set(),
            Self::Keyword(keyword) => !matches!(
                keyword,
                Keyword::Bool
                    | Keyword::GroupLeft
                    | Keyword::GroupRight
                    | Keyword::Ignoring
                    | Keyword::On
            ),
            Self::At
            | Self::Colon
            | Self::Comma
            | Self::Duration
            | Self::End
            | Self::Equal
            | Self::Error
            | Self::LeftBrace
            | Self::LeftBracket
            | Self::LeftParen
            | Self::Number
            | Self::RegexEqual
            | Self::RegexNotEqual
            | Self::RightBrace
            | Self::RightBracket
            | Self::RightParen
            | Self::Text => false,
        }
    }

    /// Whether a label in a grouping list may bear this word as its name.
    pub(crate) const fn names_label(self) -> bool {
        match self {
            Self::Operator(op) => op.is_set() || matches!(op, BinaryOp::Atan2),
            Self::Keyword(_) => true,
            _ => self.names_metric(),
        }
    }
}

fn shown(text: &str) -> String {
    if text.len() <= SHOWN_MAX {
        return quote(text);
    }
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    format!("{}...", quote(&cut))
}
