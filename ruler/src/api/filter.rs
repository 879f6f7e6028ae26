//! Which rules a caller of `GET /api/v1/rules` wants to see.
use model::{Matcher, match_all};
use promql::{Expr, ParserOptions, parse};
use ruler_core::{GroupView, Rule, RuleClass};

/// Within a list any may hold; between lists all must.
#[derive(Debug, Default)]
pub(crate) struct RulesFilter {
    class: Option<RuleClass>,
    rule_names: Vec<String>,
    rule_groups: Vec<String>,
    files: Vec<String>,
    matcher_sets: Vec<Vec<Matcher>>,
    pub(crate) exclude_alerts: bool,
    /// Whether what each rule takes is to be told (`stats=all`, as for queries); Prometheus has nothing like it.
    pub(crate) stats: bool,
    pub(crate) page: Option<Page>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) group_limit: usize,
    /// Where the page begins; `None` at the beginning.
    pub(crate) token: Option<String>,
}

impl RulesFilter {
    /// From the query string. The error is Prometheus' sentence.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut group_limit = None;
        let mut token = None;
        let (mut class, mut exclude_alerts) = (None, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*name {
                // Of these the first one counts.
                "stats" => filter.stats |= value == "all",
                "type" => class = class.or(Some(value)),
                "exclude_alerts" => exclude_alerts = exclude_alerts.or(Some(value)),
                "group_limit" => group_limit = group_limit.or(Some(value)),
                "group_next_token" => token = token.or(Some(value)),
                "rule_name[]" => filter.rule_names.push(value),
                "rule_group[]" => filter.rule_groups.push(value),
                "file[]" => filter.files.push(value),
                "match[]" => filter.matcher_sets.push(matchers(&value)?),
                _ => {}
            }
        }
        filter.class = rule_class(&class.unwrap_or_default())?;
        filter.exclude_alerts = go_bool("exclude_alerts", &exclude_alerts.unwrap_or_default())?;
        let written = |text: Option<String>| text.filter(|text| !text.is_empty());
        filter.page = page(written(group_limit), written(token))?;
        Ok(filter)
    }

    pub(crate) fn wants_group(&self, view: &GroupView) -> bool {
        let key = &view.group.key;
        is_among(&self.rule_groups, &key.name) && is_among(&self.files, &key.file)
    }

    pub(crate) fn wants_rule(&self, rule: &Rule) -> bool {
        self.class.is_none_or(|class| class == rule.key.class)
            && is_among(&self.rule_names, &rule.key.name)
            && (self.matcher_sets.is_empty()
                || self
                    .matcher_sets
                    .iter()
                    .any(|matchers| match_all(matchers, &rule.key.labels)))
    }
}

fn is_among(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
}

fn rule_class(value: &str) -> Result<Option<RuleClass>, String> {
    match value.to_lowercase().as_str() {
        "" => Ok(None),
        "alert" => Ok(Some(RuleClass::Alerting)),
        "record" => Ok(Some(RuleClass::Recording)),
        other => Err(format!(
            "invalid parameter \"type\": not supported value {}",
            model::go_quote::quote(other)
        )),
    }
}

fn matchers(value: &str) -> Result<Vec<Matcher>, String> {
    let invalid = |reason: String| format!("invalid parameter \"match[]\": {reason}");
    let expr =
        parse(value, &ParserOptions::default()).map_err(|error| invalid(error.to_string()))?;
    if let Expr::Selector(selector) = expr {
        Ok(selector.matchers)
    } else {
        Err(invalid("expected type vector selector".to_owned()))
    }
}

fn page(group_limit: Option<String>, token: Option<String>) -> Result<Option<Page>, String> {
    let Some(text) = group_limit else {
        return match token {
            Some(_) => Err("invalid parameter \"group_limit\": group_limit needs to be present in order to paginate \
                            over the groups"
                .to_owned()),
            None => Ok(None),
        };
    };
    let number: i64 = text.parse().map_err(|_| {
        format!(
            "invalid parameter \"group_limit\": group_limit needs to be a valid number: strconv.ParseInt: parsing {}: \
             invalid syntax",
            model::go_quote::quote(&text)
        )
    })?;
    match usize::try_from(number) {
        Ok(group_limit) if group_limit > 0 => Ok(Some(Page { group_limit, token })),
        _ => Err(
            "invalid parameter \"group_limit\": group_limit needs to be greater than 0".to_owned(),
        ),
    }
}

/// Go's `strconv.ParseBool`; an empty text is false.
fn go_bool(name: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "invalid parameter \"{name}\": strconv.ParseBool: parsing {}: invalid syntax",
            model::go_quote::quote(value)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::RulesFilter;

    #[test]
    fn mistakes_are_named_as_prometheus_names_them() {
        for (query, error) in [
            (
                "type=rule",
                r#"invalid parameter "type": not supported value "rule""#,
            ),
            (
                "exclude_alerts=yes",
                r#"invalid parameter "exclude_alerts": strconv.ParseBool: parsing "yes": invalid syntax"#,
            ),
            (
                "group_next_token=x",
                r#"invalid parameter "group_limit": group_limit needs to be present in order to paginate over the groups"#,
            ),
            (
                "group_limit=x",
                r#"invalid parameter "group_limit": group_limit needs to be a valid number: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "group_limit=0",
                r#"invalid parameter "group_limit": group_limit needs to be greater than 0"#,
            ),
            (
                "match[]=sum(up)",
                r#"invalid parameter "match[]": expected type vector selector"#,
            ),
            (
                "type=x&type=alert",
                r#"invalid parameter "type": not supported value "x""#,
            ),
            (
                "group_limit=&group_limit=1&group_next_token=x",
                r#"invalid parameter "group_limit": group_limit needs to be present in order to paginate over the groups"#,
            ),
        ] {
            assert_eq!(RulesFilter::parse(query).unwrap_err(), error, "{query}");
        }
    }
}
