//! What senders say about metrics: type, help text and unit.
use std::collections::HashMap;
use std::time::Duration;

use foldhash::quality::FixedState;
use model::Timestamp;

use crate::decode::{Protocol, SentMetadata};
use crate::metric_kind::MetricKind;

/// Of one tenant, with what the table itself takes: some ten thousand metrics with their help texts.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of one metric: programs that disagree about it. The one that was not heard of for the longest time goes.
const ENTRIES_MAX: usize = 8;
/// Name, help text and unit together.
const ENTRY_BYTES_MAX: usize = 16 * 1024;
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 96;

/// What was said about one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub kind: MetricKind,
    pub help: String,
    pub unit: String,
    heard: Timestamp,
}

/// All metrics of one tenant.
#[derive(Debug)]
pub struct MetadataTable {
    metrics: HashMap<String, Vec<Metadata>, FixedState>,
    bytes: usize,
}

/// How many descriptions a request had that are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataRefused {
    /// Without a name, or not in UTF-8.
    pub malformed: usize,
    /// Past a bound.
    pub too_much: usize,
}

impl MetadataTable {
    /// `seed` must be unknown to senders.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            metrics: HashMap::with_hasher(FixedState::with_seed(seed)),
            bytes: 0,
        }
    }

    /// Takes in what a request says.
    pub fn hear(
        &mut self,
        protocol: Protocol,
        all: &[SentMetadata<'_>],
        now: Timestamp,
    ) -> MetadataRefused {
        let mut refused = MetadataRefused::default();
        for sent in all {
            // Of 2.0 every series says something, if only that nothing is known.
            let says_nothing =
                sent.kind == MetricKind::Unknown && sent.help.is_empty() && sent.unit.is_empty();
            if says_nothing && protocol == Protocol::V2 {
                continue;
            }
            let text = |bytes| std::str::from_utf8(bytes).ok();
            match (text(sent.metric), text(sent.help), text(sent.unit)) {
                (Some(metric), Some(help), Some(unit)) if !metric.is_empty() => {
                    let metric = match protocol {
                        Protocol::V1 => metric,
                        Protocol::V2 => family(metric, sent.kind),
                    };
                    let is_kept = self.keep(metric, sent.kind, help, unit, now);
                    refused.too_much += usize::from(!is_kept);
                }
                _ => refused.malformed += 1,
            }
        }
        refused
    }

    /// Metrics by name, at most `metrics_max`, and of each at most `entries_max` entries; of `metric` alone where it is
    /// named.
    #[must_use]
    pub fn list(
        &self,
        metric: Option<&str>,
        metrics_max: usize,
        entries_max: usize,
    ) -> Vec<(&str, &[Metadata])> {
        let mut found: Vec<(&str, &[Metadata])> = match metric {
            Some(metric) => self
                .metrics
                .get_key_value(metric)
                .into_iter()
                .map(|(name, entries)| (name.as_str(), entries.as_slice()))
                .collect(),
            None => self
                .metrics
                .iter()
                .map(|(name, entries)| (name.as_str(), entries.as_slice()))
                .collect(),
        };
        found.sort_unstable_by_key(|(name, _)| *name);
        found.truncate(metrics_max);
        for (_, entries) in &mut found {
            *entries = &entries[..entries.len().min(entries_max)];
        }
        found
    }

    /// Forgets what was not heard of for so long.
    pub fn forget(&mut self, now: Timestamp, after: Duration) {
        let horizon = now - after;
        let mut bytes = 0;
        self.metrics.retain(|name, entries| {
            entries.retain(|entry| entry.heard >= horizon);
            bytes += entries
                .iter()
                .map(|entry| entry_bytes(name, &entry.help, &entry.unit))
                .sum::<usize>();
            !entries.is_empty()
        });
        self.bytes = bytes;
    }

    fn keep(
        &mut self,
        metric: &str,
        kind: MetricKind,
        help: &str,
        unit: &str,
        now: Timestamp,
    ) -> bool {
        let known = self.metrics.get_mut(metric);
        if let Some(entries) = &known
            && let Some(place) = entries
                .iter()
                .position(|entry| entry.kind == kind && entry.help == help && entry.unit == unit)
        {
            if let Some(entries) = known {
                entries[place].heard = now;
            }
            return true;
        }
        let bytes = entry_bytes(metric, help, unit);
        if bytes > ENTRY_BYTES_MAX || self.bytes + bytes > BYTES_MAX {
            return false;
        }
        self.bytes += bytes;
        let entries = match known {
            Some(entries) => entries,
            None => self.metrics.entry(metric.to_owned()).or_default(),
        };
        if entries.len() == ENTRIES_MAX {
            let oldest = (0..ENTRIES_MAX).min_by_key(|place| entries[*place].heard);
            let oldest = entries.remove(oldest.unwrap_or(0));
            self.bytes -= entry_bytes(metric, &oldest.help, &oldest.unit);
        }
        entries.push(Metadata {
            kind,
            help: help.to_owned(),
            unit: unit.to_owned(),
            heard: now,
        });
        true
    }
}

fn entry_bytes(metric: &str, help: &str, unit: &str) -> usize {
    ENTRY_BYTES + metric.len() + help.len() + unit.len()
}

