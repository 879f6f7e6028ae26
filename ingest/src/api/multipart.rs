//! Forms in many parts (`multipart/form-data`), as `curl -F` sends them.
use bytes::Bytes;

/// Go's bound.
const PARTS_MAX: usize = 1000;
/// RFC 2046.
const BOUNDARY_CHARS_MAX: usize = 70;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("no multipart boundary param in Content-Type")]
    NoBoundary,
    #[error("form has more than {PARTS_MAX} parts")]
    TooManyParts,
    #[error("form ends before its last part does")]
    Unfinished,
    #[error("part has no header of a form")]
    Unnamed,
}

/// The boundary that a `Content-Type` names.
pub(crate) fn boundary(content_type: &str) -> Result<String, MultipartError> {
    let (_, parameters) = content_type
        .split_once(';')
        .ok_or(MultipartError::NoBoundary)?;
    parameter(parameters, "boundary")
        .filter(|boundary| (1..=BOUNDARY_CHARS_MAX).contains(&boundary.len()))
        .ok_or(MultipartError::NoBoundary)
}

/// Names and values in the order of the parts; parts that are files are left out.
pub(crate) fn fields(
    body: &Bytes,
    boundary: &str,
) -> Result<Vec<(String, String)>, MultipartError> {
    let delimiter = format!("--{boundary}");
    let mut rest = after_preamble(body, delimiter.as_bytes())?;
    let mut fields = Vec::new();
    for _ in 0..PARTS_MAX {
        if rest.starts_with(b"--") {
            return Ok(fields);
        }
        let (_, part) = line(rest).ok_or(MultipartError::Unfinished)?;
        let (name, content) = head(part)?;
        let end = delimited(content, &delimiter).ok_or(MultipartError::Unfinished)?;
        if let Some(name) = name {
            // The line end before it is the header's; an empty part may have no other.
            let value = content.get(1..end).unwrap_or_default();
            let value = value.strip_suffix(b"\r").unwrap_or(value);
            fields.push((name, String::from_utf8_lossy(value).into_owned()));
        }
        rest = &content[end + 1 + delimiter.len()..];
    }
    if rest.starts_with(b"--") {
        Ok(fields)
    } else {
        Err(MultipartError::TooManyParts)
    }
}

/// What follows the first delimiter, which begins a line.
fn after_preamble<'b>(body: &'b [u8], delimiter: &[u8]) -> Result<&'b [u8], MultipartError> {
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix(delimiter) {
            return Ok(after);
        }
        (_, rest) = line(rest).ok_or(MultipartError::Unfinished)?;
    }
}

/// The name of a part that is no file, and the part from the end of its header's last line.
fn head(part: &[u8]) -> Result<(Option<String>, &[u8]), MultipartError> {
    let mut rest = part;
    let mut name = None;
    loop {
        let (header, after) = line(rest).ok_or(MultipartError::Unfinished)?;
        if header.is_empty() {
            break;
        }
        rest = after;
        let header = String::from_utf8_lossy(header);
        let (key, value) = header.split_once(':').ok_or(MultipartError::Unnamed)?;
        if !key.trim().eq_ignore_ascii_case("content-disposition") {
            continue;
        }
        let (kind, parameters) = value.split_once(';').ok_or(MultipartError::Unnamed)?;
        let is_file = parameter(parameters, "filename").is_some();
        if kind.trim().eq_ignore_ascii_case("form-data") && !is_file {
            name = parameter(parameters, "name");
        }
    }
    Ok((name, rest.strip_prefix(b"\r").unwrap_or(rest)))
}

/// Where the line ends behind which the next delimiter stands.
fn delimited(content: &[u8], delimiter: &str) -> Option<usize> {
    let wanted = format!("\n{delimiter}");
    let mut from = 0;
    loop {
        let found = content[from..]
            .windows(wanted.len())
            .position(|window| window == wanted.as_bytes())?;
        let at = from + found;
        let after = &content[at + wanted.len()..];
        if after.starts_with(b"--") || after.first().is_none_or(u8::is_ascii_whitespace) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Of `; a=b; c="d \" e"` the value of a name; names are in any case.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (value, rest) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), rest)
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
    }
}

