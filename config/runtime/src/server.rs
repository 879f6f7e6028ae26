//! The HTTP port: routes with the right that each needs, bound before anything starts, drained at the end.
mod accept;
mod body;
mod connection;
mod deadline;
mod limits;
mod metrics;
mod stream;
mod tls;
mod web;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request};
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower::Layer;
use tower::Service;

use crate::metrics::Metrics;
use crate::server::accept::{Door, accept};
use crate::server::metrics::ServerMetrics;
use crate::stop::Stop;

pub use crate::server::limits::ServerLimits;
pub use crate::server::tls::ServerTlsError;
pub use crate::server::web::{Web, WebError};

/// What a caller must be allowed to do. Every route names one; it travels with the request as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Runs the process: reload, flags.
    Admin,
    /// Changes rules and configurations.
    Edit,
    /// No right needed: health, metrics.
    Public,
    /// Looks.
    Read,
    /// Sends samples and alerts.
    Send,
    /// Creates and expires silences.
    Silence,
}

/// Routes and their rights.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router,
    table: Vec<(String, Right)>,
}

impl Routes {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `methods` at `path`. A path may be added again for other methods that need another right.
    #[must_use]
    pub fn route(mut self, right: Right, path: &str, methods: MethodRouter) -> Self {
        self.router = self.router.route(path, methods.layer(Extension(right)));
        self.table.push((path.to_owned(), right));
        self
    }

    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }

    /// Answers what no route answers.
    #[must_use]
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<T, ()>,
        T: 'static,
    {
        self.router = self.router.fallback(handler);
        self
    }

    /// Wraps every route that was added so far.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.layer(layer);
        self
    }

    /// Every path and the right that it needs.
    #[must_use]
    pub fn table(&self) -> &[(String, Right)] {
        &self.table
    }

    pub fn into_router(self) -> Router {
        self.router
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    pub address: String,
    #[source]
    pub source: io::Error,
}

/// Bound sockets: addresses are known, nothing is served yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    limits: ServerLimits,
    metrics: ServerMetrics,
    web: Option<Arc<Web>>,
}

impl Server {
    /// Binds all addresses, or none: `host:port`, or `:port` for every interface; port 0 lets the system choose.
    pub async fn bind(addresses: &[String]) -> Result<Self, BindError> {
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let listener = listen(address).await.map_err(|source| BindError {
                address: address.clone(),
                source,
            })?;
            listeners.push(listener);
        }
        Ok(Self::with_listeners(listeners))
    }

    /// Of sockets that somebody else has bound.
    pub fn of(sockets: Vec<std::net::TcpListener>) -> io::Result<Self> {
        let listener = |socket: std::net::TcpListener| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        };
        let listeners = sockets.into_iter().map(listener);
        Ok(Self::with_listeners(listeners.collect::<Result<_, _>>()?))
    }

    fn with_listeners(listeners: Vec<TcpListener>) -> Self {
        Self {
            listeners,
            limits: ServerLimits::of_this_process(),
            metrics: ServerMetrics::default(),
            web: None,
        }
    }

    /// In place of [`ServerLimits::of_this_process`].
    #[must_use]
    pub fn with_limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// With TLS, users and what else a web configuration says.
    #[must_use]
    pub fn guarded(mut self, web: Option<Arc<Web>>) -> Self {
        self.web = web;
        self
    }

    /// Shows the port's figures among the others.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        self.metrics.register(metrics);
        self
    }

    /// Where it really listens, in the order given to [`Server::bind`].
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// Serves until `stop`, then lets open requests finish for five seconds at most.
    pub async fn serve(self, router: Router, stop: Stop) {
        let door = Arc::new(Door::new(self.limits, self.metrics, self.web, router));
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, door.clone(), stop.clone()));
        }
        while accepting.join_next().await.is_some() {}
    }
}

/// An empty host is every address of the machine, of both families where it has both.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else {
        return TcpListener::bind(address).await;
    };
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        bound => bound,
    }
}
