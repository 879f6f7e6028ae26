//! A port of loopback behind which one or several HTTP vendors sit.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http::{Answer, HttpRequest, ReadFailure, read_request, write_answer};
use crate::tls::Tls;

/// Where requests go.
pub(crate) trait Desk: Send + Sync {
    fn owns(&self, path: &str) -> bool;
    fn receive(&self, request: HttpRequest) -> Receipt;
    /// The whole answer to the request of that number has left.
    fn answered(&self, number: u64);
}

/// What the connection is to do about a request.
pub(crate) struct Receipt {
    pub(crate) number: u64,
    pub(crate) delay: Duration,
    pub(crate) ending: Ending,
}

pub(crate) enum Ending {
    Answer(Answer),
    Close,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    encrypted: bool,
    strays: Arc<Mutex<Vec<String>>>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

impl Server {
    /// # Panics
    /// Where loopback has no free port: no test can go on without.
    pub(crate) async fn start(desks: Vec<Arc<dyn Desk>>, tls: Option<&Tls>) -> Self {
        let (listener, address) = bind().await;
        let strays = Arc::new(Mutex::new(Vec::new()));
        let counter = Arc::new(Counter {
            desks,
            strays: strays.clone(),
        });
        let encrypted = tls.is_some();
        let accepting = tokio::spawn(accept(listener, tls.map(Tls::acceptor), counter));
        Self {
            address,
            encrypted,
            strays,
            accepting: Mutex::new(Some(accepting)),
        }
    }

    pub(crate) fn base_url(&self) -> String {
        if self.encrypted {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// Method and path of requests that no vendor here owns; they were answered 404.
    pub(crate) fn strays(&self) -> Vec<String> {
        self.strays.lock().clone()
    }

    pub(crate) async fn stop(&self) {
        let accepting = self.accepting.lock().take();
        if let Some(accepting) = accepting {
            accepting.abort();
            // Aborted on purpose: how it ended says nothing.
            let _ = accepting.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.lock().take() {
            accepting.abort();
        }
    }
}

struct Counter {
    desks: Vec<Arc<dyn Desk>>,
    strays: Arc<Mutex<Vec<String>>>,
}

/// Ends with the server; dropping the set closes all connections.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, counter: Arc<Counter>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        without_delay(&stream);
        let (tls, counter) = (tls.clone(), counter.clone());
        connections.spawn(async move {
            match tls {
                None => converse(stream, &counter).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, &counter).await;
                    }
                }
            }
        });
    }
}

async fn converse<Stream: AsyncRead + AsyncWrite + Unpin>(stream: Stream, counter: &Counter) {
    let mut stream = BufStream::new(stream);
    loop {
        let (request, again) = match read_request(&mut stream).await {
            Ok(read) => read,
            Err(ReadFailure::Gone) => return,
            Err(ReadFailure::Refused(answer)) => {
                // The client may have left already.
                let _ = write_answer(&mut stream, &answer, false, false).await;
                return;
            }
        };
        let head_only = request.method == "HEAD";
        let Some(desk) = counter.desks.iter().find(|desk| desk.owns(&request.path)) else {
            let stray = format!("{} {}", request.method, request.path);
            counter.strays.lock().push(stray);
            let nobody = Answer::text(404, "no vendor lives here");
            if write_answer(&mut stream, &nobody, head_only, again)
                .await
                .is_err()
                || !again
            {
                return;
            }
            continue;
        };
        let receipt = desk.receive(request);
        if !waited(&mut stream, receipt.delay).await {
            return;
        }
        let Ending::Answer(answer) = receipt.ending else {
            return;
        };
        if write_answer(&mut stream, &answer, head_only, again)
            .await
            .is_err()
        {
            return;
        }
        desk.answered(receipt.number);
        if !again {
            return;
        }
    }
}

/// Whether the client still was there when the delay was over.
async fn waited<Stream: AsyncBufRead + Unpin>(stream: &mut Stream, delay: Duration) -> bool {
    if delay.is_zero() {
        return true;
    }
    let hangs_up = async {
        match stream.fill_buf().await {
            // More of it: the client is there, and the delay goes on.
            Ok(bytes) if !bytes.is_empty() => std::future::pending().await,
            Ok(_) | Err(_) => {}
        }
    };
    tokio::select! {
        () = tokio::time::sleep(delay) => true,
        () = hangs_up => false,
    }
}

/// A free port of loopback.
pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("loopback has a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, address)
}

/// Small answers must not wait for each other.
pub(crate) fn without_delay(stream: &TcpStream) {
    // Where it cannot be set, answers are only slower.
    let _ = stream.set_nodelay(true);
}
