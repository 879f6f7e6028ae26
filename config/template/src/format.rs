//! How Go's `fmt` prints values: `Print`, `Println`, `Printf` and its verbs, with its complaints inside the text.
use model::go_number;
use model::go_quote::quote;

use crate::error::Limit;
use crate::float;
use crate::function::Failure;
use crate::value::{Map, Value};

/// Go refuses wider fields.
const WIDTH_MAX: usize = 1_000_000;

/// A text that stops growing at its bound.
pub(crate) struct Bounded {
    text: String,
    max: usize,
    full: bool,
}

impl Bounded {
    pub(crate) const fn new(max: usize) -> Self {
        Self {
            text: String::new(),
            max,
            full: false,
        }
    }

    pub(crate) fn push(&mut self, text: &str) {
        if self.text.len() + text.len() > self.max {
            self.full = true;
        } else {
            self.text.push_str(text);
        }
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn finish(self) -> Result<String, Failure> {
        if self.full {
            Err(Failure::Limit(Limit::Output))
        } else {
            Ok(self.text)
        }
    }
}

/// `fmt.Sprint`: a space between two arguments of which neither is a string.
pub(crate) fn print(values: &[Value], max: usize) -> Result<String, Failure> {
    let mut out = Bounded::new(max);
    let mut after_string = true;
    for (index, value) in values.iter().enumerate() {
        let string = matches!(value, Value::Str(_) | Value::Safe(..));
        if index > 0 && !string && !after_string {
            out.push(" ");
        }
        write_value(&mut out, value);
        after_string = string;
    }
    out.finish()
}

/// `fmt.Sprintln`.
pub(crate) fn println(values: &[Value], max: usize) -> Result<String, Failure> {
    let mut out = Bounded::new(max);
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(" ");
        }
        write_value(&mut out, value);
    }
    out.push("\n");
    out.finish()
}

/// A value as `%v` shows it.
pub(crate) fn write_value(out: &mut Bounded, value: &Value) {
    write_plain(out, value, &Spec::plain('v'));
}

/// `U+00E9 'é'`, as Go shows characters that it does not like.
pub(crate) fn go_rune(c: char) -> String {
    if c.is_control() {
        format!("U+{:04X}", u32::from(c))
    } else {
        format!("U+{:04X} '{c}'", u32::from(c))
    }
}

/// What stands between `%` and its verb.
#[derive(Clone, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    verb: char,
}

impl Spec {
    fn plain(verb: char) -> Self {
        Self {
            verb,
            ..Self::default()
        }
    }
}

/// `fmt.Sprintf`.
pub(crate) fn printf(format: &str, values: &[Value], max: usize) -> Result<String, Failure> {
    let mut out = Bounded::new(max);
    let mut reader = Reader {
        rest: format,
        values,
        next: 0,
        reordered: false,
    };
    while let Some(percent) = reader.rest.find('%') {
        out.push(&reader.rest[..percent]);
        reader.rest = &reader.rest[percent + 1..];
        reader.verb(&mut out);
        if out.is_full() {
            return out.finish();
        }
    }
    out.push(reader.rest);
    if !reader.reordered && reader.next < values.len() {
        out.push("%!(EXTRA ");
        for (index, value) in values[reader.next..].iter().enumerate() {
            if index > 0 {
                out.push(", ");
            }
            if let Value::Nil = value {
                out.push("<nil>");
                continue;
            }
            out.push(value.type_name());
            out.push("=");
            write_value(&mut out, value);
        }
        out.push(")");
    }
    out.finish()
}

struct Reader<'a> {
    rest: &'a str,
    values: &'a [Value],
    next: usize,
    reordered: bool,
}

