//! What makes a value safe for the place in HTML where it is printed, as Go's `html/template` does it.
use crate::encoding::{escape_html, escape_query};
use crate::format;
use crate::function::Failure;
use crate::html_context::is_plain_attribute;
use crate::value::{Safety, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escaper {
    /// In a quoted attribute.
    Attribute,
    /// As the name of an attribute.
    AttributeName,
    /// In an attribute without quotes.
    AttributeWithoutQuotes,
    /// In a comment, where nothing is shown.
    Comment,
    /// Between tags.
    Html,
    /// The function `html`, where the template calls it itself.
    HtmlFunction,
    /// In the text of a title or a textarea.
    Rcdata,
    /// In the query or fragment of a URL.
    UrlComponent,
    /// At the start of a URL: only schemes that run nothing.
    UrlFilter,
    /// Before the query of a URL.
    UrlNormalize,
    /// The function `urlquery`, where the template calls it itself.
    UrlQueryFunction,
}

/// Where something unsafe stood. Go writes the same word, so that people find it.
const UNSAFE: &str = "ZgotmplZ";

/// The value's text after all escapers, the first one first.
pub(crate) fn apply(escapers: &[Escaper], value: &Value, max: usize) -> Result<String, Failure> {
    let mut safety = match value {
        Value::Safe(safety, _) => Some(*safety),
        _ => None,
    };
    let mut text = match value {
        Value::Nil => String::new(),
        value => format::print(std::slice::from_ref(value), max)?,
    };
    for escaper in escapers {
        text = escape(*escaper, text, safety);
        safety = None;
    }
    Ok(text)
}

fn escape(escaper: Escaper, text: String, safety: Option<Safety>) -> String {
    let html = safety == Some(Safety::Html);
    match escaper {
        Escaper::Html if html => text,
        Escaper::Rcdata if html => replace(&text, false, false),
        Escaper::Html | Escaper::Rcdata => replace(&text, true, false),
        Escaper::Attribute if html => replace(&strip_tags(&text), false, false),
        Escaper::Attribute => replace(&text, true, false),
        Escaper::AttributeWithoutQuotes if text.is_empty() => UNSAFE.to_owned(),
        Escaper::AttributeWithoutQuotes if html => replace(&strip_tags(&text), false, true),
        Escaper::AttributeWithoutQuotes => replace(&text, true, true),
        Escaper::AttributeName => {
            let name = text.to_ascii_lowercase();
            let legal = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if legal && is_plain_attribute(&name) {
                name
            } else {
                UNSAFE.to_owned()
            }
        }
        Escaper::Comment => String::new(),
        Escaper::HtmlFunction => escape_html(&text),
        Escaper::UrlComponent => percent_encode(&text, safety == Some(Safety::Url)),
        Escaper::UrlFilter if safety == Some(Safety::Url) || is_safe_url(&text) => text,
        Escaper::UrlFilter => format!("#{UNSAFE}"),
        Escaper::UrlNormalize => percent_encode(&text, true),
        Escaper::UrlQueryFunction => escape_query(&text),
    }
}

/// Replaces what HTML could misread. What is HTML already keeps its `&`.
fn replace(text: &str, ampersand: bool, spaces: bool) -> String {
    let mut replaced = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '\0' if spaces => replaced.push_str("&#xfffd;"),
            '\0' => replaced.push('\u{fffd}'),
            '"' => replaced.push_str("&#34;"),
            '&' if ampersand => replaced.push_str("&amp;"),
            '\'' => replaced.push_str("&#39;"),
            '+' => replaced.push_str("&#43;"),
            '<' => replaced.push_str("&lt;"),
            '>' => replaced.push_str("&gt;"),
            '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '=' | '`' if spaces => {
                replaced.push_str(&format!("&#{};", u32::from(c)));
            }
            _ => replaced.push(c),
        }
    }
    replaced
}

/// The text of a piece of HTML that stands in an attribute.
fn strip_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let after = &rest[start + 1..];
        let is_tag = after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match after.find('>').filter(|_| is_tag) {
            Some(end) => {
                text.push_str(&rest[..start]);
                rest = &after[end + 1..];
            }
            None => {
                text.push_str(&rest[..=start]);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

/// No scheme, or one of those that run nothing.
fn is_safe_url(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => ["http", "https", "mailto"]
            .iter()
            .any(|safe| scheme.eq_ignore_ascii_case(safe)),
        _ => true,
    }
}

/// `keep_structure` leaves what separates the parts of a URL, and escapes that are there already.
fn percent_encode(text: &str, keep_structure: bool) -> String {
    let bytes = text.as_bytes();
    let mut encoded = String::with_capacity(text.len());
    for (index, byte) in bytes.iter().enumerate() {
        let plain = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?'
            | b'@' | b'[' | b']' => keep_structure,
            b'%' => {
                keep_structure
                    && bytes
                        .get(index + 1..index + 3)
                        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            }
            _ => false,
        };
        if plain {
            encoded.push(char::from(*byte));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}
