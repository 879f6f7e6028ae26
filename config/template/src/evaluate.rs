//! What a pipeline gives: fields, methods, functions and variables, and whom an error is blamed on.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use crate::dialect::Dialect;
use crate::error::{Limit, RenderError};
use crate::function::{Body, Failure, Function, Type, World};
use crate::host::Host;
use crate::limits::Limits;
use crate::methods::method;
use crate::syntax::{Command, Definition, Operand, Pipe, Source, Term};
use crate::value::{ListKind, Map, Value};

/// All templates that a rendering can reach, by the name under which they are called.
pub(crate) type Definitions = BTreeMap<Arc<str>, Arc<Definition>>;

/// Texts that functions made on the way may be this many times as large as the output.
const MADE_FACTOR: usize = 32;

/// What a rendering is given.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) definitions: &'a Definitions,
    pub(crate) dialect: Dialect,
    pub(crate) data: &'a Value,
    pub(crate) host: &'a dyn Host,
    pub(crate) limits: &'a Limits,
}

/// What all renderings that a job leads to have used up together.
#[derive(Default)]
pub(crate) struct Used {
    pub(crate) steps: u64,
    pub(crate) iterations: u64,
    pub(crate) depth: u32,
    pub(crate) made: usize,
}

/// The piece of the template that an error is blamed on.
#[derive(Clone, Copy)]
pub(crate) struct Blame<'a> {
    pub(crate) at: usize,
    pub(crate) shown: &'a dyn Display,
    pub(crate) source: &'a Source,
    pub(crate) name: &'a str,
}

pub(crate) type Outcome<T> = Result<T, Box<RenderError>>;

pub(crate) struct Renderer<'a, 'u> {
    pub(crate) job: Job<'a>,
    pub(crate) out: String,
    pub(crate) variables: Vec<(&'a str, Value)>,
    pub(crate) blame: Blame<'a>,
    pub(crate) used: &'u mut Used,
    /// Route labels that are being rendered, the outermost first.
    pub(crate) routes: &'u mut Vec<String>,
    /// What a template that a function rendered failed with, already in full.
    pub(crate) nested: Option<RenderError>,
}

impl<'a, 'u> Renderer<'a, 'u>
where
    Self: World,
{
    pub(crate) fn new(
        job: Job<'a>,
        main: &'a Definition,
        used: &'u mut Used,
        routes: &'u mut Vec<String>,
    ) -> Self {
        Self {
            job,
            out: String::new(),
            variables: Vec::new(),
            blame: Blame {
                at: 0,
                shown: &"",
                source: &main.source,
                name: &main.name,
            },
            used,
            routes,
            nested: None,
        }
    }

    pub(crate) fn pipe(&mut self, pipe: &'a Pipe, dot: &Value) -> Outcome<Value> {
        self.enter()?;
        self.at(pipe.at, pipe);
        let mut value = None;
        for command in &pipe.commands {
            self.step()?;
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        self.used.depth -= 1;
        Ok(value)
    }

    pub(crate) fn assign(&mut self, name: &str, value: Value) -> Outcome<()> {
        match self
            .variables
            .iter_mut()
            .rev()
            .find(|(own, _)| *own == name)
        {
            Some(variable) => {
                variable.1 = value;
                Ok(())
            }
            None => Err(self.failed(&format!("undefined variable: {name}"))),
        }
    }

    /// `last` is what the command before it in the pipeline gave.
    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Outcome<Value> {
        let Some((first, arguments)) = command.operands.split_first() else {
            return Ok(Value::Nil);
        };
        match &first.term {
            Term::Field(fields) => {
                self.at(first.at, first);
                self.chain(dot.clone(), fields, arguments, dot, last)
            }
            Term::Chain { base, fields } => {
                let value = self.operand(base, dot)?;
                self.at(first.at, first);
                self.chain(value, fields, arguments, dot, last)
            }
            Term::Variable { name, fields } => {
                self.at(first.at, first);
                let value = self.variable(name)?;
                if fields.is_empty() {
                    self.not_a_function(first, arguments, last.as_ref())?;
                    return Ok(value);
                }
                self.chain(value, fields, arguments, dot, last)
            }
            Term::Function(function) => {
                self.at(first.at, first);
                self.call(function, None, arguments, dot, last, (command.at, command))
            }
            Term::Pipe(pipe) => {
                self.not_a_function(first, arguments, last.as_ref())?;
                self.pipe(pipe, dot)
            }
            Term::Dot | Term::Constant { .. } => {
                self.at(first.at, first);
                self.not_a_function(first, arguments, last.as_ref())?;
                self.operand(first, dot)
            }
            Term::Nil => {
                self.at(first.at, first);
                Err(self.failed("nil is not a command"))
            }
        }
    }

    fn not_a_function(
        &self,
        first: &Operand,
        arguments: &[Operand],
        last: Option<&Value>,
    ) -> Outcome<()> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.failed(&format!("can't give argument to non-function {first}")))
    }

