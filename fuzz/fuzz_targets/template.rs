//! Any text is a template or an error, in both dialects and both modes, and renders within its limits.
#![no_main]
use model::{Labels, Timestamp};
use template::{AlertTemplateData, AtTime, Limits, Mode, TemplateSet, Value};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = TemplateSet::alertmanager().compile("", text, Mode::Html);
    if let Ok(template) = TemplateSet::prometheus().compile("__alert_X", text, Mode::Text) {
        let data = AlertTemplateData {
            labels: Labels::from_pairs([("a", "b")]),
            external_labels: Labels::default(),
            external_url: "http://w".to_owned(),
            value: 1.5,
        };
        let limits = Limits {
            output_bytes_max: 4096,
            steps_max: 2000,
            iterations_max: 200,
            ..Limits::default()
        };
        let _ = template.render(
            &Value::from(data),
            &AtTime(Timestamp::from_secs(0)),
            &limits,
        );
    }
});
