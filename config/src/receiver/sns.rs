//! `sns_configs`.
use std::collections::BTreeMap;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{Secret, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct SnsSettings {
    pub http: HttpConfig,
    /// Empty: the region's own address.
    pub api_url: TemplateText,
    pub sigv4: SigV4,
    pub target: SnsTarget,
    pub subject: TemplateText,
    pub message: TemplateText,
    /// Names are templates too.
    pub attributes: BTreeMap<String, TemplateText>,
    /// Meant for Amazon's own client library, which there is none of here.
    pub use_aws_http_client: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnsTarget {
    /// `phone_number`.
    Phone(TemplateText),
    /// `target_arn`.
    Target(TemplateText),
    /// `topic_arn`.
    Topic(TemplateText),
}

/// How requests to Amazon are signed. What is empty comes from the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigV4 {
    pub region: String,
    pub access_key: String,
    /// Given exactly where `access_key` is.
    pub secret_key: Option<Secret>,
    pub profile: String,
    pub role_arn: String,
    pub external_id: String,
    pub use_fips_sts_endpoint: bool,
}

pub(super) fn read(fields: &mut Fields<'_>, fallbacks: &Fallbacks<'_>) -> Option<SnsSettings> {
    let target = read_target(fields);
    let settings = SnsSettings {
        http: fallbacks.http(fields),
        api_url: fields.template("api_url"),
        sigv4: fields
            .get("sigv4")
            .map(|cursor| read_sigv4(&cursor))
            .unwrap_or_default(),
        subject: fields.template_or("subject", defaults::SNS_SUBJECT),
        message: fields.template_or("message", defaults::SNS_MESSAGE),
        attributes: fields.templates_by_name("attributes"),
        use_aws_http_client: fields.boolean_or("use_aws_http_client", false),
        target: target?,
    };
    Some(settings)
}

/// Exactly one. Upstream lets all three together pass, which Amazon then refuses.
fn read_target(fields: &mut Fields<'_>) -> Option<SnsTarget> {
    let target = fields.template("target_arn");
    let topic = fields.template("topic_arn");
    let phone = fields.template("phone_number");
    match (target.is_empty(), topic.is_empty(), phone.is_empty()) {
        (false, true, true) => Some(SnsTarget::Target(target)),
        (true, false, true) => Some(SnsTarget::Topic(topic)),
        (true, true, false) => Some(SnsTarget::Phone(phone)),
        (_, _, _) => {
            fields.problem(
                "",
                "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config",
            );
            None
        }
    }
}

fn read_sigv4(cursor: &Cursor<'_>) -> SigV4 {
    let mut fields = cursor.fields("sigv4.plain");
    let sigv4 = SigV4 {
        region: fields.text("region"),
        access_key: fields.text("access_key"),
        secret_key: fields.secret("secret_key"),
        profile: fields.text("profile"),
        role_arn: fields.text("role_arn"),
        external_id: fields.text("external_id"),
        use_fips_sts_endpoint: fields.boolean_or("use_fips_sts_endpoint", false),
    };
    if sigv4.access_key.is_empty() != sigv4.secret_key.is_none() {
        fields.problem(
            "",
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
        );
    }
    if !sigv4.external_id.is_empty() && sigv4.role_arn.is_empty() {
        fields.problem("external_id", "external_id can only be used with role_arn");
    }
    fields.finish();
    sigv4
}

pub(super) fn template_texts(settings: &SnsSettings) -> Vec<TemplateField> {
    let (key, target) = settings.target.written();
    let mut fields = TemplateField::texts([
        ("api_url", &settings.api_url),
        (key, target),
        ("subject", &settings.subject),
        ("message", &settings.message),
    ]);
    for (name, text) in &settings.attributes {
        let path = format!("attributes.{name}");
        let name = TemplateText::new(name.as_str());
        fields.extend(TemplateField::texts([
            (path.clone(), &name),
            (path.clone(), text),
        ]));
    }
    fields
}

impl SnsTarget {
    fn written(&self) -> (&'static str, &TemplateText) {
        match self {
            Self::Phone(text) => ("phone_number", text),
            Self::Target(text) => ("target_arn", text),
            Self::Topic(text) => ("topic_arn", text),
        }
    }
}

pub(super) fn dump(settings: &SnsSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.template("api_url", &settings.api_url);
    entries.put("sigv4", dump_sigv4(&settings.sigv4));
    let (key, target) = settings.target.written();
    entries.template(key, target);
    entries.defaulted(&[
        ("subject", &settings.subject),
        ("message", &settings.message),
    ]);
    let attributes = settings.attributes.iter();
    entries.texts_by_name(
        "attributes",
        attributes.map(|(name, text)| (name, text.as_str())),
    );
    entries.flag("use_aws_http_client", settings.use_aws_http_client);
}

fn dump_sigv4(sigv4: &SigV4) -> Yaml {
    let mut entries = Entries::default();
    entries.text("region", &sigv4.region);
    entries.text("access_key", &sigv4.access_key);
    entries.secret("secret_key", sigv4.secret_key.as_ref());
    entries.text("profile", &sigv4.profile);
    entries.text("role_arn", &sigv4.role_arn);
    entries.text("external_id", &sigv4.external_id);
    entries.flag("use_fips_sts_endpoint", sigv4.use_fips_sts_endpoint);
    entries.into_yaml()
}
