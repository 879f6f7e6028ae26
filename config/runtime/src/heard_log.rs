//! What this thread logs, kept instead of printed: for tests.
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, registry};

/// Hears until it is dropped.
pub struct HeardLog {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl HeardLog {
    #[must_use]
    pub fn start() -> Self {
        // With one subscriber in all, tracing asks whichever thread comes first to a line whether it is of interest, and
        // another test's thread would say no for this one.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(registry()));
        let lines = Arc::new(Mutex::default());
        let ear = Ear(Arc::clone(&lines));
        Self {
            _guard: tracing::subscriber::set_default(registry().with(ear)),
            lines,
        }
    }

    /// Level, message and fields: `WARN samples refused tenant=a left_out=0`. Details (debug, trace) are not heard.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}

struct Ear(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Ear {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level <= tracing::Level::INFO {
            let mut words = Words::default();
            event.record(&mut words);
            let line = format!("{level} {}{}", words.message, words.fields);
            self.0.lock().push(line);
        }
    }
}

#[derive(Default)]
struct Words {
    message: String,
    fields: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => self.fields.push_str(&format!(" {name}={value:?}")),
        }
    }
}
