//! Words that several parts of the configuration are made of.
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A text that is never printed: it has no `Display`, and `Debug` says `<secret>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for whoever sends it to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("<secret>")
    }
}

/// A secret, or the file that holds it; a file is read anew at each use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    File(PathBuf),
    Inline(Secret),
}

/// Text of the Go text/template language, expanded when a notification is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateText(String);

impl TemplateText {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Any YAML value whose texts (keys of maps too) are templates.
#[derive(Clone, Debug, PartialEq)]
pub enum TemplateValue {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(TemplateText),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl TemplateValue {
    /// The value's texts with their paths below `path`; keys are texts too.
    pub(crate) fn collect_texts(&self, path: &str, texts: &mut Vec<(String, TemplateText)>) {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {}
            Self::Text(text) => texts.push((path.to_owned(), text.clone())),
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.collect_texts(&format!("{path}[{index}]"), texts);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let path = format!("{path}.{key}");
                    texts.push((path.clone(), TemplateText::new(key.as_str())));
                    value.collect_texts(&path, texts);
                }
            }
        }
    }
}

/// An absolute `http` or `https` address, kept as it was written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    written: String,
    parsed: url::Url,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HttpUrlError {
    #[error("{0}")]
    Malformed(String),
    #[error("missing host for URL")]
    MissingHost,
    #[error("unsupported scheme {} for URL", model::go_quote::quote(.0))]
    UnsupportedScheme(String),
}

impl HttpUrl {
    pub fn parse(text: &str) -> Result<Self, HttpUrlError> {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let scheme = if is_scheme {
            scheme.to_ascii_lowercase()
        } else {
            String::new()
        };
        if scheme != "http" && scheme != "https" {
            return Err(HttpUrlError::UnsupportedScheme(scheme));
        }
        // The url crate finds a host even in `http:///path`; Go does not.
        let authority = text[scheme.len() + 1..].strip_prefix("//").unwrap_or("");
        if authority.is_empty() || authority.starts_with(['/', '?', '#', ':']) {
            return Err(HttpUrlError::MissingHost);
        }
        match url::Url::parse(text) {
            Ok(parsed) => Ok(Self {
                written: text.to_owned(),
                parsed,
            }),
            Err(url::ParseError::EmptyHost) => Err(HttpUrlError::MissingHost),
            Err(error) => Err(HttpUrlError::Malformed(format!(
                "parse {}: {error}",
                model::go_quote::quote(text)
            ))),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// With a slash at the end of its path, for addresses that paths are appended to.
    pub(crate) fn as_folder(&self) -> Self {
        let end = self.written.find(['?', '#']);
        let (path, rest) = self.written.split_at(end.unwrap_or(self.written.len()));
        if path.ends_with('/') {
            return self.clone();
        }
        Self::parse(&format!("{path}/{rest}")).unwrap_or_else(|_| self.clone())
    }

    #[must_use]
    pub fn parsed(&self) -> &url::Url {
        &self.parsed
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.written)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// `host:port`, of a mail server: the port may be a number or a service's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: String,
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HostPortError {
    #[error("address {address}: {reason}")]
    Malformed {
        address: String,
        reason: &'static str,
    },
    #[error("address {}: port cannot be empty", model::go_quote::quote(.0))]
    EmptyPort(String),
}

impl HostPort {
    /// Go's `net.SplitHostPort`, and a port that is not empty.
    pub fn parse(text: &str) -> Result<Self, HostPortError> {
        let malformed = |reason| HostPortError::Malformed {
            address: text.to_owned(),
            reason,
        };
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| malformed("missing port in address"))?;
        let host = if let Some(inside) = host.strip_prefix('[') {
            inside
                .strip_suffix(']')
                .ok_or_else(|| malformed("missing port in address"))?
        } else if host.contains(':') {
            return Err(malformed("too many colons in address"));
        } else {
            host
        };
        if port.is_empty() {
            return Err(HostPortError::EmptyPort(text.to_owned()));
        }
        Ok(Self {
            host: host.to_owned(),
            port: port.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HostPort, HttpUrl, Secret, SecretSource};

    #[test]
    fn secrets_are_not_printed() {
        let source = SecretSource::Inline(Secret::new("hunter2"));
        assert_eq!(format!("{source:?}"), "Inline(<secret>)");
    }

    #[test]
    fn addresses_are_http_with_a_host() {
        for (text, said) in [
            ("http://x", "http://x"),
            ("https://x:1/a?b=c", "https://x:1/a?b=c"),
            ("HTTP://x/", "HTTP://x/"),
            ("ftp://x", r#"unsupported scheme "ftp" for URL"#),
            ("x", r#"unsupported scheme "" for URL"#),
            ("", r#"unsupported scheme "" for URL"#),
            ("http://", "missing host for URL"),
            ("http:///a", "missing host for URL"),
            ("http:x", "missing host for URL"),
        ] {
            let answer = match HttpUrl::parse(text) {
                Ok(url) => url.to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(answer, said, "{text}");
        }
    }

    #[test]
    fn hosts_have_ports() {
        for (text, said) in [
            ("127.0.0.1:2525", "127.0.0.1:2525"),
            ("[::1]:smtp", "[::1]:smtp"),
            (":25", ":25"),
            ("x", "address x: missing port in address"),
            ("x:", r#"address "x:": port cannot be empty"#),
            ("a:b:1", "address a:b:1: too many colons in address"),
        ] {
            let answer = match HostPort::parse(text) {
                Ok(host_port) => host_port.to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(answer, said, "{text}");
        }
    }
}
