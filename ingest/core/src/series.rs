//! One series of the head: its labels, its chunks, and what is on its way to the log.
use std::sync::Arc;
use std::time::Duration;

use model::{HistogramSample, Labels, Sample, Timestamp};

use crate::block::BlockChunk;
use crate::chunk::{Chunk, SAMPLES_PER_CHUNK};
use crate::chunk_merge::merge_chunks;
use crate::newest::Newest;
use crate::open_chunk::{Open, newest_of};
use crate::points::{PointWindow, Points, TooManyPoints};
use crate::record::SeriesId;
use crate::start_times::{Run, start_at};

/// No chunk reaches over a multiple of this, so that the head can be cut into blocks between chunks.
pub const BLOCK_RANGE: Duration = Duration::from_secs(2 * 3600);

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) hash: u64,
    /// The next series whose label bytes have the same hash.
    pub(crate) collides_with: Option<SeriesId>,
    /// The log holds the definition.
    pub(crate) is_defined: bool,
    /// Samples that were admitted and wait for the log.
    pub(crate) pending: u32,
    /// The newest sample that was admitted, whether or not it is in the log already.
    pub(crate) newest: Option<Newest>,
    sealed: Vec<Arc<Chunk>>,
    /// Holds the newest sample in the log.
    open: Option<Open>,
}

/// How a sample relates to those that its series has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// It is the newest, with the same value.
    Repeated,
    /// The newest has another value at the same time.
    Conflicting,
    Newer,
    Older,
}

impl Series {
    pub(crate) fn new(labels: Labels, hash: u64) -> Self {
        Self {
            labels,
            hash,
            collides_with: None,
            is_defined: false,
            pending: 0,
            newest: None,
            sealed: Vec::new(),
            open: None,
        }
    }

    pub(crate) fn restored(labels: Labels, hash: u64, mut chunks: Vec<Arc<Chunk>>) -> Self {
        let open = chunks
            .last()
            .filter(|last| last.samples_len() < SAMPLES_PER_CHUNK)
            .and_then(|last| Open::reopen(last));
        if open.is_some() {
            chunks.pop();
        }
        let newest = match (&open, chunks.last()) {
            (Some(open), _) => Some(open.newest()),
            (None, Some(sealed)) => newest_of(sealed),
            (None, None) => None,
        };
        Self {
            is_defined: true,
            newest,
            sealed: chunks,
            open,
            ..Self::new(labels, hash)
        }
    }

    /// A snapshot holds a long series in several parts, in the order of time.
    pub(crate) fn restore_more(&mut self, chunks: Vec<Arc<Chunk>>) {
        let last = self.last_time();
        let mut all = std::mem::take(&mut self.sealed);
        all.extend(self.open.take().map(Open::seal));
        let newer = |chunk: &Arc<Chunk>| last.is_none_or(|last| last < chunk.min_time);
        all.extend(chunks.into_iter().filter(newer));
        let more = Self::restored(self.labels.clone(), self.hash, all);
        self.newest = more.newest;
        self.sealed = more.sealed;
        self.open = more.open;
    }

    #[inline]
    pub(crate) fn place(&self, next: Newest) -> Place {
        let Some(newest) = self.newest else {
            return Place::Newer;
        };
        if next.timestamp > newest.timestamp {
            Place::Newer
        } else if next.timestamp < newest.timestamp {
            Place::Older
        } else if next == newest {
            Place::Repeated
        } else {
            Place::Conflicting
        }
    }

    /// Keeps a sample that is in the log. One that is not newer than what is kept is there already: it was
    /// repeated, or the log is being replayed over a snapshot that has it. Answers whether a chunk was begun.
    pub(crate) fn push(&mut self, sample: Sample) -> bool {
        if self
            .last_time()
            .is_some_and(|last| sample.timestamp <= last)
        {
            return false;
        }
        match &mut self.open {
            Some(open) if open.takes_float(sample.timestamp) => {
                if let Open::Floats(open) = open {
                    open.push(sample);
                }
                return false;
            }
            _ => {}
        }
        if let Some(full) = self.open.replace(sample.into()) {
            self.sealed.push(full.seal());
        }
        true
    }

