//! Mails as a mailbox holds them, and reading them as a mail program does.
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::Timestamp;

/// A mail that the server took.
#[derive(Clone, Debug, PartialEq)]
pub struct Mail {
    /// The session that brought it.
    pub session: u64,
    /// When the last byte of it had come.
    pub arrived_at: Timestamp,
    /// When the server's word that it has the mail was with the operating system; `None` where that word was never
    /// given.
    pub answered_at: Option<Timestamp>,
    /// Envelope addresses.
    pub from: String,
    pub recipients: Vec<String>,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Who logged in, if anybody.
    pub user: Option<String>,
    /// Header block and body with CRLF line ends, dots unstuffed.
    pub message: Vec<u8>,
}

impl Mail {
    /// A header's value, unfolded and with encoded words decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        header(&head(&self.message), name)
    }

    #[must_use]
    pub fn subject(&self) -> String {
        self.header("Subject").unwrap_or_default()
    }

    /// The decoded content of the first part of a type, for example `text/html`.
    #[must_use]
    pub fn part(&self, kind: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.message);
        let (_, body) = text.split_once("\r\n\r\n")?;
        let content_type = self.header("Content-Type").unwrap_or_default();
        let Some((_, boundary)) = content_type.split_once("boundary=") else {
            return content_type
                .starts_with(kind)
                .then(|| decoded(&head(&self.message), body));
        };
        let delimiter = format!("--{}", boundary.trim_matches('"'));
        body.split(&delimiter).find_map(|part| {
            let (own_head, content) = part.split_once("\r\n\r\n")?;
            let own_type = header(own_head, "Content-Type")?;
            own_type
                .starts_with(kind)
                .then(|| decoded(own_head, content.strip_suffix("\r\n").unwrap_or(content)))
        })
    }
}

/// What is wrong with the form of a message (RFC 5321 4.5.3, RFC 5322 2 and 3.6), if anything.
pub(crate) fn malformed(message: &[u8]) -> Option<String> {
    const LINE_BYTES_MAX: usize = 998;
    for line in message.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_BYTES_MAX {
            return Some("line too long".to_owned());
        }
        if line.contains(&b'\r') {
            return Some("bare carriage return".to_owned());
        }
    }
    let head = head(message);
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        let named = line.split_once(':').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
        });
        if !(named || line.starts_with([' ', '\t'])) {
            return Some(format!("not a header: {line}"));
        }
        if !line.is_ascii() || line.bytes().any(|byte| byte < b' ' && byte != b'\t') {
            return Some(format!("a header that is not printable ASCII: {line}"));
        }
    }
    for name in ["From", "Date", "Message-Id"] {
        let count = head
            .split("\r\n")
            .filter(|line| {
                line.split_once(':')
                    .is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
            })
            .count();
        if count != 1 {
            return Some(format!("{count} headers of the name {name}"));
        }
    }
    None
}

/// The header block, without its last line end.
fn head(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    match text.split_once("\r\n\r\n") {
        Some((head, _)) => head.to_owned(),
        None => text.into_owned(),
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    unfolded.split("\r\n").find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.trim()
            .eq_ignore_ascii_case(name)
            .then(|| decode_words(value.trim()))
    })
}

/// RFC 2047: `=?utf-8?q?…?=` and `=?utf-8?b?…?=`; blanks between two encoded words are not part of the text.
fn decode_words(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, length)) = decode_word(word) else {
            bytes.extend_from_slice(before.as_bytes());
            bytes.extend_from_slice(b"=?");
            rest = &word[2..];
            after_word = false;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            bytes.extend_from_slice(before.as_bytes());
        }
        bytes.extend_from_slice(&decoded);
        rest = &word[length..];
        after_word = true;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn decode_word(word: &str) -> Option<(Vec<u8>, usize)> {
    let mut parts = word.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (text, _) = rest.split_once("?=")?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = match encoding.to_ascii_lowercase().as_str() {
        "q" => unquote(&text.replace('_', " ")),
        "b" => BASE64.decode(text).ok()?,
        _ => return None,
    };
    Some((
        decoded,
        "=?".len() + charset.len() + 1 + encoding.len() + 1 + text.len() + "?=".len(),
    ))
}

fn decoded(head: &str, content: &str) -> String {
    let encoding = header(head, "Content-Transfer-Encoding").unwrap_or_default();
    let bytes = if encoding.eq_ignore_ascii_case("quoted-printable") {
        unquote(&content.replace("=\r\n", ""))
    } else {
        content.as_bytes().to_vec()
    };
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
}

/// `=C3=A9` to bytes; what is not such a code stays as it is.
fn unquote(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'=')
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::{Mail, malformed};

    const MESSAGE: &str = "From: a@b\r\nSubject: =?utf-8?q?=C3=A9t=C3=A9_?=\r\n =?utf-8?q?=5Bx=5D?= plain\r\n\
        Date: d\r\nMessage-Id: <i>\r\nContent-Type: multipart/alternative;  boundary=xyz\r\n\r\n\
        --xyz\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n\
        <p>=C3=A9 long=\r\n line</p>\r\n--xyz--\r\n";

    #[test]
    fn reads_what_was_encoded() {
        let mail = Mail {
            session: 0,
            arrived_at: Timestamp::from_secs(0),
            answered_at: None,
            from: String::new(),
            recipients: Vec::new(),
            encrypted: false,
            user: None,
            message: MESSAGE.as_bytes().to_vec(),
        };
        assert_eq!(mail.subject(), "été [x] plain");
        assert_eq!(
            mail.part("text/html").as_deref(),
            Some("<p>é long line</p>")
        );
        assert_eq!(mail.part("text/plain"), None);
    }

    #[test]
    fn knows_a_broken_message() {
        for (from, to, said) in [
            ("", "", None),
            (
                "Date: d",
                "Date: é",
                Some("a header that is not printable ASCII: Date: é"),
            ),
            ("Date: d\r\n", "", Some("0 headers of the name Date")),
            ("Date: d", "oops", Some("not a header: oops")),
            ("Date: d", "Date: d\rx", Some("bare carriage return")),
        ] {
            let message = MESSAGE.replacen(from, to, 1);
            assert_eq!(malformed(message.as_bytes()).as_deref(), said);
        }
    }
}
