//! What a mail session is spoken over: TCP, and from some moment on TLS over TCP.
//!
//! lettre keeps the stream that it is given, and its own STARTTLS knows neither all of `tls_config` nor whether the
//! server said more than it was asked before TLS began. So the stream has two holders: lettre, which speaks, and the
//! session, which puts TLS around it while nothing is being said.
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::connector::{DEAD_AFTER, KEEPALIVES_MAX};
use crate::connector::{KEEPALIVE_AFTER, KEEPALIVE_INTERVAL};

/// RFC 5321 4.5.3.1.5 speaks of 512, and lettre takes so much; but lettre looks only when the line has ended.
const LINE_BYTES_MAX: usize = 1000;

const MESSAGE_END: &[u8] = b"\r\n.\r\n";

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<Any: AsyncRead + AsyncWrite + Unpin + Send> Stream for Any {}

#[derive(Clone)]
pub(crate) struct Wire {
    peer: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// `None` during a handshake, and after one that failed.
    stream: Option<BufReader<Box<dyn Stream>>>,
    has_spoken: bool,
    has_sent_message: bool,
    /// What has come of a line that has not ended.
    begun: Vec<u8>,
    /// What lettre has not taken yet of a line that has.
    ended: VecDeque<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        watch_over(&stream)?;
        let peer = stream.peer_addr()?;
        let state = State {
            stream: Some(BufReader::new(Box::new(stream))),
            has_spoken: false,
            has_sent_message: false,
            begun: Vec::new(),
            ended: VecDeque::new(),
        };
        Ok(Self {
            peer,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// Whether anything was said to the server.
    pub(crate) fn has_spoken(&self) -> bool {
        self.state.lock().has_spoken
    }

    /// Whether the line that ends a message was on its way: before it no server takes a message in (RFC 5321 4.1.1.4).
    pub(crate) fn has_sent_message(&self) -> bool {
        self.state.lock().has_sent_message
    }

    /// From here on everything goes through TLS.
    pub(crate) async fn encrypt(
        &self,
        config: ClientConfig,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let plain = self.state.lock().stream.take().ok_or_else(gone)?;
        // RFC 3207 5: whoever stands in between must not put words into the encrypted session.
        if !plain.buffer().is_empty() {
            return Err(invalid("the server said more before TLS began"));
        }
        let connector = TlsConnector::from(Arc::new(config));
        let encrypted = connector.connect(name, plain.into_inner()).await?;
        self.state.lock().stream = Some(BufReader::new(Box::new(encrypted)));
        Ok(())
    }
}

impl State {
    fn stream(&mut self) -> io::Result<Pin<&mut BufReader<Box<dyn Stream>>>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(gone)
    }

    /// Reads on in the line that has begun.
    fn poll_line(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or_else(gone)?;
        let mut stream = Pin::new(stream);
        let arrived = ready!(stream.as_mut().poll_fill_buf(context))?;
        if arrived.is_empty() {
            let text = "the mail server closed the connection";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
        }
        let end = arrived.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(arrived.len(), |end| end + 1);
        self.begun.extend_from_slice(&arrived[..taken]);
        stream.consume(taken);
        if self.begun.len() > LINE_BYTES_MAX {
            let error = invalid("a line of the mail server's answer is too long");
            return Poll::Ready(Err(error));
        }
        if end.is_some() {
            self.ended = as_lettre_reads(&self.begun).into();
            self.begun.clear();
        }
        Poll::Ready(Ok(()))
    }
}

/// lettre gives up a reply that is not UTF-8, has a code and no text (which RFC 5321 4.2.1 allows), or ends in a bare
/// line feed. After the message that would leave in doubt whether a mail was taken that the server says it took.
fn as_lettre_reads(line: &[u8]) -> Vec<u8> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    let text_is_missing = line.len() == 3;
    let space = if text_is_missing { " " } else { "" };
    format!("{line}{space}\r\n").into_bytes()
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    /// One line at a time: what came behind it stays in the stream, where `encrypt` sees it.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state.lock();
        while state.ended.is_empty() {
            ready!(state.poll_line(context))?;
        }
        let read = state.ended.read(out.initialize_unfilled())?;
        out.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state.lock();
        state.has_spoken = true;
        // A line of the message itself that holds a dot alone is sent with two.
        state.has_sent_message |= bytes.ends_with(MESSAGE_END);
        state.stream()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().stream()?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().stream()?.poll_shutdown(context)
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Wire")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// An answer may be waited for over many minutes, but only of a server that is there.
fn watch_over(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        socket.set_tcp_user_timeout(Some(DEAD_AFTER))?;
        socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVES_MAX))?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_tcp_keepalive(&keepalive)?;
    Ok(())
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