    /// The same for a histogram.
    pub(crate) fn push_histogram(&mut self, sample: &HistogramSample) -> bool {
        if self
            .last_time()
            .is_some_and(|last| sample.timestamp <= last)
        {
            return false;
        }
        if let Some(Open::Histograms(open)) = &mut self.open
            && block_of(open.min_time()) == block_of(sample.timestamp)
            && open.check(&sample.histogram).is_ok()
        {
            open.push(sample);
            return false;
        }
        let next = Open::begin_histograms(self.open.as_ref(), sample);
        if let Some(full) = self.open.replace(next) {
            self.sealed.push(full.seal());
        }
        true
    }

    /// Takes a sample of the log back at start. Answers whether a chunk was begun.
    pub(crate) fn replay(&mut self, sample: Sample) -> bool {
        if self
            .newest
            .is_none_or(|newest| newest.timestamp < sample.timestamp)
        {
            self.newest = Some(sample.into());
        }
        self.push(sample)
    }

    /// The same for a histogram.
    pub(crate) fn replay_histogram(&mut self, sample: &HistogramSample) -> bool {
        if self
            .newest
            .is_none_or(|newest| newest.timestamp < sample.timestamp)
        {
            let newest = Newest::histogram(sample.timestamp, &sample.histogram);
            self.newest = Some(newest);
        }
        self.push_histogram(sample)
    }

    /// What was admitted and does not come: the newest sample is the one in the log again.
    pub(crate) fn forget_pending(&mut self) {
        self.newest = match &self.open {
            Some(open) => Some(open.newest()),
            None => self.sealed.last().and_then(|chunk| newest_of(chunk)),
        };
    }

    pub(crate) fn has_samples(&self) -> bool {
        self.open.is_some() || !self.sealed.is_empty()
    }

    pub(crate) fn last_time(&self) -> Option<Timestamp> {
        match &self.open {
            Some(open) => Some(open.max_time()),
            None => self.sealed.last().map(|chunk| chunk.max_time),
        }
    }

    pub(crate) fn first_time(&self) -> Option<Timestamp> {
        match self.sealed.first() {
            Some(chunk) => Some(chunk.min_time),
            None => self.open.as_ref().map(Open::min_time),
        }
    }

    pub(crate) fn overlaps(&self, after: Timestamp, until: Timestamp) -> bool {
        self.first_time().is_some_and(|first| first <= until)
            && self.last_time().is_some_and(|last| last > after)
    }

    pub(crate) fn chunks_len(&self) -> usize {
        self.sealed.len() + usize::from(self.open.is_some())
    }

    /// Drops the chunks that end before `horizon`; answers how many.
    pub(crate) fn drop_before(&mut self, horizon: Timestamp) -> usize {
        let before = self.chunks_len();
        let gone = self
            .sealed
            .iter()
            .take_while(|chunk| chunk.max_time < horizon)
            .count();
        self.sealed.drain(..gone);
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.max_time() < horizon)
        {
            self.open = None;
        }
        before - self.chunks_len()
    }

    /// The chunks that end before `end`.
    pub(crate) fn chunks_before(&self, end: Timestamp) -> Vec<Arc<Chunk>> {
        let mut chunks = self.view(Timestamp::MIN, end).into_chunks();
        chunks.retain(|chunk| chunk.max_time < end);
        chunks
    }

    /// What came in order at this time.
    pub(crate) fn find(&self, at: Timestamp) -> Option<Newest> {
        let before = at - Duration::from_millis(1);
        let mut left = usize::MAX;
        let points = self.view(before, at).points(before, at, &mut left).ok()?;
        let float = points.samples.first().map(|sample| (*sample).into());
        float.or_else(|| {
            let sample = points.histograms.first()?;
            Some(Newest::histogram(at, &sample.histogram))
        })
    }

    /// What the series holds in the window, without reading any of it.
    pub(crate) fn view(&self, after: Timestamp, until: Timestamp) -> SeriesView {
        let first = self.sealed.partition_point(|chunk| chunk.max_time <= after);
        let sealed = self.sealed[first..]
            .iter()
            .take_while(|chunk| chunk.min_time <= until)
            .cloned()
            .collect();
        SeriesView {
            labels: self.labels.clone(),
            newest: None,
            sealed,
            open: self.open_view(after, until),
            late: Vec::new(),
            starts: None,
        }
    }

    /// The same, but only what the newest sample of the window lies in.
    pub(crate) fn newest_view(&self, after: Timestamp, until: Timestamp) -> SeriesView {
        let mut view = SeriesView {
            labels: self.labels.clone(),
            newest: None,
            sealed: Vec::new(),
            open: None,
            late: Vec::new(),
            starts: None,
        };
        match &self.open {
            Some(Open::Floats(open))
                if open.last().timestamp <= until && open.last().timestamp > after =>
            {
                view.newest = Some(open.last());
            }
            Some(open) if open.min_time() <= until => view.open = self.open_view(after, until),
            _ => {
                let end = self.sealed.partition_point(|chunk| chunk.min_time <= until);
                view.sealed.extend(self.sealed[..end].last().cloned());
            }
        }
        view
    }

    fn open_view(&self, after: Timestamp, until: Timestamp) -> Option<Chunk> {
        let open = self.open.as_ref()?;
        let (min, max) = (open.min_time(), open.max_time());
        (min <= until && max > after)
            .then(|| Chunk::from_stored(min, max, open.encoding(), open.bytes().into()))
    }
}

