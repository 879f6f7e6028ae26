//! PromQL as Prometheus 3.14 speaks it: lexer, parser, checker, printer and evaluator, over any store that can
//! answer "which series match, and their samples in this window".
//!
//! The way of a query: lexer → parser → check → [`Expr`], kept in a
//! [`Query`]. A run first reads every selector's samples once through a [`SeriesReader`], then computes the tree
//! from the leaves up, all steps of a node at a time.
mod absence;
mod aggregate;
mod annotations;
mod answer;
mod arithmetic;
pub mod ast;
mod boundary_functions;
mod calendar;
mod check;
mod classic_histogram;
mod context;
mod cursor;
mod duration_parser;
mod evaluate_aggregate;
mod evaluate_call;
mod evaluate_window;
mod evaluator;
mod folding;
pub mod function;
mod grouping;
mod histogram_aggregate;
mod histogram_binary;
mod histogram_boundary;
mod histogram_functions;
mod histogram_notation;
mod histogram_window;
mod info;
mod invariance;
mod kahan;
mod label_functions;
mod lexer;
mod literal;
mod memory_series;
mod modifier_parser;
mod native_histogram;
mod number_functions;
mod options;
mod parse_error;
mod parser;
mod points;
mod postfix_parser;
mod print;
mod quantile;
mod query;
mod reader;
mod run;
mod seen;
mod selection;
mod selector_parser;
mod series_notation;
mod span;
mod table;
mod token;
mod vector_matching;
mod window_functions;

pub use answer::{Answer, EvalError, QueryValue, VectorSample};
pub use ast::{Expr, ValueType, VectorSelector};
pub use cursor::{DEPTH_MAX, HEIGHT_MAX};
pub use histogram_notation::print as histogram_notation;
pub use memory_series::{MemorySeries, SampleRefused};
pub use model::SampleValue;
pub use options::{ParserOptions, QueryLimits};
pub use parse_error::ParseError;
pub use parser::parse;
pub use query::Query;
pub use reader::{ReadError, Selection, Series, SeriesReader};
pub use series_notation::{
    NotationError, NotedValue, parse_metric, parse_series_values, parse_start_offsets,
};
pub use span::{LineColumn, Span};
