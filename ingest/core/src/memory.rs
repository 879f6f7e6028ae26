//! All that is kept of one tenant in memory: its recent samples, and what its senders say besides.
use model::Timestamp;

use crate::admission::{Report, WriteError};
use crate::decode::WriteRequest;
use crate::exemplars::{ExemplarRing, SeriesExemplar, take_exemplars};
use crate::head::Head;
use crate::head::snapshot::{SnapshotCursor, SnapshotPart};
use crate::limits::Limits;
use crate::metadata::{MetadataTable, SaidMetadata, StagedMetadata};
use crate::rate::SampleBucket;
use crate::record::{RecordError, RecordKind};
use crate::said_record::{push_exemplars, push_metadata, read_exemplars, read_metadata};
use crate::stage::{Records, Staged};

#[derive(Debug)]
pub struct Memory {
    pub head: Head,
    pub exemplars: ExemplarRing,
    pub metadata: MetadataTable,
    arriving: SampleBucket,
}

/// A request that waits for the log: it must come back by [`Memory::commit`] or [`Memory::abort`], in the order of staging, or at
/// once by [`Memory::take_back`].
#[derive(Debug)]
#[must_use]
pub struct StagedWrite {
    samples: Staged,
    exemplars: Vec<SeriesExemplar>,
    metadata: StagedMetadata,
}

impl StagedWrite {
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.samples.report
    }
}

impl From<Staged> for StagedWrite {
    fn from(samples: Staged) -> Self {
        Self {
            samples,
            exemplars: Vec::new(),
            metadata: StagedMetadata::default(),
        }
    }
}

impl Memory {
    /// `seed` must be unknown to senders.
    #[must_use]
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            exemplars: ExemplarRing::new(limits.exemplars_max, seed),
            metadata: MetadataTable::new(seed),
            arriving: SampleBucket::default(),
            head: Head::new(limits, seed),
        }
    }

    /// Admits a request with all that it says, if its tenant does not send too fast; see [`Head::stage`].
    pub fn stage(
        &mut self,
        request: &WriteRequest<'_>,
        now: Timestamp,
    ) -> Result<(StagedWrite, Records), WriteError> {
        let rate = self.head.limits().rate;
        let sent_len = request.samples_len() + request.histograms_len();
        if let Some(rate) = rate {
            self.arriving.check(rate, sent_len, now)?;
        }
        let (mut samples, mut records) = self.head.stage(request, now)?;
        if let Some(rate) = rate {
            self.arriving.take(rate, sent_len, now);
        }
        let report = &mut samples.report;
        let sent = take_exemplars(request, report);
        let newest = now + self.head.limits().ahead_max;
        let exemplars = self.exemplars.stage(sent, newest, report);
        push_exemplars(&mut records, &exemplars);
        let metadata = self
            .metadata
            .stage(request.protocol, &request.metadata, now);
        report.refused_metadata = metadata.refused;
        push_metadata(&mut records, &metadata.said);
        let staged = StagedWrite {
            samples,
            exemplars,
            metadata,
        };
        Ok((staged, records))
    }

    /// The log has the records.
    pub fn commit(&mut self, staged: StagedWrite) {
        self.head.commit(staged.samples);
        self.exemplars.commit(staged.exemplars);
        self.metadata.commit(staged.metadata);
    }

    /// The log has refused the records of what was staged last; see [`Head::take_back`].
    pub fn take_back(&mut self, staged: StagedWrite) {
        self.head.take_back(staged.samples);
        self.exemplars.abort(&staged.exemplars);
        self.metadata.abort(&staged.metadata);
    }

    /// The log does not have the records, and never will.
    pub fn abort(&mut self, staged: StagedWrite) {
        self.head.abort(staged.samples);
        self.exemplars.abort(&staged.exemplars);
        self.metadata.abort(&staged.metadata);
    }

    /// Takes a record of the log or of a snapshot back; see [`Head::replay`].
    pub fn replay(&mut self, kind: RecordKind, payload: &[u8]) -> Result<usize, RecordError> {
        match kind {
            RecordKind::Exemplars => {
                let exemplars = &mut self.exemplars;
                read_exemplars(payload, |(series, exemplar)| {
                    exemplars.replay(series, exemplar)
                })?;
                Ok(0)
            }
            RecordKind::Metadata => {
                let metadata = &mut self.metadata;
                read_metadata(payload, |said| metadata.replay(said))?;
                Ok(0)
            }
            RecordKind::AnyChunks
            | RecordKind::Chunks
            | RecordKind::Cuts
            | RecordKind::Definitions
            | RecordKind::Histograms
            | RecordKind::LateChunks
            | RecordKind::LateHistograms
            | RecordKind::LateSamples
            | RecordKind::Samples
            | RecordKind::StartTimes => self.head.replay(kind, payload),
        }
    }

    /// The next part of a snapshot, and where to go on; see [`Head::snapshot`]. What senders said comes last and at once.
    #[must_use]
    pub fn snapshot(
        &self,
        from: SnapshotCursor,
        bytes_max: usize,
    ) -> (MemoryPart, Option<SnapshotCursor>) {
        let (series, next) = self.head.snapshot(from, bytes_max);
        let mut part = MemoryPart {
            series,
            exemplars: Vec::new(),
            metadata: Vec::new(),
        };
        if next.is_none() {
            part.exemplars = self.exemplars.in_order();
            part.metadata = self.metadata.all();
        }
        (part, next)
    }

    /// There is nothing that a restart would have to bring back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.series_len() == 0 && self.exemplars.is_empty() && self.metadata.is_empty()
    }
}

