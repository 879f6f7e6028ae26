//! Remote write 1.0: a snappy block that holds a `prometheus.WriteRequest`.
//!
//! One pass over the bytes finds each series' labels (left as bytes) and its samples. Nothing is copied but the
//! samples; labels are read only where a series is not known yet.
use std::ops::Range;

use model::{Sample, Timestamp};

use crate::label_bytes::LABEL_TAG;
use model::protobuf::{BYTES, FIXED64, Fields, VARINT, WireError};

/// Why a body is no write request.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("request expands to {bytes} bytes, more than the limit of {max}")]
    Expanded { bytes: usize, max: usize },
    #[error("body is not a snappy block")]
    Snappy(#[source] snap::Error),
    #[error("body is not a write request: series {series}")]
    Series {
        /// Counted from 0.
        series: usize,
        #[source]
        source: WireError,
    },
    #[error("body is not a write request")]
    Wire(#[source] WireError),
}

/// What a body will expand to, known before anything is expanded and refused where it passes `bytes_max`.
pub fn expanded_len(body: &[u8], bytes_max: usize) -> Result<usize, DecodeError> {
    let bytes = snap::raw::decompress_len(body).map_err(DecodeError::Snappy)?;
    if bytes > bytes_max {
        return Err(DecodeError::Expanded {
            bytes,
            max: bytes_max,
        });
    }
    Ok(bytes)
}

/// Expands a body into `expanded`, whose old content goes.
pub fn expand(body: &[u8], bytes_max: usize, expanded: &mut Vec<u8>) -> Result<(), DecodeError> {
    expanded.clear();
    expanded.resize(expanded_len(body, bytes_max)?, 0);
    let written = snap::raw::Decoder::new()
        .decompress(body, expanded)
        .map_err(DecodeError::Snappy)?;
    expanded.truncate(written);
    Ok(())
}

/// A request's series in the order in which they were sent.
#[derive(Debug, Default)]
pub struct WriteRequest<'a> {
    /// Labels that lie apart in the body, brought together.
    gathered: Vec<u8>,
    series: Vec<RawSeries<'a>>,
    samples: Vec<Sample>,
    pub ignored: Ignored,
}

/// What was sent and is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    pub exemplars: usize,
    pub histograms: usize,
    pub metadata: usize,
}

#[derive(Debug)]
struct RawSeries<'a> {
    labels: LabelPlace<'a>,
    samples: Range<usize>,
}

#[derive(Debug)]
enum LabelPlace<'a> {
    Body(&'a [u8]),
    Gathered(Range<usize>),
}

/// One series of a request: its labels as bytes, and its samples.
#[derive(Clone, Copy, Debug)]
pub struct SeriesSamples<'r> {
    pub label_bytes: &'r [u8],
    pub samples: &'r [Sample],
}

