//! Spans in the form of OpenTelemetry's collectors: `ExportTraceServiceRequest` of OTLP 1.
use model::protobuf::{FIXED64, VARINT, push_bytes, push_varint};

use crate::trace::{SpanContext, SpanId};

/// What the instrumentation is called.
const SCOPE: &str = "watchbell";

/// A span that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: SpanContext,
    pub parent: Option<SpanId>,
    pub name: String,
    pub kind: SpanKind,
    /// Nanoseconds since 1970.
    pub began: u64,
    pub ended: u64,
    pub attributes: Vec<(&'static str, Attribute)>,
    /// Why it failed, where it did.
    pub failure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Internal,
    Server,
    Client,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute {
    Integer(u64),
    Text(String),
}

/// One request with all of the spans.
#[must_use]
pub fn export_request(service: &str, version: &str, spans: &[Span]) -> Vec<u8> {
    let mut resource = Vec::new();
    for (name, value) in [("service.name", service), ("service.version", version)] {
        push_attribute(&mut resource, 1, name, &Attribute::Text(value.to_owned()));
    }
    let mut scope_spans = Vec::new();
    let mut scope = Vec::new();
    push_bytes(&mut scope, 1, SCOPE.as_bytes());
    push_bytes(&mut scope_spans, 1, &scope);
    for span in spans {
        push_bytes(&mut scope_spans, 2, &encode(span));
    }
    let mut resource_spans = Vec::new();
    push_bytes(&mut resource_spans, 1, &resource);
    push_bytes(&mut resource_spans, 2, &scope_spans);
    let mut request = Vec::new();
    push_bytes(&mut request, 1, &resource_spans);
    request
}

fn encode(span: &Span) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    push_bytes(&mut message, 1, &span.context.trace.0);
    push_bytes(&mut message, 2, &span.context.span.0);
    if let Some(parent) = span.parent {
        push_bytes(&mut message, 4, &parent.0);
    }
    push_bytes(&mut message, 5, span.name.as_bytes());
    let kind = match span.kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    push_number(&mut message, 6, kind);
    push_fixed(&mut message, 7, span.began);
    push_fixed(&mut message, 8, span.ended);
    for (name, value) in &span.attributes {
        push_attribute(&mut message, 9, name, value);
    }
    if let Some(failure) = &span.failure {
        let mut status = Vec::new();
        push_bytes(&mut status, 2, failure.as_bytes());
        // STATUS_CODE_ERROR
        push_number(&mut status, 3, 2);
        push_bytes(&mut message, 15, &status);
    }
    message
}

fn push_attribute(message: &mut Vec<u8>, field: u8, name: &str, value: &Attribute) {
    let mut any = Vec::new();
    match value {
        Attribute::Integer(number) => push_number(&mut any, 3, *number),
        Attribute::Text(text) => push_bytes(&mut any, 1, text.as_bytes()),
    }
    let mut pair = Vec::new();
    push_bytes(&mut pair, 1, name.as_bytes());
    push_bytes(&mut pair, 2, &any);
    push_bytes(message, field, &pair);
}

fn push_number(message: &mut Vec<u8>, field: u8, number: u64) {
    message.push(field << 3 | VARINT);
    push_varint(message, number);
}

fn push_fixed(message: &mut Vec<u8>, field: u8, number: u64) {
    message.push(field << 3 | FIXED64);
    message.extend_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Attribute, Span, SpanKind, encode};
    use crate::trace::{SpanContext, SpanId, TraceId};

    /// By the numbers of `opentelemetry/proto/trace/v1/trace.proto`.
    #[test]
    fn a_span_is_written_as_the_protocol_says() {
        let span = Span {
            context: SpanContext {
                trace: TraceId([1; 16]),
                span: SpanId([2; 8]),
                is_sampled: true,
            },
            parent: Some(SpanId([3; 8])),
            name: "n".to_owned(),
            kind: SpanKind::Client,
            began: 5,
            ended: 6,
            attributes: vec![
                ("a", Attribute::Text("b".to_owned())),
                ("c", Attribute::Integer(300)),
            ],
            failure: Some("f".to_owned()),
        };
        let expected = [
            &[0x0a, 16][..],
            &[1; 16],
            &[0x12, 8],
            &[2; 8],
            &[0x22, 8],
            &[3; 8],
            &[0x2a, 1, b'n', 0x30, 3],
            &[0x39, 5, 0, 0, 0, 0, 0, 0, 0],
            &[0x41, 6, 0, 0, 0, 0, 0, 0, 0],
            &[0x4a, 8, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b'],
            &[0x4a, 8, 0x0a, 1, b'c', 0x12, 3, 0x18, 0xac, 0x02],
            &[0x7a, 5, 0x12, 1, b'f', 0x18, 2],
        ]
        .concat();
        assert_eq!(encode(&span), expected);
    }
}
