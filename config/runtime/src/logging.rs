//! Logs for the operator: one line an event on standard error, in logfmt or JSON, as Prometheus and Alertmanager write
//! them: `time= level= source= msg=` and then the fields.
//!
//! Nobody waits for whoever reads standard error: lines go there by way of a bounded queue.
use std::fmt::{self, Write as _};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use model::go_number;
use model::go_quote::quote;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as layer};

use crate::clock::{Clock, SystemClock};
use crate::line_queue::LineQueue;

/// Lines that wait for whoever reads standard error: some 20,000. Past this they are dropped, counted, and missed aloud.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the end of the process waits for what has not been read.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Where the process' lines wait; there is none before logging was started.
static LINES: OnceLock<(LineQueue, LogFormat)> = OnceLock::new();

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
///
/// # Errors
/// The system gives no thread to write lines with.
pub fn start_logging(level: LogLevel, format: LogFormat) -> io::Result<()> {
    let level = match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let notice = match format {
        LogFormat::Json => |count| dropped_line(LogFormat::Json, count),
        LogFormat::Logfmt => |count| dropped_line(LogFormat::Logfmt, count),
    };
    let queue = LineQueue::start(io::stderr(), WAITING_BYTES_MAX, notice)?;
    if LINES.set((queue.clone(), format)).is_err() {
        return Ok(());
    }
    panic::set_hook(Box::new(tell_panic));
    // Other people's crates speak from warnings on: their details are not the operator's.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("watchbell", level);
    let layer = lines(format, move || QueueWriter(queue.clone())).with_filter(filter);
    // It fails only where logging was started before.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

/// Says a text that is no event, behind all lines of before: a command's last word.
#[expect(clippy::print_stderr, reason = "a command's answer")]
pub fn say_last(text: &str) {
    match LINES.get() {
        Some((queue, _)) => queue.push(format!("{text}\n").as_bytes()),
        // Nothing runs yet that could be held up.
        None => eprintln!("{text}"),
    }
}

/// Waits until all lines are written, two seconds at most: what is not read then is not worth a process that does not
/// end.
pub fn flush_log() {
    if let Some((queue, _)) = LINES.get() {
        queue.flush(FLUSH_MAX);
    }
}

/// Lines of this process that nobody will read.
pub(crate) fn dropped_lines() -> u64 {
    LINES.get().map_or(0, |(queue, _)| queue.dropped())
}

fn dropped_line(format: LogFormat, count: u64) -> String {
    let mut pairs = own_pairs("WARN", line!(), "log lines were dropped");
    pairs.push(("count".to_owned(), Value::Bare(count.to_string())));
    line(format, &pairs) + "\n"
}

/// In place of the standard library's hook, which writes to standard error by itself and would wait there for ever,
/// with a part of the process, where nobody reads.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let Some((queue, format)) = LINES.get() else {
        return;
    };
    let text = |name: &str, text: &str| (name.to_owned(), Value::Text(text.to_owned()));
    let mut pairs = own_pairs("ERROR", line!(), "a thread panicked");
    let thread = thread::current();
    pairs.push(text("thread", thread.name().unwrap_or("unnamed")));
    if let Some(place) = panic.location() {
        pairs.push(text("at", &place.to_string()));
    }
    pairs.push(text("err", panic.payload_as_str().unwrap_or("unknown")));
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        pairs.push(text("backtrace", &trace.to_string()));
    }
    queue.push(format!("{}\n", line(*format, &pairs)).as_bytes());
}

/// What a line begins with that is no event of a part.
fn own_pairs(level: &str, place: u32, message: &str) -> Vec<(String, Value)> {
    let text = |name: &str, text: String| (name.to_owned(), Value::Text(text));
    vec![
        text("time", SystemClock::new().now().to_rfc3339_millis()),
        text("level", level.to_owned()),
        text("source", format!("logging.rs:{place}")),
        text("msg", message.to_owned()),
    ]
}

/// Every event is written at once, as a whole line.
struct QueueWriter(LineQueue);

impl io::Write for QueueWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines<S, W>(format: LogFormat, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let clock = SystemClock::new();
    layer::layer()
        .with_writer(writer)
        .event_format(Lines { format, clock })
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
        let metadata = event.metadata();
        let target = metadata.target();
        let component = target.strip_prefix("watchbell_").unwrap_or(target);
        let component = component.split("::").next().unwrap_or(component);
        let time = self.clock.now().to_rfc3339_millis();
        let text = |name: &str, text: String| (name.to_owned(), Value::Text(text));
        let mut pairs = vec![
            text("time", time),
            text("level", metadata.level().as_str().to_owned()),
            text("source", source(metadata)),
            text("msg", fields.message),
        ];
        // What the process as a whole says is said by no part of it.
        if component != "watchbell" && fields.rest.iter().all(|(name, _)| name != "component") {
            pairs.push(text("component", component.to_owned()));
        }
        pairs.extend(fields.rest);
        writeln!(writer, "{}", line(self.format, &pairs))
    }
}

