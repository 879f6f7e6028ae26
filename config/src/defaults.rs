//! Every default, and its reason where upstream's word is not the reason.
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

// Alertmanager 0.34: `global`.
pub(crate) const RESOLVE_TIMEOUT: Duration = MINUTE.saturating_mul(5);
pub(crate) const SMTP_HELLO: &str = "localhost";
/// Mail servers speak TLS from the first byte on this port (RFC 8314).
pub(crate) const SMTP_IMPLICIT_TLS_PORT: &str = "465";
pub(crate) const SLACK_APP_URL: &str = "https://slack.com/api/chat.postMessage";
pub(crate) const PAGERDUTY_V1_URL: &str =
    "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
pub(crate) const PAGERDUTY_V2_URL: &str = "https://events.pagerduty.com/v2/enqueue";
pub(crate) const OPSGENIE_API_URL: &str = "https://api.opsgenie.com/";
pub(crate) const WECHAT_API_URL: &str = "https://qyapi.weixin.qq.com/cgi-bin/";
pub(crate) const VICTOROPS_API_URL: &str =
    "https://alert.victorops.com/integrations/generic/20131114/alert/";
pub(crate) const TELEGRAM_API_URL: &str = "https://api.telegram.org";
pub(crate) const WEBEX_API_URL: &str = "https://webexapis.com/v1/messages";
pub(crate) const ROCKETCHAT_API_URL: &str = "https://open.rocket.chat/";

// Alertmanager 0.34: `route`.
pub(crate) const GROUP_WAIT: Duration = SECOND.saturating_mul(30);
pub(crate) const GROUP_INTERVAL: Duration = MINUTE.saturating_mul(5);
pub(crate) const REPEAT_INTERVAL: Duration = HOUR.saturating_mul(4);
/// Alertmanager's `--data.retention`: how long it remembers what it told.
pub(crate) const NOTIFICATION_RETENTION: Duration = HOUR.saturating_mul(120);

// Alertmanager 0.34: webhooks of the event recorder.
pub(crate) const EVENT_TIMEOUT: Duration = SECOND.saturating_mul(10);
pub(crate) const EVENT_WORKERS: usize = 4;
pub(crate) const EVENT_ATTEMPTS: u32 = 3;
pub(crate) const EVENT_RETRY_BACKOFF: Duration = Duration::from_millis(500);
pub(crate) const EVENT_BATCH_EVENTS: usize = 100;
pub(crate) const EVENT_BATCH_BYTES: usize = 1024 * 1024;
pub(crate) const EVENT_BATCH_INTERVAL: Duration = Duration::from_millis(100);

// OpenTelemetry: `OTEL_EXPORTER_OTLP_TIMEOUT`.
pub(crate) const TRACING_TIMEOUT: Duration = SECOND.saturating_mul(10);

// Alertmanager 0.34: receivers.
pub(crate) const EMAIL_SUBJECT: &str = r#"{{ template "email.default.subject" . }}"#;
pub(crate) const EMAIL_HTML: &str = r#"{{ template "email.default.html" . }}"#;
pub(crate) const PAGERDUTY_DESCRIPTION: &str = r#"{{ template "pagerduty.default.description" .}}"#;
pub(crate) const PAGERDUTY_CLIENT: &str = r#"{{ template "pagerduty.default.client" . }}"#;
pub(crate) const PAGERDUTY_CLIENT_URL: &str = r#"{{ template "pagerduty.default.clientURL" . }}"#;
pub(crate) const PAGERDUTY_DETAILS: [(&str, &str); 4] = [
    ("firing", "{{ .Alerts.Firing | toJson }}"),
    ("num_firing", "{{ .Alerts.Firing | len }}"),
    ("num_resolved", "{{ .Alerts.Resolved | len }}"),
    ("resolved", "{{ .Alerts.Resolved | toJson }}"),
];
pub(crate) const SLACK_COLOR: &str = r#"{{ template "slack.default.color" . }}"#;
pub(crate) const SLACK_USERNAME: &str = r#"{{ template "slack.default.username" . }}"#;
pub(crate) const SLACK_TITLE: &str = r#"{{ template "slack.default.title" . }}"#;
pub(crate) const SLACK_TITLE_LINK: &str = r#"{{ template "slack.default.titlelink" . }}"#;
pub(crate) const SLACK_ICON_EMOJI: &str = r#"{{ template "slack.default.iconemoji" . }}"#;
pub(crate) const SLACK_ICON_URL: &str = r#"{{ template "slack.default.iconurl" . }}"#;
pub(crate) const SLACK_PRETEXT: &str = r#"{{ template "slack.default.pretext" . }}"#;
pub(crate) const SLACK_TEXT: &str = r#"{{ template "slack.default.text" . }}"#;
pub(crate) const SLACK_FALLBACK: &str = r#"{{ template "slack.default.fallback" . }}"#;
pub(crate) const SLACK_CALLBACK_ID: &str = r#"{{ template "slack.default.callbackid" . }}"#;
pub(crate) const SLACK_FOOTER: &str = r#"{{ template "slack.default.footer" . }}"#;
pub(crate) const OPSGENIE_MESSAGE: &str = r#"{{ template "opsgenie.default.message" . }}"#;
pub(crate) const OPSGENIE_DESCRIPTION: &str = r#"{{ template "opsgenie.default.description" . }}"#;
pub(crate) const OPSGENIE_SOURCE: &str = r#"{{ template "opsgenie.default.source" . }}"#;
pub(crate) const WECHAT_MESSAGE: &str = r#"{{ template "wechat.default.message" . }}"#;
pub(crate) const WECHAT_TO_USER: &str = r#"{{ template "wechat.default.to_user" . }}"#;
pub(crate) const WECHAT_TO_PARTY: &str = r#"{{ template "wechat.default.to_party" . }}"#;
pub(crate) const WECHAT_TO_TAG: &str = r#"{{ template "wechat.default.to_tag" . }}"#;
pub(crate) const WECHAT_AGENT_ID: &str = r#"{{ template "wechat.default.agent_id" . }}"#;
pub(crate) const VICTOROPS_MESSAGE_TYPE: &str = "CRITICAL";
pub(crate) const VICTOROPS_STATE_MESSAGE: &str =
    r#"{{ template "victorops.default.state_message" . }}"#;
