//! What clients may take of the HTTP port.
use std::fs;
use std::time::Duration;

/// Fifty Prometheus servers whose remote write has as many shards as it may, and everybody who looks.
const CONNECTIONS_MAX: usize = 4096;
/// The ruler tells its alerts to an Alertmanager in the same process through this port: strangers that take every
/// other place must not keep a page from going out. Some for each of its tenants, and for probes on this machine.
const OWN_CONNECTIONS_MAX: usize = 64;
/// A head is sent in one piece; a line that takes longer is not worth a place.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// `--web.read-timeout` of Prometheus: those who scrape and write keep their connections from one time to the next.
const IDLE_TIME_MAX: Duration = Duration::from_secs(300);
/// Between two pieces of a request's body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The whole body: 32 MiB, as much as a remote write may have, at 1 Mbit/s.
const BODY_TIME_MAX: Duration = Duration::from_secs(300);
/// Between two pieces of an answer that is not taken.
const ANSWER_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Once the process was told to end.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// The bounds of [`crate::Server`]: past each of them a connection is closed or refused, and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open connections from other machines.
    pub connections_max: usize,
    /// Open connections from this machine, beyond those.
    pub own_connections_max: usize,
    /// From a connection's beginning, or from a head's first byte, until the head is there.
    pub head_time_max: Duration,
    /// Without a request.
    pub idle_time_max: Duration,
    /// Without a byte of a body that was announced.
    pub body_pause_max: Duration,
    /// Until a body is there whole.
    pub body_time_max: Duration,
    /// Without a byte taken of an answer.
    pub answer_pause_max: Duration,
    /// For open requests, once the process was told to end.
    pub drain_time_max: Duration,
}

impl ServerLimits {
    /// Never more connections than half of the files that this process may open: the other half is for its logs, and
    /// for telling people.
    #[must_use]
    pub fn of_this_process() -> Self {
        let limits = Self::default();
        let Some(files_max) = open_files_max() else {
            return limits;
        };
        Self {
            connections_max: limits.connections_max.min(files_max / 2),
            ..limits
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            own_connections_max: OWN_CONNECTIONS_MAX,
            head_time_max: HEAD_TIME_MAX,
            idle_time_max: IDLE_TIME_MAX,
            body_pause_max: BODY_PAUSE_MAX,
            body_time_max: BODY_TIME_MAX,
            answer_pause_max: ANSWER_PAUSE_MAX,
            drain_time_max: DRAIN_TIME_MAX,
        }
    }
}

/// `None` where the system does not say it.
fn open_files_max() -> Option<usize> {
    soft_limit(&fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::soft_limit;

    #[test]
    fn the_soft_limit_is_read() {
        let linux = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max processes             31546                31546                processes \n\
                     Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(linux), Some(1024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files"), None);
        assert_eq!(soft_limit(""), None);
    }
}
