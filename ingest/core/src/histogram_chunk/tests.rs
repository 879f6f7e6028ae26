use std::sync::Arc;

use model::histogram::{Bucket, CUSTOM_BUCKETS, ResetHint};
use model::{Histogram, HistogramSample, Timestamp, stale_nan};
use proptest::prelude::*;

use super::{HistogramEncoding, HistogramSamples, NotAppendable, OpenHistogramChunk};

fn buckets(pairs: &[(i32, f64)]) -> Vec<Bucket> {
    pairs
        .iter()
        .map(|(index, count)| Bucket {
            index: *index,
            count: *count,
        })
        .collect()
}

fn histogram(positive: &[(i32, f64)]) -> Histogram {
    Histogram {
        schema: 2,
        zero_threshold: 0.001,
        count: positive.iter().map(|(_, count)| count).sum(),
        sum: 1.5,
        positive: buckets(positive),
        ..Histogram::default()
    }
}

fn at(millis: i64, histogram: Histogram) -> HistogramSample {
    HistogramSample {
        timestamp: Timestamp::from_millis(millis),
        start: Timestamp::default(),
        histogram: Arc::new(histogram),
    }
}

/// All that go into one chunk; the hints are those with which they are read.
fn chunk_of(histograms: &[Histogram]) -> OpenHistogramChunk {
    let samples = (0..).map(|index| index * 15_000 + 7);
    let mut samples = samples
        .zip(histograms)
        .map(|(millis, histogram)| at(millis, histogram.clone()));
    let mut open = OpenHistogramChunk::new(&samples.next().unwrap(), ResetHint::Unknown);
    for sample in samples {
        open.check(&sample.histogram).unwrap();
        open.push(&sample);
    }
    open
}

fn read(open: &OpenHistogramChunk) -> Vec<Histogram> {
    HistogramSamples::new(open.encoding(), open.bytes())
        .unwrap()
        .map(|sample| (*sample.histogram).clone())
        .collect()
}

#[test]
fn a_bucket_that_comes_later_widens_the_layout() {
    let growing = [
        histogram(&[(3, 1.0)]),
        histogram(&[(3, 1.0), (9, 2.0)]),
        histogram(&[(-5, 1.0), (3, 2.0), (4, 1.0), (9, 2.0)]),
    ];
    let open = chunk_of(&growing);
    assert_eq!(open.samples_len(), 3);
    for (got, wanted) in read(&open).iter().zip(&growing) {
        assert!(got.is_same(wanted), "{got} {wanted}");
    }
}

#[test]
fn what_begins_another_chunk() {
    let first = histogram(&[(3, 5.0), (4, 5.0)]);
    let open = chunk_of(std::slice::from_ref(&first));
    let with = |change: &dyn Fn(&mut Histogram)| {
        let mut next = histogram(&[(3, 5.0), (4, 6.0)]);
        change(&mut next);
        open.check(&next)
    };
    let other = Err(NotAppendable::IsOther);
    let reset = Err(NotAppendable::IsReset);
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(with(&|next| next.sum = stale_nan()), Ok(()));
    assert_eq!(with(&|next| next.reset_hint = ResetHint::Reset), reset);
    assert_eq!(with(&|next| next.positive[0].count = 4.0), reset);
    assert_eq!(with(&|next| next.count = 1.0), reset);
    assert_eq!(with(&|next| next.zero_threshold = 0.002), other);
    assert_eq!(with(&|next| next.reset_hint = ResetHint::Gauge), other);
    assert_eq!(with(&|next| next.positive[1].count = 6.5), other);
    assert_eq!(with(&|next| next.schema = 1), other);
    let mut stale = open.clone();
    stale.push(&at(
        20_000,
        Histogram {
            sum: stale_nan(),
            ..Histogram::default()
        },
    ));
    assert_eq!(stale.check(&first), other);
}

