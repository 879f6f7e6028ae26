//! The groups that one tenant has uploaded: what may be added, and what a change makes of them.
use std::collections::BTreeMap;
use std::sync::Arc;

use config::{GroupRefused, Problems, RawGroup, RuleFile, UploadedGroup};
use promql::ParserOptions;

use crate::compile::{GroupDefaults, compile_groups};
use crate::rule::{Group, GroupKey};

/// Zero is no limit, as in Cortex and Mimir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    pub groups_max: usize,
    pub rules_per_group_max: usize,
}

/// In the words of Cortex and Mimir.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("per-user rule groups limit (limit: {limit} actual: {actual}) exceeded")]
    Groups { limit: usize, actual: usize },
    #[error("per-user rules per rule group limit (limit: {limit} actual: {actual}) exceeded")]
    Rules { limit: usize, actual: usize },
}

/// A group as it was written and as it runs.
#[derive(Clone, Debug)]
pub struct Uploaded {
    pub written: UploadedGroup,
    /// Its namespace stands for the file.
    pub group: Arc<Group>,
}

impl Uploaded {
    /// Parses every expression and every template of `resolved`, which was read with `written`.
    ///
    /// # Errors
    /// Each mistake with its place, in Prometheus' words.
    pub fn compile(
        namespace: &str,
        written: UploadedGroup,
        resolved: RawGroup,
        defaults: GroupDefaults,
        options: &ParserOptions,
    ) -> Result<Self, GroupRefused> {
        let file = RuleFile {
            file: namespace.to_owned(),
            groups: vec![resolved],
        };
        let mut problems = Problems::new();
        let groups = compile_groups(&[file], defaults, options, &mut problems);
        match groups.into_iter().next() {
            Some(group) if problems.is_empty() => Ok(Self { written, group }),
            Some(_) | None => {
                let nameless = problems.into_iter().map(|mut problem| {
                    problem.file.clear();
                    problem
                });
                Err(GroupRefused::Invalid(nameless.collect()))
            }
        }
    }
}

/// One tenant's, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct UploadedGroups(BTreeMap<GroupKey, Arc<Uploaded>>);

impl UploadedGroups {
    /// Whether a group may be put in. One that takes the place of another counts once.
    ///
    /// # Errors
    /// The limit that would be passed.
    pub fn check(&self, group: &Uploaded, limits: UploadLimits) -> Result<(), LimitExceeded> {
        let (limit, actual) = (limits.rules_per_group_max, group.written.rule_count());
        if limit > 0 && actual > limit {
            return Err(LimitExceeded::Rules { limit, actual });
        }
        if self.0.contains_key(&group.group.key) {
            return Ok(());
        }
        let (limit, actual) = (limits.groups_max, self.0.len() + 1);
        if limit > 0 && actual > limit {
            return Err(LimitExceeded::Groups { limit, actual });
        }
        Ok(())
    }

    pub fn insert(&mut self, group: Arc<Uploaded>) {
        self.0.insert(group.group.key.clone(), group);
    }

    pub fn remove(&mut self, key: &GroupKey) -> Option<Arc<Uploaded>> {
        self.0.remove(key)
    }

    #[must_use]
    pub fn get(&self, key: &GroupKey) -> Option<&Arc<Uploaded>> {
        self.0.get(key)
    }

