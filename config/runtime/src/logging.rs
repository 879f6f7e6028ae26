//! Logs for the operator: one line an event on standard error, in logfmt or JSON.
use std::fmt::{self, Write as _};

use model::go_quote::quote;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as layer};

use crate::clock::{Clock, SystemClock};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Logfmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// Starts logging for the whole process. A second call changes nothing.
pub fn start_logging(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    // Other people's crates speak from warnings on: their details are not the operator's.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("watchbell", level);
    let lines = Lines {
        format,
        clock: SystemClock::new(),
    };
    let layer = layer::layer()
        .with_writer(std::io::stderr)
        .event_format(lines)
        .with_filter(filter);
    // It fails only where logging was started before.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

struct Lines {
    format: LogFormat,
    clock: SystemClock,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let target = event.metadata().target();
        let component = target.strip_prefix("watchbell_").unwrap_or(target);
        let component = component.split("::").next().unwrap_or(component);
        let time = self.clock.now().to_rfc3339_millis();
        let mut pairs = vec![
            ("time".to_owned(), time),
            ("level".to_owned(), level),
            ("component".to_owned(), component.to_owned()),
            ("msg".to_owned(), fields.message),
        ];
        pairs.extend(fields.rest);
        writeln!(writer, "{}", line(self.format, &pairs))
    }
}

fn line(format: LogFormat, pairs: &[(String, String)]) -> String {
    let mut line = String::with_capacity(160);
    match format {
        LogFormat::Logfmt => {
            for (index, (name, value)) in pairs.iter().enumerate() {
                let space = if index == 0 { "" } else { " " };
                let bare = !value.is_empty()
                    && !value.contains(|c: char| c <= ' ' || c == '"' || c == '=' || !c.is_ascii());
                // Writing to a string cannot fail.
                let _ = if bare {
                    write!(line, "{space}{name}={value}")
                } else {
                    write!(line, "{space}{name}={}", quote(value))
                };
            }
        }
        LogFormat::Json => {
            line.push('{');
            for (index, (name, value)) in pairs.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let json = |text: &str| serde_json::Value::from(text).to_string();
                let _ = write!(line, "{comma}{}:{}", json(name), json(value));
            }
            line.push('}');
        }
    }
    line
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(String, String)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.rest.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.add(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, line};

    #[test]
    fn writes_a_line_that_tools_can_read() {
        let pairs = [
            ("level", "info"),
            ("msg", "Listening on"),
            ("address", "127.0.0.1:9093"),
            ("err", "a=\"b\"\n"),
        ];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            line(LogFormat::Logfmt, &pairs),
            r#"level=info msg="Listening on" address=127.0.0.1:9093 err="a=\"b\"\n""#
        );
        assert_eq!(
            line(LogFormat::Json, &pairs),
            r#"{"level":"info","msg":"Listening on","address":"127.0.0.1:9093","err":"a=\"b\"\n"}"#
        );
    }
}
