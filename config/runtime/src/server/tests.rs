//! What a client sees of the port, by raw TCP: each bound is set so low that its end is soon reached.
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use axum::routing::{get, post};
use axum::{Extension, Router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::metrics::Metrics;
use crate::server::accept::{Door, Listener, accept};
use crate::server::limits::ServerLimits;
use crate::server::metrics::ServerMetrics;
use crate::server::{Right, Routes, Server};
use crate::stop::{Stop, Stopper};
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

const SOON: Duration = Duration::from_millis(50);
/// Nothing of what is tested comes as late as this.
const FAR: Duration = Duration::from_secs(60);
/// More than the kernel takes for a client that does not read.
const LARGE: usize = 64 * 1024 * 1024;

/// Bounds that nothing reaches, but for what a test sets.
fn wide() -> ServerLimits {
    ServerLimits {
        connections_max: 100,
        own_connections_max: 0,
        head_time_max: FAR,
        idle_time_max: FAR,
        body_pause_max: FAR,
        body_time_max: FAR,
        answer_pause_max: FAR,
        drain_time_max: FAR,
    }
}

struct Site {
    address: SocketAddr,
    metrics: Metrics,
    stopper: Stopper,
    serving: JoinHandle<()>,
    /// Heard when a request for `/slow` is there.
    asked: Arc<Notify>,
    /// Lets `/slow` answer.
    go_on: Arc<Notify>,
}

async fn site(limits: ServerLimits) -> Site {
    let (asked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/large", get(async || vec![b'x'; LARGE]))
        .route(
            "/broken",
            get(async || -> &'static str { panic!("on purpose") }),
        )
        .route("/length", post(async |body: Bytes| body.len().to_string()))
        .route("/slow", {
            let (asked, go_on) = (asked.clone(), go_on.clone());
            get(async move || {
                asked.notify_one();
                go_on.notified().await;
                "at last"
            })
        });
    let metrics = Metrics::new();
    let server = Server::bind(&["127.0.0.1:0".to_owned()]).await.unwrap();
    let address = server.addresses()[0];
    let (stopper, stop) = Stopper::new();
    let server = server.with_limits(limits).measured(&metrics);
    Site {
        address,
        metrics,
        stopper,
        serving: tokio::spawn(server.serve(router, stop)),
        asked,
        go_on,
    }
}

impl Site {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection that has said this.
    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until the figures are as wanted: a connection is counted a moment after it has ended.
    async fn figures(&self, wanted: &[&str]) {
        let mut text = String::new();
        let deadline = tokio::time::Instant::now() + FAR;
        while tokio::time::Instant::now() < deadline {
            text = self.metrics.text();
            if wanted
                .iter()
                .all(|line| text.lines().any(|found| found == *line))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{wanted:?} never became true:\n{text}");
    }
}

/// All that comes until the server closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let reading = async {
        match stream.read_to_end(&mut text).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    };
    tokio::time::timeout(FAR, reading)
        .await
        .expect("the server closes the connection");
    String::from_utf8_lossy(&text).into_owned()
}

/// What comes, up to and with these words.
async fn until(stream: &mut TcpStream, words: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(words) {
        text.push(char::from(stream.read_u8().await.unwrap()));
    }
    text
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: x\r\nA: ", "PRI * HT"] {
        let site = site(ServerLimits {
            head_time_max: SOON,
            ..wide()
        })
        .await;
        let stream = site.say(beginning).await;
        assert_eq!(rest(stream).await, "", "{beginning:?}");
        site.figures(&[
            "watchbell_http_timeouts_total{phase=\"head\"} 1",
            "watchbell_http_connections 0",
        ])
        .await;
    }
}

#[tokio::test]
async fn a_quiet_connection_is_not_kept_for_ever() {
    let site = site(ServerLimits {
        idle_time_max: SOON,
        ..wide()
    })
    .await;
    let mut stream = site.say(GET).await;
    until(&mut stream, "here").await;
    assert_eq!(rest(stream).await, "");
    site.figures(&["watchbell_http_timeouts_total{phase=\"idle\"} 1"])
        .await;
}

#[tokio::test]
async fn a_body_that_stalls_or_trickles_is_answered_408() {
    let stalls = ServerLimits {
        body_pause_max: SOON,
        ..wide()
    };
    let trickles = ServerLimits {
        body_time_max: SOON,
        ..wide()
    };
    let announced = "Content-Length: 10\r\n\r\nabc";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    for (limits, body) in [
        (stalls.clone(), announced),
        (stalls, chunked),
        (trickles.clone(), announced),
        (trickles, chunked),
    ] {
        let site = site(limits).await;
        let head = "POST /length HTTP/1.1\r\nHost: x\r\n";
        let stream = site.say(&format!("{head}{body}")).await;
        let answer = rest(stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(
            answer.ends_with("request body did not arrive in time\n"),
            "{answer}"
        );
        site.figures(&["watchbell_http_timeouts_total{phase=\"body\"} 1"])
            .await;
    }
}

#[tokio::test]
async fn a_body_in_pieces_is_read_whole() {
    let site = site(wide()).await;
    let head = "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n";
    let mut stream = site.say(&format!("{head}abc")).await;
    stream.write_all(b"def").await.unwrap();
    assert!(
        until(&mut stream, "\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    assert_eq!(stream.read_u8().await.unwrap(), b'6');
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let site = site(ServerLimits {
        answer_pause_max: SOON,
        ..wide()
    })
    .await;
    let _unread = site.say("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    site.figures(&[
        "watchbell_http_timeouts_total{phase=\"answer\"} 1",
        "watchbell_http_connections 0",
    ])
    .await;
}

#[tokio::test]
async fn a_request_that_is_worked_on_has_all_the_time_it_needs() {
    let site = site(ServerLimits {
        idle_time_max: SOON,
        answer_pause_max: SOON,
        ..wide()
    })
    .await;
    let slow = site.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    site.asked.notified().await;
    // Somebody else is overdue meanwhile, though he came later.
    assert!(rest(site.say(GET).await).await.ends_with("here"));
    site.go_on.notify_one();
    assert!(rest(slow).await.ends_with("at last"));
}

#[tokio::test]
async fn past_the_bound_connections_are_refused_until_one_ends() {
    for (own_connections_max, places) in [(0, 1), (1, 2)] {
        let site = site(ServerLimits {
            connections_max: 1,
            own_connections_max,
            ..wide()
        })
        .await;
        let mut open = Vec::new();
        for _ in 0..places {
            let mut stream = site.say(GET).await;
            until(&mut stream, "here").await;
            open.push(stream);
        }
        for _ in 0..3 {
            assert_eq!(rest(site.connect().await).await, "");
        }
        site.figures(&[
            &format!("watchbell_http_connections {places}"),
            "watchbell_http_refused_connections_total 3",
        ])
        .await;
        open.pop();
        site.figures(&[&format!("watchbell_http_connections {}", places - 1)])
            .await;
        let mut stream = site.say(GET).await;
        until(&mut stream, "here").await;
    }
}

#[tokio::test]
async fn a_head_has_a_bound() {
    let site = site(wide()).await;
    let long = "x".repeat(100 * 1024);
    let answer = rest(site.say(&format!("GET /{long} HTTP/1.1\r\n")).await).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    site.figures(&["watchbell_http_connections 0"]).await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_connection() {
    let site = site(wide()).await;
    let broken = site.say("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(rest(broken).await, "");
    site.figures(&["watchbell_http_connections 0"]).await;
    let mut stream = site.say(GET).await;
    until(&mut stream, "here").await;
}

/// The preface of HTTP/2, an empty frame of settings, and a ping, which is no request.
const HTTP2: &str =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x08\x06\0\0\0\0\0pingpong";

#[tokio::test]
async fn http_2_is_bounded_as_well() {
    let site = site(ServerLimits {
        idle_time_max: SOON,
        ..wide()
    })
    .await;
    let mut stream = site.say(HTTP2).await;
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[3], head[0]), (4, 0), "a frame of settings");
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let streams_max = [0, 3, 0, 0, 0, 128];
    assert!(settings.chunks(6).any(|setting| setting == streams_max));
    rest(stream).await;
    site.figures(&["watchbell_http_timeouts_total{phase=\"idle\"} 1"])
        .await;
}

#[tokio::test]
async fn stopping_lets_open_requests_finish_and_nothing_else() {
    let site = site(wide()).await;
    let mut quiet = site.say(GET).await;
    until(&mut quiet, "here").await;
    let half_a_head = site.say("GET / HT").await;
    let nothing_yet = site.connect().await;
    let slow = site.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    site.asked.notified().await;
    site.figures(&["watchbell_http_connections 4"]).await;
    site.stopper.stop();
    for stream in [quiet, half_a_head, nothing_yet] {
        assert_eq!(rest(stream).await, "");
    }
    assert!(TcpStream::connect(site.address).await.is_err());
    site.go_on.notify_one();
    assert!(rest(slow).await.ends_with("at last"));
    site.serving.await.unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let site = site(ServerLimits {
        drain_time_max: SOON,
        ..wide()
    })
    .await;
    let slow = site.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    site.asked.notified().await;
    site.stopper.stop();
    assert_eq!(rest(slow).await, "");
    site.serving.await.unwrap();
}

/// Fails as it is told to, then accepts.
struct Failing {
    faults: VecDeque<io::Error>,
    listener: TcpListener,
}

impl Listener for Failing {
    async fn next(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        match self.faults.pop_front() {
            Some(fault) => Err(fault),
            None => self.listener.accept().await,
        }
    }
}

#[tokio::test]
async fn a_listener_that_fails_is_asked_again() {
    // EMFILE, then a client that had gone before it was accepted.
    let faults = [
        io::Error::from_raw_os_error(24),
        io::ErrorKind::ConnectionAborted.into(),
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "here"));
    let door = Arc::new(Door::new(wide(), ServerMetrics::default(), None, router));
    let (_stopper, stop): (Stopper, Stop) = Stopper::new();
    let failing = Failing {
        faults: faults.into(),
        listener,
    };
    tokio::spawn(accept(failing, door, stop));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    until(&mut stream, "here").await;
}
