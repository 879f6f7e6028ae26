//! Labels and regular expressions: `cargo bench -p watchbell-model`. Names are those of Prometheus' own benchmarks.
#![allow(clippy::unwrap_used, reason = "a benchmark: a failure is its message")]
use divan::{Bencher, black_box};
use model::{Labels, LabelsBuilder, MatchOp, Matcher, MatcherDialect};

extern crate watchbell_model as model;

fn main() {
    divan::main();
}

fn labels(count: usize) -> Labels {
    Labels::from_pairs(
        (0..count).map(|number| (format!("label_{number}"), format!("value-of-{number}"))),
    )
}

const REGEXES: [&str; 9] = [
    "foo",
    "foo.*",
    ".*foo",
    ".*foo.*",
    "foo|bar|baz",
    "(?:zQPbMkNO|NNSPdvMi|iWuuSoAl|qbvKMimS)",
    "(?i:foo.*bar)",
    "10\\.0\\.(1|2)\\..+",
    "foo-[0-9]{3,}-.+",
];

#[divan::bench(name = "FastRegexMatcher", args = REGEXES)]
fn fast_regex_matcher(bencher: Bencher<'_, '_>, regex: &str) {
    let matcher = Matcher::new(MatchOp::Regex, "name", regex, MatcherDialect::PromQl).unwrap();
    let texts = [
        "foo",
        "prometheus-foo-bar",
        "10.0.1.17:9100",
        "foo-12345-abcdef",
        "qbvKMimS",
        "a text that is somewhat longer than the others, and matches nothing at all",
    ];
    bencher.bench(|| {
        texts
            .iter()
            .filter(|text| matcher.matches(black_box(text)))
            .count()
    });
}

#[divan::bench(name = "Labels_Hash", args = [10, 30])]
fn labels_hash(bencher: Bencher<'_, '_>, count: usize) {
    let labels = labels(count);
    bencher.bench(|| black_box(&labels).xxhash64());
}

#[divan::bench(name = "Labels_Get", args = ["label_0", "label_5", "label_9", "label_none"])]
fn labels_get(bencher: Bencher<'_, '_>, name: &str) {
    let labels = labels(10);
    bencher.bench(|| black_box(&labels).get(black_box(name)).map(str::len));
}

#[divan::bench(name = "Labels_Compare", args = ["equal", "different at the end", "different at the beginning"])]
fn labels_compare(bencher: Bencher<'_, '_>, kind: &str) {
    let left = labels(10);
    let mut right = LabelsBuilder::new(&left);
    match kind {
        "different at the end" => right.set("label_9", "another"),
        "different at the beginning" => right.set("label_0", "another"),
        _ => &mut right,
    };
    let right = right.build();
    bencher.bench(|| black_box(&left).cmp(black_box(&right)));
}

#[divan::bench(name = "Builder")]
fn builder(bencher: Bencher<'_, '_>) {
    let base = labels(10);
    bencher.bench(|| {
        let mut builder = LabelsBuilder::new(black_box(&base));
        builder
            .set("label_3", "new")
            .remove("label_4")
            .set("another", "value");
        builder.build()
    });
}