/// What was copied out of a tenant's memory for a snapshot.
#[derive(Debug)]
pub struct MemoryPart {
    series: SnapshotPart,
    exemplars: Vec<SeriesExemplar>,
    metadata: Vec<SaidMetadata>,
}

impl MemoryPart {
    #[must_use]
    pub fn into_records(self) -> Records {
        let mut records = vec![self.series.into_record()];
        push_exemplars(&mut records, &self.exemplars);
        push_metadata(&mut records, &self.metadata);
        records
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::{Labels, Timestamp};

    use super::Memory;
    use crate::admission::WriteError;
    use crate::decode::WriteRequest;
    use crate::exemplars::Exemplar;
    use crate::head::snapshot::SnapshotCursor;
    use crate::limits::Limits;
    use crate::metadata::SaidMetadata;
    use crate::metric_kind::MetricKind;
    use crate::rate::{RateExceeded, SampleRate};
    use crate::record::RecordKind;
    use crate::said_record::{push_exemplars, push_metadata};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn memory(exemplars_max: usize) -> Memory {
        let limits = Limits {
            exemplars_max,
            ..Limits::default()
        };
        Memory::new(limits, 1)
    }

    #[test]
    fn of_a_request_that_comes_too_fast_nothing_is_kept() {
        let limits = Limits {
            rate: Some(SampleRate {
                samples_per_second: 1,
                burst_samples: 1,
            }),
            ..Limits::default()
        };
        let mut memory = Memory::new(limits, 1);
        // `m` with the sample 1 at the time 1,000,000,000.
        let body = b"\x0a\x20\x0a\x0d\x0a\x08__name__\x12\x01m\x12\x0f\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x80\x94\xeb\xdc\x03";
        let request = WriteRequest::read(body).unwrap();
        let refused = WriteError::Rate(RateExceeded {
            samples_per_second: 1,
            retry_after: Duration::from_secs(1),
        });
        for (millis, outcome) in [
            (0, Ok(1)),
            (999, Err(refused.clone())),
            // The sample is there already.
            (1000, Ok(0)),
            (1001, Err(refused)),
        ] {
            let now = NOW + Duration::from_millis(millis);
            let staged = memory.stage(&request, now).map(|(staged, _)| {
                let accepted = staged.report().accepted;
                memory.commit(staged);
                accepted
            });
            assert_eq!(staged, outcome, "{millis}");
        }
        assert_eq!(memory.head.stats().series, 1);
    }

    fn shown(memory: &Memory) -> String {
        let exemplars = memory.exemplars.in_order();
        let exemplars: Vec<String> = exemplars
            .iter()
            .map(|(series, exemplar)| {
                let name = series.metric_name().unwrap();
                format!("{name}={}", exemplar.value)
            })
            .collect();
        let metadata: Vec<String> = memory
            .metadata
            .all()
            .into_iter()
            .map(|said| format!("{} {}", said.metric, said.help))
            .collect();
        format!("{} | {}", exemplars.join(" "), metadata.join(", "))
    }

    /// Records of one request each.
    fn records() -> Vec<(RecordKind, Vec<u8>)> {
        let mut records = Vec::new();
        for number in 0..4 {
            let exemplar = Exemplar {
                labels: Labels::default(),
                value: number as f64,
                timestamp: NOW + std::time::Duration::from_secs(number),
            };
            let name = ["a", "b"][number as usize % 2];
            let series = Labels::from_pairs([("__name__", name)]);
            push_exemplars(&mut records, &[(series, exemplar)]);
            let said = SaidMetadata {
                metric: name.to_owned(),
                kind: MetricKind::Gauge,
                help: number.to_string(),
                unit: String::new(),
                heard: NOW,
            };
            push_metadata(&mut records, &[said]);
        }
        records
    }

    #[test]
    fn a_record_that_is_damaged_takes_only_itself() {
        let all = records();
        for damaged in 0..all.len() {
            let mut memory = memory(9);
            for (place, (kind, payload)) in all.iter().enumerate() {
                let payload = if place == damaged {
                    &payload[..payload.len() - 1]
                } else {
                    payload
                };
                assert_eq!(memory.replay(*kind, payload).is_err(), place == damaged);
            }
            let kept = memory.exemplars.len() + memory.metadata.all().len();
            assert_eq!(kept, all.len() - 1, "{damaged}");
        }
    }

    /// A snapshot that was taken in the midst of the log is followed by all of it.
    #[test]
    fn a_snapshot_and_the_log_behind_it_may_overlap() {
        let all = records();
        for bound in [9, 3, 1, 0] {
            let mut whole = memory(bound);
            for (kind, payload) in &all {
                whole.replay(*kind, payload).unwrap();
            }
            for taken in 0..=all.len() {
                let mut first = memory(bound);
                for (kind, payload) in &all[..taken] {
                    first.replay(*kind, payload).unwrap();
                }
                let (part, next) = first.snapshot(SnapshotCursor::START, 1000);
                assert_eq!(next, None);
                let mut again = memory(bound);
                for (kind, payload) in part.into_records().iter().chain(&all[taken..]) {
                    again.replay(*kind, payload).unwrap();
                }
                assert_eq!(shown(&again), shown(&whole), "{bound} {taken}");
                if bound == 9 {
                    for (kind, payload) in &all {
                        again.replay(*kind, payload).unwrap();
                    }
                    assert_eq!(shown(&again), shown(&whole), "{taken}");
                }
            }
        }
    }
}
