//! HTTP/1.1 as far as a fake needs it, by hand: a library would not say when an answer has left whole, nor close a
//! connection in the middle.
use std::fmt;

use axum::http::StatusCode;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
};

/// Longest request line or header line.
const LINE_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 200;
/// Twice what the most generous vendor takes; past it the answer is 413.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    pub path: String,
    /// Without the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpRequest {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a query parameter, as it is written.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    fn keeps_alive(&self) -> bool {
        !self
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
            body: body.into(),
        }
    }

    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![(
                "content-type".into(),
                "application/json; charset=utf-8".into(),
            )],
            body: body.to_string(),
        }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Why no request could be read.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// The client went away.
    Gone,
    /// It is not HTTP, or too much of it: this is answered, then the connection closes.
    Refused(Answer),
}

impl From<std::io::Error> for ReadFailure {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// The next request of a connection, with whether the connection may be used again.
pub(crate) async fn read_request<Stream>(
    stream: &mut Stream,
) -> Result<(HttpRequest, bool), ReadFailure>
where
    Stream: AsyncBufRead + AsyncWrite + Unpin,
{
    let line = read_line(stream).await?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version @ ("HTTP/1.1" | "HTTP/1.0")), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(refused(400, "not a request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: read_headers(stream).await?,
        body: Vec::new(),
    };
    if version == "HTTP/1.1" && request.header("host").is_none() {
        return Err(refused(400, "no host"));
    }
    if request.header("expect") == Some("100-continue") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        stream.flush().await?;
    }
    request.body = read_body(stream, &request).await?;
    let again = version == "HTTP/1.1" && request.keeps_alive();
    Ok((request, again))
}

/// Returns once the last byte is with the operating system.
pub(crate) async fn write_answer<Stream: AsyncWrite + Unpin>(
    stream: &mut Stream,
    answer: &Answer,
    head_only: bool,
    again: bool,
) -> std::io::Result<()> {
    let reason = StatusCode::from_u16(answer.status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("");
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", answer.status);
    for (name, value) in &answer.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.status != 204 {
        text.push_str(&format!("content-length: {}\r\n", answer.body.len()));
    }
    if !again {
        text.push_str("connection: close\r\n");
    }
    text.push_str("\r\n");
    if !head_only && answer.status != 204 {
        text.push_str(&answer.body);
    }
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

fn refused(status: u16, text: &str) -> ReadFailure {
    ReadFailure::Refused(Answer::text(status, text))
}

async fn read_line<Stream: AsyncBufRead + Unpin>(
    stream: &mut Stream,
) -> Result<String, ReadFailure> {
    let mut line = Vec::new();
    let mut bounded = (&mut *stream).take(LINE_BYTES_MAX as u64);
    bounded.read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\n") {
        return Err(if line.len() == LINE_BYTES_MAX {
            refused(431, "line too long")
        } else {
            ReadFailure::Gone
        });
    }
    line.pop();
    if line.pop() != Some(b'\r') {
        return Err(refused(400, "a line without carriage return"));
    }
    String::from_utf8(line).map_err(|_| refused(400, "a line that is not text"))
}

async fn read_headers<Stream: AsyncBufRead + Unpin>(
    stream: &mut Stream,
) -> Result<Vec<(String, String)>, ReadFailure> {
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            return Ok(headers);
        }
        let Some((name, value)) = line.split_once(':') else {
            return Err(refused(400, "not a header"));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        if headers.len() > HEADERS_MAX {
            return Err(refused(431, "too many headers"));
        }
    }
}

async fn read_body<Stream: AsyncBufRead + Unpin>(
    stream: &mut Stream,
    request: &HttpRequest,
) -> Result<Vec<u8>, ReadFailure> {
    if request.header("transfer-encoding") == Some("chunked") {
        return read_chunks(stream).await;
    }
    let Some(length) = request.header("content-length") else {
        return Ok(Vec::new());
    };
    let length: usize = length
        .parse()
        .map_err(|_| refused(400, "not a content length"))?;
    let mut body = Vec::new();
    read_part(stream, length, &mut body).await?;
    Ok(body)
}

async fn read_chunks<Stream: AsyncBufRead + Unpin>(
    stream: &mut Stream,
) -> Result<Vec<u8>, ReadFailure> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream).await?;
        let size = line.split(';').next().unwrap_or("").trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| refused(400, "not a chunk size"))?;
        if size == 0 {
            read_headers(stream).await?;
            return Ok(body);
        }
        read_part(stream, size, &mut body).await?;
        if !read_line(stream).await?.is_empty() {
            return Err(refused(400, "a chunk is longer than its size"));
        }
    }
}

async fn read_part<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    length: usize,
    body: &mut Vec<u8>,
) -> Result<(), ReadFailure> {
    let start = body.len();
    if length > BODY_BYTES_MAX - start.min(BODY_BYTES_MAX) {
        return Err(refused(413, "body too large"));
    }
    body.resize(start + length, 0);
    stream.read_exact(&mut body[start..]).await?;
    Ok(())
}
