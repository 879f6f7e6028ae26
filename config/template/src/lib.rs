//! Go's template language, the functions of Prometheus and Alertmanager, and Alertmanager's default templates.
//!
//! A [`TemplateSet`] holds named templates; [`TemplateSet::compile`] turns a string of the configuration into a
//! [`Template`] once, at load; [`Template::render`] executes it within [`Limits`] as often as needed. What a
//! template sees is a [`Value`], made from [`NotificationData`] or [`AlertTemplateData`].
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "functions take one or two of the eleven kinds of values and refuse all others alike"
)]

mod alertmanager;
mod builtins;
mod dialect;
mod encoding;
mod error;
mod escaper;
mod evaluate;
mod float;
mod format;
mod function;
mod go_time;
mod host;
mod html;
mod html_context;
mod humanize;
mod json;
mod lexer;
mod limits;
mod literal;
mod methods;
mod parser;
mod prometheus;
mod regexes;
mod render;
mod set;
mod syntax;
#[cfg(test)]
mod tests;
mod value;

pub use alertmanager::data::{AlertData, NotificationData};
pub use error::{Limit, ParseError, RenderError};
pub use go_time::GoTime;
pub use host::{AtTime, Host, QueryResult};
pub use limits::Limits;
pub use prometheus::data::AlertTemplateData;
pub use set::{Mode, Template, TemplateSet};
pub use value::{AnyMap, List, ListKind, Map, Object, Safety, Value};
