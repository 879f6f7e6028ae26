//! Any bytes are a request or an error.
use ingest_core::{DecodeBounds, Head, Limits, Protocol, SeriesView, WriteRequest, expand};
use model::Timestamp;

pub(crate) fn run(bytes: &[u8]) {
    let mut expanded = Vec::new();
    let _ = expand(bytes, 1 << 20, &mut expanded);
    let mut head = Head::new(Limits::default(), 7);
    if let Ok(request) = WriteRequest::read(bytes)
        && let Ok((staged, _)) = head.stage(&request, Timestamp::default())
    {
        head.commit(staged);
    }
    let bounds = DecodeBounds {
        samples_max: 1000,
        label_bytes_max: 1 << 20,
    };
    if let Ok(request) = WriteRequest::read_within(Protocol::V2, bytes, &bounds)
        && let Ok((staged, _)) = head.stage(&request, Timestamp::default())
    {
        head.commit(staged);
    }
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
