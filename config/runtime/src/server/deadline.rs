//! Until when a connection may go on as it is. It decides; `connection.rs` looks at the clock and closes.
//!
//! A request's body has a deadline of its own (`body.rs`), since it can be answered; what is judged here can only be
//! closed.
use tokio::time::Instant;

use crate::server::limits::ServerLimits;

/// How every HTTP/2 connection begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Overdue {
    /// Taking its answer.
    Answer,
    /// Sending the head of its request.
    Head,
    /// Asking for anything.
    Idle,
}

impl Overdue {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Head => "head",
            Self::Idle => "idle",
        }
    }
}

/// One connection's progress.
#[derive(Debug)]
pub(crate) struct Progress {
    phase: Phase,
    version: Version,
    /// Since when no byte of an answer was taken, though there is one.
    stuck_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head { since: Instant },
    Idle { since: Instant },
    Serving { requests: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// So many bytes are those of HTTP/2.
    Unknown {
        matched: usize,
    },
    Http1,
    /// Requests share the connection with much else, so a byte is not the beginning of a head.
    Http2,
}

impl Progress {
    /// A client that connects has something to ask.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Head { since: now },
            version: Version::Unknown { matched: 0 },
            stuck_since: None,
        }
    }

    pub(crate) fn received(&mut self, bytes: &[u8], now: Instant) {
        if let Version::Unknown { matched } = self.version {
            self.version = version_after(matched, bytes);
        }
        match (self.version, self.phase) {
            (Version::Http2, Phase::Head { .. }) => self.phase = Phase::Idle { since: now },
            (Version::Http1, Phase::Idle { .. }) => self.phase = Phase::Head { since: now },
            (
                Version::Unknown { .. } | Version::Http1 | Version::Http2,
                Phase::Head { .. } | Phase::Idle { .. } | Phase::Serving { .. },
            ) => {}
        }
    }

    /// A head was there whole.
    pub(crate) fn request_began(&mut self) {
        let requests = match self.phase {
            Phase::Serving { requests } => requests + 1,
            Phase::Head { .. } | Phase::Idle { .. } => 1,
        };
        self.phase = Phase::Serving { requests };
    }

    /// Its answer is made, though not yet taken.
    pub(crate) fn request_ended(&mut self, now: Instant) {
        self.phase = match self.phase {
            Phase::Serving { requests } if requests > 1 => Phase::Serving {
                requests: requests - 1,
            },
            Phase::Serving { .. } | Phase::Head { .. } | Phase::Idle { .. } => {
                Phase::Idle { since: now }
            }
        };
    }

    /// Some of an answer was taken.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.stuck_since = None;
        if let Phase::Idle { since } = &mut self.phase {
            *since = now;
        }
    }

    /// Nothing of an answer can be taken at the moment.
    pub(crate) fn stuck(&mut self, now: Instant) {
        self.stuck_since.get_or_insert(now);
    }

    /// Whether there is nobody to answer yet, nor anything to answer.
    pub(crate) fn is_reading_head(&self) -> bool {
        matches!(self.phase, Phase::Head { .. })
    }

    /// When the connection is to be closed if nothing changes. While a request is worked on that is never.
    pub(crate) fn deadline(&self, limits: &ServerLimits) -> Option<(Instant, Overdue)> {
        let by_phase = match self.phase {
            Phase::Head { since } => Some((since + limits.head_time_max, Overdue::Head)),
            Phase::Idle { since } => Some((since + limits.idle_time_max, Overdue::Idle)),
            Phase::Serving { .. } => None,
        };
        let by_answer = self
            .stuck_since
            .map(|since| (since + limits.answer_pause_max, Overdue::Answer));
        [by_answer, by_phase]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }
}

fn version_after(matched: usize, bytes: &[u8]) -> Version {
    let expected = &HTTP2_PREFACE[matched..];
    let compared = expected.len().min(bytes.len());
    if bytes[..compared] != expected[..compared] {
        Version::Http1
    } else if compared == expected.len() {
        Version::Http2
    } else {
        Version::Unknown {
            matched: matched + compared,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Overdue, Progress};
    use crate::server::limits::ServerLimits;

    enum Happens {
        Receives(&'static str),
        Begins,
        Ends,
        Sends,
        Sticks,
    }
    const HTTP2: Happens = Receives("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    use Happens::{Begins, Ends, Receives, Sends, Sticks};

    #[test]
    fn a_connection_may_go_on_for_as_long_as_its_state_is_worth() {
        let limits = ServerLimits {
            head_time_max: Duration::from_secs(30),
            idle_time_max: Duration::from_secs(300),
            answer_pause_max: Duration::from_secs(60),
            ..ServerLimits::default()
        };
        let start = Instant::now();
        for (story, deadline) in [
            (&[][..], Some((30, Overdue::Head))),
            // A head that comes byte by byte gets no more time for it.
            (
                &[(10, Receives("GET / H")), (20, Receives("TTP"))],
                Some((30, Overdue::Head)),
            ),
            // An evaluation may take its time.
            (&[(10, Receives("GET")), (10, Begins)], None),
            (
                &[(0, Receives("GET")), (0, Begins), (90, Ends), (91, Sends)],
                Some((391, Overdue::Idle)),
            ),
            // The next head.
            (
                &[
                    (0, Receives("G")),
                    (0, Begins),
                    (5, Ends),
                    (200, Receives("G")),
                    (210, Receives("E")),
                ],
                Some((230, Overdue::Head)),
            ),
            // Nobody takes the answer; then somebody takes it piece by piece.
            (
                &[
                    (0, Receives("G")),
                    (0, Begins),
                    (5, Ends),
                    (7, Sticks),
                    (9, Sticks),
                ],
                Some((67, Overdue::Answer)),
            ),
            (
                &[
                    (0, Begins),
                    (5, Ends),
                    (7, Sticks),
                    (9, Sends),
                    (20, Sticks),
                ],
                Some((80, Overdue::Answer)),
            ),
            // HTTP/2: what is neither a head nor an answer keeps nothing open.
            (
                &[(1, Receives("P")), (2, Receives("RI * HTTP/2.0"))],
                Some((30, Overdue::Head)),
            ),
            (
                &[
                    (1, Receives("P")),
                    (2, Receives("RI * HTTP/2.0\r\n\r\nSM\r\n\r\n settings")),
                    (9, Receives("ping")),
                ],
                Some((302, Overdue::Idle)),
            ),
            (&[(0, HTTP2), (1, Begins), (2, Begins), (3, Ends)], None),
            (
                &[(0, HTTP2), (1, Begins), (2, Begins), (3, Ends), (4, Ends)],
                Some((304, Overdue::Idle)),
            ),
            (
                &[(1, Receives("PUT")), (2, Receives(" "))],
                Some((30, Overdue::Head)),
            ),
        ] {
            let mut progress = Progress::new(start);
            for (second, happens) in story {
                let now = start + Duration::from_secs(*second);
                match happens {
                    Receives(text) => progress.received(text.as_bytes(), now),
                    Begins => progress.request_began(),
                    Ends => progress.request_ended(now),
                    Sends => progress.sent(now),
                    Sticks => progress.stuck(now),
                }
            }
            let found = progress
                .deadline(&limits)
                .map(|(at, why)| ((at - start).as_secs(), why));
            let seconds: Vec<u64> = story.iter().map(|(second, _)| *second).collect();
            assert_eq!(found, deadline, "at {seconds:?}");
        }
    }
}
