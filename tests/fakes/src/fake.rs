//! One HTTP vendor: its rules, everything it received, and the faults it was told to play.
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use runtime::SystemClock;
use tokio::sync::broadcast;

use crate::event::{FakeEvent, Happened};
use crate::fault::HttpFault;
use crate::http::{Answer, HttpRequest};
use crate::ledger::{Ledger, Pages, RECORDS_MAX, Stage, TimedOut};
use crate::server::{Desk, Ending, Receipt, Server};
use crate::tls::Tls;

/// The rules of one vendor: what it owns, refuses, and answers.
pub trait Vendor: Send + 'static {
    const NAME: &'static str;

    /// Which paths are this vendor's, where several share one port.
    fn owns(path: &str) -> bool;

    /// Takes the request in or refuses it.
    fn answer(&mut self, request: &HttpRequest, at: Timestamp) -> Decision;

    /// How this vendor says "too many requests".
    fn rate_limited(&self, request: &HttpRequest, retry_after: Option<u64>) -> Answer;
}

/// What a vendor makes of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    pub answer: Answer,
    pub happened: Vec<Happened>,
}

impl Decision {
    pub(crate) fn accepted(answer: Answer, happened: Vec<Happened>) -> Self {
        Self {
            verdict: Verdict::Accepted,
            answer,
            happened,
        }
    }

    pub(crate) fn refused(answer: Answer, reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Refused(reason.into()),
            answer,
            happened: Vec::new(),
        }
    }

    pub(crate) fn rate_limited(answer: Answer) -> Self {
        Self {
            verdict: Verdict::RateLimited,
            answer,
            happened: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The vendor acts on it.
    Accepted,
    /// By an order of the test; nothing was taken in.
    Faulted,
    RateLimited,
    /// By the vendor's rules.
    Refused(String),
}

/// One request as it arrived, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedRequest {
    /// From 0, in order of arrival at this vendor.
    pub number: u64,
    /// When the last byte of it had come.
    pub arrived_at: Timestamp,
    pub request: HttpRequest,
    pub verdict: Verdict,
    /// `None` where the connection was to be closed without one.
    pub answer: Option<Answer>,
    /// When the last byte of the answer was with the operating system; `None` before that, and for good where the
    /// client was gone or the connection closed first. A client that was killed can only have seen answers that
    /// have a time here.
    pub answered_at: Option<Timestamp>,
}

impl ReceivedRequest {
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.verdict == Verdict::Accepted
    }
}

impl fmt::Display for ReceivedRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.answer.as_ref().map_or(0, |answer| answer.status);
        write!(
            formatter,
            "{} #{} {} {} {:?} {status} {}",
            self.arrived_at,
            self.number,
            self.request.method,
            self.request.path,
            self.verdict,
            self.request.text()
        )
    }
}

/// A vendor on a port of loopback. Its server runs until [`Fake::stop`], or until the last handle that shares the
/// port is dropped.
pub struct Fake<V: Vendor> {
    desk: Arc<HttpDesk<V>>,
    server: Arc<Server>,
}

impl<V: Vendor + Default> Fake<V> {
    /// On a port of its own.
    ///
    /// # Panics
    /// Where loopback has no free port.
    pub async fn start() -> Self {
        let desk = HttpDesk::new(V::default(), Stage::new(Arc::new(SystemClock::new())));
        let server = Arc::new(Server::start(vec![desk.clone()], None).await);
        Self { desk, server }
    }

    /// Behind TLS, with a certificate for `localhost` and `127.0.0.1` that signed itself.
    pub async fn start_with_tls(tls: &Tls) -> Self {
        let desk = HttpDesk::new(V::default(), Stage::new(Arc::new(SystemClock::new())));
        let server = Arc::new(Server::start(vec![desk.clone()], Some(tls)).await);
        Self { desk, server }
    }
}

impl<V: Vendor> Fake<V> {
    pub(crate) fn shared(desk: Arc<HttpDesk<V>>, server: Arc<Server>) -> Self {
        Self { desk, server }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// Everything received, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.desk.ledger.look(|pages| pages.records.clone())
    }

    /// Looks at what the vendor knows.
    pub fn look<Seen>(&self, look: impl FnOnce(&V) -> Seen) -> Seen {
        self.desk.ledger.look(|pages| look(&pages.state))
    }

    /// Changes the vendor's rules or what it knows.
    pub fn change<Said>(&self, change: impl FnOnce(&mut V) -> Said) -> Said {
        self.desk.ledger.write(|pages| change(&mut pages.state))
    }

    /// Plays `fault` on the next `count` requests that no earlier order hits.
    pub fn fail_next(&self, count: u64, fault: HttpFault) {
        self.desk.ledger.write(|pages| {
            let seen = pages.records.len() as u64;
            pages.faults.next(seen, count, fault);
        });
    }

