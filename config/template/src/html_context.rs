//! Where in an HTML document a piece of text ends: the contexts of Go's `html/template` that mails use.
use crate::escaper::Escaper;

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Context {
    pub(crate) state: State,
    pub(crate) delimiter: Delimiter,
    url: UrlPart,
    attribute: Attribute,
    element: Element,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    AfterName,
    AttributeName,
    /// In the value of an attribute that is plain text.
    AttributeValue,
    BeforeValue,
    Comment,
    /// After a break or continue nothing is printed.
    Dead,
    /// In a script or style, element or attribute: text passes, actions are refused.
    Opaque,
    Rcdata,
    Tag,
    Text,
    Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Delimiter {
    None,
    DoubleQuote,
    SingleQuote,
    SpaceOrTagEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum UrlPart {
    None,
    BeforeQuery,
    QueryOrFragment,
    /// Branches disagree.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attribute {
    Plain,
    Opaque,
    Url,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Element {
    Other,
    Script,
    Style,
    Textarea,
    Title,
}

const URL_ATTRIBUTES: [&str; 17] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xmlns",
];
const SPACES: [char; 5] = [' ', '\t', '\n', '\x0c', '\r'];

impl Context {
    pub(crate) const START: Self = Self {
        state: State::Text,
        delimiter: Delimiter::None,
        url: UrlPart::None,
        attribute: Attribute::Plain,
        element: Element::Other,
    };
    pub(crate) const DEAD: Self = Self {
        state: State::Dead,
        ..Self::START
    };

    /// Where the text leads, and the text as it is printed: without comments, and with every `<` that opens nothing
    /// written as `&lt;`.
    pub(crate) fn after_text(self, text: &str) -> Result<(Self, String), String> {
        let mut printed = String::with_capacity(text.len());
        let (mut context, mut at) = (self, 0);
        while at < text.len() {
            let (next, length) = context.transition(&text[at..])?;
            let piece = &text[at..at + length];
            match context.state {
                State::Comment => {}
                State::Text | State::Rcdata => {
                    let comment = next.state == State::Comment;
                    let shown = &piece[..piece.len() - if comment { 4 } else { 0 }];
                    // The `<` that changes the context is a tag's.
                    let tag = (next.state != context.state && !comment)
                        .then(|| shown.rfind('<'))
                        .flatten();
                    for (index, c) in shown.char_indices() {
                        let opens = Some(index) == tag
                            || shown[index..]
                                .get(..9)
                                .is_some_and(|start| start.eq_ignore_ascii_case("<!DOCTYPE"));
                        match c {
                            '<' if tag.is_none_or(|tag| index < tag) && !opens => {
                                printed.push_str("&lt;");
                            }
                            _ => printed.push(c),
                        }
                    }
                }
                _ => printed.push_str(piece),
            }
            if length == 0 && next == context {
                return Err("cannot follow the HTML".to_owned());
            }
            context = next;
            at += length;
        }
        Ok((context, printed))
    }

    /// One change of state, and how many bytes lie before it.
    fn transition(self, text: &str) -> Result<(Self, usize), String> {
        if self.delimiter != Delimiter::None {
            return self.in_value(text);
        }
        let end = self.special_end(text);
        if end == 0 && self.element != Element::Other {
            return Ok((Self::START, 0));
        }
        let text = &text[..end];
        let all = text.len();
        Ok(match self.state {
            State::Text => self.in_text(text),
            State::Tag => return self.in_tag(text),
            State::AttributeName => {
                let length = attribute_name_length(text)?;
                let state = if length == all {
                    State::AttributeName
                } else {
                    State::AfterName
                };
                (Self { state, ..self }, length)
            }
            State::AfterName => {
                let spaces = leading_spaces(text);
                match text[spaces..].chars().next() {
                    None => (self, all),
                    Some('=') => {
                        let state = State::BeforeValue;
                        (Self { state, ..self }, spaces + 1)
                    }
                    Some(_) => {
                        let state = State::Tag;
                        (Self { state, ..self }, spaces)
                    }
                }
            }
            State::BeforeValue => {
                let spaces = leading_spaces(text);
                match text[spaces..].chars().next() {
                    None => (self, all),
                    Some('"') => (self.value(Delimiter::DoubleQuote), spaces + 1),
                    Some('\'') => (self.value(Delimiter::SingleQuote), spaces + 1),
                    Some(_) => (self.value(Delimiter::SpaceOrTagEnd), spaces),
                }
            }
            State::Comment => match text.find("-->") {
                Some(end) => (Self::START, end + 3),
                None => (self, all),
            },
            State::AttributeValue | State::Dead | State::Opaque | State::Rcdata | State::Url => {
                (self, all)
            }
        })
    }

    fn in_text(self, text: &str) -> (Self, usize) {
        let mut from = 0;
        while let Some(found) = text[from..].find('<') {
            let open = from + found;
            if text[open..].starts_with("<!--") {
                let comment = Self {
                    state: State::Comment,
                    ..Self::START
                };
                return (comment, open + 4);
            }
            let closing = text[open + 1..].starts_with('/');
            let name = open + 1 + usize::from(closing);
            let length = tag_name_length(&text[name..]);
            if length > 0 {
                let element = match text[name..name + length].to_ascii_lowercase().as_str() {
                    _ if closing => Element::Other,
                    "script" => Element::Script,
                    "style" => Element::Style,
                    "textarea" => Element::Textarea,
                    "title" => Element::Title,
                    _ => Element::Other,
                };
                let tag = Self {
                    state: State::Tag,
                    element,
                    ..Self::START
                };
                return (tag, name + length);
            }
            from = name;
        }
        (self, text.len())
    }

    fn in_tag(self, text: &str) -> Result<(Self, usize), String> {
        let spaces = leading_spaces(text);
        let rest = &text[spaces..];
        if rest.is_empty() {
            return Ok((self, text.len()));
        }
        if rest.starts_with('>') {
            let state = match self.element {
                Element::Other => State::Text,
                Element::Script | Element::Style => State::Opaque,
                Element::Textarea | Element::Title => State::Rcdata,
            };
            let inside = Self {
                state,
                element: self.element,
                ..Self::START
            };
            return Ok((inside, spaces + 1));
        }
        let length = attribute_name_length(rest)?;
        if length == 0 {
            let shown = model::go_quote::quote(rest);
            return Err(format!(
                "expected space, attr name, or end of tag, but got {shown}"
            ));
        }
        let state = if length == rest.len() {
            State::AttributeName
        } else {
            State::AfterName
        };
        let attribute = attribute(&rest[..length].to_ascii_lowercase());
        let after = Self {
            state,
            attribute,
            element: self.element,
            ..Self::START
        };
        Ok((after, spaces + length))
    }

    fn value(self, delimiter: Delimiter) -> Self {
        let state = match self.attribute {
            Attribute::Plain => State::AttributeValue,
            Attribute::Opaque => State::Opaque,
            Attribute::Url => State::Url,
        };
        Self {
            state,
            delimiter,
            attribute: Attribute::Plain,
            ..self
        }
    }

    fn in_value(self, text: &str) -> Result<(Self, usize), String> {
        let ends: &[char] = match self.delimiter {
            Delimiter::DoubleQuote => &['"'],
            Delimiter::SingleQuote => &['\''],
            Delimiter::None | Delimiter::SpaceOrTagEnd => &[' ', '\t', '\n', '\x0c', '\r', '>'],
        };
        let end = text.find(ends);
        let value = &text[..end.unwrap_or(text.len())];
        let bare = self.delimiter == Delimiter::SpaceOrTagEnd;
        if bare && let Some(at) = value.find(['"', '\'', '<', '=', '`']) {
            let c = value[at..].chars().next().unwrap_or_default();
            let shown = model::go_quote::quote(value);
            return Err(format!("'{c}' in unquoted attr: {shown}"));
        }
        match end {
            Some(end) => {
                let tag = Self {
                    state: State::Tag,
                    element: self.element,
                    ..Self::START
                };
                Ok((tag, end + usize::from(!bare)))
            }
            None => Ok((self.after_url_text(value), text.len())),
        }
    }

    fn after_url_text(self, text: &str) -> Self {
        if self.state != State::Url {
            return self;
        }
        let url = if text.contains(['#', '?']) {
            UrlPart::QueryOrFragment
        } else if self.url == UrlPart::None && leading_spaces(text) < text.len() {
            UrlPart::BeforeQuery
        } else {
            self.url
        };
        Self { url, ..self }
    }

    /// How far the text of a script, style, title or textarea goes.
    fn special_end(self, text: &str) -> usize {
        let name = match self.element {
            Element::Other => return text.len(),
            Element::Script => "</script",
            Element::Style => "</style",
            Element::Textarea => "</textarea",
            Element::Title => "</title",
        };
        text.match_indices('<')
            .map(|(at, _)| at)
            .find(|at| {
                text[*at..]
                    .get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
                    && text[at + name.len()..]
                        .starts_with(|c: char| SPACES.contains(&c) || c == '/' || c == '>')
            })
            .unwrap_or(text.len())
    }

    /// How an action at this place is made safe, and where it leads.
    pub(crate) fn action(self) -> Result<(Self, Vec<Escaper>), String> {
        let context = self.nudged();
        let mut escapers = Vec::new();
        match context.state {
            State::AfterName | State::BeforeValue | State::Dead => {}
            State::AttributeName | State::Tag => {
                escapers.push(Escaper::AttributeName);
                let state = State::AttributeName;
                return Ok((Self { state, ..context }, escapers));
            }
            State::AttributeValue => {}
            State::Comment => escapers.push(Escaper::Comment),
            State::Opaque => {
                return Err("an action inside a script or a style cannot be made safe; \
                     only their static text is supported"
                    .to_owned());
            }
            State::Rcdata => escapers.push(Escaper::Rcdata),
            State::Text => escapers.push(Escaper::Html),
            State::Url => match context.url {
                UrlPart::None => {
                    escapers.extend([Escaper::UrlFilter, Escaper::UrlNormalize]);
                }
                UrlPart::BeforeQuery => escapers.push(Escaper::UrlNormalize),
                UrlPart::QueryOrFragment => escapers.push(Escaper::UrlComponent),
                UrlPart::Unknown => {
                    return Err("an action appears in an ambiguous context within a URL".to_owned());
                }
            },
        }
        match context.delimiter {
            Delimiter::None => {}
            Delimiter::DoubleQuote | Delimiter::SingleQuote => escapers.push(Escaper::Attribute),
            Delimiter::SpaceOrTagEnd => escapers.push(Escaper::AttributeWithoutQuotes),
        }
        Ok((context, escapers))
    }

    /// What an action's output makes of the place: in `<p title={{.}}>` it is an unquoted value.
    fn nudged(self) -> Self {
        match self.state {
            State::Tag => Self {
                state: State::AttributeName,
                ..self
            },
            State::BeforeValue => self.value(Delimiter::SpaceOrTagEnd),
            State::AfterName => Self {
                state: State::AttributeName,
                attribute: Attribute::Plain,
                ..self
            },
            State::AttributeName
            | State::AttributeValue
            | State::Comment
            | State::Dead
            | State::Opaque
            | State::Rcdata
            | State::Text
            | State::Url => self,
        }
    }

    /// The context after two branches; `None` where they end in places that cannot be told apart.
    pub(crate) fn join(self, other: Self) -> Option<Self> {
        if self.state == State::Dead {
            return Some(other);
        }
        if other.state == State::Dead || self == other {
            return Some(self);
        }
        if (Self {
            url: other.url,
            ..self
        }) == other
        {
            let url = UrlPart::Unknown;
            return Some(Self { url, ..self });
        }
        let (left, right) = (self.nudged(), other.nudged());
        if (left, right) == (self, other) {
            return None;
        }
        left.join(right)
    }
}

/// Whether an attribute of that name holds plain text.
pub(crate) fn is_plain_attribute(name: &str) -> bool {
    attribute(name) == Attribute::Plain
        && !matches!(
            name,
            "charset"
                | "content"
                | "enctype"
                | "form"
                | "formmethod"
                | "formnovalidate"
                | "http-equiv"
                | "language"
                | "method"
                | "novalidate"
                | "pattern"
                | "rel"
                | "sandbox"
                | "type"
                | "value"
        )
}

/// What an attribute holds, by its name in lower case.
fn attribute(name: &str) -> Attribute {
    let name = name.strip_prefix("data-").unwrap_or(name);
    if name.starts_with("xmlns:") {
        return Attribute::Url;
    }
    let name = name.split_once(':').map_or(name, |(_, local)| local);
    if URL_ATTRIBUTES.contains(&name) {
        Attribute::Url
    } else if matches!(name, "style" | "srcset" | "srcdoc") || name.starts_with("on") {
        Attribute::Opaque
    } else if ["src", "uri", "url"].iter().any(|part| name.contains(part)) {
        Attribute::Url
    } else {
        Attribute::Plain
    }
}

fn leading_spaces(text: &str) -> usize {
    text.len() - text.trim_start_matches(SPACES).len()
}

fn attribute_name_length(text: &str) -> Result<usize, String> {
    let end = text
        .find(|c| SPACES.contains(&c) || "=>'\"<".contains(c))
        .unwrap_or(text.len());
    match text[end..].chars().next() {
        Some(c @ ('\'' | '"' | '<')) => {
            let start: String = text.chars().take(32).collect();
            let shown = model::go_quote::quote(&start);
            Err(format!("'{c}' in attribute name: {shown}"))
        }
        _ => Ok(end),
    }
}

fn tag_name_length(text: &str) -> usize {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return 0;
    }
    let bytes = text.as_bytes();
    let mut length = 1;
    while let Some(byte) = bytes.get(length) {
        let joins = matches!(byte, b':' | b'-')
            && bytes.get(length + 1).is_some_and(u8::is_ascii_alphanumeric);
        if !byte.is_ascii_alphanumeric() && !joins {
            break;
        }
        length += 1;
    }
    length
}
