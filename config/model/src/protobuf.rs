//! Protocol buffers written by hand, as much of them as messages of samples need.
use crate::sample::Sample;

/// The wire type of what stands behind its length.
const BYTES: u8 = 2;

/// Appends one `prometheus.TimeSeries` to a `prometheus.WriteRequest` (remote write 1.0). Labels keep their order; a
/// receiver wants them sorted.
pub fn push_time_series<'l>(
    request: &mut Vec<u8>,
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    sample: Sample,
) {
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        push_bytes(&mut label, 1, name.as_bytes());
        push_bytes(&mut label, 2, value.as_bytes());
        push_bytes(&mut series, 1, &label);
    }
    // The value is a fixed64, the time a varint of its two's complement.
    let mut point = vec![0x09];
    point.extend_from_slice(&sample.value.to_le_bytes());
    point.push(0x10);
    push_varint(&mut point, sample.timestamp.as_millis().cast_unsigned());
    push_bytes(&mut series, 2, &point);
    push_bytes(request, 1, &series);
}

/// A field below 16 that holds bytes, text or a message.
pub fn push_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | BYTES);
    push_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

#[inline]
pub fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{push_time_series, push_varint};
    use crate::sample::Sample;
    use crate::time::Timestamp;

    #[test]
    fn a_series_is_written_as_the_protocol_says() {
        let mut request = vec![0xff];
        let sample = |millis| Sample {
            timestamp: Timestamp::from_millis(millis),
            value: 1.0,
        };
        push_time_series(
            &mut request,
            [("__name__", "up"), ("job", "a")],
            sample(300),
        );
        push_time_series(&mut request, [], sample(-1));
        let value = &1.0_f64.to_le_bytes()[..];
        let minus_one = [&[0xff; 9][..], &[0x01]].concat();
        let expected = [
            &[0xff, 0x0a, 40, 0x0a, 14, 0x0a, 8][..],
            b"__name__",
            &[0x12, 2],
            b"up",
            &[0x0a, 8, 0x0a, 3],
            b"job",
            &[0x12, 1],
            b"a",
            &[0x12, 12, 0x09],
            value,
            &[0x10, 0xac, 0x02],
            &[0x0a, 22, 0x12, 20, 0x09],
            value,
            &[0x10],
            &minus_one,
        ]
        .concat();
        assert_eq!(request, expected);
    }

    #[test]
    fn varints_are_as_short_as_they_can_be() {
        for (value, bytes) in [
            (0, &[0][..]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (
                1 << 63,
                &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            ),
        ] {
            let mut written = Vec::new();
            push_varint(&mut written, value);
            assert_eq!(written, bytes, "{value}");
        }
    }
}
