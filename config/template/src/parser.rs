//! From words to trees, as Go's `text/template/parse` reads them.
use std::collections::VecDeque;
use std::sync::Arc;

use model::go_quote::quote;

use crate::error::ParseError;
use crate::function::Function;
use crate::lexer::{Kind, Lexer, Token};
use crate::limits::{PARSE_DEPTH_MAX, TEXT_BYTES_MAX};
use crate::literal;
use crate::syntax::{Command, Definition, List, Node, Operand, Pipe, Source, Term};
use crate::value::Value;

/// What one text gives: its own body and the templates it defines, in order.
pub(crate) struct Parsed {
    pub(crate) main: Definition,
    pub(crate) defined: Vec<Definition>,
}

/// Parses `text`; `function` tells which functions there are.
pub(crate) fn parse(
    name: &str,
    text: &str,
    function: fn(&str) -> Option<&'static Function>,
) -> Result<Parsed, ParseError> {
    let source = Arc::new(Source {
        name: name.into(),
        text: text.into(),
    });
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: VecDeque::new(),
        source: Arc::clone(&source),
        function,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        action_line: None,
        defined: Vec::new(),
        last: (1, 0),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(parser.error("template is too large".to_owned()));
    }
    let body = parser.top()?;
    Ok(Parsed {
        main: Definition {
            name: Arc::clone(&source.name),
            source,
            body,
        },
        defined: parser.defined,
    })
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: VecDeque<Token>,
    source: Arc<Source>,
    function: fn(&str) -> Option<&'static Function>,
    variables: Vec<String>,
    ranges: u32,
    depth: u32,
    action_line: Option<usize>,
    defined: Vec<Definition>,
    /// Line and place of the word that was read last.
    last: (usize, usize),
}

/// What ended a list.
enum Stop {
    End,
    Else,
}

impl Stop {
    const fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// A node, or what ends the list that it would stand in.
enum Item {
    Node(Node),
    Stop(Stop),
}

impl Parser<'_> {
    fn top(&mut self) -> Result<List, ParseError> {
        let mut list = List::default();
        while self.peek().kind != Kind::End {
            if self.peek().kind == Kind::LeftDelimiter {
                let delimiter = self.token();
                let word = self.token_past_space();
                if word.kind == Kind::Keyword && word.text == "define" {
                    self.definition()?;
                    continue;
                }
                self.ahead.push_front(word);
                self.ahead.push_front(delimiter);
            }
            match self.text_or_action()? {
                Item::Node(node) => list.0.push(node),
                Item::Stop(stop) => {
                    return Err(self.error(format!("unexpected {}", stop.shown())));
                }
            }
        }
        Ok(list)
    }

    fn definition(&mut self) -> Result<(), ParseError> {
        let context = "define clause";
        let (_, name) = self.template_name(context)?;
        self.expect_right_delimiter(context)?;
        self.body_of(name, context)
    }

