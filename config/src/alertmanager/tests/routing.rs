//! Which routes an alert takes, in a small tree and in a real one.
use std::time::Duration;

use model::Labels;

use crate::alertmanager::AlertmanagerConfig;
use crate::alertmanager::tests::texts::{read, with_route};
use crate::route::{GroupBy, Route};
use crate::shared_data::shared;

fn labels(pairs: &str) -> Labels {
    Labels::from_pairs(
        pairs
            .split([',', ' '])
            .filter_map(|pair| pair.split_once('=')),
    )
}

const ROUTING: &str = "
route:
  receiver: notify-def
  routes:
  - match: {owner: team-A}
    receiver: notify-A
    routes:
    - {match: {env: testing}, receiver: notify-testing, group_by: [...]}
    - {match: {env: production}, receiver: notify-productionA, group_wait: 1m, continue: true}
    - match_re: {env: 'produ.*', job: '.*'}
      receiver: notify-productionB
      group_wait: 30s
      group_interval: 5m
      repeat_interval: 1h
      group_by: [job]
  - {match_re: {owner: team-(B|C)}, receiver: notify-BC, group_by: [foo, bar], group_wait: 2m}
  - match: {group_by: role}
    group_by: [role]
    routes:
    - match: {env: testing}
      receiver: notify-testing
      routes:
      - {match: {wait: long}, group_wait: 2m}
receivers: [{name: notify-def}, {name: notify-A}, {name: notify-testing}, {name: notify-productionA}, {name: notify-productionB}, {name: notify-BC}]
";

