//! The `global` block in the dump.
use model::duration;

use crate::dump::entries::Entries;
use crate::dump::http::{http_config, tls_config};
use crate::global::Global;
use crate::go_yaml::Yaml;

pub(crate) fn global(global: &Global) -> Yaml {
    let mut entries = Entries::default();
    let timeout = duration::format(global.resolve_timeout);
    entries.text("resolve_timeout", &timeout);
    entries.put("http_config", http_config(&global.http));
    entries.url("jira_api_url", global.jira_api_url.as_ref());
    put_smtp(&mut entries, global);
    entries.source(
        "slack_api_url",
        "slack_api_url_file",
        global.slack_api_url.as_ref(),
    );
    entries.source(
        "slack_app_token",
        "slack_app_token_file",
        global.slack_app_token.as_ref(),
    );
    entries.url("slack_app_url", Some(&global.slack_app_url));
    entries.url("pagerduty_url", Some(&global.pagerduty_url));
    entries.url("opsgenie_api_url", Some(&global.opsgenie_api_url));
    entries.source(
        "opsgenie_api_key",
        "opsgenie_api_key_file",
        global.opsgenie_api_key.as_ref(),
    );
    entries.url("wechat_api_url", Some(&global.wechat_api_url));
    entries.source(
        "wechat_api_secret",
        "wechat_api_secret_file",
        global.wechat_api_secret.as_ref(),
    );
    entries.text("wechat_api_corp_id", &global.wechat_api_corp_id);
    entries.url("victorops_api_url", Some(&global.victorops_api_url));
    entries.source(
        "victorops_api_key",
        "victorops_api_key_file",
        global.victorops_api_key.as_ref(),
    );
    entries.url("telegram_api_url", Some(&global.telegram_api_url));
    entries.source(
        "telegram_bot_token",
        "telegram_bot_token_file",
        global.telegram_bot_token.as_ref(),
    );
    entries.url("webex_api_url", Some(&global.webex_api_url));
    entries.url("rocketchat_api_url", Some(&global.rocketchat_api_url));
    entries.source(
        "rocketchat_token",
        "rocketchat_token_file",
        global.rocketchat_token.as_ref(),
    );
    entries.source(
        "rocketchat_token_id",
        "rocketchat_token_id_file",
        global.rocketchat_token_id.as_ref(),
    );
    entries.source(
        "mattermost_webhook_url",
        "mattermost_webhook_url_file",
        global.mattermost_webhook_url.as_ref(),
    );
    entries.into_yaml()
}

fn put_smtp(entries: &mut Entries, global: &Global) {
    let smtp = &global.smtp;
    entries.text("smtp_from", &smtp.from);
    entries.text("smtp_hello", &smtp.hello);
    let smarthost = smtp.smarthost.as_ref().map(ToString::to_string);
    entries.text("smtp_smarthost", &smarthost.unwrap_or_default());
    entries.text("smtp_auth_username", &smtp.auth_username);
    entries.source(
        "smtp_auth_password",
        "smtp_auth_password_file",
        smtp.auth_password.as_ref(),
    );
    entries.source(
        "smtp_auth_secret",
        "smtp_auth_secret_file",
        smtp.auth_secret.as_ref(),
    );
    entries.text("smtp_auth_identity", &smtp.auth_identity);
    entries.plain("smtp_require_tls", smtp.require_tls);
    entries.put("smtp_tls_config", tls_config(&smtp.tls));
    entries.switch("smtp_force_implicit_tls", smtp.force_implicit_tls);
}
