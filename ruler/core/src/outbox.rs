//! What each Alertmanager has still to be told: the newest message about each alert, until it was taken.
//!
//! A message replaces the waiting one about the same alert, so what waits is bounded by the number of alerts and an end
//! is never overtaken by the firing before it. Of one destination one batch is on its way at a time; a batch that failed
//! goes back to the front, but where a newer message waits, and is tried again after a growing pause. One
//! destination's troubles cost the others nothing.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{AlertStatus, Labels, Timestamp};

use crate::alert::RESOLVED_RETENTION;
use crate::alerting::OutgoingAlert;

/// Alerts in one request (`--alertmanager.notification-batch-size`).
pub const BATCH_MAX: usize = 256;
/// Labels and annotations in one request, give or take one alert: far below what any Alertmanager takes as a body.
pub(crate) const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Alerts that wait for one destination (`--alertmanager.notification-queue-capacity`). Past it the oldest firing one
/// gives way, since its rule tells it again after the resend delay; an end gives way only to ends.
pub const WAITING_MAX: usize = 10_000;
/// After the first failure; it doubles with each further one. Short, since a restart of an Alertmanager takes seconds.
pub(crate) const RETRY_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Half the default resend delay, so that a receiver that is back hears everything within one.
pub(crate) const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// An Alertmanager, by the address that alerts are posted to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination(pub Arc<str>);

/// A message and what receivers are shown as its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub alert: OutgoingAlert,
    /// The rule's expression, normalised: the source's address is made of it.
    pub expression: Arc<str>,
}

/// How a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    Delivered,
    /// Not taken, or nobody knows: to be tried again.
    Failed {
        reason: String,
    },
    /// Taken by nobody, however often it is tried: a 4xx other than 408, 413 and 429.
    Rejected {
        reason: String,
    },
    /// Too much in one request (413): less is tried, down to one alert.
    TooLarge {
        reason: String,
    },
}

/// Why messages were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// While it waited, the time passed until which it said anything.
    Expired,
    /// More than [`WAITING_MAX`] waited.
    Full,
    /// The destination refused the batch.
    Rejected,
}

/// How a batch's end was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub delivered: usize,
    pub dropped: usize,
    pub will_retry: usize,
}

/// The queues of all destinations of one tenant.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    queues: BTreeMap<Destination, Queue>,
}

#[derive(Clone, Debug, Default)]
struct Queue {
    waiting: BTreeMap<Labels, Waiting>,
    /// The waiting alerts by age.
    order: BTreeMap<u64, Labels>,
    next_age: u64,
    on_its_way: Vec<(u64, Message)>,
    /// Alerts in the next batch; `None` where no batch was too large for the destination.
    batch_max: Option<usize>,
    failures: u32,
    retry_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Waiting {
    age: u64,
    message: Message,
}

impl Outbox {
    /// The destinations from here on. What waits for one that is gone is dropped; to a new one the caller enqueues
    /// what it should know. Returns the new ones.
    pub fn set_destinations(
        &mut self,
        destinations: impl IntoIterator<Item = Destination>,
    ) -> Vec<Destination> {
        let mut before = std::mem::take(&mut self.queues);
        let mut added = Vec::new();
        for destination in destinations {
            let queue = before.remove(&destination).unwrap_or_else(|| {
                added.push(destination.clone());
                Queue::default()
            });
            self.queues.insert(destination, queue);
        }
        added
    }

    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.queues.keys()
    }

    /// Messages for every destination. Returns how many had to give way, for each destination where any did.
    pub fn enqueue(&mut self, messages: &[Message]) -> Vec<(Destination, usize)> {
        let mut dropped = Vec::new();
        for (destination, queue) in &mut self.queues {
            let count = queue.enqueue(messages);
            if count > 0 {
                dropped.push((destination.clone(), count));
            }
        }
        dropped
    }

    /// Messages for one destination alone.
    pub fn enqueue_for(&mut self, destination: &Destination, messages: &[Message]) -> usize {
        self.queues
            .get_mut(destination)
            .map_or(0, |queue| queue.enqueue(messages))
    }

    /// The next batch that may go, of any destination; call until there is none. Oldest messages first.
    pub fn poll(&mut self, now: Timestamp) -> Option<(Destination, Batch)> {
        self.queues.iter_mut().find_map(|(destination, queue)| {
            queue.poll(now).map(|batch| (destination.clone(), batch))
        })
    }

    /// A batch came back.
    pub fn settle(
        &mut self,
        destination: &Destination,
        outcome: &SendOutcome,
        now: Timestamp,
    ) -> Settled {
        // A destination that is gone by now has nothing to settle.
        self.queues
            .get_mut(destination)
            .map_or_else(Settled::default, |queue| queue.settle(outcome, now))
    }