impl Reader<'_> {
    fn verb(&mut self, out: &mut Bounded) {
        let mut spec = Spec::default();
        while let Some(c) = self.rest.chars().next() {
            match c {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            self.rest = &self.rest[1..];
        }
        let mut good_index = self.index();
        match self.count() {
            Count::None => {}
            Count::Number(width) => spec.width = Some(width),
            Count::Negative(width) => {
                spec.minus = true;
                spec.width = Some(width);
            }
            Count::Bad => out.push("%!(BADWIDTH)"),
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            good_index &= self.index();
            match self.count() {
                Count::None => spec.precision = Some(0),
                Count::Number(precision) => spec.precision = Some(precision),
                Count::Negative(_) | Count::Bad => out.push("%!(BADPREC)"),
            }
        }
        good_index &= self.index();
        let Some(verb) = self.rest.chars().next() else {
            out.push("%!(NOVERB)");
            return;
        };
        self.rest = &self.rest[verb.len_utf8()..];
        spec.verb = verb;
        // With `%v` the flag asks for field names, which no value here has.
        spec.plus &= verb != 'v';
        if verb == '%' {
            out.push("%");
        } else if !good_index {
            out.push(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            write_verb(out, value, &spec);
        } else {
            out.push(&format!("%!{verb}(MISSING)"));
        }
    }

    /// `[n]`, which chooses the argument; false where it chooses none.
    fn index(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix('[') else {
            return true;
        };
        self.reordered = true;
        let Some(close) = rest.find(']') else {
            self.rest = rest;
            return false;
        };
        let number = rest[..close].parse::<usize>().ok();
        self.rest = &rest[close + 1..];
        match number {
            Some(number) if (1..=self.values.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            _ => false,
        }
    }

    fn count(&mut self) -> Count {
        if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            let value = self.values.get(self.next);
            self.next += 1;
            return match value {
                Some(Value::Int(value)) => match usize::try_from(value.unsigned_abs()) {
                    Ok(count) if count > WIDTH_MAX => Count::Bad,
                    Ok(count) if *value < 0 => Count::Negative(count),
                    Ok(count) => Count::Number(count),
                    Err(_) => Count::Bad,
                },
                _ => Count::Bad,
            };
        }
        let length = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return Count::None;
        }
        let count = self.rest[..length].parse::<usize>();
        self.rest = &self.rest[length..];
        match count {
            Ok(count) if count <= WIDTH_MAX => Count::Number(count),
            _ => Count::Bad,
        }
    }
}

enum Count {
    None,
    Number(usize),
    Negative(usize),
    Bad,
}

fn write_verb(out: &mut Bounded, value: &Value, spec: &Spec) {
    if spec.verb == 'T' {
        pad(
            out,
            value.type_name(),
            &Spec {
                zero: false,
                ..spec.clone()
            },
        );
    } else if let (Value::Nil, 'v') = (value, spec.verb) {
        pad(out, "<nil>", spec);
    } else {
        write_plain(out, value, spec);
    }
}

fn write_plain(out: &mut Bounded, value: &Value, spec: &Spec) {
    if out.is_full() {
        return;
    }
    match value {
        Value::Nil if spec.verb == 'v' => out.push("<nil>"),
        Value::Nil => out.push(&format!("%!{}(<nil>)", spec.verb)),
        Value::Bool(truth) => match spec.verb {
            't' | 'v' => pad(out, if *truth { "true" } else { "false" }, spec),
            _ => bad_verb(out, value, spec),
        },
        Value::Int(number) => write_int(out, value, *number, spec),
        Value::Float(number) => write_float(out, value, *number, spec),
        Value::Str(text) | Value::Safe(_, text) => write_text(out, value, text, spec),
        Value::Duration(nanos) if is_text_verb(spec.verb) => {
            write_text(out, value, &duration_text(*nanos), spec);
        }
        Value::Duration(nanos) => write_int(out, value, *nanos, spec),
        Value::Time(time) => write_text(out, value, &time.text(), spec),
        Value::List(list) => {
            out.push("[");
            for (index, item) in list.items.iter().enumerate() {
                if out.is_full() {
                    return;
                }
                if index > 0 {
                    out.push(" ");
                }
                write_plain(out, item, spec);
            }
            out.push("]");
        }
        Value::Map(Map::Kv(labels)) if is_text_verb(spec.verb) => {
            let pairs: Vec<String> = crate::alertmanager::kv::sorted_pairs(labels)
                .into_iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            write_text(out, value, &pairs.join(", "), spec);
        }
        Value::Map(map) => {
            out.push("map[");
            for (index, (key, item)) in map.entries().iter().enumerate() {
                if out.is_full() {
                    return;
                }
                if index > 0 {
                    out.push(" ");
                }
                write_plain(out, &Value::Str(key.clone()), spec);
                out.push(":");
                write_plain(out, item, spec);
            }
            out.push("]");
        }
        Value::Object(object) => {
            out.push("{");
            for (index, (name, _)) in object.fields().iter().enumerate() {
                if index > 0 {
                    out.push(" ");
                }
                write_plain(out, &object.field(name).unwrap_or(Value::Nil), spec);
            }
            out.push("}");
        }
    }
}

/// Verbs for which a value that can print itself does so.
const fn is_text_verb(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'q' | 'x' | 'X')
}

fn bad_verb(out: &mut Bounded, value: &Value, spec: &Spec) {
    out.push(&format!("%!{}({}=", spec.verb, value.type_name()));
    write_value(out, value);
    out.push(")");
}

