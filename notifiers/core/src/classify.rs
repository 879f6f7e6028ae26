//! What an answer means, where vendors agree.
use std::time::Duration;

use model::Timestamp;

use crate::step::{Failure, HttpResponse, Outcome, Reached};

/// Of a vendor's words, this much goes into a reason.
const EXCERPT_BYTES_MAX: usize = 1024;
/// A vendor that asks for more patience than this is asked again after it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Statuses that are worth another attempt with every vendor: what the client could not know when it sent.
const TRANSIENT: [u16; 3] = [408, 425, 429];

/// `None` for any 2xx; otherwise how the attempt ended. 5xx, [`TRANSIENT`] and `retried` are worth another attempt.
pub(crate) fn http_failure(
    response: &HttpResponse,
    retried: &[u16],
    now: Timestamp,
) -> Option<Outcome> {
    let status = response.status;
    if (200..300).contains(&status) {
        return None;
    }
    let reason = format!(
        "unexpected status code {status}: {}",
        excerpt(&response.body)
    );
    if status >= 500 || TRANSIENT.contains(&status) || retried.contains(&status) {
        Some(Outcome::Retry {
            not_before: retry_after(response, now),
            reason,
        })
    } else {
        Some(Outcome::Rejected { reason })
    }
}

/// No answer came: nothing was sent, or nobody knows whether it was taken.
pub(crate) fn no_answer(failure: Failure) -> Outcome {
    match failure.reached {
        Reached::Nothing => Outcome::Retry {
            not_before: None,
            reason: failure.text,
        },
        Reached::PerhapsAll => Outcome::Ambiguous {
            reason: failure.text,
        },
    }
}

/// The beginning of an answer, on one line, for people.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES_MAX)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `Retry-After`: seconds, or an HTTP date.
pub(crate) fn retry_after(response: &HttpResponse, now: Timestamp) -> Option<Timestamp> {
    let value = header(response, "retry-after")?.trim();
    let at = match value.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs >= 0.0 => {
            now + Duration::from_secs_f64(secs.min(RETRY_AFTER_MAX.as_secs_f64()))
        }
        Ok(_) => return None,
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(value)
                .ok()?;
            Timestamp::from_millis(date.as_millisecond())
        }
    };
    Some(at.min(now + RETRY_AFTER_MAX))
}

pub(crate) fn header<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::{http_failure, retry_after};
    use crate::step::{BodyExtent, HttpResponse, Outcome};

    const NOW: Timestamp = Timestamp::from_secs(784_111_770);

    fn response(status: u16, retry_after: Option<&str>) -> HttpResponse {
        let headers = retry_after
            .map(|value| ("retry-after".to_owned(), value.to_owned()))
            .into_iter()
            .collect();
        HttpResponse {
            status,
            headers,
            body: b"over\n limit".to_vec(),
            extent: BodyExtent::Whole,
        }
    }

    #[test]
    fn statuses_mean_what_vendors_mean() {
        for (status, retried, word) in [
            (200, &[][..], "delivered"),
            (204, &[], "delivered"),
            (400, &[], "rejected"),
            (403, &[], "rejected"),
            (403, &[403], "retry"),
            (408, &[], "retry"),
            (429, &[], "retry"),
            (302, &[], "rejected"),
            (500, &[], "retry"),
            (503, &[], "retry"),
        ] {
            let outcome = match http_failure(&response(status, None), retried, NOW) {
                None => "delivered",
                Some(Outcome::Retry { .. }) => "retry",
                Some(Outcome::Rejected { .. }) => "rejected",
                Some(Outcome::Delivered { .. } | Outcome::Ambiguous { .. }) => "other",
            };
            assert_eq!(outcome, word, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_an_hour() {
        for (value, seconds) in [
            ("7", Some(7)),
            ("0.5", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("86400", Some(3600)),
            ("soon", None),
            ("-1", None),
        ] {
            let at = retry_after(&response(429, Some(value)), NOW);
            let expected = match value {
                "0.5" => Some(Timestamp::from_millis(NOW.as_millis() + 500)),
                _ => {
                    seconds.map(|seconds| Timestamp::from_millis(NOW.as_millis() + seconds * 1000))
                }
            };
            assert_eq!(at, expected, "{value}");
        }
    }
}
