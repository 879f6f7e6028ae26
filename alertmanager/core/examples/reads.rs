//! Prints what it costs to look at 30,000 firing alerts, and to take them in and repeat them:
//! `cargo run --release -p watchbell-alertmanager-core --example reads`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{AlertmanagerConfig, AlertmanagerOptions};
use model::{Machine as _, Timestamp};
use watchbell_alertmanager_core::{
    AlertDraft, Alertmanager, Command, Input, Policy, Settings, Ticket,
};

const ALERTS: usize = 30_000;
const BATCH: usize = 64;
const ROUNDS: u32 = 20;
const START: Timestamp = Timestamp::from_secs(1_795_392_000);
const CONFIG: &str = "
route: {receiver: team, group_by: [alertname, cluster]}
receivers: [{name: team, webhook_configs: [{url: 'http://hooks.example.org'}]}]
inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=info], equal: [instance]}]
";

fn main() {
    let config = AlertmanagerConfig::read("reads.yml", CONFIG, &AlertmanagerOptions::default());
    let config = Arc::new(config.expect("the configuration is sound").value);
    let policy = Policy::new(config, "http://alerts.example.org");
    let mut machine = Alertmanager::restore(Settings::default(), policy, [], START);
    let mut now = START;
    let posting = |machine: &mut Alertmanager, now: Timestamp| {
        let drafts: Vec<AlertDraft> = (0..ALERTS).map(|number| draft(number, now)).collect();
        let begun = instant();
        for batch in drafts.chunks(BATCH) {
            let (ticket, alerts) = (Ticket(0), batch.to_vec());
            machine.handle(Input::AlertsPosted { ticket, alerts }, now);
            drain(machine);
        }
        begun.elapsed()
    };
    let first = posting(&mut machine, now);
    let mut repeating = Duration::ZERO;
    let mut viewing = Duration::ZERO;
    let mut between = Duration::ZERO;
    let mut tallying = Duration::ZERO;
    for _ in 0..ROUNDS {
        now = now + Duration::from_secs(60);
        repeating += posting(&mut machine, now);
        let begun = instant();
        let view = machine.view(now);
        viewing += begun.elapsed();
        let begun = instant();
        drop(machine.tally(false, now));
        tallying += begun.elapsed();
        // While somebody holds a view.
        between += posting(&mut machine, now + Duration::from_secs(1));
        assert_eq!(view.alerts.len(), ALERTS);
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / ALERTS as f64;
    println!(
        "{ALERTS} alerts in {} groups: taken in {:.2} µs each, repeated {:.2} µs, repeated while a reader holds what it saw \
         {:.2} µs; a view {:.1} ms, a tally {:.1} ms",
        machine.groups_len(),
        each(first),
        each(repeating / ROUNDS),
        each(between / ROUNDS),
        (viewing / ROUNDS).as_secs_f64() * 1e3,
        (tallying / ROUNDS).as_secs_f64() * 1e3,
    );
}

fn drain(machine: &mut Alertmanager) {
    while let Some(command) = machine.poll_command() {
        if let Command::Persist(record) = command {
            drop(record.encode());
        }
    }
    while machine.poll_event().is_some() {}
}

fn draft(number: usize, now: Timestamp) -> AlertDraft {
    let pairs = |pairs: &[(&str, String)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    };
    let severity = ["critical", "warning", "info"][number % 7 % 3];
    AlertDraft {
        labels: pairs(&[
            ("alertname", format!("A{}", number % 40)),
            ("cluster", format!("c{}", number % 5)),
            ("instance", format!("i-{number}")),
            ("job", "node".to_owned()),
            ("severity", severity.to_owned()),
            ("namespace", format!("team-{:03}", number % 200)),
        ]),
        annotations: pairs(&[
            ("summary", format!("Instance i-{number} does not answer")),
            (
                "runbook_url",
                "https://runbooks.example.org/node".to_owned(),
            ),
        ]),
        starts_at: Some(START),
        ends_at: Some(now + Duration::from_secs(240)),
        generator_url: "http://prometheus.example.org/graph?g0.expr=up+%3D%3D+0".to_owned(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long it took is what is printed"
)]
fn instant() -> Instant {
    Instant::now()
}