fn write_text(out: &mut Bounded, value: &Value, text: &str, spec: &Spec) {
    let cut: &str = match spec.precision {
        Some(precision) => match text.char_indices().nth(precision) {
            Some((end, _)) => &text[..end],
            None => text,
        },
        None => text,
    };
    match spec.verb {
        'v' if spec.sharp => pad(out, &quote(text), spec),
        'v' | 's' => pad(out, cut, spec),
        'q' if spec.sharp && !cut.contains('`') => pad(out, &format!("`{cut}`"), spec),
        'q' => pad(out, &quote(cut), spec),
        'x' | 'X' => {
            let upper = spec.verb == 'X';
            let bytes = text.as_bytes();
            let shown = &bytes[..spec.precision.unwrap_or(bytes.len()).min(bytes.len())];
            if shown.len() > WIDTH_MAX {
                out.full = true;
                return;
            }
            let prefix = match (spec.sharp, upper) {
                (false, _) => "",
                (true, false) => "0x",
                (true, true) => "0X",
            };
            let digits: Vec<String> = shown
                .iter()
                .map(|byte| {
                    if upper {
                        format!("{byte:02X}")
                    } else {
                        format!("{byte:02x}")
                    }
                })
                .collect();
            let text = if spec.space {
                digits
                    .iter()
                    .map(|digit| format!("{prefix}{digit}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            } else if digits.is_empty() {
                String::new()
            } else {
                format!("{prefix}{}", digits.concat())
            };
            pad(out, &text, spec);
        }
        _ => bad_verb(out, value, spec),
    }
}

fn write_int(out: &mut Bounded, value: &Value, number: i64, spec: &Spec) {
    let magnitude = number.unsigned_abs();
    let (digits, prefix) = match spec.verb {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), "0b"),
        'o' => (format!("{magnitude:o}"), "0"),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), "0x"),
        'X' => (format!("{magnitude:X}"), "0X"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or(char::REPLACEMENT_CHARACTER);
            let text = match spec.verb {
                'c' => c.to_string(),
                'q' => quote_char(c),
                _ if spec.sharp => go_rune(c),
                _ => format!("U+{magnitude:04X}"),
            };
            pad(
                out,
                &text,
                &Spec {
                    zero: false,
                    ..spec.clone()
                },
            );
            return;
        }
        _ => return bad_verb(out, value, spec),
    };
    let prefix = if (spec.sharp && spec.verb != 'v') || spec.verb == 'O' {
        prefix
    } else {
        ""
    };
    let sign = sign_of(number < 0, spec);
    let least = match (spec.precision, spec.width) {
        (Some(0), _) if number == 0 => {
            pad(
                out,
                "",
                &Spec {
                    zero: false,
                    ..spec.clone()
                },
            );
            return;
        }
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => {
            width.saturating_sub(sign.len() + prefix.len())
        }
        _ => 0,
    };
    if least > WIDTH_MAX {
        out.full = true;
        return;
    }
    let text = format!("{sign}{prefix}{digits:0>least$}");
    pad(
        out,
        &text,
        &Spec {
            zero: false,
            ..spec.clone()
        },
    );
}

fn write_float(out: &mut Bounded, value: &Value, number: f64, spec: &Spec) {
    let digits = match spec.verb {
        'v' | 'g' | 'G' => match spec.precision {
            None => go_number::format_g(number.abs()),
            Some(precision) => float::general(number.abs(), precision),
        },
        'e' | 'E' => float::exponent(number.abs(), spec.precision.unwrap_or(6)),
        'f' | 'F' => float::fixed(number.abs(), spec.precision.unwrap_or(6)),
        _ => return bad_verb(out, value, spec),
    };
    let special = !number.is_finite();
    let digits = match (number.is_nan(), special) {
        (true, _) => "NaN".to_owned(),
        (_, true) => "Inf".to_owned(),
        _ if matches!(spec.verb, 'E' | 'G') => digits.to_uppercase(),
        _ => digits,
    };
    let negative = number.is_sign_negative() && !number.is_nan();
    // Infinity carries its sign, flag or not.
    let sign = if number == f64::INFINITY && !spec.space {
        "+"
    } else {
        sign_of(negative, spec)
    };
    let zeros = match spec.width {
        Some(width) if spec.zero && !spec.minus && !special => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let text = format!("{sign}{digits:0>zeros$}");
    pad(
        out,
        &text,
        &Spec {
            zero: false,
            ..spec.clone()
        },
    );
}

const fn sign_of(negative: bool, spec: &Spec) -> &'static str {
    match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn pad(out: &mut Bounded, text: &str, spec: &Spec) {
    let Some(width) = spec.width else {
        return out.push(text);
    };
    let missing = width.saturating_sub(text.chars().count());
    let fill = if spec.zero && !spec.minus { "0" } else { " " };
    if spec.minus {
        out.push(text);
        out.push(&" ".repeat(missing));
    } else {
        out.push(&fill.repeat(missing));
        out.push(text);
    }
}

fn quote_char(c: char) -> String {
    match c {
        '\'' => r"'\''".to_owned(),
        '"' => "'\"'".to_owned(),
        _ => {
            let quoted = quote(&c.to_string());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    }
}

/// Go's `Duration.String`, of negative durations too.
pub(crate) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let text = model::go_duration::format(std::time::Duration::from_nanos(nanos.unsigned_abs()));
    format!("{sign}{text}")
}
