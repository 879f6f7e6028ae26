//! What happens, one line each, with the time since the start.
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use fakes::{FakeEvent, Happened};
use model::Timestamp;
use runtime::{Clock, SystemClock};
use serde_json::Value as Json;

use crate::demo::pipeline::Pipeline;

pub(super) struct Story {
    clock: SystemClock,
    begun: Timestamp,
    colours: bool,
    /// State by the alert's labels.
    alerts: BTreeMap<String, String>,
    paged: bool,
    resolved: bool,
    heartbeat: bool,
}

#[derive(Clone, Copy)]
enum Tone {
    Bad,
    Good,
    Plain,
    Quiet,
}

impl Story {
    pub(super) fn begin() -> Self {
        let clock = SystemClock::new();
        Self {
            begun: clock.now(),
            clock,
            colours: stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
            alerts: BTreeMap::new(),
            paged: false,
            resolved: false,
            heartbeat: false,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.clock.now().saturating_since(self.begun)
    }

    /// A page, its resolution and a heartbeat were seen.
    pub(super) fn is_told(&self) -> bool {
        self.paged && self.resolved && self.heartbeat
    }

    pub(super) fn introduce(&self, pipeline: &Pipeline) {
        let lines = [
            String::new(),
            "Watchbell's demo: three services send samples; one fails after a few seconds, a disk fills up, and an".into(),
            "always-firing rule proves every ten seconds that the pipeline is alive. The vendors are fakes on loopback."
                .into(),
            String::new(),
            format!("  rules and their alerts   {}", pipeline.url("/api/v1/rules")),
            format!("  a query                  {}", pipeline.url("/api/v1/query?query=service:http_errors:ratio_rate10s")),
            format!("  alerts being routed      {}", pipeline.url("/api/v2/alerts/groups")),
            format!("  Watchbell's own figures  {}", pipeline.url("/metrics")),
            format!("  files and log            {}", pipeline.folder().display()),
            String::new(),
            "Ctrl-C ends it and cleans up.".into(),
            String::new(),
        ];
        print(&format!("{}\n", lines.join("\n")));
    }

    pub(super) fn service(&self, change: &str) {
        self.tell("sample", change, Tone::Plain);
    }

    pub(super) fn rules(&mut self, alerts: &[Json]) {
        let mut states = BTreeMap::new();
        for alert in alerts {
            states.insert(
                name_of(alert),
                alert["state"].as_str().unwrap_or("").to_owned(),
            );
        }
        for (name, state) in &states {
            if self.alerts.get(name) != Some(state) {
                self.tell(
                    "rule",
                    &format!("{name} is {state}"),
                    if state == "firing" {
                        Tone::Bad
                    } else {
                        Tone::Plain
                    },
                );
            }
        }
        for name in self
            .alerts
            .keys()
            .filter(|name| !states.contains_key(*name))
        {
            self.tell("rule", &format!("{name} is over"), Tone::Good);
        }
        self.alerts = states;
    }

    pub(super) fn vendor(&mut self, event: &FakeEvent) {
        let (kind, tone) = match &event.what {
            Happened::IncidentOpened { .. } => {
                self.paged = true;
                ("page", Tone::Bad)
            }
            Happened::IncidentResolved { .. } => {
                self.resolved = true;
                ("resolved", Tone::Good)
            }
            Happened::Pinged { .. } => {
                self.heartbeat = true;
                ("heartbeat", Tone::Quiet)
            }
            Happened::Refused { .. } => ("refused", Tone::Bad),
            Happened::MailArrived { .. } => ("mail", Tone::Plain),
            Happened::SlackPosted { .. } | Happened::SlackUpdated { .. } => ("chat", Tone::Plain),
            Happened::IncidentAcknowledged { .. } | Happened::IncidentUpdated { .. } => {
                ("page", Tone::Plain)
            }
            Happened::WebhookCalled { .. } => ("webhook", Tone::Plain),
        };
        self.tell(kind, &event.to_string(), tone);
    }

    pub(super) fn end(&self) {
        self.tell("end", "stopping the pipeline and cleaning up", Tone::Quiet);
    }

    fn tell(&self, kind: &str, text: &str, tone: Tone) {
        let secs = self.elapsed().as_secs_f64();
        let line = format!("{secs:6.1} s  {kind:<9}  {text}");
        let colour = match tone {
            Tone::Bad => "31",
            Tone::Good => "32",
            Tone::Plain => "0",
            Tone::Quiet => "2",
        };
        print(&if self.colours {
            format!("\x1b[{colour}m{line}\x1b[0m\n")
        } else {
            format!("{line}\n")
        });
    }
}

/// `HighErrorRate{service="checkout"}`.
fn name_of(alert: &Json) -> String {
    let empty = serde_json::Map::new();
    let labels = alert["labels"].as_object().unwrap_or(&empty);
    let rest: Vec<String> = labels
        .iter()
        .filter(|(name, _)| !["alertname", "severity"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let name = labels.get("alertname").and_then(Json::as_str).unwrap_or("");
    if rest.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", rest.join(", "))
    }
}

/// A closed terminal is no reason to fail.
fn print(text: &str) {
    let mut out = stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
