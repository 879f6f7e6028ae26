//! Makes templates safe for HTML: finds the place of every action and says how it is escaped there.
//!
//! A template that is called from places of different kinds is escaped once for each kind, under a name of its own.
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::ParseError;
use crate::escaper::Escaper;
use crate::evaluate::Definitions;
use crate::html_context::{Context, Delimiter, State};
use crate::limits::PARSE_DEPTH_MAX;
use crate::syntax::{Command, Definition, List, Node, Pipe, Source, Term};

/// The template and all that it calls, escaped.
pub(crate) fn escape(
    main: &Definition,
    definitions: &Definitions,
) -> Result<(Definition, Definitions), ParseError> {
    let mut pass = Pass {
        definitions,
        escaped: Definitions::new(),
        outputs: BTreeMap::new(),
        source: Arc::clone(&main.source),
        ranges: Vec::new(),
        depth: 0,
    };
    let (body, end) = pass.list(&main.body, Context::START)?;
    if !matches!(end.state, State::Text | State::Dead) {
        return Err(pass.error(
            main.source.text.len(),
            "the template ends inside a tag, an attribute or an element".to_owned(),
        ));
    }
    let main = Definition {
        name: Arc::clone(&main.name),
        source: Arc::clone(&main.source),
        body,
    };
    Ok((main, pass.escaped))
}

struct Pass<'a> {
    definitions: &'a Definitions,
    escaped: Definitions,
    /// Where a template leads from a context; while it is being escaped, a guess.
    outputs: BTreeMap<(Arc<str>, Context), Context>,
    source: Arc<Source>,
    /// For each range around: the contexts at its breaks and continues.
    ranges: Vec<Vec<Context>>,
    depth: u32,
}

impl Pass<'_> {
    fn list(&mut self, list: &List, start: Context) -> Result<(List, Context), ParseError> {
        let mut context = start;
        let mut escaped = List::default();
        for node in &list.0 {
            let (node, next) = self.node(node, context)?;
            escaped.0.push(node);
            context = next;
        }
        Ok((escaped, context))
    }

    fn node(&mut self, node: &Node, context: Context) -> Result<(Node, Context), ParseError> {
        Ok(match node {
            Node::Text { at, text } => {
                let (next, printed) = context
                    .after_text(text)
                    .map_err(|reason| self.error(*at, reason))?;
                let text = printed.into();
                (Node::Text { at: *at, text }, next)
            }
            Node::Action { at, pipe } => {
                let (pipe, next) = self.action(*at, pipe, context)?;
                (Node::Action { at: *at, pipe }, next)
            }
            Node::Choice {
                at,
                sets_dot,
                branches,
                otherwise,
            } => {
                let word = if *sets_dot { "with" } else { "if" };
                let mut escaped = Vec::new();
                let mut joined = Context::DEAD;
                for (pipe, body) in branches {
                    let (body, end) = self.list(body, context)?;
                    joined = self.join(*at, word, joined, end)?;
                    escaped.push((pipe.clone(), body));
                }
                let (otherwise, end) = self.otherwise(otherwise.as_ref(), context)?;
                joined = self.join(*at, word, joined, end)?;
                let node = Node::Choice {
                    at: *at,
                    sets_dot: *sets_dot,
                    branches: escaped,
                    otherwise,
                };
                (node, joined)
            }
            Node::Range {
                at,
                pipe,
                body,
                otherwise,
            } => {
                let first = self.turn(*at, body, context)?;
                // The body may run again from where it ended, and must lead to the same place.
                let again = self.turn(*at, body, first.1)?;
                let end = self.join(*at, "range", first.1, again.1)?;
                let (otherwise, unused) = self.otherwise(otherwise.as_ref(), context)?;
                let joined = self.join(*at, "range", end, unused)?;
                let node = Node::Range {
                    at: *at,
                    pipe: pipe.clone(),
                    body: first.0,
                    otherwise,
                };
                (node, joined)
            }
            Node::Template { at, name, pipe, .. } => {
                let (target, next) = self.template(*at, name, context)?;
                let node = Node::Template {
                    at: *at,
                    name: Arc::clone(name),
                    target,
                    pipe: pipe.clone(),
                };
                (node, next)
            }
            Node::Break | Node::Continue => {
                if let Some(exits) = self.ranges.last_mut() {
                    exits.push(context);
                }
                (node.clone(), Context::DEAD)
            }
        })
    }

    fn otherwise(
        &mut self,
        list: Option<&List>,
        context: Context,
    ) -> Result<(Option<List>, Context), ParseError> {
        match list {
            None => Ok((None, context)),
            Some(list) => {
                let (list, end) = self.list(list, context)?;
                Ok((Some(list), end))
            }
        }
    }

    /// One turn of a range, and where it ends, breaks and continues included.
    fn turn(
        &mut self,
        at: usize,
        body: &List,
        context: Context,
    ) -> Result<(List, Context), ParseError> {
        self.ranges.push(Vec::new());
        let (body, mut end) = self.list(body, context)?;
        for exit in self.ranges.pop().unwrap_or_default() {
            end = self.join(at, "range", end, exit)?;
        }
        Ok((body, end))
    }

    fn join(
        &self,
        at: usize,
        word: &str,
        left: Context,
        right: Context,
    ) -> Result<Context, ParseError> {
        left.join(right).ok_or_else(|| {
            self.error(
                at,
                format!("{{{{{word}}}}} branches end in different contexts"),
            )
        })
    }

    fn action(
        &self,
        at: usize,
        pipe: &Pipe,
        context: Context,
    ) -> Result<(Pipe, Context), ParseError> {
        // What sets a variable prints nothing.
        if !pipe.variables.is_empty() {
            return Ok((pipe.clone(), context));
        }
        for (index, command) in pipe.commands.iter().enumerate() {
            let Some(name) = called(command).filter(|name| matches!(*name, "html" | "urlquery"))
            else {
                continue;
            };
            let bare = context.delimiter == Delimiter::SpaceOrTagEnd && name == "html";
            if index + 1 < pipe.commands.len() || bare {
                return Err(self.error(
                    at,
                    format!("predefined escaper \"{name}\" disallowed in template"),
                ));
            }
        }
        let (next, mut escapers) = context.action().map_err(|reason| self.error(at, reason))?;
        let mut pipe = pipe.clone();
        replace_by_own(&mut pipe, &mut escapers);
        pipe.escapers = escapers;
        Ok((pipe, next))
    }

    fn template(
        &mut self,
        at: usize,
        name: &Arc<str>,
        context: Context,
    ) -> Result<(Arc<str>, Context), ParseError> {
        let target: Arc<str> = if context == Context::START {
            Arc::clone(name)
        } else {
            format!("{name} {context:?}").into()
        };
        let key = (Arc::clone(name), context);
        if let Some(end) = self.outputs.get(&key) {
            return Ok((target, *end));
        }
        let Some(definition) = self.definitions.get(name).cloned() else {
            let name = model::go_quote::quote(name);
            return Err(self.error(at, format!("no such template {name}")));
        };
        if self.depth >= PARSE_DEPTH_MAX {
            return Err(self.error(at, "templates call each other too deeply".to_owned()));
        }
        self.depth += 1;
        let outside = std::mem::replace(&mut self.source, Arc::clone(&definition.source));
        let ranges = std::mem::take(&mut self.ranges);
        // A template that calls itself is guessed to end where it began; if not, where it ended.
        let mut guess = context;
        for _ in 0..2 {
            self.outputs.insert(key.clone(), guess);
            let (body, end) = self.list(&definition.body, context)?;
            let settled = end == guess || !self.calls_itself(&definition);
            self.outputs.insert(key.clone(), end);
            if settled {
                self.source = outside;
                self.ranges = ranges;
                self.depth -= 1;
                let escaped = Definition {
                    name: Arc::clone(&definition.name),
                    source: Arc::clone(&definition.source),
                    body,
                };
                self.escaped.insert(Arc::clone(&target), Arc::new(escaped));
                return Ok((target, end));
            }
            guess = end;
        }
        let name = model::go_quote::quote(name);
        Err(self.error(
            at,
            format!("cannot compute output context for template {name}"),
        ))
    }

    /// Whether the guess about the template's end could have been used.
    fn calls_itself(&self, definition: &Definition) -> bool {
        let mut reached = vec![Arc::clone(&definition.name)];
        let mut next = 0;
        let mut body = Some(&definition.body);
        while let Some(list) = body {
            for name in called_templates(list) {
                if *name == definition.name {
                    return true;
                }
                if !reached.contains(name) {
                    reached.push(Arc::clone(name));
                }
            }
            next += 1;
            body = reached
                .get(next)
                .and_then(|name| self.definitions.get(name))
                .map(|definition| &definition.body);
            while body.is_none() && next < reached.len() {
                next += 1;
                body = reached
                    .get(next)
                    .and_then(|name| self.definitions.get(name))
                    .map(|definition| &definition.body);
            }
        }
        false
    }

    fn error(&self, at: usize, reason: String) -> ParseError {
        let before = &self.source.text[..at];
        ParseError {
            name: self.source.name.to_string(),
            line: 1 + before.matches('\n').count(),
            column: at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1,
            reason,
        }
    }
}