    /// An operand that is an argument, or stands alone.
    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Outcome<Value> {
        self.at(operand.at, operand);
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Constant { value, .. } => Ok(value.clone()),
            Term::Function(function) => {
                self.call(function, None, &[], dot, None, (operand.at, operand))
            }
            Term::Field(fields) => self.chain(dot.clone(), fields, &[], dot, None),
            Term::Variable { name, fields } => {
                let value = self.variable(name)?;
                self.chain(value, fields, &[], dot, None)
            }
            Term::Chain { base, fields } => {
                self.enter()?;
                let value = self.operand(base, dot)?;
                self.used.depth -= 1;
                self.at(operand.at, operand);
                self.chain(value, fields, &[], dot, None)
            }
            Term::Pipe(pipe) => self.pipe(pipe, dot),
        }
    }

    fn variable(&self, name: &str) -> Outcome<Value> {
        self.variables
            .iter()
            .rev()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.clone())
            .ok_or_else(|| self.failed(&format!("undefined variable: {name}")))
    }

    /// `.A.B.C`; the arguments are for the last of them.
    fn chain(
        &mut self,
        receiver: Value,
        fields: &'a [Arc<str>],
        arguments: &'a [Operand],
        dot: &Value,
        mut last: Option<Value>,
    ) -> Outcome<Value> {
        let mut value = receiver;
        for (index, field) in fields.iter().enumerate() {
            let is_last = index + 1 == fields.len();
            if let (Value::Nil, true) = (&value, index > 0) {
                return Err(self.failed(&format!("nil pointer evaluating interface {{}}.{field}")));
            }
            let arguments = if is_last { arguments } else { &[] };
            let piped = if is_last { last.take() } else { None };
            value = self.field(value, field, arguments, dot, piped)?;
        }
        Ok(value)
    }

    fn field(
        &mut self,
        receiver: Value,
        name: &'a Arc<str>,
        arguments: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Outcome<Value> {
        if let Value::Nil = receiver {
            return Ok(Value::Nil);
        }
        if let Some(method) = method(&receiver, name) {
            let blame = (self.blame.at, self.blame.shown);
            return self.call(method, Some(receiver), arguments, dot, last, blame);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &receiver {
            Value::Object(object) => {
                if let Some(value) = object.field(name) {
                    if has_arguments {
                        return Err(self.failed(&format!(
                            "{name} has arguments but cannot be invoked as function"
                        )));
                    }
                    return Ok(value);
                }
            }
            Value::Map(map) => {
                if has_arguments {
                    return Err(self.failed(&format!("{name} is not a method but has arguments")));
                }
                return Ok(map.get(name).unwrap_or_else(|| map.zero()));
            }
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Safe(..)
            | Value::List(_)
            | Value::Time(_)
            | Value::Duration(_) => {}
        }
        let kind = receiver.type_name();
        Err(self.failed(&format!("can't evaluate field {name} in type {kind}")))
    }

    fn call(
        &mut self,
        function: &'static Function,
        receiver: Option<Value>,
        arguments: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
        blame: (usize, &'a dyn Display),
    ) -> Outcome<Value> {
        let given = arguments.len() + usize::from(last.is_some());
        let (name, fixed) = (function.name, function.params.len());
        if given < fixed || (given > fixed && function.rest.is_none()) {
            let least = if function.rest.is_some() {
                "at least "
            } else {
                ""
            };
            return Err(self.failed(&format!(
                "wrong number of args for {name}: want {least}{fixed} got {given}"
            )));
        }
        let wanted = |index: usize| {
            let fixed = function.params.get(index).copied();
            fixed.or(function.rest).unwrap_or(Type::Any)
        };
        let native = match &function.body {
            Body::And => return self.until(false, arguments, dot, last),
            Body::Or => return self.until(true, arguments, dot, last),
            Body::Native(native) => native,
        };
        let mut values = Vec::with_capacity(given + usize::from(receiver.is_some()));
        values.extend(receiver);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(argument, wanted(index), dot)?);
        }
        if let Some(last) = last {
            values.push(self.checked(last, wanted(given - 1))?);
        }
        self.blame.at = blame.0;
        self.blame.shown = blame.1;
        match native(self, &values) {
            Ok(value) => {
                self.charge(&value)?;
                Ok(value)
            }
            Err(Failure::Limit(limit)) => Err(self.limit(limit)),
            Err(Failure::Refused(reason)) => {
                let error = self.failed(&format!("error calling {name}: {reason}"));
                Err(match self.nested.take() {
                    Some(RenderError::Limit { limit, .. }) => Box::new(RenderError::Limit {
                        limit,
                        text: error.to_string(),
                    }),
                    Some(RenderError::Failed { .. }) | None => error,
                })
            }
        }
    }

    /// `and` and `or`: the first argument whose truth is `truth`, else the last.
    fn until(
        &mut self,
        truth: bool,
        arguments: &'a [Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Outcome<Value> {
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.argument(argument, Type::Any, dot)?;
            if value.is_true() == truth {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, operand: &'a Operand, wanted: Type, dot: &Value) -> Outcome<Value> {
        self.step()?;
        self.at(operand.at, operand);
        if let Term::Constant { value, .. } = &operand.term {
            return match (wanted, value) {
                (Type::Any, value) => Ok(value.clone()),
                (Type::Str, Value::Str(_)) | (Type::Int, Value::Int(_)) => Ok(value.clone()),
                (Type::Str, _) => Err(self.failed(&format!("expected string; found {operand}"))),
                (Type::Int, _) => Err(self.failed(&format!("expected integer; found {operand}"))),
                _ => {
                    let kind = wanted.name();
                    Err(self.failed(&format!("can't handle {operand} for arg of type {kind}")))
                }
            };
        }
        if let (Term::Nil, Type::Str | Type::Int | Type::Time) = (&operand.term, wanted) {
            return Err(self.failed(&format!("cannot assign nil to {}", wanted.name())));
        }
        let value = self.operand(operand, dot)?;
        self.at(operand.at, operand);
        self.checked(value, wanted)
    }

    /// The value, where it is of the type that a parameter wants.
    fn checked(&self, value: Value, wanted: Type) -> Outcome<Value> {
        let fits = match (wanted, &value) {
            (Type::Any, _)
            | (Type::Int, Value::Int(_))
            | (Type::Str, Value::Str(_))
            | (Type::Time, Value::Time(_)) => true,
            (Type::Strings, Value::List(list)) => list.kind == ListKind::Strings,
            (Type::AnyList, Value::List(list)) => list.kind == ListKind::Any,
            (Type::Samples, Value::List(list)) => list.kind == ListKind::Samples,
            (Type::Sample, Value::Object(object)) => object.type_name() == Type::Sample.name(),
            _ => false,
        };
        if fits {
            return Ok(value);
        }
        let wanted = wanted.name();
        Err(match value {
            Value::Nil => self.failed(&format!("invalid value; expected {wanted}")),
            value => self.failed(&format!(
                "wrong type for value; expected {wanted}; got {}",
                value.type_name()
            )),
        })
    }

    /// Counts what a function made, so that variables cannot hold more than a bounded memory.
    fn charge(&mut self, value: &Value) -> Outcome<()> {
        let max = self.job.limits.output_bytes_max;
        let size = match value {
            Value::Str(text) | Value::Safe(_, text) => text.len(),
            Value::List(list) => list.items.len() * size_of::<Value>(),
            Value::Map(Map::Any(map)) => map.entries.len() * size_of::<Value>() * 2,
            _ => 0,
        };
        self.used.made = self.used.made.saturating_add(size);
        if size > max || self.used.made > max.saturating_mul(MADE_FACTOR) {
            return Err(self.limit(Limit::Output));
        }
        Ok(())
    }

    pub(crate) fn step(&mut self) -> Outcome<()> {
        self.used.steps += 1;
        if self.used.steps > self.job.limits.steps_max {
            return Err(self.limit(Limit::Steps));
        }
        Ok(())
    }

    pub(crate) fn enter(&mut self) -> Outcome<()> {
        self.used.depth += 1;
        if self.used.depth > self.job.limits.depth_max {
            return Err(self.limit(Limit::Depth));
        }
        Ok(())
    }

    pub(crate) fn at(&mut self, at: usize, shown: &'a dyn Display) {
        self.blame.at = at;
        self.blame.shown = shown;
    }

    pub(crate) fn limit(&self, limit: Limit) -> Box<RenderError> {
        let limits = self.job.limits;
        let reason = match limit {
            Limit::Depth => "exceeded maximum template depth".to_owned(),
            Limit::Iterations => format!("more than {} iterations", limits.iterations_max),
            Limit::Output => format!("more than {} bytes of text", limits.output_bytes_max),
            Limit::Steps => format!("more than {} steps", limits.steps_max),
        };
        Box::new(RenderError::Limit {
            limit,
            text: self.located(&reason),
        })
    }

    pub(crate) fn failed(&self, reason: &str) -> Box<RenderError> {
        Box::new(RenderError::Failed {
            text: self.located(reason),
        })
    }

    /// `template: NAME:LINE:COL: executing "NAME" at <.X>: REASON`; lines count from 1, columns from 0.
    fn located(&self, reason: &str) -> String {
        let Blame {
            at,
            shown,
            source,
            name,
        } = self.blame;
        let before = &source.text[..at.min(source.text.len())];
        let line = 1 + before.matches('\n').count();
        let column = at - before.rfind('\n').map_or(0, |newline| newline + 1);
        format!(
            "template: {}:{line}:{column}: executing {} at <{shown}>: {reason}",
            source.name,
            model::go_quote::quote(name),
        )
    }
}
