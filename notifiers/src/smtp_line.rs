//! SMTP's lines: commands out, replies in.
use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// RFC 5321 4.5.3.1.5 speaks of 512; servers with long tales exist.
const LINE_BYTES_MAX: u64 = 4096;
const LINES_MAX: usize = 100;

/// What a session is spoken over: TCP, or TLS over TCP.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<Stream: AsyncRead + AsyncWrite + Unpin + Send> Wire for Stream {}

/// The server's answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// Without their codes.
    pub(crate) lines: Vec<String>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        self.lines.join(" ")
    }
}

pub(crate) struct Connection {
    wire: BufReader<Box<dyn Wire>>,
}

impl Connection {
    pub(crate) fn new(wire: Box<dyn Wire>) -> Self {
        Self {
            wire: BufReader::new(wire),
        }
    }

    /// The bare wire; `None` where something was read ahead that nobody asked for.
    pub(crate) fn into_wire(self) -> Option<Box<dyn Wire>> {
        self.wire
            .buffer()
            .is_empty()
            .then(|| self.wire.into_inner())
    }

    /// One command and its reply. A line break in a command would be a second command: it is refused.
    pub(crate) async fn command(&mut self, command: &str) -> io::Result<Reply> {
        if command.contains(['\r', '\n', '\0']) {
            let text = "a mail command must not hold line breaks";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.write(format!("{command}\r\n").as_bytes()).await?;
        self.read_reply().await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.get_mut().write_all(bytes).await?;
        self.wire.get_mut().flush().await
    }

    pub(crate) async fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.read_line().await?;
            let code = line
                .get(..3)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| invalid("the mail server's answer is not SMTP"))?;
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line.get(4..).unwrap_or("").to_owned());
            if !more {
                return Ok(Reply { code, lines });
            }
            if lines.len() >= LINES_MAX {
                return Err(invalid("the mail server's answer does not end"));
            }
        }
    }

    async fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.wire).take(LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            let text = "the mail server closed the connection";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        if !line.ends_with(b"\n") {
            return Err(invalid("a line of the mail server's answer does not end"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A message as it goes over the wire: each line that begins with a dot gets another one, and a lone dot ends it
/// (RFC 5321 4.5.2).
pub(crate) fn dot_stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::dot_stuffed;

    #[test]
    fn dots_are_doubled_and_one_ends() {
        for (message, stuffed) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".\r\n..x\r\ny.\r\n", "..\r\n...x\r\ny.\r\n.\r\n"),
            ("", "\r\n.\r\n"),
        ] {
            assert_eq!(
                dot_stuffed(message.as_bytes()),
                stuffed.as_bytes(),
                "{message:?}"
            );
        }
    }
}
