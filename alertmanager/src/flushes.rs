//! The spans of flushes: notifications are below them, later attempts too.
use std::collections::BTreeMap;

use alertmanager_core::{Event, LogKey, SpanContext, SpanKind};

use crate::traces::{OpenSpan, Tracer};

/// Past this all are forgotten: attempts that are made again then begin traces of their own.
const FLUSHES_MAX: usize = 10_000;

/// The last flush of each group, by the group's key.
#[derive(Default)]
pub(crate) struct Flushes(BTreeMap<String, SpanContext>);

impl Flushes {
    /// A span for each flush among the events, to be ended when its batch has been carried out.
    pub(crate) fn begin(&mut self, tracer: &Tracer, events: &[Event]) -> Vec<OpenSpan> {
        let mut spans = Vec::new();
        for event in events {
            let Event::GroupFlushed {
                group_key,
                firing,
                muted,
                resolved,
                ..
            } = event
            else {
                continue;
            };
            let name = "dispatch.AggregationGroup.flush";
            let Some(mut span) = tracer.begin(None, SpanKind::Internal, name) else {
                self.0.clear();
                return spans;
            };
            span.note("alerting.group.key", group_key.as_str());
            span.count("alerting.alerts.firing.count", *firing as u64);
            span.count("alerting.alerts.muted.count", *muted as u64);
            span.count("alerting.alerts.resolved.count", *resolved as u64);
            if self.0.len() >= FLUSHES_MAX {
                self.0.clear();
            }
            self.0.insert(group_key.as_str().to_owned(), span.context);
            spans.push(span);
        }
        spans
    }

    /// The flush that an attempt is about.
    pub(crate) fn of(&self, key: &LogKey) -> Option<SpanContext> {
        self.0.get(key.group_key.as_str()).copied()
    }
}
