//! Cronitor's telemetry: heartbeats that must not fall silent.
use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

use crate::event::Happened;
use crate::fake::{Decision, Fake, Vendor};
use crate::http::{Answer, HttpRequest};
use crate::rate::{RateLimit, RateLimiter};

/// Five a second and monitor, ten at once.
const RATE_LIMIT: RateLimit = RateLimit {
    requests: 10,
    window: Duration::from_secs(2),
};
const STATES: [&str; 4] = ["run", "complete", "fail", "ok"];

pub type Cronitor = Fake<CronitorAccount>;

#[derive(Debug)]
pub struct CronitorAccount {
    /// By key; a key that nobody has seen makes a monitor.
    pub monitors: BTreeMap<String, Monitor>,
    limiter: RateLimiter<String>,
    api_keys: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Monitor {
    /// Of every ping that was taken, in order of arrival.
    pub pings: Vec<Timestamp>,
    /// The last `state=`; empty for a plain heartbeat.
    pub state: String,
}

impl Monitor {
    /// Whether nothing has come for longer than `patience`.
    #[must_use]
    pub fn is_silent(&self, patience: Duration, now: Timestamp) -> bool {
        self.pings
            .last()
            .is_none_or(|last| now.saturating_since(*last) > patience)
    }

    /// The times between pings.
    #[must_use]
    pub fn gaps(&self) -> Vec<Duration> {
        self.pings
            .windows(2)
            .map(|pair| pair[1].saturating_since(pair[0]))
            .collect()
    }
}

impl Default for CronitorAccount {
    fn default() -> Self {
        Self {
            monitors: BTreeMap::new(),
            limiter: RateLimiter::new(Some(RATE_LIMIT)),
            api_keys: None,
        }
    }
}

impl CronitorAccount {
    /// Only these API keys exist.
    pub fn allow_api_keys(&mut self, keys: impl IntoIterator<Item = String>) {
        self.api_keys = Some(keys.into_iter().collect());
    }

    pub fn limit_rate(&mut self, limit: Option<RateLimit>) {
        self.limiter = RateLimiter::new(limit);
    }
}

impl Vendor for CronitorAccount {
    const NAME: &'static str = "Cronitor";

    fn owns(path: &str) -> bool {
        path.starts_with("/p/") || path.starts_with("/ping/")
    }

    fn answer(&mut self, request: &HttpRequest, at: Timestamp) -> Decision {
        if !matches!(request.method.as_str(), "GET" | "HEAD" | "POST") {
            return Decision::refused(Answer::text(405, ""), "only GET, HEAD and POST");
        }
        let mut parts = request.path.split('/').skip(2);
        let (Some(api_key), Some(key), None) = (parts.next(), parts.next(), parts.next()) else {
            return Decision::refused(Answer::text(404, "Not found"), "not a ping's address");
        };
        let known = |keys: &Vec<String>| keys.iter().any(|known| known == api_key);
        if api_key.is_empty() || !self.api_keys.as_ref().is_none_or(known) {
            return Decision::refused(Answer::text(403, "Invalid API key"), "invalid API key");
        }
        if key.is_empty() {
            return Decision::refused(Answer::text(404, "Not found"), "no monitor's key");
        }
        let state = request.parameter("state").unwrap_or("");
        if !state.is_empty() && !STATES.contains(&state) {
            return Decision::refused(Answer::text(400, "Invalid state"), "invalid state");
        }
        if !self.limiter.admits(key.to_owned(), at) {
            return Decision::rate_limited(self.rate_limited(request, Some(1)));
        }
        let monitor = self.monitors.entry(key.to_owned()).or_default();
        monitor.pings.push(at);
        state.clone_into(&mut monitor.state);
        let pinged = Happened::Pinged {
            monitor: key.to_owned(),
            count: monitor.pings.len() as u64,
        };
        Decision::accepted(Answer::text(200, "OK"), vec![pinged])
    }

    fn rate_limited(&self, _request: &HttpRequest, retry_after: Option<u64>) -> Answer {
        let answer = Answer::text(429, "Rate limit exceeded");
        match retry_after {
            Some(seconds) => answer.with_header("retry-after", seconds),
            None => answer,
        }
    }
}

impl Fake<CronitorAccount> {
    /// Where a monitor is pinged.
    #[must_use]
    pub fn ping_url(&self, api_key: &str, monitor: &str) -> String {
        format!("{}/p/{api_key}/{monitor}", self.base_url())
    }

    /// When a monitor was pinged; empty for one that nobody has seen.
    #[must_use]
    pub fn pings(&self, monitor: &str) -> Vec<Timestamp> {
        self.look(|account| {
            account
                .monitors
                .get(monitor)
                .map(|monitor| monitor.pings.clone())
                .unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;

    use super::CronitorAccount;
    use crate::fake::Vendor;
    use crate::http::HttpRequest;

    fn ping(account: &mut CronitorAccount, method: &str, target: &str, second: i64) -> u16 {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = HttpRequest {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            body: b"whatever".to_vec(),
        };
        account
            .answer(&request, Timestamp::from_secs(second))
            .answer
            .status
    }

    #[test]
    fn any_ping_of_a_known_key_counts() {
        let mut account = CronitorAccount::default();
        account.allow_api_keys(["KEY".to_owned()]);
        for (method, target, status) in [
            ("POST", "/p/KEY/prod", 200),
            ("GET", "/ping/KEY/prod?state=complete", 200),
            ("HEAD", "/p/KEY/prod", 200),
            ("PUT", "/p/KEY/prod", 405),
            ("POST", "/p/OTHER/prod", 403),
            ("POST", "/p/KEY", 404),
            ("POST", "/p/KEY/prod/x", 404),
            ("POST", "/p/KEY/prod?state=asleep", 400),
        ] {
            assert_eq!(
                ping(&mut account, method, target, 5),
                status,
                "{method} {target}"
            );
        }
        let monitor = &account.monitors["prod"];
        assert_eq!(monitor.pings.len(), 3);
        let patience = Duration::from_secs(600);
        assert!(!monitor.is_silent(patience, Timestamp::from_secs(605)));
        assert!(monitor.is_silent(patience, Timestamp::from_secs(606)));
    }

    #[test]
    fn ten_at_once_are_enough() {
        let mut account = CronitorAccount::default();
        let statuses: Vec<u16> = (0..11)
            .map(|_| ping(&mut account, "POST", "/p/K/m", 0))
            .collect();
        assert_eq!(statuses[9..], [200, 429]);
    }
}
