//! What senders say about metrics: type, help text and unit.
use std::collections::HashMap;
use std::time::Duration;

use foldhash::quality::FixedState;
use model::Timestamp;

use crate::decode::{Protocol, SentMetadata};
use crate::metadata_refused::MetadataRefused;
use crate::metric_kind::MetricKind;

/// Of one tenant, with what the table itself takes: some ten thousand metrics with their help texts.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of one metric: programs that disagree about it. The one that was not heard of for the longest time goes.
const ENTRIES_MAX: usize = 8;
/// Name, help text and unit together.
const ENTRY_BYTES_MAX: usize = 16 * 1024;
/// So long it may have been heard of without the log's knowing: a sender says everything every minute.
const LOGGED_EVERY: Duration = Duration::from_secs(3600);
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 96;

/// What was said about one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    pub kind: MetricKind,
    pub help: String,
    pub unit: String,
    heard: Timestamp,
    /// As far as the log knows.
    logged: Timestamp,
}

/// All metrics of one tenant.
#[derive(Debug)]
pub struct MetadataTable {
    metrics: HashMap<String, Vec<Metadata>, FixedState>,
    bytes: usize,
    /// Of what waits for the log.
    pending_bytes: usize,
}

/// What was said about one metric, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidMetadata {
    pub(crate) metric: String,
    pub(crate) kind: MetricKind,
    pub(crate) help: String,
    pub(crate) unit: String,
    pub(crate) heard: Timestamp,
}

/// What of a request the log must have.
#[derive(Debug, Default)]
pub struct StagedMetadata {
    pub(crate) said: Vec<SaidMetadata>,
    pub(crate) refused: MetadataRefused,
    /// Room that is kept free for it.
    bytes: usize,
}

