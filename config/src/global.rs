//! Alertmanager's `global` block: what receivers fall back to.
use std::path::Path;
use std::time::Duration;

use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::http::{HttpConfig, TlsConfig};
use crate::value::{HostPort, HttpUrl, Secret, SecretSource};
use crate::watchbell::Endpoints;

#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// After which an alert without an end counts as resolved.
    pub resolve_timeout: Duration,
    pub http: HttpConfig,
    pub smtp: GlobalSmtp,
    pub jira_api_url: Option<HttpUrl>,
    pub slack_api_url: Option<SecretSource>,
    pub slack_app_token: Option<SecretSource>,
    pub slack_app_url: HttpUrl,
    pub pagerduty_url: HttpUrl,
    pub opsgenie_api_url: HttpUrl,
    pub opsgenie_api_key: Option<SecretSource>,
    pub wechat_api_url: HttpUrl,
    pub wechat_api_secret: Option<SecretSource>,
    pub wechat_api_corp_id: String,
    pub victorops_api_url: HttpUrl,
    pub victorops_api_key: Option<SecretSource>,
    pub telegram_api_url: HttpUrl,
    pub telegram_bot_token: Option<SecretSource>,
    pub webex_api_url: HttpUrl,
    pub rocketchat_api_url: HttpUrl,
    pub rocketchat_token: Option<SecretSource>,
    pub rocketchat_token_id: Option<SecretSource>,
    pub mattermost_webhook_url: Option<SecretSource>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GlobalSmtp {
    pub from: String,
    pub hello: String,
    pub smarthost: Option<HostPort>,
    pub auth_username: String,
    pub auth_password: Option<SecretSource>,
    pub auth_secret: Option<SecretSource>,
    pub auth_identity: String,
    pub require_tls: bool,
    pub tls: TlsConfig,
    pub force_implicit_tls: Option<bool>,
}

impl Global {
    /// The defaults of an absent block.
    #[must_use]
    pub fn new(endpoints: &Endpoints) -> Self {
        Self {
            resolve_timeout: defaults::RESOLVE_TIMEOUT,
            http: HttpConfig::default(),
            smtp: GlobalSmtp {
                from: String::new(),
                hello: defaults::SMTP_HELLO.to_owned(),
                smarthost: None,
                auth_username: String::new(),
                auth_password: None,
                auth_secret: None,
                auth_identity: String::new(),
                require_tls: true,
                tls: TlsConfig::default(),
                force_implicit_tls: None,
            },
            jira_api_url: None,
            slack_api_url: None,
            slack_app_token: None,
            slack_app_url: endpoints
                .slack
                .clone()
                .unwrap_or_else(|| known(defaults::SLACK_APP_URL)),
            pagerduty_url: endpoints
                .pagerduty_v2
                .clone()
                .unwrap_or_else(|| known(defaults::PAGERDUTY_V2_URL)),
            opsgenie_api_url: known(defaults::OPSGENIE_API_URL),
            opsgenie_api_key: None,
            wechat_api_url: known(defaults::WECHAT_API_URL),
            wechat_api_secret: None,
            wechat_api_corp_id: String::new(),
            victorops_api_url: known(defaults::VICTOROPS_API_URL),
            victorops_api_key: None,
            telegram_api_url: known(defaults::TELEGRAM_API_URL),
            telegram_bot_token: None,
            webex_api_url: known(defaults::WEBEX_API_URL),
            rocketchat_api_url: known(defaults::ROCKETCHAT_API_URL),
            rocketchat_token: None,
            rocketchat_token_id: None,
            mattermost_webhook_url: None,
        }
    }