fn called(command: &Command) -> Option<&'static str> {
    match command.operands.first().map(|operand| &operand.term) {
        Some(Term::Function(function)) => Some(function.name),
        _ => None,
    }
}

/// A pipeline that ends in `html` or `urlquery` has escaped itself: that takes the place of the like escaper.
fn replace_by_own(pipe: &mut Pipe, escapers: &mut [Escaper]) {
    let Some(last) = pipe.commands.last() else {
        return;
    };
    // With arguments of its own the command stays: it is what gives the value.
    if pipe.commands.len() < 2 || last.operands.len() > 1 {
        return;
    }
    let own = match called(last) {
        Some("html") => Escaper::HtmlFunction,
        Some("urlquery") => Escaper::UrlQueryFunction,
        _ => return,
    };
    let mut replaced = false;
    for escaper in escapers {
        let like = match escaper {
            Escaper::Attribute | Escaper::Html | Escaper::Rcdata => Escaper::HtmlFunction,
            Escaper::UrlComponent | Escaper::UrlNormalize => Escaper::UrlQueryFunction,
            _ => continue,
        };
        if like == own {
            *escaper = own;
            replaced = true;
        }
    }
    if replaced {
        pipe.commands.pop();
    }
}

fn called_templates(list: &List) -> Vec<&Arc<str>> {
    let mut names = Vec::new();
    for node in &list.0 {
        match node {
            Node::Template { name, .. } => names.push(name),
            Node::Choice {
                branches,
                otherwise,
                ..
            } => {
                let lists = branches.iter().map(|(_, body)| body).chain(otherwise);
                lists.for_each(|list| names.append(&mut called_templates(list)));
            }
            Node::Range {
                body, otherwise, ..
            } => {
                names.append(&mut called_templates(body));
                if let Some(list) = otherwise {
                    names.append(&mut called_templates(list));
                }
            }
            Node::Text { .. } | Node::Action { .. } | Node::Break | Node::Continue => {}
        }
    }
    names
}
