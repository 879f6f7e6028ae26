//! The words every room shares: time, labels, matchers, samples, alerts, tenants, and the verbs by which
//! every deciding machine is driven. Pure: nothing here reads a clock, a file, a socket or a random source.
mod alert;
mod date_time;
pub mod duration;
mod fingerprint;
pub mod go_duration;
pub mod go_json;
pub mod go_number;
pub mod go_quote;
mod go_regex;
pub mod histogram;
mod label_name;
mod labels;
mod machine;
mod matcher;
pub mod matcher_syntax;
pub mod protobuf;
mod regex_translation;
mod sample;
mod tenant;
mod time;
pub mod wire;

pub use alert::{Alert, AlertStatus, ListPlace, sort_alerts};
pub use fingerprint::Fingerprint;
pub use go_regex::{GoRegex, RegexError, quote_meta};
pub use histogram::{Histogram, HistogramSample};
pub use label_name::{is_classic_label_name, is_classic_metric_name, is_label_name};
pub use labels::{ALERT_NAME, Labels, LabelsBuilder, LabelsPart, METRIC_NAME};
pub use machine::Machine;
pub use matcher::{MatchOp, Matcher, MatcherDialect, match_all};
pub use sample::{STALE_NAN, Sample, SampleValue, is_stale_nan, stale_nan};
pub use tenant::{TenantId, TenantIdError};
pub use time::{TimeError, Timestamp};