/// A series as it was when it was looked at: it can be read when the head's lock is gone.
#[derive(Clone, Debug)]
pub struct SeriesView {
    pub labels: Labels,
    /// The only sample that is wanted, where it was known without reading.
    newest: Option<Sample>,
    sealed: Vec<Arc<Chunk>>,
    open: Option<Chunk>,
    /// What came out of order.
    late: Vec<Arc<Chunk>>,
    starts: Option<Arc<Vec<Run>>>,
}

impl SeriesView {
    /// The points in `(after, until]`. Each takes one of what is `left`.
    pub fn points(
        &self,
        after: Timestamp,
        until: Timestamp,
        left: &mut usize,
    ) -> Result<Points, TooManyPoints> {
        let mut points = Points::default();
        if let Some(newest) = self.newest {
            *left = left.checked_sub(1).ok_or(TooManyPoints)?;
            points.samples.push(newest);
            self.note_starts(&mut points);
            return Ok(points);
        }
        let window = PointWindow { after, until };
        let mut add = |chunk: &Chunk| {
            let bytes = (chunk.encoding, chunk.bytes());
            points.add_chunk(bytes, window, |_| true, left)
        };
        if self.late.is_empty() {
            self.in_order().try_for_each(&mut add)?;
        } else {
            self.merged().iter().try_for_each(&mut add)?;
        }
        self.note_starts(&mut points);
        Ok(points)
    }

    pub(crate) fn with_starts(self, starts: Option<Arc<Vec<Run>>>) -> Self {
        Self { starts, ..self }
    }

    /// When what each point counts began; nothing where that is known of none.
    fn note_starts(&self, points: &mut Points) {
        let Some(runs) = &self.starts else {
            return;
        };
        let times = points.samples.iter().map(|sample| sample.timestamp);
        points.starts = times.map(|at| start_at(runs, at)).collect();
        for sample in &mut points.histograms {
            sample.start = start_at(runs, sample.timestamp);
        }
    }

    /// With chunks over those that came in order; of two samples of one time the one in order stays.
    pub(crate) fn with_late(self, late: Vec<Arc<Chunk>>) -> Self {
        Self { late, ..self }
    }

    fn in_order(&self) -> impl Iterator<Item = &Chunk> {
        self.sealed.iter().map(AsRef::as_ref).chain(&self.open)
    }

    fn merged(&self) -> Vec<Chunk> {
        let chunks = self.in_order().chain(self.late.iter().map(AsRef::as_ref));
        // Others come only from a log that is not what was written.
        let readable = chunks.filter(|chunk| chunk.encoding.is_known());
        let merged = merge_chunks(readable.map(BlockChunk::from).collect());
        let merged = merged.unwrap_or_default().into_iter();
        merged.map(Chunk::from).collect()
    }

    /// Takes chunks from the front until they reach `bytes_max`, at least one. Answers them, and the time behind
    /// which the series goes on where something is left.
    pub(crate) fn take_chunks(self, bytes_max: usize) -> (Vec<Arc<Chunk>>, Option<Timestamp>) {
        let mut chunks = self.into_chunks();
        let mut bytes = 0;
        let taken = chunks
            .iter()
            .take_while(|chunk| {
                let fits = bytes < bytes_max;
                bytes += chunk.bytes().len();
                fits
            })
            .count();
        if taken == chunks.len() {
            return (chunks, None);
        }
        chunks.truncate(taken.max(1));
        let last = chunks.last().map(|chunk| chunk.max_time);
        (chunks, last)
    }