impl<'a> WriteRequest<'a> {
    /// `bytes` are the expanded body. Whether each label is well-formed is looked at when the series is new.
    pub fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        let mut fields = Fields::new(bytes);
        while !fields.is_empty() {
            let tag = fields.tag().map_err(DecodeError::Wire)?;
            match (tag.field, tag.wire) {
                (1, BYTES) => {
                    let message = fields.bytes().map_err(DecodeError::Wire)?;
                    request
                        .read_series(message)
                        .map_err(|source| DecodeError::Series {
                            series: request.series.len(),
                            source,
                        })?;
                }
                (1, _) => return Err(DecodeError::Wire(WireError::WireType)),
                (field, wire) => {
                    request.ignored.metadata += usize::from(field == 3);
                    fields.skip(wire).map_err(DecodeError::Wire)?;
                }
            }
        }
        Ok(request)
    }

    #[must_use]
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesSamples<'_>> {
        self.series.iter().map(|series| SeriesSamples {
            label_bytes: match &series.labels {
                LabelPlace::Body(bytes) => bytes,
                LabelPlace::Gathered(range) => &self.gathered[range.clone()],
            },
            samples: &self.samples[series.samples.clone()],
        })
    }

    #[must_use]
    pub fn samples_len(&self) -> usize {
        self.samples.len()
    }

    fn read_series(&mut self, message: &'a [u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(message);
        let mut labels = LabelPlace::Body(take_labels(&mut fields)?);
        let samples_start = self.samples.len();
        while !fields.is_empty() {
            let before = fields.rest();
            let tag = fields.tag()?;
            match (tag.field, tag.wire) {
                (1, BYTES) => {
                    fields.bytes()?;
                    let label = &before[..before.len() - fields.rest().len()];
                    labels = self.gather(&labels, label);
                }
                (2, BYTES) => self.samples.push(read_sample(fields.bytes()?)?),
                (3, BYTES) => {
                    self.ignored.exemplars += 1;
                    fields.bytes()?;
                }
                (4, BYTES) => {
                    self.ignored.histograms += 1;
                    fields.bytes()?;
                }
                (1..=4, _) => return Err(WireError::WireType),
                (_, wire) => fields.skip(wire)?,
            }
        }
        self.series.push(RawSeries {
            labels,
            samples: samples_start..self.samples.len(),
        });
        Ok(())
    }

    /// Labels mostly stand together before the samples. Where one stands elsewhere, all are copied together.
    fn gather(&mut self, labels: &LabelPlace<'a>, label: &[u8]) -> LabelPlace<'a> {
        let start = match labels {
            LabelPlace::Body(bytes) => {
                let start = self.gathered.len();
                self.gathered.extend_from_slice(bytes);
                start
            }
            LabelPlace::Gathered(range) => range.start,
        };
        self.gathered.extend_from_slice(label);
        LabelPlace::Gathered(start..self.gathered.len())
    }
}

/// The run of labels at the front of a series.
fn take_labels<'a>(fields: &mut Fields<'a>) -> Result<&'a [u8], WireError> {
    let start = fields.rest();
    while fields.rest().first() == Some(&LABEL_TAG) {
        fields.tag()?;
        fields.bytes()?;
    }
    Ok(&start[..start.len() - fields.rest().len()])
}

fn read_sample(message: &[u8]) -> Result<Sample, WireError> {
    let mut fields = Fields::new(message);
    let (mut value, mut timestamp) = (0, 0);
    while !fields.is_empty() {
        let tag = fields.tag()?;
        match (tag.field, tag.wire) {
            // Bits and not a number: a NaN's payload says whether the series is stale.
            (1, FIXED64) => value = fields.fixed64()?,
            (2, VARINT) => timestamp = fields.varint()?,
            (1 | 2, _) => return Err(WireError::WireType),
            (_, wire) => fields.skip(wire)?,
        }
    }
    Ok(Sample {
        timestamp: Timestamp::from_millis(timestamp as i64),
        value: f64::from_bits(value),
    })
}

#[cfg(test)]
mod tests {
    use model::protobuf::{WireError, push_varint};
    use model::{Labels, STALE_NAN};
    use proptest::prelude::*;