    /// When a pause ends after which something waits to be tried again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.queues
            .values()
            .filter(|queue| queue.on_its_way.is_empty() && !queue.order.is_empty())
            .filter_map(|queue| queue.retry_at)
            .min()
    }

    /// Messages that wait for a destination, without those on their way.
    #[must_use]
    pub fn waiting(&self, destination: &Destination) -> usize {
        self.queues
            .get(destination)
            .map_or(0, |queue| queue.waiting.len())
    }
}

/// What goes in one request, and how many messages were too old to go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub messages: Vec<Message>,
    /// The `alertname` of each message that nobody will hear: the time until which it said anything has passed.
    pub expired: Vec<String>,
}

impl Queue {
    fn enqueue(&mut self, messages: &[Message]) -> usize {
        for message in messages {
            let age = self.next_age;
            self.next_age += 1;
            self.put(age, message.clone());
        }
        self.give_way(self.waiting.len().saturating_sub(WAITING_MAX))
    }

    /// A message that replaces another waits in the other's place: news about an alert does not make it wait longer.
    fn put(&mut self, age: u64, message: Message) {
        let labels = message.alert.labels.clone();
        match self.waiting.get_mut(&labels) {
            Some(waiting) => waiting.message = message,
            None => {
                self.order.insert(age, labels.clone());
                self.waiting.insert(labels, Waiting { age, message });
            }
        }
    }

    fn give_way(&mut self, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let is_firing = |labels: &Labels| {
            self.waiting
                .get(labels)
                .is_some_and(|waiting| waiting.message.alert.status == AlertStatus::Firing)
        };
        let (firing, ends): (Vec<_>, Vec<_>) =
            self.order.iter().partition(|(_, labels)| is_firing(labels));
        let oldest: Vec<u64> = firing
            .into_iter()
            .chain(ends)
            .map(|(age, _)| *age)
            .take(count)
            .collect();
        for age in oldest {
            if let Some(labels) = self.order.remove(&age) {
                self.waiting.remove(&labels);
            }
        }
        count
    }

    fn poll(&mut self, now: Timestamp) -> Option<Batch> {
        let paused = self.retry_at.is_some_and(|at| now < at);
        if paused || !self.on_its_way.is_empty() {
            return None;
        }
        let mut expired = Vec::new();
        let batch_max = self.batch_max.unwrap_or(BATCH_MAX);
        let mut bytes = 0;
        while self.on_its_way.len() < batch_max && bytes < BATCH_BYTES_MAX {
            let Some((_, labels)) = self.order.pop_first() else {
                break;
            };
            let Some(waiting) = self.waiting.remove(&labels) else {
                continue;
            };
            if has_expired(&waiting.message.alert, now) {
                expired.push(labels.value("alertname").to_owned());
            } else {
                bytes += size_bytes(&waiting.message);
                self.on_its_way.push((waiting.age, waiting.message));
            }
        }
        let messages: Vec<Message> = self
            .on_its_way
            .iter()
            .map(|(_, message)| message.clone())
            .collect();
        (!expired.is_empty() || !messages.is_empty()).then_some(Batch { messages, expired })
    }

    fn settle(&mut self, outcome: &SendOutcome, now: Timestamp) -> Settled {
        let batch = std::mem::take(&mut self.on_its_way);
        match outcome {
            SendOutcome::Delivered => {
                self.failures = 0;
                self.retry_at = None;
                self.batch_max = self
                    .batch_max
                    .map(|max| max * 2)
                    .filter(|max| *max < BATCH_MAX);
                Settled {
                    delivered: batch.len(),
                    ..Settled::default()
                }
            }
            SendOutcome::Rejected { .. } => {
                self.failures = 0;
                self.retry_at = None;
                Settled {
                    dropped: batch.len(),
                    ..Settled::default()
                }
            }
            // What was in it may go alone, or with fewer: one alert must not take the others with it.
            SendOutcome::TooLarge { .. } if batch.len() > 1 => {
                self.batch_max = Some(batch.len() / 2);
                Settled {
                    will_retry: self.put_back(batch),
                    ..Settled::default()
                }
            }
            SendOutcome::TooLarge { .. } => Settled {
                dropped: batch.len(),
                ..Settled::default()
            },
            SendOutcome::Failed { .. } => {
                self.retry_at = Some(now + retry_pause(self.failures));
                self.failures = self.failures.saturating_add(1);
                Settled {
                    will_retry: self.put_back(batch),
                    ..Settled::default()
                }
            }
        }
    }

