//! Templates are parsed with the files that define them.
use crate::alertmanager::tests::texts::with_receiver;
use crate::alertmanager::{AlertmanagerFiles, AlertmanagerOptions};
use crate::files::MemoryFiles;
use crate::shared_data::shared;

fn load(files: &[(&str, &str)]) -> Result<AlertmanagerFiles, Vec<String>> {
    let files: MemoryFiles = files.iter().copied().collect();
    AlertmanagerFiles::load("e/a.yml", &AlertmanagerOptions::default(), &files)
        .map(|loaded| loaded.value)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn templates_are_parsed_with_the_files_that_define_them() {
    let text = "route: {receiver: d, labels: {l: '{{ nofunc }}'}}\ntemplates: ['t/*.tmpl', none.tmpl]\nreceivers:\n- name: d\n  webhook_configs: [{url: 'http://a/{{ }'}]\n  slack_configs:\n  - api_url: http://a\n    text: |\n      {{ if }}\n    fields: [{title: t, value: '{{ end }}'}]\n";
    let files = [
        ("e/a.yml", text),
        ("e/t/bad.tmpl", "\n{{ define \"x\" }}{{ nofunc }}{{ end }}"),
        ("e/t/good.tmpl", "{{ define \"mine\" }}hello{{ end }}"),
    ];
    let problems = load(&files).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| problem.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        places,
        [
            "e/a.yml:1:34",
            "e/a.yml:5:27",
            "e/a.yml:9:7",
            "e/a.yml:10:32",
            "e/t/bad.tmpl:2:20"
        ],
        "{}",
        problems.join("\n")
    );
    assert!(
        problems[0].ends_with(r#"template: :1: function "nofunc" not defined (route.labels.l)"#),
        "{}",
        problems[0]
    );
    assert!(
        problems[1].contains(": invalid template syntax: template: :1: "),
        "{}",
        problems[1]
    );
    assert!(
        problems[4].ends_with(r#"template: bad.tmpl:2: function "nofunc" not defined"#),
        "{}",
        problems[4]
    );
}

#[test]
fn html_may_call_what_a_file_defines() {
    let mail = with_receiver(
        r#"email_configs: [{to: a, from: b, smarthost: 'c:1', html: '{{ template "mine" . }}'}]"#,
    );
    let with_template = format!("templates: [m.tmpl]\n{mail}");
    let problems = load(&[("e/a.yml", &mail)]).unwrap_err();
    assert!(
        problems[0].contains("email_configs[0].html"),
        "{problems:?}"
    );
    let files = [
        ("e/a.yml", with_template.as_str()),
        (
            "e/m.tmpl",
            r#"{{ define "mine" }}<b>{{ .Status }}</b>{{ end }}"#,
        ),
    ];
    let loaded = load(&files).unwrap();
    assert_eq!(loaded.template_files, [std::path::Path::new("e/m.tmpl")]);
    assert!(
        loaded
            .templates
            .compile("", r#"{{ template "mine" . }}"#, template::Mode::Html)
            .is_ok()
    );
}

#[test]
fn a_pattern_without_a_file_is_warned_about() {
    let text =
        "route: {receiver: d}\ntemplates:\n- t/*.tmpl\n- none/*.tmpl\nreceivers: [{name: d}]\n";
    let files: MemoryFiles = [("e/a.yml", text), ("e/t/a.tmpl", "")]
        .into_iter()
        .collect();
    let options = AlertmanagerOptions::default();
    let loaded = AlertmanagerFiles::load("e/a.yml", &options, &files).unwrap();
    assert_eq!(
        loaded.warnings.to_string(),
        "e/a.yml:4:3: no file matches none/*.tmpl (templates[1])"
    );
}

#[test]
fn a_missing_file_is_a_problem() {
    assert_eq!(
        load(&[]).unwrap_err(),
        ["open e/a.yml: no such file or directory"]
    );
}

#[test]
fn a_real_services_templates_are_parsed() {
    let Some(config) = shared("real/gds/rendered/alertmanager.yml") else {
        return;
    };
    let Some(template) = shared("real/gds/default.tmpl") else {
        return;
    };
    let config = std::fs::read_to_string(config).unwrap();
    let template = std::fs::read_to_string(template).unwrap();
    let loaded = load(&[
        ("e/a.yml", &config),
        ("/etc/alertmanager/default.tmpl", &template),
    ]);
    assert_eq!(loaded.unwrap().template_files.len(), 1);
    assert!(
        load(&[("e/a.yml", &config)])
            .unwrap()
            .template_files
            .is_empty()
    );
}
