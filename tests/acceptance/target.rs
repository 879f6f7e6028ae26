//! Small targets that a Prometheus scrapes, each of which can be stopped and come back on the same port.
use std::net::SocketAddr;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

impl Target {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        Self {
            address,
            serving: Some(serve(listener)),
        }
    }

    /// The port refuses connections from here on.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Aborting is how it ends.
            let _ = serving.await;
        }
    }

    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the target's own port is free");
        self.serving = Some(serve(listener));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

fn serve(listener: TcpListener) -> JoinHandle<()> {
    // Each scrape gets a connection of its own, so that a stopped target is gone for kept connections too.
    let metrics = async || {
        (
            [(CONNECTION, "close")],
            "# TYPE small_target gauge\nsmall_target 1\n",
        )
    };
    let router = Router::new().route("/metrics", get(metrics));
    tokio::spawn(async move {
        // Ends only by being aborted.
        let _ = axum::serve(listener, router).await;
    })
}
