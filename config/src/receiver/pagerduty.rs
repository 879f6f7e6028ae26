//! `pagerduty_configs`.
use std::collections::BTreeMap;
use std::time::Duration;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::global::known;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{HttpUrl, SecretSource, TemplateText, TemplateValue};

#[derive(Clone, Debug, PartialEq)]
pub struct PagerDutySettings {
    pub http: HttpConfig,
    pub key: PagerDutyKey,
    /// Where events of the key's API version go.
    pub url: HttpUrl,
    /// What `url` or `pagerduty_url` says, which counts for version 2 only.
    pub written_url: HttpUrl,
    pub client: TemplateText,
    pub client_url: TemplateText,
    pub description: TemplateText,
    /// With the four default entries where they are not written.
    pub details: BTreeMap<String, TemplateValue>,
    pub images: Vec<PagerDutyImage>,
    pub links: Vec<PagerDutyLink>,
    /// `client` where it is not written.
    pub source: TemplateText,
    /// Empty means `error`, where the event is made.
    pub severity: TemplateText,
    pub class: TemplateText,
    pub component: TemplateText,
    pub group: TemplateText,
    pub timeout: Option<Duration>,
}

/// Which Events API is spoken; keys are templates. Where both keys are given, version 1 is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PagerDutyKey {
    /// Version 2.
    Routing(SecretSource),
    /// Version 1.
    Service(SecretSource),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagerDutyImage {
    pub src: TemplateText,
    pub alt: TemplateText,
    pub href: TemplateText,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagerDutyLink {
    pub href: TemplateText,
    pub text: TemplateText,
}

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<PagerDutySettings> {
    let routing = fields.secret_or_file("routing_key", "routing_key_file");
    let service = fields.secret_or_file("service_key", "service_key_file");
    if routing.is_none() && service.is_none() {
        fields.problem("", "missing service or routing key in PagerDuty config");
    }
    // Version 1 has one address for everybody; `url` and `pagerduty_url` are version 2's.
    let written_url = fields.http_url("url");
    let written_url = written_url.unwrap_or_else(|| fallbacks.global.pagerduty_url.clone());
    let url = if service.is_some() {
        let own = fallbacks.endpoints.pagerduty_v1.clone();
        own.unwrap_or_else(|| known(defaults::PAGERDUTY_V1_URL))
    } else {
        written_url.clone()
    };
    let client = fields.template_or("client", defaults::PAGERDUTY_CLIENT);
    let http = fallbacks.http(fields);
    let client_url = fields.template_or("client_url", defaults::PAGERDUTY_CLIENT_URL);
    let description = fields.template_or("description", defaults::PAGERDUTY_DESCRIPTION);
    let details = read_details(fields);
    let images = fields.list("images").iter().map(read_image).collect();
    let links = fields.list("links").iter().map(read_link).collect();
    let source = fields.template("source");
    let severity = fields.template("severity");
    let class = fields.template("class");
    let component = fields.template("component");
    let group = fields.template("group");
    let timeout = fields.go_timeout("timeout");
    let service = service.map(PagerDutyKey::Service);
    let key = service.or_else(|| routing.map(PagerDutyKey::Routing))?;
    Some(PagerDutySettings {
        http,
        key,
        url,
        written_url,
        client_url,
        description,
        details,
        images,
        links,
        source: if source.is_empty() {
            client.clone()
        } else {
            source
        },
        client,
        severity,
        class,
        component,
        group,
        timeout,
    })
}

fn read_details(fields: &mut Fields<'_>) -> BTreeMap<String, TemplateValue> {
    let mut details = BTreeMap::new();
    for (key, _, value) in fields
        .get("details")
        .map(|cursor| cursor.entries())
        .unwrap_or_default()
    {
        details.insert(key, value.template_value());
    }
    for (key, text) in defaults::PAGERDUTY_DETAILS {
        details
            .entry(key.to_owned())
            .or_insert_with(|| TemplateValue::Text(TemplateText::new(text)));
    }
    details
}

fn read_image(cursor: &Cursor<'_>) -> PagerDutyImage {
    let mut fields = cursor.fields("config.plain");
    let image = PagerDutyImage {
        src: fields.template("src"),
        alt: fields.template("alt"),
        href: fields.template("href"),
    };
    fields.finish();
    image
}

fn read_link(cursor: &Cursor<'_>) -> PagerDutyLink {
    let mut fields = cursor.fields("config.plain");
    let link = PagerDutyLink {
        href: fields.template("href"),
        text: fields.template("text"),
    };
    fields.finish();
    link
}

pub(super) fn template_texts(settings: &PagerDutySettings) -> Vec<TemplateField> {
    let mut texts: Vec<(String, TemplateText)> = [
        ("client", &settings.client),
        ("client_url", &settings.client_url),
        ("description", &settings.description),
        ("source", &settings.source),
        ("severity", &settings.severity),
        ("class", &settings.class),
        ("component", &settings.component),
        ("group", &settings.group),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.clone()))
    .collect();
    let (path, key) = match &settings.key {
        PagerDutyKey::Routing(key) => ("routing_key", key),
        PagerDutyKey::Service(key) => ("service_key", key),
    };
    if let SecretSource::Inline(key) = key {
        texts.push((path.to_owned(), TemplateText::new(key.reveal())));
    }
    for (key, value) in &settings.details {
        let path = format!("details.{key}");
        texts.push((path.clone(), TemplateText::new(key.as_str())));
        value.collect_texts(&path, &mut texts);
    }
    for (index, image) in settings.images.iter().enumerate() {
        for (key, text) in [
            ("src", &image.src),
            ("alt", &image.alt),
            ("href", &image.href),
        ] {
            texts.push((format!("images[{index}].{key}"), text.clone()));
        }
    }
    for (index, link) in settings.links.iter().enumerate() {
        for (key, text) in [("href", &link.href), ("text", &link.text)] {
            texts.push((format!("links[{index}].{key}"), text.clone()));
        }
    }
    let fields = texts.into_iter();
    fields
        .map(|(path, text)| TemplateField {
            path,
            text,
            html: false,
        })
        .collect()
}

pub(super) fn dump(settings: &PagerDutySettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    match &settings.key {
        PagerDutyKey::Service(key) => entries.source("service_key", "service_key_file", Some(key)),
        PagerDutyKey::Routing(key) => entries.source("routing_key", "routing_key_file", Some(key)),
    }
    entries.url("url", Some(&settings.written_url));
    entries.defaulted(&[
        ("client", &settings.client),
        ("client_url", &settings.client_url),
        ("description", &settings.description),
    ]);
    entries.values("details", &settings.details);
    let images = settings.images.iter().map(|image| {
        let mut entries = Entries::default();
        entries.templates(&[
            ("src", &image.src),
            ("alt", &image.alt),
            ("href", &image.href),
        ]);
        entries.into_yaml()
    });
    entries.list("images", images.collect());
    let links = settings.links.iter().map(|link| {
        let mut entries = Entries::default();
        entries.templates(&[("href", &link.href), ("text", &link.text)]);
        entries.into_yaml()
    });
    entries.list("links", links.collect());
    entries.templates(&[
        ("source", &settings.source),
        ("severity", &settings.severity),
        ("class", &settings.class),
        ("component", &settings.component),
        ("group", &settings.group),
    ]);
    entries.go_duration("timeout", settings.timeout);
}