    use super::{DecodeError, Ignored, WriteRequest, expand};
    use crate::label_bytes::{push_labels, read_labels};

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_varint(&mut bytes, number << 3 | 2);
        push_varint(&mut bytes, content.len() as u64);
        bytes.extend_from_slice(content);
        bytes
    }

    fn labels(name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_labels(&mut bytes, &Labels::from_pairs([("__name__", name)]));
        bytes
    }

    fn sample(value: u64, timestamp: i64) -> Vec<u8> {
        let mut bytes = vec![0x09];
        bytes.extend_from_slice(&value.to_le_bytes());
        bytes.push(0x10);
        push_varint(&mut bytes, timestamp as u64);
        field(2, &bytes)
    }

    /// Each series as `labels timestamp=bits …`.
    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let request = WriteRequest::read(bytes).map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", source.unwrap_or_default())
        })?;
        Ok(request
            .series()
            .map(|series| {
                let mut text = read_labels(series.label_bytes).unwrap().to_string();
                for sample in series.samples {
                    let millis = sample.timestamp.as_millis();
                    text += &format!(" {millis}={:x}", sample.value.to_bits());
                }
                text
            })
            .collect())
    }

    #[test]
    fn reads_series_with_several_samples_and_every_bit_of_a_nan() {
        let one = [labels("a"), sample(STALE_NAN, 15), sample(0, -1)].concat();
        let two = [sample(1, 2), labels("b")].concat();
        let bytes = [field(1, &one), field(1, &two), field(1, &labels("c"))].concat();
        assert_eq!(
            read(&bytes).unwrap(),
            [
                r#"{__name__="a"} 15=7ff0000000000002 -1=0"#,
                r#"{__name__="b"} 2=1"#,
                r#"{__name__="c"}"#
            ]
        );
        assert_eq!(read(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn labels_that_lie_apart_are_brought_together() {
        let mut more = Vec::new();
        push_labels(&mut more, &Labels::from_pairs([("x", "1")]));
        let series = [labels("a"), sample(1, 2), more.clone(), sample(3, 4), {
            let mut last = Vec::new();
            push_labels(&mut last, &Labels::from_pairs([("y", "2")]));
            last
        }]
        .concat();
        assert_eq!(
            read(&field(1, &series)).unwrap(),
            [r#"{__name__="a", x="1", y="2"} 2=1 4=3"#]
        );
    }

    #[test]
    fn counts_what_it_does_not_keep() {
        let series = [
            labels("a"),
            field(3, &[]),
            field(4, &[]),
            field(4, &[]),
            field(9, b"unknown"),
        ]
        .concat();
        let bytes = [field(1, &series), field(3, &[]), field(7, b"unknown")].concat();
        let request = WriteRequest::read(&bytes).unwrap();
        assert_eq!(
            request.ignored,
            Ignored {
                exemplars: 1,
                histograms: 2,
                metadata: 1
            }
        );
    }

    #[test]
    fn refuses_broken_messages_with_one_reason() {
        let good = field(1, &labels("a"));
        for (bytes, reason) in [
            (
                vec![0x0a, 5, 1],
                "request: message ends in the middle of a field",
            ),
            (vec![0x08, 1], "request: field has the wrong wire type"),
            (vec![0x0b], "request: field has the wrong wire type"),
            (vec![0x02, 0], "request: field number is 0"),
            (
                [good.clone(), field(1, &[0x12, 9])].concat(),
                "request: series 1: message ends in the middle of a field",
            ),
            (
                field(1, &field(2, &[0x08, 1])),
                "request: series 0: field has the wrong wire type",
            ),
        ] {
            assert_eq!(
                read(&bytes),
                Err(format!("body is not a write {reason}")),
                "{bytes:?}"
            );
        }
        assert!(matches!(
            WriteRequest::read(&[0xff; 12]),
            Err(DecodeError::Wire(WireError::Varint))
        ));
    }

    #[test]
    fn an_expanded_size_is_refused_before_it_is_taken() {
        let body = snap::raw::Encoder::new().compress_vec(&[7; 1000]).unwrap();
        let mut expanded = Vec::new();
        expand(&body, 1000, &mut expanded).unwrap();
        assert_eq!(expanded, [7; 1000]);
        assert!(matches!(
            expand(&body, 999, &mut expanded),
            Err(DecodeError::Expanded {
                bytes: 1000,
                max: 999
            })
        ));
        assert!(matches!(
            expand(b"\xff\xff", 1000, &mut expanded),
            Err(DecodeError::Snappy(_))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = WriteRequest::read(&bytes) {
                for series in request.series() {
                    let _ = read_labels(series.label_bytes);
                }
            }
            let _ = expand(&bytes, 1 << 16, &mut Vec::new());
        }
    }
}
