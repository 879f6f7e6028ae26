//! A sender of samples: what a Prometheus' remote write puts on the wire (version 1.0, snappy).
use model::protobuf::push_time_series;
use model::{SampleValue, Timestamp};

/// One sample of one series; labels in any order.
#[derive(Clone, Debug, PartialEq)]
pub struct SentSample {
    pub labels: Vec<(String, String)>,
    pub timestamp_millis: i64,
    pub value: f64,
}

impl SentSample {
    /// `name` is the metric's, `labels` the rest.
    #[must_use]
    pub fn new(name: &str, labels: &[(&str, &str)], timestamp_millis: i64, value: f64) -> Self {
        let mut all = vec![("__name__".to_owned(), name.to_owned())];
        all.extend(
            labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        all.sort();
        Self {
            labels: all,
            timestamp_millis,
            value,
        }
    }
}

/// Headers that go with [`write_request`].
pub const REMOTE_WRITE_HEADERS: [(&str, &str); 3] = [
    ("content-encoding", "snappy"),
    ("content-type", "application/x-protobuf"),
    ("x-prometheus-remote-write-version", "0.1.0"),
];

/// The body of `POST /api/v1/write`: a `prometheus.WriteRequest` as one snappy block.
#[must_use]
pub fn write_request(samples: &[SentSample]) -> Vec<u8> {
    let mut request = Vec::new();
    for sent in samples {
        let labels = sent.labels.iter();
        let labels = labels.map(|(name, value)| (name.as_str(), value.as_str()));
        let at = Timestamp::from_millis(sent.timestamp_millis);
        push_time_series(&mut request, labels, at, &SampleValue::Float(sent.value));
    }
    snap::raw::Encoder::new()
        .compress_vec(&request)
        .expect("a request of samples is far below snappy's 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::{SentSample, write_request};

    #[test]
    fn writes_what_the_protocol_says() {
        let sample = SentSample::new("up", &[("job", "a")], 300, 1.0);
        let plain = snap::raw::Decoder::new()
            .decompress_vec(&write_request(&[sample]))
            .unwrap();
        let expected = [
            &[0x0a, 40][..],
            &[0x0a, 14, 0x0a, 8],
            b"__name__",
            &[0x12, 2],
            b"up",
            &[0x0a, 8, 0x0a, 3],
            b"job",
            &[0x12, 1],
            b"a",
            &[0x12, 12, 0x09],
            &1.0_f64.to_le_bytes(),
            &[0x10, 0xac, 0x02],
        ]
        .concat();
        assert_eq!(plain, expected);
    }
}
