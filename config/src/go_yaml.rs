//! YAML as Go's yaml.v2 writes it: Alertmanager's dump of its configuration, which people and tools compare as text.
//!
//! Lists stand at their key's column, texts are plain where that is the same text when it is read again, lines are
//! folded at the first space past [`WIDTH`] columns, and texts of several lines are literal blocks.
use std::sync::LazyLock;

use regex::Regex;

/// Past this column a line is folded at the next space.
const WIDTH: usize = 80;
const INDENT: usize = 2;
/// Longer keys need the explicit form (`? key`).
const SIMPLE_KEY_MAX: usize = 128;

/// What there is to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    /// `[a, b]`, on one line where it fits.
    FlowList(Vec<Self>),
    /// `{a: b}`, in this order.
    FlowMap(Vec<(String, Self)>),
    List(Vec<Self>),
    /// In this order.
    Map(Vec<(String, Self)>),
    /// A number, a boolean or `null`, as it is.
    Plain(String),
    Text(String),
}

/// A document.
pub(crate) fn print(entries: &[(String, Yaml)]) -> String {
    let mut writer = Writer::default();
    writer.map(entries, 0, true);
    writer.put('\n');
    writer.text
}

/// The order of a map's keys: letters last, numbers by their value. yaml.v2's own order is not one where digits meet
/// letters (`a9` < `a10` < `a1b` < `a9`); elsewhere the two agree.
pub(crate) fn key_order(left: &str, right: &str) -> std::cmp::Ordering {
    key_parts(left).cmp(&key_parts(right))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart {
    /// Another sign, or a number by its value and the count of its digits.
    Sign {
        value: u64,
        digits: usize,
        sign: Option<char>,
    },
    Letter(char),
}

fn key_parts(key: &str) -> Vec<KeyPart> {
    let mut parts = Vec::new();
    let mut rest = key;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (part, length) = if digits > 0 {
            let value = rest[..digits].parse().unwrap_or(u64::MAX);
            let sign = None;
            (
                KeyPart::Sign {
                    value,
                    digits,
                    sign,
                },
                digits,
            )
        } else if first.is_alphabetic() {
            (KeyPart::Letter(first), first.len_utf8())
        } else {
            let (value, sign) = (0, Some(first));
            (
                KeyPart::Sign {
                    value,
                    digits,
                    sign,
                },
                first.len_utf8(),
            )
        };
        parts.push(part);
        rest = &rest[length..];
    }
    parts
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Double,
    Literal,
    Plain,
    Single,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    Flow,
    Key,
}

#[derive(Default)]
struct Writer {
    text: String,
    column: usize,
}

