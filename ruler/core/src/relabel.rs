//! Relabelling, as Prometheus does it to alerts on their way out.
use config::{RelabelAction, RelabelConfig};
use md5::{Digest, Md5};
use model::{Labels, LabelsBuilder, is_label_name};

/// Applies the steps in order. `None` where one of them drops the alert.
#[must_use]
pub fn relabel(labels: &Labels, steps: &[RelabelConfig]) -> Option<Labels> {
    if steps.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = LabelsBuilder::new(labels);
    for step in steps {
        if !apply(&mut builder, step) {
            return None;
        }
    }
    Some(builder.build())
}

/// Whether the labels are kept.
fn apply(labels: &mut LabelsBuilder, step: &RelabelConfig) -> bool {
    let value = |name: &String| labels.get(name).unwrap_or_default().to_owned();
    let joined = step
        .source_labels
        .iter()
        .map(value)
        .collect::<Vec<_>>()
        .join(&step.separator);
    match step.action {
        RelabelAction::Drop => return !step.regex.is_match(&joined),
        RelabelAction::Keep => return step.regex.is_match(&joined),
        RelabelAction::DropEqual => return value(&step.target_label) != joined,
        RelabelAction::KeepEqual => return value(&step.target_label) == joined,
        RelabelAction::Replace => replace(labels, step, &joined),
        RelabelAction::Lowercase => drop(labels.set(&step.target_label, &joined.to_lowercase())),
        RelabelAction::Uppercase => drop(labels.set(&step.target_label, &joined.to_uppercase())),
        RelabelAction::HashMod => {
            let digest = Md5::digest(joined.as_bytes());
            let tail = digest[8..]
                .iter()
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            labels.set(
                &step.target_label,
                &(tail % step.modulus.max(1)).to_string(),
            );
        }
        RelabelAction::LabelMap => {
            for (name, value) in labels.build().iter() {
                if let Some(target) = step.regex.expand(name, &step.replacement) {
                    labels.set(&target, value);
                }
            }
        }
        RelabelAction::LabelDrop => drop(labels.retain(|name| !step.regex.is_match(name))),
        RelabelAction::LabelKeep => drop(labels.retain(|name| step.regex.is_match(name))),
    }
    true
}

fn replace(labels: &mut LabelsBuilder, step: &RelabelConfig, joined: &str) {
    let (Some(target), Some(value)) = (
        step.regex.expand(joined, &step.target_label),
        step.regex.expand(joined, &step.replacement),
    ) else {
        return;
    };
    // A name that came out empty names nothing.
    if is_label_name(&target) {
        labels.set(&target, &value);
    }
}

#[cfg(test)]
mod tests {
    use config::PrometheusConfig;
    use model::Labels;

    use super::relabel;

    fn check(step: &str, expected: Option<&str>) {
        let file = format!("alerting: {{alert_relabel_configs: [{step}]}}\n");
        let read = PrometheusConfig::read("p.yml", &file, &|_| None)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let labels = Labels::from_pairs([
            ("alertname", "Down"),
            ("replica", "a"),
            ("team", "Ops"),
            ("zone", "a"),
        ]);
        let relabelled =
            relabel(&labels, &read.value.alert_relabel_configs).map(|labels| labels.to_string());
        assert_eq!(relabelled.as_deref(), expected, "{step}");
    }

    const SAME: Option<&str> = Some(r#"{alertname="Down", replica="a", team="Ops", zone="a"}"#);

    #[test]
    fn each_action_does_what_prometheus_does() {
        check("", SAME);
        check(
            "{regex: replica, action: labeldrop}",
            Some(r#"{alertname="Down", team="Ops", zone="a"}"#),
        );
        check(
            "{regex: 'alertname|team', action: labelkeep}",
            Some(r#"{alertname="Down", team="Ops"}"#),
        );
        check("{source_labels: [team], regex: Ops, action: drop}", None);
        check("{source_labels: [team], regex: Op, action: drop}", SAME);
        check("{source_labels: [team], regex: Dev, action: keep}", None);
        check("{source_labels: [team], regex: O.s, action: keep}", SAME);
        check(
            "{source_labels: [zone], target_label: replica, action: dropequal}",
            None,
        );
        check(
            "{source_labels: [team], target_label: replica, action: keepequal}",
            None,
        );
        check(
            "{source_labels: [team, zone], separator: '-', regex: '(.*)-(.*)', target_label: who, replacement: '$2/$1'}",
            Some(r#"{alertname="Down", replica="a", team="Ops", who="a/Ops", zone="a"}"#),
        );
        check(
            "{target_label: replica, replacement: ''}",
            Some(r#"{alertname="Down", team="Ops", zone="a"}"#),
        );
        check(
            "{source_labels: [team], regex: nobody, target_label: replica, replacement: x}",
            SAME,
        );
        check(
            "{source_labels: [team], target_label: team, action: lowercase}",
            Some(r#"{alertname="Down", replica="a", team="ops", zone="a"}"#),
        );
        check(
            "{source_labels: [team], target_label: team, action: uppercase}",
            Some(r#"{alertname="Down", replica="a", team="OPS", zone="a"}"#),
        );
        check(
            "{regex: '(re).*', replacement: '${1}gion', action: labelmap}",
            Some(r#"{alertname="Down", region="a", replica="a", team="Ops", zone="a"}"#),
        );
        check(
            "{source_labels: [team], target_label: shard, modulus: 1000, action: hashmod}",
            Some(&format!(
                r#"{{alertname="Down", replica="a", shard="{}", team="Ops", zone="a"}}"#,
                shard()
            )),
        );
    }

    /// The last eight bytes of `printf Ops | md5sum`, modulo 1000.
    fn shard() -> u64 {
        u64::from_str_radix("e97d02ee2ff71de0", 16).unwrap() % 1000
    }
}
