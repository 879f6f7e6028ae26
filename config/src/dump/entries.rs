//! The keys of one block of the dump, in their order, with what is left out when it is empty.
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use model::{go_duration, go_number};

use crate::go_yaml::{Yaml, key_order};
use crate::value::{HttpUrl, Secret, SecretSource, TemplateText, TemplateValue};

/// What a dump says instead of a secret.
const SECRET: &str = "<secret>";

#[derive(Default)]
pub(crate) struct Entries(Vec<(String, Yaml)>);

impl Entries {
    pub(crate) fn into_list(self) -> Vec<(String, Yaml)> {
        self.0
    }

    pub(crate) fn into_yaml(self) -> Yaml {
        Yaml::Map(self.0)
    }

    pub(crate) fn put(&mut self, key: &str, value: Yaml) {
        self.0.push((key.to_owned(), value));
    }

    /// Left out where it is empty, as by `template`, `texts`, `texts_by_name` and `list`.
    pub(crate) fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, Yaml::Text(text.to_owned()));
        }
    }

    pub(crate) fn template(&mut self, key: &str, template: &TemplateText) {
        self.text(key, template.as_str());
    }

    pub(crate) fn templates(&mut self, templates: &[(&str, &TemplateText)]) {
        for (key, template) in templates {
            self.template(key, template);
        }
    }

    /// Those that have a default: where one of them is empty, that is said (upstream leaves it out), so that the default
    /// does not come back when the dump is loaded.
    pub(crate) fn defaulted(&mut self, templates: &[(&str, &TemplateText)]) {
        for (key, template) in templates {
            self.even_empty(key, template.as_str());
        }
    }

    /// Even where it is empty.
    pub(crate) fn even_empty(&mut self, key: &str, text: &str) {
        self.put(key, Yaml::Text(text.to_owned()));
    }

    pub(crate) fn url(&mut self, key: &str, url: Option<&HttpUrl>) {
        self.text(key, url.map_or("", HttpUrl::as_str));
    }

    /// A boolean or a number.
    pub(crate) fn plain(&mut self, key: &str, value: impl Display) {
        self.put(key, Yaml::Plain(value.to_string()));
    }

    pub(crate) fn float(&mut self, key: &str, value: f64) {
        self.plain(key, float(value));
    }

    /// Left out where it is false.
    pub(crate) fn flag(&mut self, key: &str, flag: bool) {
        self.switch(key, flag.then_some(true));
    }

    pub(crate) fn switch(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.plain(key, value);
        }
    }

    /// `0s` where there is none.
    pub(crate) fn go_duration(&mut self, key: &str, duration: Option<Duration>) {
        self.text(key, &go_duration::format(duration.unwrap_or_default()));
    }

    pub(crate) fn secret(&mut self, key: &str, secret: Option<&Secret>) {
        self.text(key, secret.map_or("", |_| SECRET));
    }

    /// Under one key or the other.
    pub(crate) fn source(&mut self, key: &str, file_key: &str, source: Option<&SecretSource>) {
        match source {
            None => {}
            Some(SecretSource::Inline(secret)) => self.secret(key, Some(secret)),
            Some(SecretSource::File(path)) => self.text(file_key, &path.display().to_string()),
        }
    }

    pub(crate) fn texts<'t>(&mut self, key: &str, texts: impl IntoIterator<Item = &'t str>) {
        let texts = texts.into_iter();
        self.list(key, texts.map(|text| Yaml::Text(text.to_owned())).collect());
    }

    pub(crate) fn secrets(&mut self, key: &str, secrets: &[Secret]) {
        self.texts(key, secrets.iter().map(|_| SECRET));
    }

    pub(crate) fn texts_by_name<'t>(
        &mut self,
        key: &str,
        texts: impl IntoIterator<Item = (&'t String, &'t str)>,
    ) {
        let texts = texts.into_iter();
        self.map(
            key,
            texts
                .map(|(name, text)| (name.clone(), Yaml::Text(text.to_owned())))
                .collect(),
        );
    }

    pub(crate) fn values(&mut self, key: &str, values: &BTreeMap<String, TemplateValue>) {
        let entries = values.iter();
        self.map(
            key,
            entries
                .map(|(name, value)| (name.clone(), template_value(value)))
                .collect(),
        );
    }

    /// Left out where it is empty, else sorted as Go's YAML sorts.
    pub(crate) fn map(&mut self, key: &str, entries: Vec<(String, Yaml)>) {
        if !entries.is_empty() {
            self.put(key, Yaml::Map(sorted(entries)));
        }
    }

    pub(crate) fn list(&mut self, key: &str, items: Vec<Yaml>) {
        if !items.is_empty() {
            self.put(key, Yaml::List(items));
        }
    }
}

pub(crate) fn template_value(value: &TemplateValue) -> Yaml {
    match value {
        TemplateValue::Null => Yaml::Plain("null".to_owned()),
        TemplateValue::Bool(value) => Yaml::Plain(value.to_string()),
        TemplateValue::Integer(value) => Yaml::Plain(value.to_string()),
        TemplateValue::Float(value) => Yaml::Plain(float(*value)),
        TemplateValue::Text(text) => Yaml::Text(text.as_str().to_owned()),
        TemplateValue::List(items) => Yaml::List(items.iter().map(template_value).collect()),
        TemplateValue::Map(entries) => {
            let entries = entries.iter();
            Yaml::Map(sorted(
                entries
                    .map(|(name, value)| (name.clone(), template_value(value)))
                    .collect(),
            ))
        }
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        ".nan".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { ".inf" } else { "-.inf" }.to_owned()
    } else {
        go_number::format_g(value)
    }
}

fn sorted(mut entries: Vec<(String, Yaml)>) -> Vec<(String, Yaml)> {
    entries.sort_by(|(left, _), (right, _)| key_order(left, right));
    entries
}