    pub(crate) fn read(cursor: &Cursor<'_>, base: &Path, endpoints: &Endpoints) -> Self {
        let default = Self::new(endpoints);
        let mut fields = cursor.fields("config.plain");
        let url = |fields: &mut Fields<'_>, key, default| fields.http_url(key).unwrap_or(default);
        let global = Self {
            resolve_timeout: fields.duration_or("resolve_timeout", default.resolve_timeout),
            http: fields
                .get("http_config")
                .map_or(default.http, |cursor| HttpConfig::read(&cursor, Some(base))),
            smtp: read_smtp(&mut fields, base, default.smtp),
            jira_api_url: fields.http_url("jira_api_url"),
            slack_api_url: fields.secret_url_or_file("slack_api_url", "slack_api_url_file"),
            slack_app_token: fields.secret_or_file("slack_app_token", "slack_app_token_file"),
            slack_app_url: url(&mut fields, "slack_app_url", default.slack_app_url),
            pagerduty_url: url(&mut fields, "pagerduty_url", default.pagerduty_url),
            opsgenie_api_url: url(&mut fields, "opsgenie_api_url", default.opsgenie_api_url),
            opsgenie_api_key: fields.secret_or_file("opsgenie_api_key", "opsgenie_api_key_file"),
            wechat_api_url: url(&mut fields, "wechat_api_url", default.wechat_api_url),
            wechat_api_secret: fields.secret_or_file("wechat_api_secret", "wechat_api_secret_file"),
            wechat_api_corp_id: fields.text("wechat_api_corp_id"),
            victorops_api_url: url(&mut fields, "victorops_api_url", default.victorops_api_url),
            victorops_api_key: fields.secret_or_file("victorops_api_key", "victorops_api_key_file"),
            telegram_api_url: url(&mut fields, "telegram_api_url", default.telegram_api_url),
            telegram_bot_token: fields
                .secret_or_file("telegram_bot_token", "telegram_bot_token_file"),
            webex_api_url: url(&mut fields, "webex_api_url", default.webex_api_url),
            rocketchat_api_url: url(
                &mut fields,
                "rocketchat_api_url",
                default.rocketchat_api_url,
            ),
            rocketchat_token: fields.secret_or_file("rocketchat_token", "rocketchat_token_file"),
            rocketchat_token_id: fields
                .secret_or_file("rocketchat_token_id", "rocketchat_token_id_file"),
            mattermost_webhook_url: fields
                .secret_url_or_file("mattermost_webhook_url", "mattermost_webhook_url_file"),
        };
        global.check_slack(&fields);
        fields.finish();
        global
    }

    /// An address and a token exclude each other, unless the address is the one that tokens are for.
    fn check_slack(&self, fields: &Fields<'_>) {
        let (Some(_), Some(api_url)) = (&self.slack_app_token, &self.slack_api_url) else {
            return;
        };
        let app_url = SecretSource::Inline(Secret::new(self.slack_app_url.as_str()));
        let printed = SecretSource::Inline(Secret::new("<secret>"));
        if ![&app_url, &printed].contains(&api_url) {
            let key = if fields.has("slack_app_token") {
                "slack_app_token"
            } else {
                "slack_app_token_file"
            };
            fields.file_problem(
                key,
                "at most one of slack_app_token/slack_app_token_file & slack_api_url/slack_api_url_file must be configured",
            );
        }
    }
}

fn read_smtp(fields: &mut Fields<'_>, base: &Path, default: GlobalSmtp) -> GlobalSmtp {
    GlobalSmtp {
        from: fields.text("smtp_from"),
        hello: fields.text_or("smtp_hello", &default.hello),
        smarthost: read_host_port(fields, "smtp_smarthost"),
        auth_username: fields.text("smtp_auth_username"),
        auth_password: fields.secret_or_file("smtp_auth_password", "smtp_auth_password_file"),
        auth_secret: fields.secret_or_file("smtp_auth_secret", "smtp_auth_secret_file"),
        auth_identity: fields.text("smtp_auth_identity"),
        require_tls: fields.boolean_or("smtp_require_tls", default.require_tls),
        tls: fields
            .get("smtp_tls_config")
            .map_or(default.tls, |cursor| TlsConfig::read(&cursor, Some(base))),
        force_implicit_tls: fields
            .get("smtp_force_implicit_tls")
            .and_then(|cursor| cursor.boolean()),
    }
}

/// The empty text is none.
pub(crate) fn read_host_port(fields: &mut Fields<'_>, key: &'static str) -> Option<HostPort> {
    let cursor = fields.get(key)?;
    if cursor.text()?.is_empty() {
        return None;
    }
    cursor.parsed(HostPort::parse)
}

/// An address that stands in this crate.
pub(crate) fn known(url: &str) -> HttpUrl {
    HttpUrl::parse(url).expect("the defaults are addresses; a test reads each of them")
}

#[cfg(test)]
mod tests {
    use super::Global;
    use crate::watchbell::Endpoints;

    #[test]
    fn defaults_are_addresses_and_yield_to_given_endpoints() {
        let pagerduty = crate::value::HttpUrl::parse("http://127.0.0.1:1/v2").unwrap();
        let endpoints = Endpoints {
            pagerduty_v2: Some(pagerduty.clone()),
            ..Endpoints::default()
        };
        let global = Global::new(&endpoints);
        assert_eq!(global.pagerduty_url, pagerduty);
        assert_eq!(
            global.slack_app_url.as_str(),
            "https://slack.com/api/chat.postMessage"
        );
    }
}
