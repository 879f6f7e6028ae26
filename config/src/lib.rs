//! Everything an operator may write: raw shapes with places, defaults, resolution, and the list of problems.
mod alertmanager;
mod cursor;
mod defaults;
mod global;
mod http;
mod inhibit;
mod matchers;
mod problem;
mod prometheus;
mod receiver;
mod route;
mod route_reading;
mod rules;
#[cfg(test)]
mod shared_data;
mod time_interval;
mod value;
mod watchbell;
mod yaml;

pub use alertmanager::{AlertmanagerConfig, AlertmanagerOptions, Loaded, TemplateGlobs};
pub use global::{Global, GlobalSmtp};
pub use http::{
    HeaderValues, HttpAuthorization, HttpConfig, OAuth2, PemSource, ProxyConfig, TlsConfig,
    TlsVersion,
};
pub use inhibit::InhibitRule;
pub use problem::{Place, Problem, Problems};
pub use prometheus::{AlertmanagerTargets, PrometheusConfig, RelabelAction, RelabelConfig};
pub use receiver::{
    EmailSettings, EmailThreading, Integration, IntegrationKind, IntegrationSettings,
    PagerDutyImage, PagerDutyKey, PagerDutyLink, PagerDutySettings, Receiver, SlackAction,
    SlackConfirmation, SlackField, SlackSettings, SlackTarget, TemplateField, WebhookSettings,
    template_texts,
};
pub use route::{GroupBy, Route, RouteIndex, RouteTree};
pub use rules::{Placed, RawGroup, RawRule, RawRuleKind, RuleFile};
pub use time_interval::{Location, NamedTimeInterval, NumberRange, TimeInterval, TimeRange};
pub use value::{
    HostPort, HostPortError, HttpUrl, HttpUrlError, Secret, SecretSource, TemplateText,
    TemplateValue,
};
pub use watchbell::{
    AlertmanagerSettings, Endpoints, Evaluation, Limits, Log, LogFormat, LogLevel,
    NotifiersSettings, RulerSettings, Server, Storage, WatchbellConfig,
};