    /// The body of a `define` or `block`, which sees none of the variables around it.
    fn body_of(&mut self, name: Arc<str>, context: &str) -> Result<(), ParseError> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, stop) = self.list()?;
        self.variables = outside;
        self.ranges = ranges;
        if let Stop::Else = stop {
            return Err(self.error(format!("unexpected {} in {context}", stop.shown())));
        }
        let definition = Definition {
            name,
            source: Arc::clone(&self.source),
            body,
        };
        match self
            .defined
            .iter()
            .position(|other| other.name == definition.name)
        {
            None => self.defined.push(definition),
            Some(index) if self.defined[index].body.is_empty_tree() => {
                self.defined[index] = definition;
            }
            Some(_) if definition.body.is_empty_tree() => {}
            Some(_) => {
                return Err(self.error(format!(
                    "template: multiple definition of template {}",
                    quote(&definition.name)
                )));
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(List, Stop), ParseError> {
        self.deeper()?;
        let mut list = List::default();
        while self.peek_past_space().kind != Kind::End {
            match self.text_or_action()? {
                Item::Node(node) => list.0.push(node),
                Item::Stop(stop) => {
                    self.depth -= 1;
                    return Ok((list, stop));
                }
            }
        }
        Err(self.error("unexpected EOF".to_owned()))
    }

    fn text_or_action(&mut self) -> Result<Item, ParseError> {
        let token = self.token_past_space();
        if token.kind == Kind::Text {
            return Ok(Item::Node(Node::Text {
                at: token.at,
                text: token.text.into(),
            }));
        }
        if token.kind != Kind::LeftDelimiter {
            return Err(self.unexpected(&token, "input"));
        }
        self.action_line = Some(token.line);
        let item = self.action()?;
        self.action_line = None;
        Ok(item)
    }

    fn action(&mut self) -> Result<Item, ParseError> {
        let token = self.token_past_space();
        let at = token.at;
        if token.kind == Kind::Keyword {
            match token.text.as_str() {
                "block" => return self.block().map(Item::Node),
                "break" => {
                    self.loop_word("{{break}}")?;
                    return Ok(Item::Node(Node::Break));
                }
                "continue" => {
                    self.loop_word("{{continue}}")?;
                    return Ok(Item::Node(Node::Continue));
                }
                "else" => return self.otherwise().map(Item::Stop),
                "end" => {
                    self.expect_right_delimiter("end")?;
                    return Ok(Item::Stop(Stop::End));
                }
                "if" => return self.choice(at, "if").map(Item::Node),
                "with" => return self.choice(at, "with").map(Item::Node),
                "range" => return self.range(at).map(Item::Node),
                "template" => return self.template().map(Item::Node),
                _ => {}
            }
        }
        self.ahead.push_front(token);
        let pipe = self.pipeline("command", Kind::RightDelimiter)?;
        Ok(Item::Node(Node::Action { at, pipe }))
    }

    fn loop_word(&mut self, word: &str) -> Result<(), ParseError> {
        if self.ranges == 0 {
            return Err(self.error(format!("{word} outside {{{{range}}}}")));
        }
        self.expect_right_delimiter(word)
    }

    fn otherwise(&mut self) -> Result<Stop, ParseError> {
        let next = self.peek_past_space();
        let chained = next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with");
        if !chained {
            self.expect_right_delimiter("else")?;
        }
        Ok(Stop::Else)
    }

    fn choice(&mut self, at: usize, word: &str) -> Result<Node, ParseError> {
        let mark = self.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            let pipe = self.pipeline(word, Kind::RightDelimiter)?;
            let inner = self.variables.len();
            let (body, stop) = self.list()?;
            self.variables.truncate(inner);
            branches.push((pipe, body));
            match stop {
                Stop::End => break,
                Stop::Else
                    if self.peek_past_space().text == word
                        && self.peek_past_space().kind == Kind::Keyword =>
                {
                    self.token_past_space();
                }
                Stop::Else => {
                    otherwise = Some(self.else_list()?);
                    break;
                }
            }
        }
        self.variables.truncate(mark);
        Ok(Node::Choice {
            at,
            sets_dot: word == "with",
            branches,
            otherwise,
        })
    }

    fn range(&mut self, at: usize) -> Result<Node, ParseError> {
        let mark = self.variables.len();
        let pipe = self.pipeline("range", Kind::RightDelimiter)?;
        self.ranges += 1;
        let (body, stop) = self.list()?;
        self.ranges -= 1;
        let otherwise = match stop {
            Stop::End => None,
            Stop::Else => Some(self.else_list()?),
        };
        self.variables.truncate(mark);
        Ok(Node::Range {
            at,
            pipe,
            body,
            otherwise,
        })
    }

    fn else_list(&mut self) -> Result<List, ParseError> {
        match self.list()? {
            (list, Stop::End) => Ok(list),
            (_, stop) => Err(self.error(format!("expected end; found {}", stop.shown()))),
        }
    }

    fn template(&mut self) -> Result<Node, ParseError> {
        let context = "template clause";
        let (at, name) = self.template_name(context)?;
        let next = self.token_past_space();
        let pipe = if next.kind == Kind::RightDelimiter {
            None
        } else {
            self.ahead.push_front(next);
            Some(self.pipeline(context, Kind::RightDelimiter)?)
        };
        Ok(Node::Template {
            at,
            target: Arc::clone(&name),
            name,
            pipe,
        })
    }

    fn block(&mut self) -> Result<Node, ParseError> {
        let context = "block clause";
        let (at, name) = self.template_name(context)?;
        let pipe = Some(self.pipeline(context, Kind::RightDelimiter)?);
        self.body_of(Arc::clone(&name), context)?;
        Ok(Node::Template {
            at,
            target: Arc::clone(&name),
            name,
            pipe,
        })
    }

    /// A quoted name and where it stands, which is also where its node is blamed.
    fn template_name(&mut self, context: &str) -> Result<(usize, Arc<str>), ParseError> {
        let token = self.token_past_space();
        match token.kind {
            Kind::Str | Kind::RawString => literal::unquote(&token.text)
                .map(|name| (token.at, name.into()))
                .ok_or_else(|| self.error("invalid syntax".to_owned())),
            _ => Err(self.unexpected(&token, context)),
        }
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, ParseError> {
        self.deeper()?;
        let mut pipe = Pipe {
            at: self.peek_past_space().at,
            assigns: false,
            variables: Vec::new(),
            commands: Vec::new(),
            escapers: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.token_past_space();
            if token.kind == end {
                break;
            }
            if !starts_operand(token.kind) {
                return Err(self.unexpected(&token, context));
            }
            self.ahead.push_front(token);
            let command = self.command()?;
            pipe.commands.push(command);
        }
        if pipe.commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if let Some(Term::Dot | Term::Nil | Term::Constant { .. }) =
                command.operands.first().map(|operand| &operand.term)
            {
                let stage = index + 1;
                return Err(self.error(format!("non executable command in pipeline stage {stage}")));
            }
        }
        self.depth -= 1;
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and in a range `$i, $e :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), ParseError> {
        while self.peek_past_space().kind == Kind::Variable {
            let variable = self.token_past_space();
            let space = (self.peek().kind == Kind::Space).then(|| self.token());
            let next = self.peek_past_space();
            let (kind, comma) = (next.kind, next.kind == Kind::Char && next.text == ",");
            if !comma && !matches!(kind, Kind::Assign | Kind::Declare) {
                if let Some(space) = space {
                    self.ahead.push_front(space);
                }
                self.ahead.push_front(variable);
                return Ok(());
            }
            self.token_past_space();
            self.variables.push(variable.text.clone());
            pipe.variables.push(variable.text.into());
            if !comma {
                pipe.assigns = kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() >= 2 {
                return Err(self.error(format!("too many declarations in {context}")));
            }
            if !matches!(
                self.peek_past_space().kind,
                Kind::Variable | Kind::RightDelimiter | Kind::RightParen
            ) {
                return Err(self.error("range can only initialize variables".to_owned()));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, ParseError> {
        let mut command = Command {
            at: self.peek_past_space().at,
            operands: Vec::new(),
        };
        loop {
            self.peek_past_space();
            if let Some(operand) = self.operand()? {
                command.operands.push(operand);
            }
            let token = self.token();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParen => self.ahead.push_front(token),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(&token, "operand")),
            }
            break;
        }
        if command.operands.is_empty() {
            return Err(self.error("empty command".to_owned()));
        }
        Ok(command)
    }

    /// A term and the fields that follow it.
    fn operand(&mut self) -> Result<Option<Operand>, ParseError> {
        let Some(operand) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().at;
        let mut more = Vec::new();
        while self.peek().kind == Kind::Field {
            more.push(Arc::from(&self.token().text[1..]));
        }
        let term = match operand.term {
            Term::Field(mut fields) => {
                fields.append(&mut more);
                Term::Field(fields)
            }
            Term::Variable { name, .. } => Term::Variable { name, fields: more },
            Term::Nil | Term::Dot | Term::Constant { .. } => {
                return Err(self.error(format!(
                    "unexpected . after term {}",
                    quote(&operand.to_string())
                )));
            }
            Term::Function(_) | Term::Chain { .. } | Term::Pipe(_) => Term::Chain {
                base: Box::new(operand),
                fields: more,
            },
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Result<Option<Operand>, ParseError> {
        let token = self.token_past_space();
        let at = token.at;
        let constant = |value: Value| Term::Constant {
            value,
            text: token.text.as_str().into(),
        };
        let term = match token.kind {
            Kind::Identifier => match (self.function)(&token.text) {
                Some(function) => Term::Function(function),
                None => {
                    return Err(self.error(format!("function {} not defined", quote(&token.text))));
                }
            },
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable if self.variables.contains(&token.text) => Term::Variable {
                name: token.text.into(),
                fields: Vec::new(),
            },
            Kind::Variable => {
                return Err(self.error(format!("undefined variable {}", quote(&token.text))));
            }
            Kind::Field => Term::Field(vec![token.text[1..].into()]),
            Kind::Bool => constant(Value::Bool(token.text == "true")),
            Kind::CharConstant => match literal::unquote_char(&token.text) {
                Some(c) => constant(Value::Int(i64::from(u32::from(c)))),
                None => {
                    return Err(self.error(format!("malformed character constant: {}", token.text)));
                }
            },
            Kind::Number => match literal::number(&token.text) {
                Ok(value) => constant(value),
                Err(reason) => return Err(self.error(reason)),
            },
            Kind::LeftParen => {
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                Term::Pipe(Box::new(pipe))
            }
            Kind::Str | Kind::RawString => match literal::unquote(&token.text) {
                Some(text) => constant(Value::Str(text.into())),
                None => return Err(self.error("invalid syntax".to_owned())),
            },
            Kind::Assign
            | Kind::Char
            | Kind::Declare
            | Kind::End
            | Kind::Error
            | Kind::Keyword
            | Kind::LeftDelimiter
            | Kind::Pipe
            | Kind::RightDelimiter
            | Kind::RightParen
            | Kind::Space
            | Kind::Text => {
                self.ahead.push_front(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at, term }))
    }

    fn token(&mut self) -> Token {
        let token = match self.ahead.pop_front() {
            Some(token) => token,
            None => self.lexer.token(),
        };
        self.last = (token.line, token.at);
        token
    }

    fn peek(&mut self) -> &Token {
        if self.ahead.is_empty() {
            let token = self.lexer.token();
            self.last = (token.line, token.at);
            self.ahead.push_back(token);
        }
        &self.ahead[0]
    }

    fn token_past_space(&mut self) -> Token {
        loop {
            let token = self.token();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_past_space(&mut self) -> &Token {
        let token = self.token_past_space();
        self.ahead.push_front(token);
        &self.ahead[0]
    }

    fn expect_right_delimiter(&mut self, context: &str) -> Result<(), ParseError> {
        let token = self.token_past_space();
        if token.kind == Kind::RightDelimiter {
            Ok(())
        } else {
            Err(self.unexpected(&token, context))
        }
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > PARSE_DEPTH_MAX {
            return Err(self.error("template is nested too deeply".to_owned()));
        }
        Ok(())
    }

    fn unexpected(&self, token: &Token, context: &str) -> ParseError {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", shown(token)));
        }
        let started = match self.action_line {
            Some(line) if line != token.line => {
                let word = if token.text.ends_with(" action") {
                    ""
                } else {
                    " in action"
                };
                format!("{word} started at {}:{line}", self.source.name)
            }
            _ => String::new(),
        };
        self.error(format!("{}{started}", token.text))
    }

    fn error(&self, reason: String) -> ParseError {
        let (line, at) = self.last;
        let before = &self.source.text[..at];
        ParseError {
            name: self.source.name.to_string(),
            line,
            column: at - before.rfind('\n').map_or(0, |newline| newline + 1) + 1,
            reason,
        }
    }
}

const fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::LeftParen
            | Kind::Nil
            | Kind::Number
            | Kind::RawString
            | Kind::Str
            | Kind::Variable
    )
}

/// A word as error messages quote it: keywords in brackets, others shortened to ten characters.
fn shown(token: &Token) -> String {
    match token.kind {
        Kind::End => "EOF".to_owned(),
        Kind::Error => token.text.clone(),
        Kind::Keyword | Kind::Nil | Kind::Dot => format!("<{}>", token.text),
        _ if token.text.len() > 10 => {
            let start: String = token.text.chars().take(10).collect();
            format!("{}...", quote(&start))
        }
        _ => quote(&token.text),
    }
}
