//! A sender of numbered samples that knows which of them were acknowledged.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fakes::{SentSample, write_request};
use runtime::{Clock, SystemClock};
use tokio::task::JoinHandle;

use crate::client::remote_write;
use crate::watchbell::Watchbell;

/// Between two requests.
const EVERY: Duration = Duration::from_millis(10);
const SERIES: &str = "kill_probe";

/// Values by time in milliseconds, for which a 2xx came back.
type Acknowledged = Arc<Mutex<BTreeMap<i64, f64>>>;

pub(crate) struct Probe {
    acknowledged: Acknowledged,
    sending: JoinHandle<()>,
}

impl Probe {
    /// Sends until it is dropped; requests that fail are not sent again.
    pub(crate) fn start(base: String) -> Self {
        let acknowledged = Acknowledged::default();
        let kept = acknowledged.clone();
        let sending = tokio::spawn(async move {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(5))
                .build()
                .expect("a plain client");
            let clock = SystemClock::new();
            let mut ticks = tokio::time::interval(EVERY);
            for number in 0_u32.. {
                ticks.tick().await;
                let (now, value) = (clock.now().as_millis(), f64::from(number));
                let sample = SentSample::new(SERIES, &[], now, value);
                if remote_write(&client, &base, write_request(&[sample]))
                    .send()
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
                {
                    kept.lock()
                        .expect("nobody panics with the lock")
                        .insert(now, value);
                }
            }
        });
        Self {
            acknowledged,
            sending,
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
            .lock()
            .expect("nobody panics with the lock")
            .len()
    }

    /// Every sample that was acknowledged so far is in what `watchbell` answers.
    pub(crate) async fn assert_nothing_is_lost(&self, watchbell: &Watchbell) {
        let expected = self
            .acknowledged
            .lock()
            .expect("nobody panics with the lock")
            .clone();
        let answer = watchbell
            .json(&format!("/api/v1/query?query={SERIES}%5B1h%5D"))
            .await;
        let stored: BTreeMap<i64, f64> = answer["data"]["result"][0]["values"]
            .as_array()
            .unwrap_or_else(|| panic!("no samples: {answer}"))
            .iter()
            .map(|pair| {
                let millis = (pair[0].as_f64().expect("a time") * 1000.0).round() as i64;
                (
                    millis,
                    pair[1]
                        .as_str()
                        .and_then(|value| value.parse().ok())
                        .expect("a value"),
                )
            })
            .collect();
        let lost: Vec<_> = expected
            .iter()
            .filter(|(at, value)| stored.get(at) != Some(value))
            .collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged samples are lost: {lost:?}",
            lost.len(),
            expected.len()
        );
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.sending.abort();
    }
}
