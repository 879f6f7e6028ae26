//! What a function is: its name, what it takes, and what it may ask of the rendering that calls it.
use std::fmt;

use crate::error::Limit;
use crate::host::Host;
use crate::value::Value;

/// A function that templates can call.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Type],
    /// Of any number of arguments that follow `params`.
    pub(crate) rest: Option<Type>,
    pub(crate) body: Body,
}

pub(crate) type Native = fn(&mut dyn World, &[Value]) -> Result<Value, Failure>;

pub(crate) enum Body {
    /// Evaluates its arguments one after the other, until one is false.
    And,
    /// … until one is true.
    Or,
    Native(Native),
}

/// What a parameter accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Any,
    AnyList,
    Int,
    Samples,
    Sample,
    Str,
    Strings,
    Time,
}

/// Why a function gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused(String),
    Limit(Limit),
}

/// What functions may ask of the rendering that calls them.
pub(crate) trait World {
    fn host(&self) -> &dyn Host;
    /// The data that the rendering began with.
    fn root(&self) -> &Value;
    /// Bytes that a text may have.
    fn text_max(&self) -> usize;
    /// Counts work that is more than a node's.
    fn work(&mut self, steps: u64) -> Result<(), Failure>;
    /// Renders a template of the set.
    fn execute(&mut self, name: &str, dot: Value) -> Result<String, Failure>;
    /// Renders the label of that name that is written at the route.
    fn route_label(&mut self, name: &str) -> Result<String, Failure>;
}

impl Type {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::AnyList => "[]interface {}",
            Self::Int => "int",
            Self::Samples => "template.queryResult",
            Self::Sample => "*template.sample",
            Self::Str => "string",
            Self::Strings => "[]string",
            Self::Time => "time.Time",
        }
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<&str> for Failure {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.to_owned())
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// A function of the table.
pub(crate) const fn native(name: &'static str, params: &'static [Type], body: Native) -> Function {
    Function {
        name,
        params,
        rest: None,
        body: Body::Native(body),
    }
}

/// A function that takes any number of further arguments.
pub(crate) const fn variadic(
    name: &'static str,
    params: &'static [Type],
    rest: Type,
    body: Native,
) -> Function {
    Function {
        name,
        params,
        rest: Some(rest),
        body: Body::Native(body),
    }
}
