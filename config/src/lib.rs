//! Everything an operator may write: raw shapes with places, defaults, resolution, and the list of problems.
//!
//! A text is parsed into a tree in which every node knows its place (`yaml`), read through cursors that collect every
//! mistake (`cursor`, `source`), and resolved into immutable types in which defaults and inherited values are filled in.
//! Ways in: [`AlertmanagerFiles::load`] (with its template files) and [`AlertmanagerConfig::read`] (without),
//! [`RuleFile::read`], [`RuleTestFile::read`], [`UploadedGroup::read`], [`WatchbellConfig::read`], [`PrometheusConfig::read`]. Files are read by the caller, behind
//! [`Files`].
mod alertmanager;
mod byte_size;
mod config_hash;
mod cursor;
mod defaults;
mod dump;
mod event_recorder;
mod files;
mod global;
mod go_error;
mod go_yaml;
mod http;
mod inhibit;
mod integration;
mod matchers;
mod problem;
mod prometheus;
mod query_feature;
mod receiver;
mod route;
mod route_reading;
mod rule_files;
mod rule_tests;
mod rules;
mod secret_files;
#[cfg(test)]
mod shared_data;
mod source;
mod structured;
mod time_interval;
mod tracing;
mod uploaded_group;
mod value;
mod watchbell;
mod web;
mod yaml;

pub use alertmanager::{
    AlertmanagerConfig, AlertmanagerFiles, AlertmanagerOptions, Loaded, TemplateGlobs,
};
pub use config_hash::config_hash;
pub use event_recorder::{EventBatch, EventKafka, EventRecorder, EventWebhook};
pub use files::{Files, MemoryFiles};
pub use global::{Global, GlobalSmtp};
pub use http::{
    HeaderValues, HttpAuthorization, HttpConfig, OAuth2, PemSource, ProxyConfig, TlsConfig,
    TlsVersion,
};
pub use inhibit::{InhibitRule, WrittenInhibitRule};
pub use integration::TemplateField;
pub use matchers::WrittenMatchers;
pub use problem::{Place, Problem, Problems, Stage};
pub use prometheus::{AlertmanagerTargets, PrometheusConfig, RelabelAction, RelabelConfig};
pub use query_feature::{QueryFeature, UnknownFeature};
pub use receiver::{
    DiscordSettings, EmailSettings, EmailThreading, IncidentIoSettings, IncidentIoUrl, Integration,
    IntegrationKind, IntegrationSettings, JiraApiType, JiraSettings, JiraText,
    MattermostAttachment, MattermostField, MattermostPriority, MattermostProps, MattermostSettings,
    MsTeamsSettings, MsTeamsV2Settings, OpsGenieResponder, OpsGenieSettings, PagerDutyImage,
    PagerDutyKey, PagerDutyLink, PagerDutySettings, PushoverFormat, PushoverSettings, Receiver,
    RocketChatAction, RocketChatField, RocketChatSettings, SigV4, SlackAction, SlackConfirmation,
    SlackField, SlackSettings, SlackTarget, SnsSettings, SnsTarget, TelegramChat,
    TelegramParseMode, TelegramSettings, VictorOpsSettings, WeChatMessageType, WeChatSettings,
    WebexSettings, WebhookSettings, template_texts,
};
pub use route::{GroupBy, Route, RouteIndex, RouteTree, WrittenRoute};
pub use rule_files::RuleFilesPattern;
pub use rule_tests::{
    AlertRuleTest, ExpectedAlert, ExpectedSample, InputSeries, PromqlExprTest, RuleTest,
    RuleTestFile,
};
pub use rules::{Placed, RawGroup, RawRule, RawRuleKind, RuleFile};
pub use structured::structured;
pub use time_interval::{Location, NamedTimeInterval, NumberRange, TimeInterval, TimeRange};
pub use tracing::{Tracing, TracingClient};
pub use uploaded_group::{GroupRefused, ReadGroup, UploadedGroup, namespaces_to_yaml};
pub use value::{
    HostPort, HostPortError, HttpUrl, HttpUrlError, Secret, SecretSource, TemplateText,
    TemplateValue,
};
pub use watchbell::{
    AlertmanagerSettings, Endpoints, Evaluation, Limits, Log, LogFormat, LogLevel,
    NotifiersSettings, QueryConfig, RuleStorage, RulerSettings, Server, Storage, WatchbellConfig,
};
pub use web::{ClientCertificates, RateLimit, ServerTls, WebConfig};

#[cfg(test)]
mod tests {
    use crate::alertmanager::{AlertmanagerConfig, AlertmanagerOptions};
    use crate::problem::Problems;
    use crate::prometheus::PrometheusConfig;
    use crate::rule_tests::RuleTestFile;
    use crate::rules::RuleFile;
    use crate::uploaded_group::UploadedGroup;
    use crate::watchbell::WatchbellConfig;

    fn read_as_everything(text: &str) {
        let _ = AlertmanagerConfig::read("a.yml", text, &AlertmanagerOptions::default());
        let _ = PrometheusConfig::read("p.yml", text, &|_| None);
        let _ = RuleFile::read("r.yml", text, &mut Problems::new());
        let _ = RuleTestFile::read("t.yml", text, &mut Problems::new());
        let _ = UploadedGroup::read(text);
        let _ = WatchbellConfig::read("w.yml", text);
    }

    /// Keys that every reader knows, and values that few of them want.
    const PIECES: [&str; 28] = [
        "route:",
        "receivers:",
        "groups:",
        "global:",
        "rules:",
        "- ",
        "  ",
        "\n",
        "name: ",
        "expr: ",
        "labels:",
        "{",
        "}",
        "[",
        "]",
        ", ",
        ": ",
        "&a ",
        "*a",
        "<<: *a",
        "x",
        "'",
        "\"",
        "1",
        "~",
        "|\n",
        "!!str ",
        "time_intervals:",
    ];

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            read_as_everything(&text);
        }

        #[test]
        fn no_yaml_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..40)) {
            let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
            read_as_everything(&text);
        }
    }
}