    /// Plays `fault` on the request of that number, counted from 0 since the start; before any other order.
    pub fn fail_request(&self, number: u64, fault: HttpFault) {
        self.desk
            .ledger
            .write(|pages| pages.faults.at(number, fault));
    }

    /// Plays `fault` on every request from now on.
    pub fn fail_always(&self, fault: HttpFault) {
        self.fail_next(u64::MAX, fault);
    }

    /// Forgets all orders for requests to come.
    pub fn heal(&self) {
        self.desk.ledger.write(|pages| pages.faults.heal());
    }

    /// Waits until `look` finds something; it is asked at once and after every change.
    pub async fn wait_for<Seen>(
        &self,
        within: Duration,
        look: impl FnMut(&V, &[ReceivedRequest]) -> Option<Seen>,
    ) -> Result<Seen, TimedOut> {
        self.desk.ledger.wait_for(within, look).await
    }

    /// What happens from now on, here and at the fakes that were started together with this one.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<FakeEvent> {
        self.desk.ledger.stage.events.subscribe()
    }

    /// Closes the port and all connections, for all vendors on this port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

pub(crate) struct HttpDesk<V> {
    ledger: Ledger<V, ReceivedRequest, HttpFault>,
}

impl<V: Vendor> HttpDesk<V> {
    pub(crate) fn new(vendor: V, stage: Stage) -> Arc<Self> {
        Arc::new(Self {
            ledger: Ledger::new(vendor, stage),
        })
    }
}

impl<V: Vendor> Desk for HttpDesk<V> {
    fn owns(&self, path: &str) -> bool {
        V::owns(path)
    }

    fn receive(&self, request: HttpRequest) -> Receipt {
        let stage = &self.ledger.stage;
        let at = stage.clock.now();
        let (receipt, happened) = self.ledger.write(|pages| {
            let number = pages.records.len() as u64;
            let fault = pages.faults.take(number);
            let (decision, delay, closes) = decide(pages, &request, fault, at);
            let ending = if closes {
                Ending::Close
            } else {
                Ending::Answer(decision.answer.clone())
            };
            pages.records.push(ReceivedRequest {
                number,
                arrived_at: at,
                request,
                verdict: decision.verdict,
                answer: (!closes).then_some(decision.answer),
                answered_at: None,
            });
            let receipt = Receipt {
                number,
                delay,
                ending,
            };
            (receipt, decision.happened)
        });
        for what in happened {
            stage.tell(at, what);
        }
        receipt
    }

    fn answered(&self, number: u64) {
        let at = self.ledger.stage.clock.now();
        self.ledger.write(|pages| {
            if let Some(record) = usize::try_from(number)
                .ok()
                .and_then(|number| pages.records.get_mut(number))
            {
                record.answered_at = Some(at);
            }
        });
    }
}

/// The vendor's decision as the fault leaves it, how long its answer waits, and whether it is never given.
fn decide<V: Vendor>(
    pages: &mut Pages<V, ReceivedRequest, HttpFault>,
    request: &HttpRequest,
    fault: Option<HttpFault>,
    at: Timestamp,
) -> (Decision, Duration, bool) {
    if pages.records.len() >= RECORDS_MAX {
        let full = Decision::refused(Answer::text(503, "the fake is full"), "the fake is full");
        return (told(full, V::NAME), Duration::ZERO, false);
    }
    let instead = |verdict, answer| {
        let decision = Decision {
            verdict,
            answer,
            happened: Vec::new(),
        };
        told(decision, V::NAME)
    };
    match fault {
        None => (
            told(pages.state.answer(request, at), V::NAME),
            Duration::ZERO,
            false,
        ),
        Some(HttpFault::Answer(answer)) => {
            (instead(Verdict::Faulted, answer), Duration::ZERO, false)
        }
        Some(HttpFault::CloseBeforeReply) => (
            instead(Verdict::Faulted, Answer::text(0, "")),
            Duration::ZERO,
            true,
        ),
        Some(HttpFault::RateLimit { retry_after }) => {
            let answer = pages.state.rate_limited(request, retry_after);
            (instead(Verdict::RateLimited, answer), Duration::ZERO, false)
        }
        Some(HttpFault::CloseAfterCommit) => (
            told(pages.state.answer(request, at), V::NAME),
            Duration::ZERO,
            true,
        ),
        Some(HttpFault::Delay(delay)) => {
            (told(pages.state.answer(request, at), V::NAME), delay, false)
        }
    }
}

/// A refusal is an event too.
fn told(mut decision: Decision, vendor: &'static str) -> Decision {
    let reason = match &decision.verdict {
        Verdict::Accepted => return decision,
        Verdict::Faulted if decision.answer.status == 0 => "connection closed".to_owned(),
        Verdict::Faulted => format!("answered {}", decision.answer.status),
        Verdict::RateLimited => "too many requests".to_owned(),
        Verdict::Refused(reason) => reason.clone(),
    };
    decision.happened.push(Happened::Refused { vendor, reason });
    decision
}