/// The family of a metric, as 1.0 and scrapes name it.
fn family(metric: &str, kind: MetricKind) -> &str {
    let endings: &[&str] = match kind {
        MetricKind::Histogram => &["_bucket", "_count", "_sum"],
        MetricKind::Summary => &["_count", "_sum"],
        MetricKind::GaugeHistogram => &["_bucket", "_gcount", "_gsum"],
        MetricKind::Counter
        | MetricKind::Gauge
        | MetricKind::Info
        | MetricKind::StateSet
        | MetricKind::Unknown => &[],
    };
    endings
        .iter()
        .find_map(|ending| metric.strip_suffix(ending))
        .filter(|family| !family.is_empty())
        .unwrap_or(metric)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;

    use super::{BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, MetadataRefused, MetadataTable};
    use crate::decode::{Protocol, SentMetadata};
    use crate::metric_kind::MetricKind;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn sent<'a>(metric: &'a str, kind: MetricKind, help: &'a str) -> SentMetadata<'a> {
        SentMetadata {
            metric: metric.as_bytes(),
            kind,
            help: help.as_bytes(),
            unit: b"",
        }
    }

    fn listed(table: &MetadataTable) -> Vec<String> {
        let all = table.list(None, usize::MAX, usize::MAX).into_iter();
        all.flat_map(|(name, entries)| {
            entries
                .iter()
                .map(move |entry| format!("{name} {} {}", entry.kind.as_str(), entry.help))
        })
        .collect()
    }

    #[test]
    fn what_was_said_is_kept_once_by_metric() {
        let mut table = MetadataTable::new(1);
        let said = [
            sent("up", MetricKind::Gauge, "b"),
            sent("up", MetricKind::Gauge, "b"),
            sent("up", MetricKind::Counter, "a"),
            sent("down", MetricKind::Unknown, ""),
        ];
        let refused = table.hear(Protocol::V1, &said, NOW);
        assert_eq!(refused, MetadataRefused::default());
        assert_eq!(
            listed(&table),
            ["down unknown ", "up gauge b", "up counter a"]
        );
        let names = |metric, metrics_max, entries_max| -> Vec<(String, usize)> {
            let found = table.list(metric, metrics_max, entries_max).into_iter();
            found
                .map(|(name, entries)| (name.to_owned(), entries.len()))
                .collect()
        };
        assert_eq!(names(Some("up"), 9, 1), [("up".to_owned(), 1)]);
        assert_eq!(names(None, 1, 9), [("down".to_owned(), 1)]);
        assert_eq!(names(Some("x"), 9, 9), []);
    }

    #[test]
    fn series_of_2_0_tell_of_their_family() {
        let mut table = MetadataTable::new(1);
        let said = [
            sent("h_bucket", MetricKind::Histogram, "h"),
            sent("h_sum", MetricKind::Histogram, "h"),
            sent("s_count", MetricKind::Summary, "s"),
            sent("g_gsum", MetricKind::GaugeHistogram, "g"),
            sent("c_count", MetricKind::Counter, "c"),
            sent("_sum", MetricKind::Summary, "x"),
            sent("nothing", MetricKind::Unknown, ""),
        ];
        table.hear(Protocol::V2, &said, NOW);
        assert_eq!(
            listed(&table),
            [
                "_sum summary x",
                "c_count counter c",
                "g gaugehistogram g",
                "h histogram h",
                "s summary s"
            ]
        );
    }

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let mut table = MetadataTable::new(1);
        let long = "x".repeat(ENTRY_BYTES_MAX);
        let said = [
            sent("", MetricKind::Gauge, "nameless"),
            SentMetadata {
                help: b"\xff",
                ..sent("up", MetricKind::Gauge, "")
            },
            sent("up", MetricKind::Gauge, &long),
        ];
        let refused = table.hear(Protocol::V1, &said, NOW);
        assert_eq!((refused.malformed, refused.too_much), (2, 1));
        let help = "x".repeat(ENTRY_BYTES_MAX / 2);
        let names: Vec<String> = (0..BYTES_MAX / help.len())
            .map(|number| format!("m{number}"))
            .collect();
        let said: Vec<_> = names
            .iter()
            .map(|name| sent(name, MetricKind::Gauge, &help))
            .collect();
        let refused = table.hear(Protocol::V1, &said, NOW);
        let kept = listed(&table).len();
        assert!(refused.too_much > 0);
        assert_eq!(kept + refused.too_much, said.len());
        // What is known already needs no room, and what was forgotten gives it back.
        assert_eq!(
            table.hear(Protocol::V1, &said[..1], NOW),
            MetadataRefused::default()
        );
        table.forget(NOW + Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!(listed(&table).len(), 0);
        assert_eq!(table.bytes, 0);
    }

    #[test]
    fn of_many_descriptions_the_oldest_goes() {
        let mut table = MetadataTable::new(1);
        let at = |second| NOW + Duration::from_secs(second);
        for number in 0..ENTRIES_MAX as u64 {
            let help = number.to_string();
            table.hear(
                Protocol::V1,
                &[sent("up", MetricKind::Gauge, &help)],
                at(number),
            );
        }
        table.hear(Protocol::V1, &[sent("up", MetricKind::Gauge, "0")], at(100));
        table.hear(
            Protocol::V1,
            &[sent("up", MetricKind::Gauge, "new")],
            at(101),
        );
        let helps = listed(&table).join(" ");
        assert!(
            helps.contains("gauge 0 ") && helps.ends_with("new"),
            "{helps}"
        );
        assert!(!helps.contains("gauge 1 "), "{helps}");
        table.forget(at(101), Duration::from_secs(1));
        assert_eq!(listed(&table), ["up gauge 0", "up gauge new"]);
    }
}