impl Writer {
    fn map(&mut self, entries: &[(String, Yaml)], indent: usize, inline: bool) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || !inline {
                self.line(indent);
            }
            if key.len() > SIMPLE_KEY_MAX || key.contains('\n') {
                self.put_all("? ");
                self.scalar(key, indent + INDENT, Context::Block);
                self.line(indent);
            } else {
                self.scalar(key, indent, Context::Key);
            }
            self.put(':');
            self.value(value, indent);
        }
    }

    /// What stands behind a key.
    fn value(&mut self, value: &Yaml, indent: usize) {
        match value {
            Yaml::List(items) if !items.is_empty() => {
                self.line(indent);
                self.list(items, indent);
            }
            Yaml::Map(entries) if !entries.is_empty() => {
                self.map(entries, indent + INDENT, false);
            }
            Yaml::FlowList(_)
            | Yaml::FlowMap(_)
            | Yaml::List(_)
            | Yaml::Map(_)
            | Yaml::Plain(_)
            | Yaml::Text(_) => {
                self.put(' ');
                self.inline(value, indent + INDENT);
            }
        }
    }

    /// Begins at the current column, which is `indent`.
    fn list(&mut self, items: &[Yaml], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.line(indent);
            }
            self.put_all("- ");
            match item {
                Yaml::List(items) if !items.is_empty() => self.list(items, indent + INDENT),
                Yaml::Map(entries) if !entries.is_empty() => {
                    self.map(entries, indent + INDENT, true);
                }
                Yaml::FlowList(_)
                | Yaml::FlowMap(_)
                | Yaml::List(_)
                | Yaml::Map(_)
                | Yaml::Plain(_)
                | Yaml::Text(_) => self.inline(item, indent + INDENT),
            }
        }
    }

    fn inline(&mut self, value: &Yaml, indent: usize) {
        match value {
            flow @ (Yaml::FlowList(_) | Yaml::FlowMap(_)) => self.flow(flow, indent),
            Yaml::List(_) => self.put_all("[]"),
            Yaml::Map(_) => self.put_all("{}"),
            Yaml::Plain(text) => self.put_all(text),
            Yaml::Text(text) => self.scalar(text, indent, Context::Block),
        }
    }

    /// Within brackets everything is in flow style. `indent` is that of further lines.
    fn flow(&mut self, value: &Yaml, indent: usize) {
        match value {
            Yaml::FlowList(items) | Yaml::List(items) => {
                self.put('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, indent);
                    self.flow(item, indent + INDENT);
                }
                self.put(']');
            }
            Yaml::FlowMap(entries) | Yaml::Map(entries) => {
                self.put('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    self.separate(index, indent);
                    self.scalar(key, indent, Context::Key);
                    self.put_all(": ");
                    self.flow(value, indent + INDENT);
                }
                self.put('}');
            }
            Yaml::Plain(text) => self.put_all(text),
            Yaml::Text(text) => self.scalar(text, indent, Context::Flow),
        }
    }

    fn separate(&mut self, index: usize, indent: usize) {
        if index > 0 {
            self.put(',');
            if self.column > WIDTH {
                self.line(indent);
            } else {
                self.put(' ');
            }
        }
    }

    fn scalar(&mut self, text: &str, indent: usize, context: Context) {
        match style(text, context) {
            Style::Double => self.double_quoted(text, indent, context != Context::Key),
            Style::Literal => self.literal(text, indent),
            Style::Plain => self.folded(text, indent, context != Context::Key, false),
            Style::Single => {
                self.put('\'');
                self.folded(text, indent, context != Context::Key, true);
                self.put('\'');
            }
        }
    }

    /// A text without line breaks, folded at single spaces.
    fn folded(&mut self, text: &str, indent: usize, may_break: bool, quoted: bool) {
        let characters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (index, character) in characters.iter().enumerate() {
            let next = characters.get(index + 1);
            let inside = index > 0 && next.is_some();
            if *character == ' '
                && may_break
                && !after_space
                && self.column > WIDTH
                && inside
                && next != Some(&' ')
            {
                self.line(indent);
            } else {
                if quoted && *character == '\'' {
                    self.put('\'');
                }
                self.put(*character);
            }
            after_space = *character == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, may_break: bool) {
        self.put('"');
        let characters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (index, character) in characters.iter().enumerate() {
            let next = characters.get(index + 1);
            if *character == ' ' {
                let inside = index > 0 && next.is_some();
                if may_break && !after_space && self.column > WIDTH && inside {
                    self.line(indent);
                    if next == Some(&' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                after_space = true;
                continue;
            }
            after_space = false;
            if is_printable(*character) && !matches!(character, '"' | '\\' | '\n' | '\r') {
                self.put(*character);
            } else {
                self.put_all(&escape(*character));
            }
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put_all("2");
        }
        let body = match text.strip_suffix('\n') {
            None => {
                self.put('-');
                text
            }
            Some(body) if body.is_empty() || body.ends_with('\n') => {
                self.put('+');
                body
            }
            Some(body) => body,
        };
        for line in body.split('\n') {
            if line.is_empty() {
                self.put('\n');
            } else {
                self.line(indent);
                self.put_all(line);
            }
        }
    }

    fn line(&mut self, indent: usize) {
        self.put('\n');
        for _ in 0..indent {
            self.put(' ');
        }
    }

    fn put_all(&mut self, text: &str) {
        text.chars().for_each(|character| self.put(character));
    }

    fn put(&mut self, character: char) {
        self.text.push(character);
        self.column = if character == '\n' {
            0
        } else {
            self.column + 1
        };
    }
}

fn escape(character: char) -> String {
    match character {
        '\0' => "\\0".to_owned(),
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\x0b' => "\\v".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        '\x1b' => "\\e".to_owned(),
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        other => match u32::from(other) {
            code @ 0..=0xff => format!("\\x{code:02X}"),
            code @ 0x100..=0xffff => format!("\\u{code:04X}"),
            code => format!("\\U{code:08X}"),
        },
    }
}

/// yaml.v2 escapes what lies beyond the basic plane.
fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{a0}'..='\u{fffd}')
        && !matches!(character, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn style(text: &str, context: Context) -> Style {
    let shape = Shape::of(text);
    let wanted = if text.contains('\n') {
        Style::Literal
    } else if is_text(text) {
        Style::Plain
    } else {
        Style::Double
    };
    match wanted {
        Style::Literal if shape.literal && context == Context::Block => Style::Literal,
        Style::Plain if shape.plain_in(context) => Style::Plain,
        Style::Plain if shape.single => Style::Single,
        Style::Double | Style::Literal | Style::Plain | Style::Single => Style::Double,
    }
}

/// Which styles a text can be written in.
struct Shape {
    block_plain: bool,
    flow_plain: bool,
    literal: bool,
    single: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let at = |index: usize| characters.get(index).copied();
        let blank = |character: Option<char>| matches!(character, None | Some(' ' | '\t' | '\n'));
        let document = text.starts_with("---") || text.starts_with("...");
        let (mut block, mut flow) = (document, document);
        let (mut special, mut break_space, mut space_break) = (false, false, false);
        for (index, character) in characters.iter().enumerate() {
            let before_blank = blank(at(index + 1));
            let previous = index.checked_sub(1).and_then(at);
            let (in_block, in_flow) = match (index, character) {
                (
                    0,
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"'
                    | '%' | '@' | '`',
                ) => (true, true),
                (0, '?' | ':') => (before_blank, true),
                (0, '-') => (before_blank, before_blank),
                (_, ',' | '?' | '[' | ']' | '{' | '}') => (false, true),
                (_, ':') => (before_blank, true),
                (_, '#') => (blank(previous), blank(previous)),
                (_, _) => (false, false),
            };
            block |= in_block;
            flow |= in_flow;
            special |= !is_printable(*character);
            break_space |= *character == ' ' && previous == Some('\n');
            space_break |= *character == '\n' && previous == Some(' ');
        }
        let edges = text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']);
        let one_line = !text.contains('\n');
        let clean = !special && !space_break;
        let plain = clean && one_line && !edges;
        Self {
            block_plain: plain && !block,
            flow_plain: plain && !flow && !text.is_empty(),
            literal: clean && !text.ends_with(' ') && !text.is_empty(),
            single: clean && !break_space,
        }
    }

    fn plain_in(&self, context: Context) -> bool {
        match context {
            Context::Block | Context::Key => self.block_plain,
            Context::Flow => self.flow_plain,
        }
    }
}

static BASE_60: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$"));
static FLOAT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"));
static INTEGER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)$"));
static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})?)?$",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns are constants; a test uses each of them")
}