    pub(crate) fn into_chunks(self) -> Vec<Arc<Chunk>> {
        let mut chunks = self.sealed;
        chunks.extend(self.open.map(Arc::new));
        chunks
    }
}

pub(crate) fn block_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(BLOCK_RANGE.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use model::{Labels, Sample, Timestamp};

    use super::{Place, Series};

    fn sample(secs: i64, value: f64) -> Sample {
        Sample {
            timestamp: Timestamp::from_secs(secs),
            value,
        }
    }

    fn series(times: impl Iterator<Item = i64>) -> Series {
        let mut series = Series::new(Labels::default(), 0);
        for secs in times {
            series.push(sample(secs, secs as f64));
        }
        series
    }

    /// Seconds of the samples in the chunks that overlap the window.
    fn seen(series: &Series, after: i64, until: i64) -> Vec<i64> {
        series
            .view(Timestamp::from_secs(after), Timestamp::from_secs(until))
            .into_chunks()
            .iter()
            .flat_map(|chunk| chunk.samples().collect::<Vec<_>>())
            .map(|sample| sample.timestamp.as_millis() / 1000)
            .collect()
    }

    #[test]
    fn a_chunk_ends_after_120_samples_and_at_the_border_of_a_block() {
        for (times, chunks) in [
            (0..120, 1),
            (0..121, 2),
            (7190..7200, 1),
            (7190..7201, 2),
            (-10..1, 2),
        ] {
            assert_eq!(series(times.clone()).chunks_len(), chunks, "{times:?}");
        }
    }

    #[test]
    fn a_window_shows_only_the_chunks_it_touches() {
        let series = series((0..300).map(|index| index * 10));
        assert_eq!(seen(&series, 2390, 3000).first(), Some(&2400));
        assert_eq!(seen(&series, 2390, 2390), [0; 0]);
        assert_eq!(seen(&series, 1189, 1190).len(), 120);
        assert_eq!(
            seen(&series, 1190, 1200),
            (120..240).map(|i| i * 10).collect::<Vec<_>>()
        );
        assert_eq!(seen(&series, -1, -1), [0; 0]);
        assert_eq!(seen(&series, 2990, 4000), [0; 0]);
        assert_eq!(seen(&series, -1, 4000).len(), 300);
    }

    #[test]
    fn old_chunks_are_dropped_whole() {
        let mut series = series((0..300).map(|index| index * 10));
        assert_eq!(series.drop_before(Timestamp::from_secs(1190)), 0);
        assert_eq!(series.drop_before(Timestamp::from_secs(1191)), 1);
        assert_eq!(series.first_time(), Some(Timestamp::from_secs(1200)));
        assert_eq!(series.drop_before(Timestamp::from_secs(2991)), 2);
        assert!(!series.has_samples());
    }

    #[test]
    fn a_sample_is_placed_by_the_newest_that_was_admitted() {
        let mut series = series(0..1);
        assert_eq!(
            series.place(sample(-5, 1.0).into()),
            Place::Newer,
            "none was admitted"
        );
        series.newest = Some(sample(10, f64::NAN).into());
        for (sample, place) in [
            (sample(11, 0.0), Place::Newer),
            (sample(10, f64::NAN), Place::Repeated),
            (sample(10, model::stale_nan()), Place::Conflicting),
            (sample(9, f64::NAN), Place::Older),
        ] {
            assert_eq!(series.place(sample.into()), place, "{sample:?}");
        }
        series.forget_pending();
        assert_eq!(series.newest, Some(sample(0, 0.0).into()));
    }

    #[test]
    fn a_restored_series_goes_on_where_it_was() {
        for length in [1, 119, 120, 121, 250] {
            let original = series(0..length);
            let view = original.view(Timestamp::MIN, Timestamp::MAX);
            let mut restored = Series::restored(Labels::default(), 0, view.into_chunks());
            assert_eq!(
                restored.newest,
                Some(sample(length - 1, (length - 1) as f64).into())
            );
            assert!(!restored.push(sample(length - 1, 77.0)), "it is there");
            restored.push(sample(length, 0.0));
            assert_eq!(seen(&restored, -1, 1000), (0..=length).collect::<Vec<_>>());
            assert_eq!(restored.chunks_len(), series(0..=length).chunks_len());
        }
    }
}