    /// By namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Uploaded>> {
        self.0.values()
    }

    /// Every namespace, or the one that is asked for, with its groups.
    #[must_use]
    pub fn namespaces(&self, wanted: Option<&str>) -> BTreeMap<&str, Vec<&UploadedGroup>> {
        let mut namespaces: BTreeMap<&str, Vec<&UploadedGroup>> = BTreeMap::new();
        for (key, uploaded) in &self.0 {
            if wanted.is_none_or(|wanted| *wanted == *key.file) {
                let groups = namespaces.entry(&key.file).or_default();
                groups.push(&uploaded.written);
            }
        }
        namespaces
    }

    #[must_use]
    pub fn keys_of(&self, namespace: &str) -> Vec<GroupKey> {
        let keys = self.0.keys();
        keys.filter(|key| *key.file == *namespace)
            .cloned()
            .collect()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups of files and these; of two with the same name in the same place the file's counts. Also how many were
    /// left out for that.
    #[must_use]
    pub fn beside(&self, files: &[Arc<Group>]) -> (Vec<Arc<Group>>, usize) {
        let taken: std::collections::BTreeSet<&GroupKey> =
            files.iter().map(|group| &group.key).collect();
        let uploaded = self.0.iter().filter(|(key, _)| !taken.contains(key));
        let mut groups = files.to_vec();
        groups.extend(uploaded.map(|(_, uploaded)| uploaded.group.clone()));
        let left_out = files.len() + self.0.len() - groups.len();
        (groups, left_out)
    }

    /// The same groups where other defaults hold. What was read and compiled once is so again, where no part of its language
    /// was switched off: such groups go on as they were, as long as this process runs, and are named with the reason.
    #[must_use]
    pub fn with_defaults(
        &self,
        defaults: GroupDefaults,
        options: &ParserOptions,
    ) -> (Self, Vec<(GroupKey, GroupRefused)>) {
        let mut outdated = Vec::new();
        let again = self.0.iter().map(|(key, uploaded)| {
            let compiled = UploadedGroup::read(uploaded.written.yaml()).and_then(|read| {
                let (written, resolved) = (read.group, read.resolved);
                Uploaded::compile(&key.file, written, resolved, defaults, options)
            });
            let uploaded = match compiled {
                Ok(compiled) => Arc::new(compiled),
                Err(refused) => {
                    outdated.push((key.clone(), refused));
                    uploaded.clone()
                }
            };
            (key.clone(), uploaded)
        });
        let groups = Self(again.collect());
        (groups, outdated)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use config::UploadedGroup;
    use promql::ParserOptions;

    use super::{UploadLimits, Uploaded, UploadedGroups};
    use crate::compile::GroupDefaults;
    use crate::rule::GroupKey;

    fn defaults(seconds: u64) -> GroupDefaults {
        GroupDefaults {
            interval: Duration::from_secs(seconds),
            query_offset: Duration::from_secs(5),
        }
    }

    fn compile(namespace: &str, text: &str) -> Result<Uploaded, String> {
        let read = UploadedGroup::read(text).unwrap_or_else(|refused| panic!("{refused}"));
        let options = ParserOptions::default();
        Uploaded::compile(namespace, read.group, read.resolved, defaults(60), &options)
            .map_err(|refused| refused.to_string())
    }

    fn group(namespace: &str, name: &str, rules: usize) -> Uploaded {
        let rules = vec!["{record: a, expr: up}"; rules].join(", ");
        compile(namespace, &format!("name: {name}\nrules: [{rules}]")).unwrap()
    }

    fn groups(all: &[(&str, &str)]) -> UploadedGroups {
        let mut groups = UploadedGroups::default();
        for (namespace, name) in all {
            groups.insert(Arc::new(group(namespace, name, 1)));
        }
        groups
    }

    #[test]
    fn an_update_at_the_limit_counts_itself_once() {
        let groups = groups(&[("n", "a"), ("n", "b")]);
        let limits = |groups_max, rules_per_group_max| UploadLimits {
            groups_max,
            rules_per_group_max,
        };
        let too_many_groups = "per-user rule groups limit (limit: 2 actual: 3) exceeded";
        let too_many_rules = "per-user rules per rule group limit (limit: 2 actual: 3) exceeded";
        for (namespace, name, rules, limits, refused) in [
            ("n", "b", 1, limits(2, 2), ""),
            ("n", "c", 1, limits(3, 2), ""),
            ("n", "c", 1, limits(2, 2), too_many_groups),
            ("m", "a", 1, limits(2, 2), too_many_groups),
            ("n", "b", 3, limits(2, 2), too_many_rules),
            ("n", "c", 3, limits(0, 0), ""),
            // Somebody has lowered the limit: what is there may be mended.
            ("n", "a", 2, limits(1, 2), ""),
        ] {
            let checked = groups.check(&group(namespace, name, rules), limits);
            let said = checked.map_or_else(|exceeded| exceeded.to_string(), |()| String::new());
            assert_eq!(said, refused, "{namespace} {name} {limits:?}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let text = "name: g\nrules:\n- alert: Down\n  expr: sum(\n  annotations:\n    summary: '{{ nope }}'\n";
        assert_eq!(
            compile("n", text).err().as_deref(),
            Some(
                "4:9: group \"g\", rule 1, \"Down\": could not parse expression: 1:5: parse error: unclosed left parenthesis\n\
                 6:14: group \"g\", rule 1, \"Down\": annotation \"summary\": template: __alert_Down:1: function \"nope\" not defined"
            )
        );
    }

    #[test]
    fn groups_are_listed_by_namespace_and_stand_beside_those_of_files() {
        let groups = groups(&[("b", "x"), ("a/b", "y"), ("b", "a")]);
        let names = |wanted| -> Vec<(String, Vec<String>)> {
            let namespaces = groups.namespaces(wanted).into_iter();
            namespaces
                .map(|(namespace, groups)| {
                    let names = groups.iter().map(|group| group.name().to_owned());
                    (namespace.to_owned(), names.collect())
                })
                .collect()
        };
        let pair = |namespace: &str, names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned());
            (namespace.to_owned(), names.collect::<Vec<_>>())
        };
        assert_eq!(names(None), [pair("a/b", &["y"]), pair("b", &["a", "x"])]);
        assert_eq!(names(Some("b")), [pair("b", &["a", "x"])]);
        assert_eq!(names(Some("a")), []);
        let files = [group("b", "x", 2).group, group("f.yml", "x", 1).group];
        let (beside, left_out) = groups.beside(&files);
        let keys: Vec<String> = beside.iter().map(|group| group.key.to_string()).collect();
        assert_eq!(keys, ["b;x", "f.yml;x", "a/b;y", "b;a"]);
        assert_eq!((beside[0].rules.len(), left_out), (2, 1));
    }

    #[test]
    fn other_defaults_reach_groups_that_say_nothing_themselves() {
        let mut groups = groups(&[("n", "a")]);
        let own = compile(
            "n",
            "name: own\ninterval: 7s\nquery_offset: 0s\nrules: [{record: a, expr: up}]",
        );
        groups.insert(Arc::new(own.unwrap()));
        let (changed, outdated) = groups.with_defaults(defaults(30), &ParserOptions::default());
        assert_eq!(outdated.len(), 0);
        let of = |groups: &UploadedGroups, name| {
            let group = groups.get(&GroupKey::new("n", name)).unwrap().group.clone();
            (group.interval.as_secs(), group.query_offset.as_secs())
        };
        assert_eq!((of(&groups, "a"), of(&changed, "a")), ((60, 5), (30, 5)));
        assert_eq!(of(&changed, "own"), (7, 0));
    }
}
