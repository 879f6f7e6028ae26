//! The tree of a template. Everything prints as Go prints it, since error messages quote it.
use std::fmt;
use std::sync::Arc;

use crate::escaper::Escaper;
use crate::function::Function;
use crate::value::Value;

/// A text that was parsed: what errors need to name a place.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
}

/// A named template.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) source: Arc<Source>,
    pub(crate) body: List,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct List(pub(crate) Vec<Node>);

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text {
        at: usize,
        text: Arc<str>,
    },
    Action {
        at: usize,
        pipe: Pipe,
    },
    /// `if … else if … else`, or the same with `with`, which also sets the dot.
    Choice {
        at: usize,
        sets_dot: bool,
        branches: Vec<(Pipe, List)>,
        otherwise: Option<List>,
    },
    Range {
        at: usize,
        pipe: Pipe,
        body: List,
        otherwise: Option<List>,
    },
    Template {
        at: usize,
        /// As written; `target` is the name under which the body is found.
        name: Arc<str>,
        target: Arc<str>,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<Arc<str>>,
    pub(crate) commands: Vec<Command>,
    /// What makes the result safe for the place where it is printed.
    pub(crate) escapers: Vec<Escaper>,
}

#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) at: usize,
    pub(crate) operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Dot,
    Nil,
    /// A number, a string or a truth value, and how it was written.
    Constant {
        value: Value,
        text: Arc<str>,
    },
    Function(&'static Function),
    /// `.A.B`
    Field(Vec<Arc<str>>),
    /// `$x.A.B`
    Variable {
        name: Arc<str>,
        fields: Vec<Arc<str>>,
    },
    /// `(pipeline).A.B`
    Chain {
        base: Box<Operand>,
        fields: Vec<Arc<str>>,
    },
    Pipe(Box<Pipe>),
}

impl List {
    /// Nothing but space and definitions: such a template does not replace another.
    pub(crate) fn is_empty_tree(&self) -> bool {
        self.0
            .iter()
            .all(|node| matches!(node, Node::Text { text, .. } if text.trim().is_empty()))
    }
}

impl fmt::Display for List {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|node| write!(formatter, "{node}"))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let otherwise = |formatter: &mut fmt::Formatter<'_>, list: &Option<List>| match list {
            Some(list) => write!(formatter, "{{{{else}}}}{list}{{{{end}}}}"),
            None => formatter.write_str("{{end}}"),
        };
        match self {
            Self::Text { text, .. } => formatter.write_str(text),
            Self::Action { pipe, .. } => write!(formatter, "{{{{{pipe}}}}}"),
            Self::Choice {
                sets_dot,
                branches,
                otherwise: list,
                ..
            } => {
                let word = if *sets_dot { "with" } else { "if" };
                for (index, (pipe, body)) in branches.iter().enumerate() {
                    let before = if index == 0 { "" } else { "else " };
                    write!(formatter, "{{{{{before}{word} {pipe}}}}}{body}")?;
                }
                otherwise(formatter, list)
            }
            Self::Range {
                pipe,
                body,
                otherwise: list,
                ..
            } => {
                write!(formatter, "{{{{range {pipe}}}}}{body}")?;
                otherwise(formatter, list)
            }
            Self::Template { name, pipe, .. } => {
                write!(formatter, "{{{{template {}", model::go_quote::quote(name))?;
                if let Some(pipe) = pipe {
                    write!(formatter, " {pipe}")?;
                }
                formatter.write_str("}}")
            }
            Self::Break => formatter.write_str("{{break}}"),
            Self::Continue => formatter.write_str("{{continue}}"),
        }
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(formatter, "{} {sign} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let before = if index == 0 { "" } else { " | " };
            write!(formatter, "{before}{command}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, operand) in self.operands.iter().enumerate() {
            let before = if index == 0 { "" } else { " " };
            write!(formatter, "{before}{operand}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = |formatter: &mut fmt::Formatter<'_>, fields: &[Arc<str>]| {
            fields
                .iter()
                .try_for_each(|field| write!(formatter, ".{field}"))
        };
        match &self.term {
            Term::Dot => formatter.write_str("."),
            Term::Nil => formatter.write_str("nil"),
            Term::Constant { text, .. } => formatter.write_str(text),
            Term::Function(function) => formatter.write_str(function.name),
            Term::Field(fields) => chain(formatter, fields),
            Term::Variable { name, fields } => {
                formatter.write_str(name)?;
                chain(formatter, fields)
            }
            Term::Chain { base, fields } => {
                write!(formatter, "{base}")?;
                chain(formatter, fields)
            }
            Term::Pipe(pipe) => write!(formatter, "({pipe})"),
        }
    }
}
