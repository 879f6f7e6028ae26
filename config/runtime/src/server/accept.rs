//! Who comes in, and who is turned away.
//!
//! Past the bound a connection is closed at once. Left in the kernel's queue it would wait for nobody knows how long,
//! no figure would show it, and the ruler's own alerts would stand in the same queue.
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tracing::{error, warn};

use crate::server::connection::{Serving, serve_stream};
use crate::server::limits::ServerLimits;
use crate::server::metrics::ServerMetrics;
use crate::server::web::Web;
use crate::stop::Stop;
use crate::trouble::Trouble;

/// While the process may open no more files, trying again at once would only burn a processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Where connections come from. Tests put a listener here that fails.
pub(crate) trait Listener: Send + 'static {
    fn next(&mut self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.accept().await
    }
}

/// What the listeners of one server share.
pub(crate) struct Door {
    serving: Arc<Serving>,
    places: Arc<Semaphore>,
    own_places: Arc<Semaphore>,
    full: Trouble,
    accepting: Trouble,
    panics: Trouble,
}

impl Door {
    pub(crate) fn new(
        limits: ServerLimits,
        metrics: ServerMetrics,
        web: Option<Arc<Web>>,
        router: Router,
    ) -> Self {
        let places = |max: usize| Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self {
            places: places(limits.connections_max),
            own_places: places(limits.own_connections_max),
            serving: Arc::new(Serving {
                router,
                limits,
                metrics,
                web,
            }),
            full: Trouble::new(),
            accepting: Trouble::new(),
            panics: Trouble::new(),
        }
    }

    /// A place for as long as what this answers is kept.
    fn place_for(&self, stream: &TcpStream, peer: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok().or_else(|| {
            let own = is_own(stream, peer).then(|| self.own_places.clone());
            own.and_then(|places| places.try_acquire_owned().ok())
        });
        if place.is_none() {
            self.serving.metrics.refused.inc();
            if let Some(left_out) = self.full.happened() {
                let connections_max = self.serving.limits.connections_max;
                warn!(%peer, connections_max, left_out, "connection refused: as many as the limit allows are open");
            }
        }
        place
    }

    async fn accept_failed(&self, problem: &io::Error) {
        // One client's bad luck says nothing about the next.
        if matches!(
            problem.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
        ) {
            return;
        }
        if let Some(left_out) = self.accepting.happened() {
            error!(error = %problem, left_out, "connections cannot be accepted, will be tried again");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    fn ended(&self, ended: &Result<(), JoinError>) {
        if ended.as_ref().is_err_and(JoinError::is_panic)
            && let Some(left_out) = self.panics.happened()
        {
            error!(left_out, "a request's handler failed unexpectedly");
        }
    }
}

/// Accepts until `stop`, then waits for open requests, though not for long.
pub(crate) async fn accept(mut listener: impl Listener, door: Arc<Door>, mut stop: Stop) {
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!({
        let mut stop = stop.clone();
        async move { stop.stopped().await }
    });
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(ended) = connections.join_next() => door.ended(&ended),
            next = listener.next() => match next {
                Ok((stream, peer)) => {
                    if let Some(times) = door.accepting.is_over() {
                        warn!(left_out = times, "connections are accepted again");
                    }
                    if let Some(place) = door.place_for(&stream, peer) {
                        let (serving, stop) = (door.serving.clone(), stop.clone());
                        connections.spawn(async move {
                            serve_stream(serving, stream, stop).await;
                            drop(place);
                        });
                    }
                }
                Err(problem) => tokio::select! {
                    () = door.accept_failed(&problem) => {}
                    () = stop.stopped() => {}
                },
            },
        }
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            door.ended(&ended);
        }
    };
    // What is still open then is cut off with the set.
    let _ = tokio::time::timeout(door.serving.limits.drain_time_max, drained).await;
}

/// From this machine: by loopback, or by the very address that was called.
fn is_own(stream: &TcpStream, peer: SocketAddr) -> bool {
    let peer = peer.ip().to_canonical();
    let is_called = |called: SocketAddr| called.ip().to_canonical() == peer;
    peer.is_loopback() || stream.local_addr().is_ok_and(is_called)
}