/// `machine.rs:42`
fn source(metadata: &Metadata<'_>) -> String {
    let file = metadata.file().unwrap_or_default();
    let name = file.rsplit('/').next().unwrap_or(file);
    format!("{name}:{}", metadata.line().unwrap_or_default())
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A number or a boolean, as JSON writes it.
    Bare(String),
    Text(String),
}

fn line(format: LogFormat, pairs: &[(String, Value)]) -> String {
    let mut line = String::with_capacity(160);
    match format {
        LogFormat::Logfmt => {
            for (index, (name, value)) in pairs.iter().enumerate() {
                let space = if index == 0 { "" } else { " " };
                // Writing to a string cannot fail.
                let _ = match value {
                    Value::Text(text) if needs_quotes(text) => {
                        write!(line, "{space}{name}={}", quote(text))
                    }
                    Value::Bare(text) | Value::Text(text) => write!(line, "{space}{name}={text}"),
                };
            }
        }
        LogFormat::Json => {
            line.push('{');
            for (index, (name, value)) in pairs.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let json = |text: &str| serde_json::Value::from(text).to_string();
                let value = match value {
                    Value::Bare(bare) => bare.clone(),
                    Value::Text(text) => json(text),
                };
                let _ = write!(line, "{comma}{}:{value}", json(name));
            }
            line.push('}');
        }
    }
    line
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty() || text.contains(|c: char| c <= ' ' || c == '"' || c == '=' || !c.is_ascii())
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            self.rest.push((field.name().to_owned(), Value::Text(text)));
        }
    }

    fn add_bare(&mut self, field: &Field, value: impl fmt::Display) {
        let value = Value::Bare(value.to_string());
        self.rest.push((field.name().to_owned(), value));
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add_bare(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no others.
        match serde_json::Number::from_f64(value) {
            Some(number) => self.add_bare(field, number),
            None => self.add(field, go_number::format_f(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_bare(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add_bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_bare(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add_bare(field, value);
    }

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
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{LogFormat, lines};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'p> MakeWriter<'p> for Paper {
        type Writer = Self;

        fn make_writer(&'p self) -> Self {
            self.clone()
        }
    }

    /// What is written of the event, without its time and its line.
    fn written(format: LogFormat, tell: impl FnOnce()) -> String {
        let paper = Paper::default();
        let subscriber = tracing_subscriber::registry().with(lines(format, paper.clone()));
        tracing::subscriber::with_default(subscriber, tell);
        let bytes = paper.0.lock().clone();
        let text = String::from_utf8(bytes).unwrap();
        let (time_at, level_at) = (text.find("time").unwrap(), text.find("level").unwrap());
        let before_level = if text.starts_with('{') { 1 } else { 0 };
        let (before, after) = text[level_at - before_level..]
            .split_once("logging.rs:")
            .unwrap();
        let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!(
            "{}{before}logging.rs{after}",
            &text[..time_at - before_level]
        )
    }

    #[test]
    fn writes_a_line_that_tools_can_read() {
        let tell = || {
            tracing::warn!(
                address = "127.0.0.1:9093",
                err = "a=\"b\"\n",
                empty = "",
                rules = 3_usize,
                change = -4_i64,
                large = u128::from(u64::MAX),
                took = 0.25,
                whole = 2.0,
                never = f64::NAN,
                always = f64::INFINITY,
                well = true,
                shown = %"5",
                "Listening on"
            );
        };
        assert_eq!(
            written(LogFormat::Logfmt, tell),
            concat!(
                r#"level=WARN source=logging.rs msg="Listening on" component=runtime address=127.0.0.1:9093 err="a=\"b\"\n" empty="" "#,
                "rules=3 change=-4 large=18446744073709551615 took=0.25 whole=2.0 never=NaN always=+Inf well=true shown=5\n"
            )
        );
        assert_eq!(
            written(LogFormat::Json, tell),
            concat!(
                r#"{"level":"WARN","source":"logging.rs","msg":"Listening on","component":"runtime","address":"127.0.0.1:9093","#,
                r#""err":"a=\"b\"\n","empty":"","rules":3,"change":-4,"large":18446744073709551615,"took":0.25,"whole":2.0,"#,
                r#""never":"NaN","always":"+Inf","well":true,"shown":"5"}"#,
                "\n"
            )
        );
    }
}