pub(crate) const VICTOROPS_ENTITY_DISPLAY_NAME: &str =
    r#"{{ template "victorops.default.entity_display_name" . }}"#;
pub(crate) const VICTOROPS_MONITORING_TOOL: &str =
    r#"{{ template "victorops.default.monitoring_tool" . }}"#;
pub(crate) const PUSHOVER_TITLE: &str = r#"{{ template "pushover.default.title" . }}"#;
pub(crate) const PUSHOVER_MESSAGE: &str = r#"{{ template "pushover.default.message" . }}"#;
pub(crate) const PUSHOVER_URL: &str = r#"{{ template "pushover.default.url" . }}"#;
/// 2 is an emergency, which must be acknowledged; 0 is normal.
pub(crate) const PUSHOVER_PRIORITY: &str = r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#;
pub(crate) const PUSHOVER_RETRY: Duration = MINUTE;
pub(crate) const PUSHOVER_EXPIRE: Duration = HOUR;
pub(crate) const SNS_SUBJECT: &str = r#"{{ template "sns.default.subject" . }}"#;
pub(crate) const SNS_MESSAGE: &str = r#"{{ template "sns.default.message" . }}"#;
pub(crate) const TELEGRAM_MESSAGE: &str = r#"{{ template "telegram.default.message" . }}"#;
pub(crate) const TELEGRAM_PARSE_MODE: &str = "HTML";
pub(crate) const DISCORD_TITLE: &str = r#"{{ template "discord.default.title" . }}"#;
pub(crate) const DISCORD_MESSAGE: &str = r#"{{ template "discord.default.message" . }}"#;
pub(crate) const WEBEX_MESSAGE: &str = r#"{{ template "webex.default.message" . }}"#;
pub(crate) const MSTEAMS_TITLE: &str = r#"{{ template "msteams.default.title" . }}"#;
pub(crate) const MSTEAMS_SUMMARY: &str = r#"{{ template "msteams.default.summary" . }}"#;
pub(crate) const MSTEAMS_TEXT: &str = r#"{{ template "msteams.default.text" . }}"#;
pub(crate) const MSTEAMSV2_TITLE: &str = r#"{{ template "msteamsv2.default.title" . }}"#;
pub(crate) const MSTEAMSV2_TEXT: &str = r#"{{ template "msteamsv2.default.text" . }}"#;
pub(crate) const JIRA_API_TYPE: &str = "auto";
pub(crate) const JIRA_SUMMARY: &str = r#"{{ template "jira.default.summary" . }}"#;
pub(crate) const JIRA_DESCRIPTION: &str = r#"{{ template "jira.default.description" . }}"#;
pub(crate) const JIRA_PRIORITY: &str = r#"{{ template "jira.default.priority" . }}"#;
pub(crate) const ROCKETCHAT_COLOR: &str =
    r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#;