    /// To the front, but where something newer waits about the same alert; answers how many that were.
    fn put_back(&mut self, batch: Vec<(u64, Message)>) -> usize {
        let mut put_back = 0;
        for (age, message) in batch {
            if !self.waiting.contains_key(&message.alert.labels) {
                self.put(age, message);
                put_back += 1;
            }
        }
        put_back
    }
}

fn size_bytes(message: &Message) -> usize {
    message.alert.labels.size_bytes()
        + message.alert.annotations.size_bytes()
        + message.expression.len()
}

fn retry_pause(failures: u32) -> Duration {
    RETRY_PAUSE_MIN
        .saturating_mul(1 << failures.min(16))
        .min(RETRY_PAUSE_MAX)
}

/// A firing alert whose validity has run out would be read as resolved. An end says something for as long as Prometheus
/// would repeat it.
pub(crate) fn has_expired(alert: &OutgoingAlert, now: Timestamp) -> bool {
    match alert.status {
        AlertStatus::Firing => alert.ends_at <= now,
        AlertStatus::Resolved => alert.ends_at + RESOLVED_RETENTION < now,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{AlertStatus, Labels, Timestamp};

    use super::{
        BATCH_BYTES_MAX, BATCH_MAX, Destination, Message, Outbox, SendOutcome, Settled,
        WAITING_MAX, retry_pause,
    };
    use crate::alerting::OutgoingAlert;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn message(name: &str, status: AlertStatus, ends_at: i64) -> Message {
        Message {
            alert: OutgoingAlert {
                labels: Labels::from_pairs([("alertname", name)]),
                annotations: Labels::default(),
                starts_at: at(0),
                ends_at: at(ends_at),
                status,
            },
            expression: "up == 0".into(),
        }
    }

    /// `a!` firing until 240 s, `a.` resolved at 60 s.
    fn messages(text: &str) -> Vec<Message> {
        text.split_whitespace()
            .map(|word| match word.strip_suffix('!') {
                Some(name) => message(name, AlertStatus::Firing, 240),
                None => message(word.trim_end_matches('.'), AlertStatus::Resolved, 60),
            })
            .collect()
    }

    fn told(messages: &[Message]) -> String {
        let words: Vec<String> = messages
            .iter()
            .map(|message| {
                let status = match message.alert.status {
                    AlertStatus::Firing => "!",
                    AlertStatus::Resolved => ".",
                };
                format!("{}{status}", message.alert.labels.value("alertname"))
            })
            .collect();
        words.join(" ")
    }

    fn outbox(names: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        outbox.set_destinations(names.iter().map(|name| Destination((*name).into())));
        outbox
    }

    fn poll(outbox: &mut Outbox, secs: i64) -> Vec<(String, String)> {
        std::iter::from_fn(|| outbox.poll(at(secs)))
            .map(|(destination, batch)| (destination.0.to_string(), told(&batch.messages)))
            .collect()
    }

    fn sent(destination: &str, messages: &str) -> (String, String) {
        (destination.to_owned(), messages.to_owned())
    }

    fn failed() -> SendOutcome {
        SendOutcome::Failed {
            reason: "connection refused".into(),
        }
    }

    #[test]
    fn every_destination_hears_everything_one_batch_at_a_time() {
        let mut outbox = outbox(&["one", "two"]);
        outbox.enqueue(&messages("a! b!"));
        assert_eq!(
            poll(&mut outbox, 0),
            [sent("one", "a! b!"), sent("two", "a! b!")]
        );
        outbox.enqueue(&messages("c!"));
        assert_eq!(poll(&mut outbox, 0), []);
        let one = Destination("one".into());
        outbox.settle(&one, &SendOutcome::Delivered, at(0));
        assert_eq!(poll(&mut outbox, 0), [sent("one", "c!")]);
    }

    #[test]
    fn a_batch_that_is_too_large_is_cut_until_only_what_nobody_takes_is_dropped() {
        let mut outbox = outbox(&["one"]);
        let one = Destination("one".into());
        outbox.enqueue(&messages("a! b! huge! c! d."));
        let mut taken = Vec::new();
        let mut dropped = 0;
        while let Some((_, batch)) = outbox.poll(at(0)) {
            let text = told(&batch.messages);
            let outcome = if text.contains("huge") {
                SendOutcome::TooLarge {
                    reason: "413".into(),
                }
            } else {
                taken.push(text);
                SendOutcome::Delivered
            };
            dropped += outbox.settle(&one, &outcome, at(0)).dropped;
        }
        assert_eq!(taken.join(" "), "a! b! c! d.");
        assert_eq!(dropped, 1);
    }

    #[test]
    fn a_batch_has_its_bound_in_bytes() {
        let mut outbox = outbox(&["one"]);
        let one = Destination("one".into());
        let large = |name: &str| {
            let mut message = message(name, AlertStatus::Firing, 240);
            let text = "x".repeat(BATCH_BYTES_MAX / 2);
            message.alert.annotations = Labels::from_pairs([("text", text.as_str())]);
            message
        };
        outbox.enqueue(&[large("a"), large("b"), large("c")]);
        outbox.enqueue(&messages("d!"));
        let mut batches = Vec::new();
        while let Some((_, batch)) = outbox.poll(at(0)) {
            batches.push(told(&batch.messages));
            outbox.settle(&one, &SendOutcome::Delivered, at(0));
        }
        assert_eq!(batches, ["a! b!", "c! d!"]);
    }

    #[test]
    fn the_newest_message_about_an_alert_replaces_the_waiting_one() {
        let mut outbox = outbox(&["one"]);
        outbox.enqueue(&messages("a! b!"));
        outbox.enqueue(&messages("a."));
        assert_eq!(poll(&mut outbox, 0), [sent("one", "a. b!")]);
    }

    #[test]
    fn a_failed_batch_is_tried_again_first_with_the_newest_messages() {
        let mut outbox = outbox(&["one"]);
        let one = Destination("one".into());
        outbox.enqueue(&messages("a! b!"));
        poll(&mut outbox, 0);
        outbox.enqueue(&messages("c! a."));
        let settled = outbox.settle(&one, &failed(), at(0));
        assert_eq!(settled.will_retry, 1);
        assert_eq!(outbox.poll_timeout(), Some(at(1)));
        assert_eq!(poll(&mut outbox, 0), []);
        assert_eq!(poll(&mut outbox, 1), [sent("one", "b! c! a.")]);
        outbox.settle(&one, &failed(), at(1));
        assert_eq!(outbox.poll_timeout(), Some(at(3)));
        assert_eq!(poll(&mut outbox, 3), [sent("one", "b! c! a.")]);
        outbox.settle(&one, &SendOutcome::Delivered, at(3));
        assert_eq!(outbox.poll_timeout(), None);
    }

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses: Vec<u64> = (0..8)
            .map(|failures| retry_pause(failures).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(retry_pause(u32::MAX), Duration::from_secs(30));
    }

    #[test]
    fn a_rejected_batch_is_not_tried_again() {
        let mut outbox = outbox(&["one"]);
        outbox.enqueue(&messages("a!"));
        poll(&mut outbox, 0);
        let rejected = SendOutcome::Rejected {
            reason: "400".into(),
        };
        let settled = outbox.settle(&Destination("one".into()), &rejected, at(0));
        assert_eq!(
            settled,
            Settled {
                dropped: 1,
                ..Settled::default()
            }
        );
        assert_eq!(poll(&mut outbox, 9), []);
    }

    #[test]
    fn a_firing_alert_whose_validity_has_run_out_is_not_sent_as_if_resolved() {
        let mut outbox = outbox(&["one"]);
        outbox.enqueue(&messages("a! b."));
        let (_, batch) = outbox.poll(at(240)).unwrap();
        assert_eq!(told(&batch.messages), "b.");
        assert_eq!(batch.expired, ["a"]);
    }

    #[test]
    fn past_the_bound_the_oldest_firing_ones_give_way_before_any_end() {
        let mut outbox = outbox(&["one"]);
        outbox.enqueue(&messages("a. b! c!"));
        let many: Vec<Message> = (0..WAITING_MAX - 1)
            .map(|index| message(&format!("m{index}"), AlertStatus::Resolved, 60))
            .collect();
        let dropped = outbox.enqueue(&many);
        assert_eq!(dropped, [(Destination("one".into()), 2)]);
        assert_eq!(outbox.waiting(&Destination("one".into())), WAITING_MAX);
        let (_, batch) = outbox.poll(at(60)).unwrap();
        assert_eq!(batch.messages.len(), BATCH_MAX);
        assert_eq!(told(&batch.messages[..2]), "a. m0.");
    }

    #[test]
    fn destinations_come_and_go() {
        let mut outbox = outbox(&["one", "two"]);
        outbox.enqueue(&messages("a!"));
        let name = |name: &str| Destination(name.into());
        let added = outbox.set_destinations([name("three"), name("two")]);
        assert_eq!(added, [name("three")]);
        outbox.enqueue_for(&name("three"), &messages("b!"));
        assert_eq!(
            poll(&mut outbox, 0),
            [sent("three", "b!"), sent("two", "a!")]
        );
        assert_eq!(
            outbox.settle(&name("one"), &failed(), at(0)),
            Settled::default()
        );
    }
}
