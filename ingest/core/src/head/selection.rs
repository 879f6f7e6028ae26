//! What of a head can be seen: series in a window, and the names and values of labels.
use model::{Labels, Matcher, Timestamp};

use crate::head::Head;
use crate::record::SeriesId;
use crate::series::{Series, SeriesView};

impl Head {
    /// The series that match and have chunks in the window `(after, until]`, in no order that means anything.
    #[must_use]
    pub fn select(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<SeriesView> {
        self.views(matchers, after, until, Series::view)
    }

    /// The same, for those who want nothing but the newest sample of each series in the window.
    #[must_use]
    pub fn select_newest(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<SeriesView> {
        self.views(matchers, after, until, Series::newest_view)
    }

    /// Where samples came late the whole view is needed, whatever is enough in order.
    fn views(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
        in_order: impl Fn(&Series, Timestamp, Timestamp) -> SeriesView,
    ) -> Vec<SeriesView> {
        self.overlapping(matchers, after, until)
            .map(|(id, series)| {
                let late = if self.late.is_empty() {
                    Vec::new()
                } else {
                    self.late.chunks(id, after, until)
                };
                let mut view = if late.is_empty() {
                    in_order(series, after, until)
                } else {
                    series.view(after, until).with_late(late)
                };
                if !self.starts.is_empty() {
                    view = view.with_starts(self.starts.runs(id));
                }
                view
            })
            .collect()
    }

    fn overlapping(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = (SeriesId, &Series)> {
        self.series
            .matching(matchers)
            .into_iter()
            .filter_map(|id| Some((id, self.series.get(id)?)))
            .filter(move |(id, series)| self.overlaps(*id, series, after, until))
    }

    fn overlaps(&self, id: SeriesId, series: &Series, after: Timestamp, until: Timestamp) -> bool {
        series.overlaps(after, until)
            || !self.late.is_empty() && self.late.overlaps(id, after, until)
    }

    /// The label sets that match and have samples in the window.
    #[must_use]
    pub fn label_sets(
        &self,
        matchers: &[Matcher],
        after: Timestamp,
        until: Timestamp,
    ) -> Vec<Labels> {
        self.overlapping(matchers, after, until)
            .map(|(_, series)| series.labels.clone())
            .collect()
    }

    /// Whether any series has samples in the window.
    #[must_use]
    pub fn has_samples(&self, after: Timestamp, until: Timestamp) -> bool {
        let mut series = self.series.iter_from(SeriesId(0));
        series.any(|(_, series)| series.overlaps(after, until))
            || self.late.overlaps_any(after, until)
    }

    /// The names of all labels, sorted.
    #[must_use]
    pub fn label_names(&self) -> Vec<String> {
        self.series
            .index()
            .names()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// The values of a label that any series has, sorted.
    #[must_use]
    pub fn label_values(&self, name: &str) -> Vec<String> {
        let values = self.series.index().values(name).into_iter();
        values.map(|(value, _)| value.to_owned()).collect()
    }

    /// How many series each value of a label has, the most first, equal ones by value.
    #[must_use]
    pub fn series_by_value(&self, name: &str) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = self
            .series
            .index()
            .values(name)
            .into_iter()
            .map(|(value, list)| (value.to_owned(), list.len()))
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}
