//! Who is part of which trace: W3C Trace Context, and which traces are kept.
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// One span, as others refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether the trace is kept: decided once, where it begins.
    pub is_sampled: bool,
}

impl SpanContext {
    /// The span `id` below `parent`, or the first one of `trace`. `fraction` of the traces that begin here are kept.
    #[must_use]
    pub fn new(parent: Option<Self>, trace: TraceId, id: SpanId, fraction: f64) -> Self {
        match parent {
            Some(parent) => Self { span: id, ..parent },
            None => Self {
                trace,
                span: id,
                is_sampled: is_kept(trace, fraction),
            },
        }
    }

    /// A `traceparent` header (W3C Trace Context, level 1); `None` for one that says nothing.
    #[must_use]
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let version = hex::<1>(parts.next()?)?;
        let trace = hex::<16>(parts.next()?)?;
        let span = hex::<8>(parts.next()?)?;
        let flags = hex::<1>(parts.next()?)?;
        // Later versions may add parts, this one may not.
        let is_valid = version != [0xff]
            && (version != [0] || parts.next().is_none())
            && trace != [0; 16]
            && span != [0; 8];
        is_valid.then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: flags[0] & 1 == 1,
        })
    }

    #[must_use]
    pub fn to_traceparent(self) -> String {
        let flags = u8::from(self.is_sampled);
        format!("00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// The same traces in every process that keeps the same fraction: the second half of the id decides, as in
/// OpenTelemetry's `TraceIdRatioBased`.
fn is_kept(trace: TraceId, fraction: f64) -> bool {
    let [.., a, b, c, d, e, f, g, h] = trace.0;
    let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
    fraction >= 1.0 || place < (fraction.max(0.0) * (1_u64 << 63) as f64) as u64
}

/// Lower-case digits only, as the specification wants.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn write_hex(formatter: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes
        .iter()
        .try_for_each(|byte| write!(formatter, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{SpanContext, SpanId, TraceId};

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let span = "b7ad6b7169203331";
        for (header, sampled) in [
            (format!("00-{trace}-{span}-01"), Some(true)),
            (format!("00-{trace}-{span}-00"), Some(false)),
            (format!("00-{trace}-{span}-03"), Some(true)),
            (format!("01-{trace}-{span}-01-more"), Some(true)),
            (format!("00-{trace}-{span}-01-more"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{}-{span}-01", trace.to_uppercase()), None),
            (format!("00-{trace}-{span}"), None),
            (format!("00-{trace}0-{span}-01"), None),
            ("é".repeat(20), None),
            (String::new(), None),
        ] {
            let context = SpanContext::from_traceparent(&header);
            assert_eq!(
                context.map(|context| context.is_sampled),
                sampled,
                "{header}"
            );
            if let Some(context) = context {
                assert_eq!(context.trace.to_string(), trace);
                assert_eq!(context.span.to_string(), span);
            }
        }
        let header = format!("00-{trace}-{span}-01");
        let context = SpanContext::from_traceparent(&header).unwrap();
        assert_eq!(context.to_traceparent(), header);
    }

    #[test]
    fn a_trace_is_kept_where_its_beginning_says_so() {
        let begun = |last: u8, fraction| {
            let mut trace = [0xff; 16];
            trace[8] = last;
            SpanContext::new(None, TraceId(trace), SpanId([1; 8]), fraction)
        };
        for (last, fraction, kept) in [
            (0x00, 0.0, false),
            (0xff, 1.0, true),
            (0x7f, 0.5, true),
            (0x80, 0.5, false),
            (0x00, -1.0, false),
            (0x00, f64::NAN, false),
        ] {
            assert_eq!(begun(last, fraction).is_sampled, kept, "{last} {fraction}");
        }
        let parent = begun(0x00, 1.0);
        let child = SpanContext::new(Some(parent), TraceId([9; 16]), SpanId([2; 8]), 0.0);
        assert_eq!((child.trace, child.is_sampled), (parent.trace, true));
        assert_eq!(child.span, SpanId([2; 8]));
    }
}