/// Whether a plain scalar means this text, and not a number, a boolean, a time or nothing.
fn is_text(text: &str) -> bool {
    let word = matches!(
        text,
        "" | "~"
            | "null"
            | "Null"
            | "NULL"
            | ".nan"
            | ".NaN"
            | ".NAN"
            | "<<"
            | "y"
            | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "true"
            | "True"
            | "TRUE"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "false"
            | "False"
            | "FALSE"
            | "off"
            | "Off"
            | "OFF"
            | ".inf"
            | ".Inf"
            | ".INF"
            | "+.inf"
            | "+.Inf"
            | "+.INF"
            | "-.inf"
            | "-.Inf"
            | "-.INF"
    );
    let number = text.replace('_', "");
    !word
        && !BASE_60.is_match(text)
        && !INTEGER.is_match(&number)
        && !FLOAT.is_match(&number)
        && !TIMESTAMP.is_match(text)
}

#[cfg(test)]
mod tests {
    use super::{Yaml, key_order, print};

    fn printed(value: Yaml) -> String {
        print(&[("a".to_owned(), value)])
    }

    fn text(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }

    /// Each was printed by yaml.v2 2.4, in an Alertmanager's dump of a label of that text.
    #[test]
    fn texts_are_quoted_where_they_must_be() {
        for (given, written) in [
            ("plain", "plain"),
            ("two words", "two words"),
            ("", r#""""#),
            ("yes", r#""yes""#),
            ("No", r#""No""#),
            ("null", r#""null""#),
            ("~", r#""~""#),
            ("1", r#""1""#),
            ("0x1f", r#""0x1f""#),
            ("1_000", r#""1_000""#),
            ("1.5", r#""1.5""#),
            ("1e3", r#""1e3""#),
            ("08", r#""08""#),
            ("0o17", r#""0o17""#),
            ("+1", r#""+1""#),
            ("-0b1", r#""-0b1""#),
            ("1e", "1e"),
            ("yEs", "yEs"),
            (".inf", r#"".inf""#),
            ("1.2.3", "1.2.3"),
            ("09:00", r#""09:00""#),
            ("1:31", r#""1:31""#),
            ("-3:-1", "-3:-1"),
            ("2026-01-02", r#""2026-01-02""#),
            ("2026-01-02T03:04:05Z", r#""2026-01-02T03:04:05Z""#),
            ("a: b", "'a: b'"),
            ("a:b", "a:b"),
            ("a #b", "'a #b'"),
            ("a#b", "a#b"),
            ("#c", "'#c'"),
            ("@all", "'@all'"),
            (":x:", "':x:'"),
            ("- x", "'- x'"),
            ("-x", "-x"),
            ("...", "'...'"),
            ("it's", "it's"),
            ("'x'", "'''x'''"),
            ("{{ .A }}", "'{{ .A }}'"),
            (" x", "' x'"),
            ("x ", "'x '"),
            ("tab\there", r#""tab\there""#),
            ("é", "é"),
            ("🙂", r#""\U0001F642""#),
            ("<secret>", "<secret>"),
            ("a=\"b\"", "a=\"b\""),
        ] {
            assert_eq!(printed(text(given)), format!("a: {written}\n"), "{given:?}");
        }
    }

    #[test]
    fn texts_of_several_lines_are_literal_where_they_can_be() {
        for (given, written) in [
            ("x\ny", "a: |-\n  x\n  y\n"),
            ("x\ny\n", "a: |\n  x\n  y\n"),
            ("x\n\ny\n\n", "a: |+\n  x\n\n  y\n\n"),
            ("\nx", "a: |2-\n\n  x\n"),
            (" x\ny", "a: |2-\n   x\n  y\n"),
            ("x \ny", "a: \"x \\ny\"\n"),
        ] {
            assert_eq!(printed(text(given)), written, "{given:?}");
        }
    }

    #[test]
    fn long_lines_are_folded_at_single_spaces() {
        let long = "0123456789 ".repeat(10);
        let long = long.trim_end();
        let line = "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789";
        assert_eq!(
            printed(text(&format!("x {long}"))),
            format!("a: x {}\n  0123456789 0123456789 0123456789\n", &line[..76])
        );
        assert_eq!(
            printed(text(&format!("'{long}"))),
            format!(
                "a: '''{}\n  0123456789 0123456789 0123456789'\n",
                &line[..76]
            )
        );
        // A space in column 80 does not fold, one behind it does.
        let full = "x".repeat(77);
        assert_eq!(
            printed(text(&format!("{full} y z"))),
            format!("a: {full} y\n  z\n")
        );
        let unbroken = "x".repeat(200);
        assert_eq!(printed(text(&unbroken)), format!("a: {unbroken}\n"));
    }

    #[test]
    fn lists_stand_at_their_keys_column() {
        let list = Yaml::List(vec![
            text("x"),
            Yaml::Map(vec![
                ("b".to_owned(), text("y")),
                ("c".to_owned(), Yaml::List(vec![text("z")])),
                ("d".to_owned(), Yaml::Map(Vec::new())),
            ]),
            Yaml::List(vec![text("u"), text("v")]),
            Yaml::List(Vec::new()),
        ]);
        assert_eq!(
            printed(list),
            "a:\n- x\n- b: \"y\"\n  c:\n  - z\n  d: {}\n- - u\n  - v\n- []\n"
        );
        assert_eq!(
            printed(Yaml::FlowList(vec![text("1:31"), text("-3:-1"), text("x")])),
            "a: [\"1:31\", '-3:-1', x]\n"
        );
        assert_eq!(printed(Yaml::List(Vec::new())), "a: []\n");
    }

    #[test]
    fn keys_are_sorted_as_people_count() {
        let mut keys = ["b", "a10", "a9", "a", "1", "_", "A", "a01", "a001", "a-b"];
        keys.sort_by(|left, right| key_order(left, right));
        assert_eq!(
            keys,
            ["_", "1", "A", "a", "a-b", "a01", "a001", "a9", "a10", "b"]
        );
    }
}