impl MetadataTable {
    /// `seed` must be unknown to senders.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            metrics: HashMap::with_hasher(FixedState::with_seed(seed)),
            bytes: 0,
            pending_bytes: 0,
        }
    }

    /// Admits what a request says. What is new comes back by `commit` or `abort`, when the log has it or never will; of
    /// what is known the log learns every hour that it was heard of.
    pub(crate) fn stage(
        &mut self,
        protocol: Protocol,
        all: &[SentMetadata<'_>],
        now: Timestamp,
    ) -> StagedMetadata {
        let mut staged = StagedMetadata::default();
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
                    self.stage_one(&mut staged, metric, sent.kind, help, unit, now);
                }
                _ => staged.refused.malformed += 1,
            }
        }
        staged
    }

    fn stage_one(
        &mut self,
        staged: &mut StagedMetadata,
        metric: &str,
        kind: MetricKind,
        help: &str,
        unit: &str,
        now: Timestamp,
    ) {
        match self.find(metric, kind, help, unit) {
            Some(known) => {
                known.heard = known.heard.max(now);
                if now.saturating_since(known.logged) < LOGGED_EVERY {
                    return;
                }
            }
            None => {
                let bytes = entry_bytes(metric, help, unit);
                let taken = self.bytes + self.pending_bytes;
                if bytes > ENTRY_BYTES_MAX || taken + bytes > BYTES_MAX {
                    staged.refused.too_much += 1;
                    return;
                }
                self.pending_bytes += bytes;
                staged.bytes += bytes;
            }
        }
        staged.said.push(SaidMetadata {
            metric: metric.to_owned(),
            kind,
            help: help.to_owned(),
            unit: unit.to_owned(),
            heard: now,
        });
    }

    /// The log has it.
    pub(crate) fn commit(&mut self, staged: StagedMetadata) {
        self.pending_bytes -= staged.bytes;
        for said in staged.said {
            self.replay(said);
        }
    }

    /// The log does not have it, and never will.
    pub(crate) fn abort(&mut self, staged: &StagedMetadata) {
        self.pending_bytes -= staged.bytes;
    }

    /// Takes back what was logged; past the bound of bytes it is forgotten.
    pub(crate) fn replay(&mut self, said: SaidMetadata) {
        if let Some(known) = self.find(&said.metric, said.kind, &said.help, &said.unit) {
            known.heard = known.heard.max(said.heard);
            known.logged = known.logged.max(said.heard);
            return;
        }
        let bytes = entry_bytes(&said.metric, &said.help, &said.unit);
        if bytes > ENTRY_BYTES_MAX || self.bytes + bytes > BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        let SaidMetadata {
            metric,
            kind,
            help,
            unit,
            heard,
        } = said;
        let metric_bytes = metric.len();
        let entries = self.metrics.entry(metric).or_default();
        if entries.len() == ENTRIES_MAX {
            let oldest = (0..ENTRIES_MAX).min_by_key(|place| entries[*place].heard);
            let oldest = entries.remove(oldest.unwrap_or(0));
            self.bytes -= ENTRY_BYTES + metric_bytes + oldest.help.len() + oldest.unit.len();
        }
        entries.push(Metadata {
            kind,
            help,
            unit,
            heard,
            logged: heard,
        });
    }

    fn find(
        &mut self,
        metric: &str,
        kind: MetricKind,
        help: &str,
        unit: &str,
    ) -> Option<&mut Metadata> {
        let entries = self.metrics.get_mut(metric)?;
        entries
            .iter_mut()
            .find(|entry| entry.kind == kind && entry.help == help && entry.unit == unit)
    }

    /// All of it, by metric; of one metric in the order in which it was heard first.
    pub(crate) fn all(&self) -> Vec<SaidMetadata> {
        let listed = self.list(None, usize::MAX, usize::MAX).into_iter();
        listed
            .flat_map(|(metric, entries)| {
                entries.iter().map(|entry| SaidMetadata {
                    metric: metric.to_owned(),
                    kind: entry.kind,
                    help: entry.help.clone(),
                    unit: entry.unit.clone(),
                    heard: entry.heard,
                })
            })
            .collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
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

    use super::{BYTES_MAX, ENTRIES_MAX, ENTRY_BYTES_MAX, LOGGED_EVERY, MetadataTable};
    use crate::decode::{Protocol, SentMetadata};
    use crate::metadata_refused::MetadataRefused;
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

    /// As a request that the log has.
    fn hear(
        table: &mut MetadataTable,
        protocol: Protocol,
        all: &[SentMetadata<'_>],
        now: Timestamp,
    ) -> MetadataRefused {
        let staged = table.stage(protocol, all, now);
        let refused = staged.refused;
        table.commit(staged);
        assert_eq!(table.pending_bytes, 0);
        refused
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
        let refused = hear(&mut table, Protocol::V1, &said, NOW);
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
        hear(&mut table, Protocol::V2, &said, NOW);
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
        let refused = hear(&mut table, Protocol::V1, &said, NOW);
        assert_eq!((refused.malformed, refused.too_much), (2, 1));
        let help = "x".repeat(ENTRY_BYTES_MAX / 2);
        let names: Vec<String> = (0..BYTES_MAX / help.len())
            .map(|number| format!("m{number}"))
            .collect();
        let said: Vec<_> = names
            .iter()
            .map(|name| sent(name, MetricKind::Gauge, &help))
            .collect();
        let refused = hear(&mut table, Protocol::V1, &said, NOW);
        let kept = listed(&table).len();
        assert!(refused.too_much > 0);
        assert_eq!(kept + refused.too_much, said.len());
        // What is known already needs no room, and what was forgotten gives it back.
        assert_eq!(
            hear(&mut table, Protocol::V1, &said[..1], NOW),
            MetadataRefused::default()
        );
        table.forget(NOW + Duration::from_secs(10), Duration::from_secs(5));
        assert_eq!(listed(&table).len(), 0);
        assert_eq!(table.bytes, 0);
    }

    /// A refreshed entry costs the log something, so it is told seldom.
    #[test]
    fn the_log_hears_of_what_is_new_and_seldom_of_the_rest() {
        let mut table = MetadataTable::new(1);
        let said = [sent("up", MetricKind::Gauge, "a")];
        let mut records = |now, is_logged: bool| {
            let staged = table.stage(Protocol::V1, &said, now);
            let count = staged.said.len();
            if is_logged {
                table.commit(staged);
            } else {
                table.abort(&staged);
            }
            (count, listed(&table).len(), table.pending_bytes)
        };
        let minute = Duration::from_secs(60);
        assert_eq!(records(NOW, false), (1, 0, 0));
        assert_eq!(records(NOW, true), (1, 1, 0));
        assert_eq!(records(NOW + minute, true), (0, 1, 0));
        assert_eq!(records(NOW + LOGGED_EVERY, false), (1, 1, 0));
        assert_eq!(records(NOW + LOGGED_EVERY + minute, true), (1, 1, 0));
        assert_eq!(records(NOW + LOGGED_EVERY + minute, true), (0, 1, 0));
    }

    #[test]
    fn of_many_descriptions_the_oldest_goes() {
        let mut table = MetadataTable::new(1);
        let at = |second| NOW + Duration::from_secs(second);
        for number in 0..ENTRIES_MAX as u64 {
            let help = number.to_string();
            hear(
                &mut table,
                Protocol::V1,
                &[sent("up", MetricKind::Gauge, &help)],
                at(number),
            );
        }
        hear(
            &mut table,
            Protocol::V1,
            &[sent("up", MetricKind::Gauge, "0")],
            at(100),
        );
        hear(
            &mut table,
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