/// What stands before the closing quote, and what follows it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut plain = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((plain, &text[at + 1..])),
            '\\' => plain.push(chars.next()?.1),
            char => plain.push(char),
        }
    }
    None
}

/// A line without its end, and what follows; `None` where no line ends.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let text = &bytes[..end];
    Some((text.strip_suffix(b"\r").unwrap_or(text), &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::{MultipartError, PARTS_MAX, boundary, fields};

    fn part(disposition: &str, content: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
    }

    fn read(body: &str) -> Result<Vec<(String, String)>, MultipartError> {
        fields(&body.to_owned().into(), "b")
    }

    #[test]
    fn the_boundary_is_a_parameter_of_the_type() {
        for (content_type, expected) in [
            ("multipart/form-data; boundary=b-1", Some("b-1")),
            (
                "multipart/form-data; charset=x; Boundary=\"a; \\\" b\"",
                Some("a; \" b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"open", None),
            ("multipart/form-data; bounda", None),
        ] {
            assert_eq!(
                boundary(content_type),
                expected
                    .map(str::to_owned)
                    .ok_or(MultipartError::NoBoundary),
                "{content_type}"
            );
        }
        let long = "b".repeat(71);
        assert!(boundary(&format!("multipart/form-data; boundary={long}")).is_err());
    }

    #[test]
    fn parts_are_names_and_values() {
        let many = part("name=\"x\"", "").repeat(PARTS_MAX);
        for (body, expected) in [
            ("--b--\r\n".to_owned(), Ok(vec![])),
            (
                format!("preamble\r\n{}--b--", part("name=query", "--up{a=\"b\"}\r\n--bb\r\n-- --b")),
                Ok(vec![("query", "--up{a=\"b\"}\r\n--bb\r\n-- --b")]),
            ),
            (
                format!("{}{}--b--\r\n", part("name=\"a\"", ""), part("name=\"a\"", "2")),
                Ok(vec![("a", ""), ("a", "2")]),
            ),
            // With bare line feeds, an empty part that has no line of its own, and headers of other kinds.
            (
                "--b\nContent-Type: text/plain\ncontent-disposition: form-data; name=\"a\"\n\n--b  \nContent-Disposition: form-data; name=c\n\n1\n--b--".to_owned(),
                Ok(vec![("a", ""), ("c", "1")]),
            ),
            (
                format!("{}{}--b--", part("name=f; filename=\"x\"", "1"), part("name=\"q\\\"\"", "2")),
                Ok(vec![("q\"", "2")]),
            ),
            (String::new(), Err(MultipartError::Unfinished)),
            ("--b".to_owned(), Err(MultipartError::Unfinished)),
            (part("name=a", "1"), Err(MultipartError::Unfinished)),
            ("--b\r\nContent-Disposition: form-data; name=a\r\n".to_owned(), Err(MultipartError::Unfinished)),
            ("--b\r\nno header\r\n\r\n1\r\n--b--".to_owned(), Err(MultipartError::Unnamed)),
            (format!("{many}{}--b--", part("name=a", "1")), Err(MultipartError::TooManyParts)),
        ] {
            let found = read(&body);
            let expected = expected.map(|pairs: Vec<(&str, &str)>| {
                let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
                pairs.into_iter().map(owned).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{body}");
        }
        assert_eq!(read(&format!("{many}--b--")).unwrap().len(), PARTS_MAX);
    }

    #[test]
    fn whatever_is_cut_off_is_refused_and_never_panics() {
        let whole = format!("{}{}--b--", part("name=\"a\"", "é"), part("name=c", "1"));
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        assert!(read(&whole).is_ok());
    }
}
