//! Small files around one key, and what is said about them.
use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions};

pub(crate) fn read(text: &str) -> AlertmanagerConfig {
    match AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()) {
        Ok(loaded) => loaded.value,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

pub(crate) fn problems(text: &str) -> Vec<String> {
    match AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) fn warnings(text: &str) -> Vec<String> {
    let loaded = AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default()).unwrap();
    loaded.warnings.iter().map(ToString::to_string).collect()
}

/// `keys` below the only route; receivers `d` and `e` exist.
pub(crate) fn with_route(keys: &str) -> String {
    format!("route: {{receiver: d, {keys}}}\nreceivers: [{{name: d}}, {{name: e}}]\n")
}

/// `keys` below the only child route.
pub(crate) fn with_child(keys: &str) -> String {
    with_route(&format!("routes: [{{{keys}}}]"))
}

/// `keys` below the only receiver, on line 2 from column 12.
pub(crate) fn with_receiver(keys: &str) -> String {
    format!("route: {{receiver: d}}\nreceivers: [{{name: d, {keys}}}]\n")
}

pub(crate) fn with_top(keys: &str) -> String {
    format!("route: {{receiver: d}}\nreceivers: [{{name: d}}]\n{keys}\n")
}

pub(crate) fn with_global(keys: &str) -> String {
    with_top(&format!("global: {{{keys}}}"))
}

pub(crate) fn with_interval(keys: &str) -> String {
    with_top(&format!(
        "time_intervals: [{{name: i, time_intervals: [{{{keys}}}]}}]"
    ))
}

/// Each text has exactly one mistake: the message, without its path, and where it stands.
pub(crate) fn check(rows: &[(String, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, place, message) in rows {
        let found: Vec<String> = problems(text)
            .iter()
            .map(|problem| problem.strip_prefix("a.yml:").unwrap_or(problem).to_owned())
            .collect();
        let is_expected = match &found[..] {
            [only] => {
                let said = match place.is_empty() {
                    true => format!(" {message}"),
                    false => format!("{place}: {message}"),
                };
                only.strip_prefix(said.as_str())
                    .is_some_and(|path| path.is_empty() || path.starts_with(" ("))
            }
            _ => false,
        };
        if !is_expected {
            wrong.push(format!(
                "{text}\nexpected {place}: {message}\nfound    {}\n",
                found.join("\n         ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
