//! Walking a tree with data: Go's `text/template` execution, with an end to everything.
use crate::error::{Limit, RenderError};
use crate::escaper;
use crate::evaluate::{Job, Outcome, Renderer, Used};
use crate::format::{self, Bounded};
use crate::function::{Failure, World};
use crate::host::Host;
use crate::parser;
use crate::syntax::{Definition, List, Node, Pipe};
use crate::value::Value;

/// Executes a template with the job's data as its dot.
pub(crate) fn render(job: Job<'_>, main: &Definition) -> Result<String, RenderError> {
    let mut routes = Vec::new();
    let mut used = Used::default();
    Renderer::new(job, main, &mut used, &mut routes).run(main)
}

/// How the walk goes on after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'a> Renderer<'a, '_> {
    fn run(mut self, main: &'a Definition) -> Result<String, RenderError> {
        self.body(main, self.job.data.clone())
            .map_err(|error| *error)?;
        Ok(self.out)
    }

    /// Executes a template with a dot of its own; it sees no variables but `$`.
    fn body(&mut self, definition: &'a Definition, dot: Value) -> Outcome<()> {
        let outside = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        let blame = self.blame;
        self.blame.source = &definition.source;
        self.blame.name = &definition.name;
        self.list(&definition.body, &dot)?;
        self.variables = outside;
        self.blame = blame;
        Ok(())
    }

    fn list(&mut self, list: &'a List, dot: &Value) -> Outcome<Flow> {
        self.enter()?;
        for node in &list.0 {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                self.used.depth -= 1;
                return Ok(flow);
            }
        }
        self.used.depth -= 1;
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Outcome<Flow> {
        self.step()?;
        match node {
            Node::Text { at, text } => {
                self.at(*at, node);
                self.write(text)?;
            }
            Node::Action { at, pipe } => {
                self.at(*at, node);
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.at(*at, node);
                    self.print(pipe, &value)?;
                }
            }
            Node::Choice {
                at,
                sets_dot,
                branches,
                otherwise,
            } => {
                self.at(*at, node);
                return self.choice(*sets_dot, branches, otherwise.as_ref(), dot);
            }
            Node::Range {
                at,
                pipe,
                body,
                otherwise,
            } => {
                self.at(*at, node);
                return self.range(pipe, body, otherwise.as_ref(), dot);
            }
            Node::Template {
                at,
                name,
                target,
                pipe,
            } => {
                self.at(*at, node);
                let definitions = self.job.definitions;
                let Some(definition) = definitions.get(target) else {
                    let name = model::go_quote::quote(name);
                    return Err(self.failed(&format!("template {name} not defined")));
                };
                let mark = self.variables.len();
                let dot = match pipe {
                    Some(pipe) => self.pipe(pipe, dot)?,
                    None => Value::Nil,
                };
                self.variables.truncate(mark);
                self.at(*at, node);
                self.body(definition, dot)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn choice(
        &mut self,
        sets_dot: bool,
        branches: &'a [(Pipe, List)],
        otherwise: Option<&'a List>,
        dot: &Value,
    ) -> Outcome<Flow> {
        let mark = self.variables.len();
        let mut flow = None;
        for (pipe, body) in branches {
            let value = self.pipe(pipe, dot)?;
            if value.is_true() {
                let dot = if sets_dot { &value } else { dot };
                flow = Some(self.list(body, dot)?);
                break;
            }
        }
        let flow = match (flow, otherwise) {
            (Some(flow), _) => flow,
            (None, Some(list)) => self.list(list, dot)?,
            (None, None) => Flow::Next,
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn range(
        &mut self,
        pipe: &'a Pipe,
        body: &'a List,
        otherwise: Option<&'a List>,
        dot: &Value,
    ) -> Outcome<Flow> {
        let outside = self.variables.len();
        let value = self.pipe(pipe, dot)?;
        let mark = self.variables.len();
        let mut ran = false;
        let mut turn = |this: &mut Self, index: Value, element: Value| {
            ran = true;
            this.used.iterations += 1;
            if this.used.iterations > this.job.limits.iterations_max {
                return Err(this.limit(Limit::Iterations));
            }
            this.set_range_variables(pipe, mark, index, &element)?;
            let flow = this.list(body, &element)?;
            this.variables.truncate(mark);
            Ok(flow)
        };
        match &value {
            Value::Nil => {}
            Value::Int(count) => {
                if pipe.variables.len() > 1 {
                    return Err(self.failed(&format!(
                        "can't use {count} to iterate over more than one variable"
                    )));
                }
                for number in 0..*count {
                    if turn(self, Value::Int(number), Value::Int(number))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::List(list) => {
                for (index, element) in list.items.iter().enumerate() {
                    let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                    if turn(self, index, element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, element) in map.entries() {
                    if turn(self, Value::Str(key), element)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Bool(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Safe(..)
            | Value::Time(_)
            | Value::Duration(_)
            | Value::Object(_) => {
                let mut shown = Bounded::new(1000);
                format::write_value(&mut shown, &value);
                let shown = shown.finish().unwrap_or_default();
                return Err(self.failed(&format!("range can't iterate over {shown}")));
            }
        }
        let flow = match otherwise {
            Some(list) if !ran => self.list(list, dot)?,
            _ => Flow::Next,
        };
        self.variables.truncate(outside);
        Ok(flow)
    }

    /// With one variable it is the element, with two the index comes first.
    fn set_range_variables(
        &mut self,
        pipe: &'a Pipe,
        mark: usize,
        index: Value,
        element: &Value,
    ) -> Outcome<()> {
        let (first, second) = match pipe.variables.len() {
            0 => return Ok(()),
            1 => (element.clone(), None),
            _ => (index, Some(element.clone())),
        };
        let values = std::iter::once(first).chain(second);
        for (place, (name, value)) in pipe.variables.iter().zip(values).enumerate() {
            if pipe.assigns {
                self.assign(name, value)?;
            } else {
                self.variables[mark - pipe.variables.len() + place].1 = value;
            }
        }
        Ok(())
    }

    fn print(&mut self, pipe: &Pipe, value: &Value) -> Outcome<()> {
        if !pipe.escapers.is_empty() {
            let room = self.job.limits.output_bytes_max;
            return match escaper::apply(&pipe.escapers, value, room) {
                Ok(text) => self.write(&text),
                Err(Failure::Limit(limit)) => Err(self.limit(limit)),
                Err(Failure::Refused(reason)) => Err(self.failed(&reason)),
            };
        }
        match value {
            Value::Str(text) | Value::Safe(_, text) => self.write(text),
            Value::Nil => self.write("<no value>"),
            _ => {
                let room = self.job.limits.output_bytes_max - self.out.len();
                let mut text = Bounded::new(room);
                format::write_value(&mut text, value);
                match text.finish() {
                    Ok(text) => self.write(&text),
                    Err(_) => Err(self.limit(Limit::Output)),
                }
            }
        }
    }

    fn write(&mut self, text: &str) -> Outcome<()> {
        if self.out.len() + text.len() > self.job.limits.output_bytes_max {
            return Err(self.limit(Limit::Output));
        }
        self.out.push_str(text);
        Ok(())
    }
}

impl World for Renderer<'_, '_> {
    fn host(&self) -> &dyn Host {
        self.job.host
    }

    fn root(&self) -> &Value {
        self.job.data
    }

    fn text_max(&self) -> usize {
        self.job.limits.output_bytes_max
    }

    fn work(&mut self, steps: u64) -> Result<(), Failure> {
        self.used.steps = self.used.steps.saturating_add(steps);
        if self.used.steps > self.job.limits.steps_max {
            return Err(Failure::Limit(Limit::Steps));
        }
        Ok(())
    }

    fn execute(&mut self, name: &str, dot: Value) -> Result<String, Failure> {
        let definitions = self.job.definitions;
        let Some(definition) = definitions.get(name) else {
            let name = model::go_quote::quote(name);
            return Err(format!("template {name} not defined").into());
        };
        let before = std::mem::take(&mut self.out);
        let blame = self.blame;
        let result = self.body(definition, dot);
        self.blame = blame;
        let text = std::mem::replace(&mut self.out, before);
        match result {
            Ok(()) => Ok(text),
            Err(error) => {
                let reason = error.to_string();
                self.nested = Some(*error);
                Err(reason.into())
            }
        }
    }

    fn route_label(&mut self, name: &str) -> Result<String, Failure> {
        let labels = match self.job.data {
            Value::Object(object) => object.field("RouteLabels"),
            _ => None,
        };
        let Some(Value::Map(labels)) = labels else {
            return Ok(String::new());
        };
        let Some(Value::Str(text)) = labels.get(name) else {
            return Ok(String::new());
        };
        if !text.contains("{{") {
            return Ok(text.to_string());
        }
        if self.routes.iter().any(|route| route == name) {
            let mut circle = self.routes.join(" -> ");
            circle.push_str(&format!(" -> {name}"));
            return Err(format!("route label cycle detected: {circle}").into());
        }
        let parsed = parser::parse("", &text, self.job.dialect.functions())
            .map_err(|error| error.to_string())?;
        self.routes.push(name.to_owned());
        let result =
            Renderer::new(self.job, &parsed.main, self.used, self.routes).run(&parsed.main);
        self.routes.pop();
        result.map_err(|error| {
            let reason = error.to_string();
            self.nested = Some(error);
            Failure::Refused(reason)
        })
    }
}
