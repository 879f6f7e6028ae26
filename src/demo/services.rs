//! Services that misbehave by themselves, on a timetable, and send their samples as a Prometheus would.
use std::time::Duration;

use fakes::{REMOTE_WRITE_HEADERS, SentSample, write_request};
use runtime::{Clock, SystemClock};

/// After this long the timetable begins again.
const ROUND: Duration = Duration::from_secs(90);
const SERVICES: [&str; 3] = ["checkout", "payments", "search"];
/// Requests that each service answers between two samples.
const REQUESTS: f64 = 50.0;
/// When `checkout` fails one request in four.
const FAILING: std::ops::Range<u64> = 4..18;
/// When the disk of `search` is nearly full.
const FILLING: std::ops::Range<u64> = 8..24;

pub(super) struct Services {
    write_url: String,
    client: reqwest::Client,
    clock: SystemClock,
    served: [Counters; SERVICES.len()],
    failing: bool,
    filling: bool,
}

#[derive(Clone, Copy, Default)]
struct Counters {
    good: f64,
    bad: f64,
}

impl Services {
    pub(super) fn new(write_url: String) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            write_url,
            client,
            clock: SystemClock::new(),
            served: [Counters::default(); SERVICES.len()],
            failing: false,
            filling: false,
        })
    }

    /// Sends one sample of everything; says what has changed for the better or the worse.
    pub(super) async fn tick(&mut self, elapsed: Duration) -> Vec<String> {
        let at = elapsed.as_secs() % ROUND.as_secs();
        let mut changes = Vec::new();
        if self.failing != FAILING.contains(&at) {
            self.failing = !self.failing;
            changes.push(if self.failing {
                "checkout: one request in four fails from here on".to_owned()
            } else {
                "checkout: all requests succeed again".to_owned()
            });
        }
        if self.filling != FILLING.contains(&at) {
            self.filling = !self.filling;
            changes.push(if self.filling {
                "search-1: the disk is 96 % full".to_owned()
            } else {
                "search-1: somebody has cleaned up the disk".to_owned()
            });
        }
        if let Err(error) = self.send().await {
            changes.push(format!("the samples were not taken: {error:#}"));
        }
        changes
    }

    async fn send(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now().as_millis();
        let mut samples = Vec::new();
        for (service, counters) in SERVICES.iter().zip(&mut self.served) {
            let bad = if *service == "checkout" && self.failing {
                REQUESTS / 4.0
            } else {
                0.0
            };
            counters.bad += bad;
            counters.good += REQUESTS - bad;
            for (code, value) in [("200", counters.good), ("500", counters.bad)] {
                samples.push(SentSample::new(
                    "http_requests_total",
                    &[("service", service), ("code", code)],
                    now,
                    value,
                ));
            }
        }
        let used = if self.filling { 0.96 } else { 0.4 };
        samples.push(SentSample::new(
            "disk_used_ratio",
            &[("instance", "search-1")],
            now,
            used,
        ));
        let mut request = self
            .client
            .post(&self.write_url)
            .body(write_request(&samples));
        for (name, value) in REMOTE_WRITE_HEADERS {
            request = request.header(name, value);
        }
        request.send().await?.error_for_status()?;
        Ok(())
    }
}