pub(crate) const ROCKETCHAT_EMOJI: &str = r#"{{ template "rocketchat.default.emoji" . }}"#;
pub(crate) const ROCKETCHAT_ICON_URL: &str = r#"{{ template "rocketchat.default.iconurl" . }}"#;
pub(crate) const ROCKETCHAT_TEXT: &str = r#"{{ template "rocketchat.default.text" . }}"#;
pub(crate) const ROCKETCHAT_TITLE: &str = r#"{{ template "rocketchat.default.title" . }}"#;
pub(crate) const ROCKETCHAT_TITLE_LINK: &str = r#"{{ template "rocketchat.default.titlelink" . }}"#;
pub(crate) const MATTERMOST_USERNAME: &str = r#"{{ template "mattermost.default.username" . }}"#;
pub(crate) const MATTERMOST_COLOR: &str = r#"{{ template "mattermost.default.color" . }}"#;
pub(crate) const MATTERMOST_TEXT: &str = r#"{{ template "mattermost.default.text" . }}"#;
pub(crate) const MATTERMOST_TITLE: &str = r#"{{ template "mattermost.default.title" . }}"#;
pub(crate) const MATTERMOST_TITLE_LINK: &str = r#"{{ template "mattermost.default.titlelink" . }}"#;
pub(crate) const MATTERMOST_FALLBACK: &str = r#"{{ template "mattermost.default.fallback" . }}"#;
/// The scheme of `authorization`, and of bearer tokens.
pub(crate) const AUTHORIZATION_TYPE: &str = "Bearer";

// Prometheus 3.14: its own file.
pub(crate) const EVALUATION_INTERVAL: Duration = MINUTE;
pub(crate) const ALERTMANAGER_TIMEOUT: Duration = SECOND.saturating_mul(10);
pub(crate) const RELABEL_SEPARATOR: &str = ";";
pub(crate) const RELABEL_REGEX: &str = "(.*)";
pub(crate) const RELABEL_REPLACEMENT: &str = "$1";

// `watchbell.yml`: the server.
/// Alertmanager's port, because those who send alerts are many and those who send samples are few.
pub(crate) const LISTEN_ADDRESS: &str = ":9093";
pub(crate) const STORAGE_PATH: &str = "data/";
/// Prometheus' own retention.
pub(crate) const STORAGE_RETENTION: Duration = DAY.saturating_mul(15);
/// What a power failure may take; a killed process loses nothing.
pub(crate) const SYNC_INTERVAL: Duration = SECOND;
/// Longer than rules and dashboards pause, and short beside what a closed tenant saves: opening one takes milliseconds.
pub(crate) const TENANT_IDLE_MAX: Duration = HOUR;
pub(crate) const RESEND_DELAY: Duration = MINUTE;
pub(crate) const FOR_OUTAGE_TOLERANCE: Duration = HOUR;
pub(crate) const EVALUATION_CONCURRENCY_MAX: usize = 4;
/// Prometheus' own figure where it evaluates rules at once (`--rules.max-concurrent-evals`).
pub(crate) const GROUP_CONCURRENCY_MAX: usize = 4;

// `watchbell.yml`: limits of one tenant.
/// At some 3 kB of memory a series this is what a machine with 16 GB carries at ease.
pub(crate) const SERIES_MAX: usize = 2_000_000;
/// Kubernetes' widest series have about 40.
pub(crate) const LABELS_MAX: usize = 100;
pub(crate) const LABEL_NAME_BYTES_MAX: usize = 1024;
/// Mimir's; longer values are nearly always a message that was put into a label.
pub(crate) const LABEL_VALUE_BYTES_MAX: usize = 2048;
/// Prometheus sends at most 2,000 samples a request, well below 1 MB; agents that batch send more.
pub(crate) const WRITE_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Snappy shrinks label sets by ten and more; past this a body is a bomb.
pub(crate) const WRITE_DECOMPRESSED_BYTES_MAX: usize = 256 * 1024 * 1024;
pub(crate) const WRITE_SAMPLES_MAX: usize = 500_000;
/// Some 15,000 alerts; Prometheus sends at most 256 a request.
/// As an Alertmanager's own: about one gigabyte with their groups.
pub(crate) const ALERTS_MAX: usize = 500_000;
/// Each has an alert at least.
pub(crate) const ALERT_GROUPS_MAX: usize = 500_000;
pub(crate) const ALERTS_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Prometheus 3.14: `storage.exemplars.max_exemplars`.
pub(crate) const EXEMPLARS_MAX: usize = 100_000;
/// Prometheus 3.14: `--query.max-concurrency` and its fellows.
pub(crate) const QUERY_CONCURRENCY_MAX: usize = 20;
pub(crate) const QUERY_SAMPLES_MAX: usize = 50_000_000;
/// As many samples as the bound above allows are 800 MB where they are floats, and the labels of a million series come to that.
pub(crate) const QUERY_BYTES_MAX: usize = 1 << 30;
pub(crate) const QUERY_TIMEOUT: Duration = MINUTE.saturating_mul(2);
pub(crate) const QUERY_LOOKBACK: Duration = MINUTE.saturating_mul(5);

/// A change of another process counts within this.
pub(crate) const RULE_STORAGE_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Mimir's 70 is what its users complain of; a tenant with more has a machine of rules of its own.
pub(crate) const RULE_GROUPS_MAX: usize = 5000;
/// The largest groups of published rules have about a hundred; one group's rules are evaluated one after another.
pub(crate) const RULES_PER_GROUP_MAX: usize = 1000;
pub(crate) const RULE_GROUP_BYTES_MAX: usize = 1024 * 1024;