#[test]
fn alerts_find_their_routes() {
    let config = read(ROUTING);
    let found = |pairs: &str| -> Vec<(String, String)> {
        let indices = config.routes.routes_for(&labels(pairs));
        let routes = indices.into_iter().map(|index| config.routes.route(index));
        routes
            .map(|route| (route.receiver.clone(), route.key.clone()))
            .collect()
    };
    for (pairs, expected) in [
        ("x=y", &[("notify-def", "{}")][..]),
        ("owner=team-A", &[("notify-A", r#"{}/{owner="team-A"}"#)]),
        (
            "owner=team-A env=unset",
            &[("notify-A", r#"{}/{owner="team-A"}"#)],
        ),
        (
            "owner=team-C",
            &[("notify-BC", r#"{}/{owner=~"^(?:team-(B|C))$"}"#)],
        ),
        (
            "owner=team-A env=testing",
            &[("notify-testing", r#"{}/{owner="team-A"}/{env="testing"}"#)],
        ),
        (
            "owner=team-A env=production",
            &[
                (
                    "notify-productionA",
                    r#"{}/{owner="team-A"}/{env="production"}"#,
                ),
                (
                    "notify-productionB",
                    r#"{}/{owner="team-A"}/{env=~"^(?:produ.*)$",job=~"^(?:.*)$"}"#,
                ),
            ],
        ),
        (
            "group_by=role",
            &[("notify-def", r#"{}/{group_by="role"}"#)],
        ),
        (
            "group_by=role env=testing wait=long",
            &[(
                "notify-testing",
                r#"{}/{group_by="role"}/{env="testing"}/{wait="long"}"#,
            )],
        ),
    ] {
        let found = found(pairs);
        let found: Vec<_> = found
            .iter()
            .map(|(receiver, key)| (receiver.as_str(), key.as_str()))
            .collect();
        assert_eq!(found, expected, "{pairs}");
    }
}

#[test]
fn routes_inherit() {
    let config = read(ROUTING);
    let route = |id: &str| -> &Route {
        let routes = config.routes.routes();
        routes.iter().find(|route| route.id == id).unwrap()
    };
    let root = config.routes.root();
    assert_eq!(root.group_by, GroupBy::Labels(Vec::new()));
    assert_eq!(root.group_wait, Duration::from_secs(30));
    assert_eq!(root.group_interval, Duration::from_secs(300));
    assert_eq!(root.repeat_interval, Duration::from_secs(4 * 3600));
    assert_eq!(
        route(r#"{}/{owner="team-A"}/0/{env="testing"}/0"#).group_by,
        GroupBy::All
    );
    let deep = route(r#"{}/{group_by="role"}/2/{env="testing"}/0/{wait="long"}/0"#);
    assert_eq!(deep.receiver, "notify-testing");
    assert_eq!(deep.group_wait, Duration::from_secs(120));
    assert_eq!(deep.group_by, GroupBy::Labels(vec!["role".to_owned()]));
    for (index, route) in config.routes.routes().iter().enumerate() {
        for child in &route.children {
            assert_eq!(
                config.routes.route(*child).parent.map(|parent| parent.0),
                Some(index)
            );
        }
    }
}

#[test]
fn group_by_and_labels_inherit_key_by_key() {
    let config = read(&with_route(
        "group_by: [...], labels: {a: 1, b: 2}, routes: [{labels: {b: 3}}, {group_by: []}, {group_by: [foo]}]",
    ));
    let [_, first, second, third] = config.routes.routes() else {
        panic!()
    };
    assert_eq!(first.group_by, GroupBy::All);
    assert_eq!(second.group_by, GroupBy::Labels(Vec::new()));
    assert_eq!(third.group_by, GroupBy::Labels(vec!["foo".to_owned()]));
    let pairs: Vec<_> = first
        .labels
        .iter()
        .map(|(name, text)| format!("{name}={}", text.as_str()))
        .collect();
    assert_eq!(pairs, ["a=1", "b=3"]);
    let alert = labels("foo=1,bar=2");
    assert_eq!(third.group_by.group_labels(&alert), labels("foo=1"));
    assert_eq!(first.group_by.group_labels(&alert), alert);
}

fn gds() -> Option<AlertmanagerConfig> {
    let text = std::fs::read_to_string(shared("real/gds/rendered/alertmanager.yml")?).unwrap();
    Some(read(&text))
}

#[test]
fn a_real_services_file_loads() {
    let Some(config) = gds() else { return };
    assert_eq!(config.receivers.len(), 17);
    assert!(config.receiver("dev-null").unwrap().integrations.is_empty());
    let kinds: Vec<_> = config
        .receiver("verify-p1")
        .unwrap()
        .integrations
        .iter()
        .map(|integration| (integration.kind().as_str(), integration.index))
        .collect();
    assert_eq!(kinds, [("pagerduty", 0), ("slack", 0)]);
    assert_eq!(
        config.templates.patterns,
        ["/etc/alertmanager/default.tmpl"]
    );
    let Some(path) = shared("real/gds/golden/gds-shortened.yml") else {
        return;
    };
    let shortened = read(&std::fs::read_to_string(path).unwrap());
    assert_eq!(shortened.routes.root().group_wait, Duration::from_secs(2));
}

#[test]
fn a_real_services_alerts_find_their_receivers() {
    let Some(config) = gds() else { return };
    let Some(path) = shared("real/gds/golden/routes-test.tsv") else {
        return;
    };
    let table = std::fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let (pairs, expected) = row.split_once('\t').unwrap();
        let found: Vec<_> = config
            .routes
            .routes_for(&labels(pairs))
            .into_iter()
            .map(|index| config.routes.route(index).receiver.as_str())
            .collect();
        assert_eq!(found.join(","), expected, "{pairs}");
        rows += 1;
    }
    assert_eq!(rows, 98);
}

#[test]
fn a_real_services_tree_has_the_known_keys() {
    let Some(config) = gds() else { return };
    let Some(path) = shared("real/gds/golden/routes-tree.txt") else {
        return;
    };
    let tree = std::fs::read_to_string(path).unwrap();
    let expected: Vec<(String, String)> = tree
        .lines()
        .filter_map(|line| {
            let (node, receiver) = line.split_once("  receiver: ")?;
            let node = node.trim_start_matches([' ', '│', '├', '└', '─', '\u{a0}']);
            Some((node.replace("default-route", "{}"), receiver.to_owned()))
        })
        .collect();
    let found: Vec<(String, String)> = config
        .routes
        .routes()
        .iter()
        .map(|route| {
            let parent = route
                .parent
                .map(|parent| config.routes.route(parent).key.len() + 1);
            let own = &route.key[parent.unwrap_or(0)..];
            (own.to_owned(), route.receiver.clone())
        })
        .collect();
    assert_eq!(found, expected);
}
