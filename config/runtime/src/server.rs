//! The HTTP port: routes with the right that each needs, bound before anything starts, drained at the end.
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Extension, Request};
use axum::handler::Handler;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, Route};
use axum::{Router, serve};
use tokio::net::TcpListener;
use tower::Layer;
use tower::Service;

use crate::stop::Stop;

/// How long open requests may take once the process was told to end.
const DRAIN_MAX: Duration = Duration::from_secs(5);

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
        Ok(Self { listeners })
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
        let mut serving = tokio::task::JoinSet::new();
        for listener in self.listeners {
            let router = router.clone();
            let mut stop = stop.clone();
            serving.spawn(async move {
                let mut graceful = stop.clone();
                let serve = serve(listener, router)
                    .with_graceful_shutdown(async move { graceful.stopped().await });
                let drained = async {
                    stop.stopped().await;
                    tokio::time::sleep(DRAIN_MAX).await;
                };
                tokio::select! {
                    // axum's accept loop retries by itself and never ends with an error.
                    _ = async { serve.await } => {}
                    () = drained => {}
                }
            });
        }
        while serving.join_next().await.is_some() {}
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

#[cfg(test)]
mod tests {
    use axum::Extension;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::{Right, Routes, Server};
    use crate::tenant_header::Tenant;

    async fn ask(request: Request<Body>) -> (u16, String) {
        let routes = Routes::new()
            .route(
                Right::Read,
                "/x",
                get(
                    |Extension(right): Extension<Right>, Tenant(tenant): Tenant| async move {
                        format!("{right:?} {tenant}")
                    },
                ),
            )
            .route(
                Right::Send,
                "/x",
                post(|Extension(right): Extension<Right>| async move { format!("{right:?}") }),
            );
        assert_eq!(routes.table().len(), 2);
        let response = routes.into_router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_route_knows_its_right_and_its_tenant() {
        let request = |method: &str, tenant: Option<&str>| {
            let mut builder = Request::builder().method(method).uri("/x");
            if let Some(tenant) = tenant {
                builder = builder.header("X-Scope-OrgID", tenant);
            }
            builder.body(Body::empty()).unwrap()
        };
        assert_eq!(
            ask(request("GET", None)).await,
            (200, "Read anonymous".into())
        );
        assert_eq!(
            ask(request("GET", Some("team-1"))).await,
            (200, "Read team-1".into())
        );
        assert_eq!(ask(request("POST", None)).await, (200, "Send".into()));
        let (status, reason) = ask(request("GET", Some("a/b"))).await;
        assert_eq!(
            (status, reason.as_str()),
            (400, "tenant ID 'a/b' contains unsupported character '/'")
        );
    }

    #[tokio::test]
    async fn a_port_in_use_is_refused_by_name() {
        let first = Server::bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
        let address = first.addresses()[0].to_string();
        let error = Server::bind(std::slice::from_ref(&address))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    }
}