#[test]
fn only_the_first_of_a_chunk_of_counters_can_be_a_reset() {
    let sample = at(1, histogram(&[(1, 1.0)]));
    for (hint, first, second) in [
        (ResetHint::Unknown, ResetHint::Unknown, ResetHint::NotReset),
        (ResetHint::Reset, ResetHint::Reset, ResetHint::NotReset),
        (ResetHint::NotReset, ResetHint::Unknown, ResetHint::NotReset),
        (ResetHint::Gauge, ResetHint::Gauge, ResetHint::Gauge),
    ] {
        let mut open = OpenHistogramChunk::new(&sample, hint);
        open.push(&at(2, histogram(&[(1, 2.0)])));
        let hints: Vec<ResetHint> = read(&open).iter().map(|one| one.reset_hint).collect();
        assert_eq!(hints, [first, second]);
    }
}

#[test]
fn cut_and_scrambled_bytes_end_early_and_do_no_harm() {
    let open = chunk_of(&[
        histogram(&[(3, 1.0), (8, 2.0)]),
        histogram(&[(3, 4.0), (8, 2.0)]),
        histogram(&[(3, 5.0), (8, 7.0)]),
    ]);
    let whole = open.bytes().to_vec();
    for length in 0..whole.len() {
        if let Some(samples) = HistogramSamples::new(open.encoding(), &whole[..length]) {
            assert!(samples.count() < 3, "{length}");
        }
    }
    for place in 3..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            for encoding in [HistogramEncoding::Floats, HistogramEncoding::Whole] {
                if let Some(samples) = HistogramSamples::new(encoding, &bytes) {
                    assert!(samples.count() <= 3);
                }
            }
        }
    }
}

fn growing(is_whole: bool) -> impl Strategy<Value = Vec<Histogram>> {
    let step = prop::collection::vec((-40..40_i32, 0..1000_u32, any::<bool>()), 0..12);
    let steps = prop::collection::vec((step, 0..5_u32, -1e9..1e9_f64), 1..40);
    let layout = prop_oneof![
        (-4..=8_i32, prop_oneof![Just(0.0), Just(0.001), Just(0.25)]).prop_map(|layout| layout),
        Just((CUSTOM_BUCKETS, 0.0)),
    ];
    (layout, steps).prop_map(move |((schema, zero_threshold), steps)| {
        let custom = schema == CUSTOM_BUCKETS;
        let mut now = Histogram {
            schema,
            zero_threshold,
            ..Histogram::default()
        };
        if custom {
            now.custom_values = [0.005, 0.1, 1.0 / 3.0, 5.0, 1e9, 4e17].into();
        }
        let mut all = Vec::new();
        for (step, zero, sum) in steps {
            for (index, count, is_negative) in step {
                let index = if custom { index.rem_euclid(7) } else { index };
                let count = f64::from(count) * if is_whole { 1.0 } else { 0.37 };
                let side = if is_negative && !custom {
                    &mut now.negative
                } else {
                    &mut now.positive
                };
                match side.binary_search_by_key(&index, |bucket| bucket.index) {
                    Ok(place) => side[place].count += count,
                    Err(place) => side.insert(place, Bucket { index, count }),
                }
                now.count += count;
            }
            if !custom {
                now.zero_count += f64::from(zero);
                now.count += f64::from(zero);
            }
            now.sum += sum;
            all.push(now.clone().compacted());
        }
        all
    })
}

proptest! {
    #[test]
    fn what_is_pushed_is_read(histograms in prop_oneof![growing(true), growing(false)]) {
        let open = chunk_of(&histograms[..1]);
        let mut open = open;
        let mut kept = vec![histograms[0].clone()];
        for (index, next) in (1..).zip(&histograms[1..]) {
            if open.check(next).is_ok() {
                open.push(&at(7 + index * 15_000, next.clone()));
                kept.push(next.clone());
            }
        }
        let got = read(&open);
        prop_assert_eq!(got.len(), kept.len());
        for (got, wanted) in got.iter().zip(&kept) {
            prop_assert!(got.is_same(wanted), "{} {}", got, wanted);
        }
        let reopened = OpenHistogramChunk::reopen(open.encoding(), open.bytes()).unwrap();
        prop_assert_eq!(reopened.bytes(), open.bytes());
        prop_assert_eq!(reopened.samples_len(), open.samples_len());
    }
}
