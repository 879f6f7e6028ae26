//! The newest sample of a series is the same in the view that has nothing else.
use ingest_core::{Head, SeriesView};
use model::Timestamp;

pub(crate) fn assert_newest(head: &Head) {
    let whole = head.select(&[], Timestamp::MIN, Timestamp::MAX);
    let newest = head.select_newest(&[], Timestamp::MIN, Timestamp::MAX);
    for (whole, newest) in whole.iter().zip(newest) {
        let last_of = |view: &SeriesView| {
            let points = view.points(Timestamp::MIN, Timestamp::MAX, &mut usize::MAX.clone());
            let points = points.expect("there is no limit");
            let float = points.samples.last().map(|sample| sample.timestamp);
            float.max(points.histograms.last().map(|sample| sample.timestamp))
        };
        assert_eq!(last_of(whole), last_of(&newest));
    }
}
