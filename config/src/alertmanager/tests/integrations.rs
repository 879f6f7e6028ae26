//! The integrations beside webhook, mail, PagerDuty and Slack: what is refused, and what falls back to what.
use crate::alertmanager::tests::texts::{check, problems, read, with_receiver};
use crate::alertmanager::{AlertmanagerFiles, AlertmanagerOptions};
use crate::files::MemoryFiles;
use crate::receiver::{IntegrationSettings, template_texts};

#[test]
fn lists_are_read_in_alertmanagers_order_and_numbered_from_0() {
    let text = format!("{GLOBALS}{}", with_receiver(EVERY_KIND));
    let config = read(&text);
    let told: Vec<_> = config.receivers[0]
        .integrations
        .iter()
        .map(|integration| {
            format!(
                "{}[{}] {}",
                integration.kind().as_str(),
                integration.index,
                integration.send_resolved
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "webhook[0] true",
            "email[0] false",
            "pagerduty[0] true",
            "opsgenie[0] true",
            "opsgenie[1] true",
            "wechat[0] false",
            "slack[0] false",
            "victorops[0] true",
            "pushover[0] true",
            "sns[0] true",
            "telegram[0] true",
            "discord[0] true",
            "webex[0] true",
            "msteams[0] true",
            "msteamsv2[0] true",
            "jira[0] true",
            "incidentio[0] true",
            "rocketchat[0] false",
            "mattermost[0] true",
        ]
    );
}

/// What the kinds below fall back to.
const GLOBALS: &str = "global: {smtp_from: f, smtp_smarthost: 'h:25', slack_api_url: <secret>, opsgenie_api_key: <secret>, wechat_api_secret: <secret>, wechat_api_corp_id: c, victorops_api_key: <secret>, telegram_bot_token: <secret>, jira_api_url: 'http://j', rocketchat_token: <secret>, rocketchat_token_id: <secret>, mattermost_webhook_url: <secret>}\n";

const EVERY_KIND: &str = "mattermost_configs: [{}], rocketchat_configs: [{}], incidentio_configs: [{url: 'http://i'}], jira_configs: [{project: p, issue_type: i}], msteamsv2_configs: [{webhook_url: <secret>}], msteams_configs: [{webhook_url: <secret>}], webex_configs: [{room_id: r, http_config: {authorization: {credentials: <secret>}}}], discord_configs: [{webhook_url: <secret>}], telegram_configs: [{chat_id: 1}], sns_configs: [{topic_arn: t}], pushover_configs: [{user_key: <secret>, token: <secret>}], victorops_configs: [{routing_key: r}], slack_configs: [{}], wechat_configs: [{}], opsgenie_configs: [{}, {}], pagerduty_configs: [{routing_key: <secret>}], email_configs: [{to: t}], webhook_configs: [{url: <secret>}]";

#[test]
fn a_dump_lists_them_in_an_order_of_its_own() {
    let text = format!("{GLOBALS}{}", with_receiver(EVERY_KIND));
    let dump = read(&text).dump();
    let keys = dump
        .lines()
        .filter_map(|line| line.strip_suffix("_configs:"));
    assert_eq!(
        keys.map(str::trim).collect::<Vec<_>>().join(" "),
        "discord email incidentio pagerduty slack webhook opsgenie wechat pushover victorops sns telegram webex msteams msteamsv2 jira rocketchat mattermost"
    );
}

#[test]
fn what_is_not_told_yet_is_refused_when_it_is_to_be_run_with() {
    let text = format!("{GLOBALS}{}", with_receiver(EVERY_KIND));
    let files: MemoryFiles = [("a.yml", text.as_str())].into_iter().collect();
    let problems =
        AlertmanagerFiles::load("a.yml", &AlertmanagerOptions::default(), &files).unwrap_err();
    let mut refused: Vec<_> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    refused.sort_unstable();
    let kinds = [
        "discord",
        "incidentio",
        "jira",
        "mattermost",
        "msteams",
        "msteamsv2",
        "opsgenie",
        "pushover",
        "rocketchat",
        "sns",
        "telegram",
        "victorops",
        "webex",
        "wechat",
    ];
    assert_eq!(
        refused,
        kinds.map(|kind| format!("{kind}_configs is not supported by this version"))
    );
    assert!(problems.iter().all(|problem| problem.line == Some(3)));
}

#[test]
fn empty_elements_are_refused() {
    for kind in [
        "discord",
        "incidentio",
        "jira",
        "mattermost",
        "msteams",
        "msteamsv2",
        "pushover",
        "sns",
        "telegram",
        "victorops",
        "webex",
    ] {
        let message = format!("missing {kind} config");
        let text = with_receiver(&format!("{kind}_configs: [~]"));
        assert!(problems(&text)[0].contains(&message), "{kind}");
    }
}

#[test]
fn opsgenie_wechat_and_victorops_are_refused_in_alertmanagers_words() {
    let opsgenie = "opsgenie_configs: [{api_key: k, ";
    let wechat = "wechat_configs: [{api_secret: s, ";
    let victorops = "victorops_configs: [{api_key: k, ";
    check(&[
        (
            with_receiver("opsgenie_configs: [{}]"),
            "2:42",
            "no global OpsGenie API Key set either inline or in a file",
        ),
        (
            with_receiver(&format!("{opsgenie}api_key_file: f}}]")),
            "2:69",
            "at most one of api_key & api_key_file must be configured",
        ),
        (
            with_receiver(&format!("{opsgenie}api_url: 'ftp://x'}}]")),
            "2:64",
            r#"unsupported scheme "ftp" for URL"#,
        ),
        (
            with_receiver(&format!("{opsgenie}responders: [{{type: team}}]}}]")),
            "2:68",
            "opsGenieConfig responder {   team} has to have at least one of id, username or name specified",
        ),
        (
            with_receiver(&format!(
                "{opsgenie}responders: [{{name: n, type: Boss}}]}}]"
            )),
            "2:84",
            "opsGenieConfig responder { n  boss} type does not match valid options ^(team|teams|user|escalation|schedule)$",
        ),
        (
            with_receiver("wechat_configs: [{corp_id: c}]"),
            "2:40",
            "no global Wechat Api Secret set either inline or in a file",
        ),
        (
            with_receiver("wechat_configs: [{api_secret: s}]"),
            "2:40",
            "no global Wechat CorpID set",
        ),
        (
            with_receiver(&format!("{wechat}api_secret_file: f, corp_id: c}}]")),
            "2:73",
            "at most one of api_secret & api_secret_file must be configured",
        ),
        (
            with_receiver(&format!("{wechat}corp_id: c, message_type: html}}]")),
            "2:82",
            r#"weChat message type "html" does not match valid options ^(text|markdown)$"#,
        ),
        (
            with_receiver("victorops_configs: [{routing_key: r}]"),
            "2:43",
            "no global VictorOps API Key set",
        ),
        (
            with_receiver("victorops_configs: [{api_key: k}]"),
            "2:43",
            "missing Routing key in VictorOps config",
        ),
        (
            with_receiver(&format!("{victorops}api_key_file: f, routing_key: r}}]")),
            "2:70",
            "at most one of api_key & api_key_file must be configured",
        ),
        (
            with_receiver(&format!(
                "{victorops}routing_key: r, custom_fields: {{entity_id: x}}}}]"
            )),
            "2:87",
            "victorOps config contains custom field entity_id which cannot be used as it conflicts with the fixed/static fields",
        ),
    ]);
}

#[test]
fn pushover_sns_and_telegram_are_refused_in_alertmanagers_words() {
    let pushover = "pushover_configs: [{user_key: u, token: t, ";
    let target = "must provide either a Target ARN, Topic ARN, or Phone Number for SNS config";
    let telegram = "telegram_configs: [{bot_token: t, ";
    check(&[
        (
            with_receiver("pushover_configs: [{token: t}]"),
            "2:42",
            "one of user_key or user_key_file must be configured",
        ),
        (
            with_receiver("pushover_configs: [{user_key: u}]"),
            "2:42",
            "one of token or token_file must be configured",
        ),
        (
            with_receiver(&format!("{pushover}user_key_file: f}}]")),
            "2:81",
            "at most one of user_key & user_key_file must be configured",
        ),
        (
            with_receiver(&format!("{pushover}token_file: f}}]")),
            "2:78",
            "at most one of token & token_file must be configured",
        ),
        (
            with_receiver(&format!("{pushover}html: yes, monospace: yes}}]")),
            "2:88",
            "at most one of monospace & html must be configured",
        ),
        (
            with_receiver(&format!("{pushover}retry: 5}}]")),
            "2:73",
            r#"time: missing unit in duration "5""#,
        ),
        (with_receiver("sns_configs: [{}]"), "2:37", target),
        (
            with_receiver("sns_configs: [{topic_arn: t, phone_number: p}]"),
            "2:37",
            target,
        ),
        (
            with_receiver("sns_configs: [{topic_arn: t, phone_number: p, target_arn: a}]"),
            "2:37",
            target,
        ),
        (
            with_receiver("sns_configs: [{topic_arn: t, sigv4: {access_key: a}}]"),
            "2:59",
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
        ),
        (
            with_receiver("sns_configs: [{topic_arn: t, sigv4: {external_id: a}}]"),
            "2:73",
            "external_id can only be used with role_arn",
        ),
        (
            with_receiver("telegram_configs: [{chat_id: 1}]"),
            "2:42",
            "missing bot_token or bot_token_file on telegram_config",
        ),
        (
            with_receiver(&format!("{telegram}bot_token_file: f, chat_id: 1}}]")),
            "2:73",
            "at most one of bot_token & bot_token_file must be configured",
        ),
        (
            with_receiver(&format!("{telegram}chat_id: 0}}]")),
            "2:66",
            "missing chat_id or chat_id_file on telegram_config",
        ),
        (
            with_receiver(&format!("{telegram}chat_id: 1, chat_id_file: f}}]")),
            "2:83",
            "at most one of chat_id & chat_id_file must be configured",
        ),
        (
            with_receiver(&format!("{telegram}chat_id: 1, parse_mode: html}}]")),
            "2:81",
            "unknown parse_mode on telegram_config, must be Markdown, MarkdownV2, HTML or empty string",
        ),
    ]);
}

#[test]
fn chats_are_refused_in_alertmanagers_words() {
    for kind in ["discord", "msteams", "msteamsv2"] {
        let column = 32 + kind.len();
        let place = format!("2:{}", column + 2);
        let file = format!("2:{}", column + 46);
        check(&[
            (
                with_receiver(&format!("{kind}_configs: [{{}}]")),
                &place,
                "one of webhook_url or webhook_url_file must be configured",
            ),
            (
                with_receiver(&format!(
                    "{kind}_configs: [{{webhook_url: 'http://a', webhook_url_file: f}}]"
                )),
                &file,
                "at most one of webhook_url & webhook_url_file must be configured",
            ),
        ]);
    }
    let mattermost = "mattermost_configs: [{webhook_url: 'http://a', ";
    check(&[
        (
            with_receiver("discord_configs: [{webhook_url: 'http://'}]"),
            "2:55",
            "missing host for URL",
        ),
        (
            with_receiver("webex_configs: [{http_config: {authorization: {credentials: c}}}]"),
            "2:39",
            "missing room_id on webex_config",
        ),
        (
            "global: {http_config: {bearer_token: t}}\n".to_owned()
                + &with_receiver("webex_configs: [{room_id: r}]"),
            "3:39",
            "missing webex_configs.http_config.authorization",
        ),
        (
            with_receiver(
                "webex_configs: [{room_id: r, http_config: {basic_auth: {username: u}}}]",
            ),
            "2:65",
            "missing webex_configs.http_config.authorization",
        ),
        (
            with_receiver("rocketchat_configs: [{token: t}]"),
            "2:44",
            "no global Rocketchat TokenID set either inline or in a file",
        ),
        (
            with_receiver("rocketchat_configs: [{token_id: t}]"),
            "2:44",
            "no global Rocketchat Token set either inline or in a file",
        ),
        (
            with_receiver("rocketchat_configs: [{token_id: t, token: t, token_file: f}]"),
            "2:80",
            "at most one of token & token_file must be configured",
        ),
        (
            with_receiver("rocketchat_configs: [{token: t, token_id: t, token_id_file: f}]"),
            "2:83",
            "at most one of token_id & token_id_file must be configured",
        ),
        (
            with_receiver("mattermost_configs: [{}]"),
            "2:44",
            "missing webhook_url or webhook_url_file on mattermost_config",
        ),
        (
            with_receiver(&format!("{mattermost}webhook_url_file: f}}]")),
            "2:88",
            "at most one of webhook_url & webhook_url_file must be configured",
        ),
        (
            with_receiver(&format!("{mattermost}fields: [{{title: t}}]}}]")),
            "2:79",
            "missing value in Mattermost field configuration",
        ),
        (
            with_receiver(&format!(
                "{mattermost}attachments: [{{fields: [{{value: t}}]}}]}}]"
            )),
            "2:94",
            "missing title in Mattermost field configuration",
        ),
    ]);
}

#[test]
fn jira_and_incidentio_are_refused_in_alertmanagers_words() {
    let jira = "jira_configs: [{api_url: 'http://j', ";
    let incidentio = "incidentio_configs: [{url: 'http://i', ";
    check(&[
        (
            with_receiver(&format!("{jira}issue_type: i}}]")),
            "2:38",
            "missing project in jira_config",
        ),
        (
            with_receiver(&format!("{jira}project: p}}]")),
            "2:38",
            "missing issue_type in jira_config",
        ),
        (
            with_receiver("jira_configs: [{project: p, issue_type: i}]"),
            "2:38",
            "no global Jira Cloud URL set",
        ),
        (
            with_receiver(&format!(
                "{jira}project: p, issue_type: i, api_type: server}}]"
            )),
            "2:97",
            "unknown api_type on jira_config, must be auto, cloud or datacenter",
        ),
        (
            with_receiver(&format!(
                "{jira}project: p, issue_type: i, summary: {{enabled: no}}}}]"
            )),
            "2:97",
            "field enabled not found in type config.plain",
        ),
        (
            with_receiver("incidentio_configs: [{}]"),
            "2:44",
            "one of url or url_file must be configured",
        ),
        (
            with_receiver(&format!("{incidentio}url_file: f}}]")),
            "2:50",
            "at most one of url & url_file must be configured",
        ),
        (
            with_receiver(&format!(
                "{incidentio}alert_source_token: t, alert_source_token_file: f}}]"
            )),
            "2:110",
            "at most one of alert_source_token & alert_source_token_file must be configured",
        ),
        (
            with_receiver(&format!(
                "{incidentio}alert_source_token: t, http_config: {{authorization: {{credentials: c}}}}}}]"
            )),
            "2:98",
            "cannot specify alert_source_token or alert_source_token_file when using http_config.authorization",
        ),
        (
            with_receiver(&format!("{incidentio}http_config: {{enable_http2: no}}}}]")),
            "2:75",
            "at least one of alert_source_token, alert_source_token_file or http_config.authorization must be configured",
        ),
    ]);
    // Only an own block is looked at.
    read(&with_receiver("incidentio_configs: [{url: 'http://i'}]"));
}

#[test]
fn teams_workflows_take_the_global_proxy_into_their_own_block() {
    let text = "global: {http_config: {proxy_url: 'http://p'}}\n".to_owned()
        + &with_receiver(
            "msteamsv2_configs: [{webhook_url: <secret>, http_config: {enable_http2: no}}], msteams_configs: [{webhook_url: <secret>, http_config: {enable_http2: no}}]",
        );
    let config = read(&text);
    let [connector, workflow] = &config.receivers[0].integrations[..] else {
        panic!()
    };
    let IntegrationSettings::MsTeams(connector) = &connector.settings else {
        panic!()
    };
    let IntegrationSettings::MsTeamsV2(workflow) = &workflow.settings else {
        panic!()
    };
    let proxies = [&connector.http, &workflow.http].map(|http| http.proxy.url.is_some());
    assert_eq!(proxies, [false, true]);
}

#[test]
fn addresses_that_paths_are_appended_to_end_with_a_slash() {
    for (written, meant) in [
        ("http://o", "http://o/"),
        ("http://o/x", "http://o/x/"),
        ("http://o/x/", "http://o/x/"),
        ("http://o/x?a=b", "http://o/x/?a=b"),
    ] {
        let text = with_receiver(&format!(
            "opsgenie_configs: [{{api_key: k, api_url: '{written}'}}]"
        ));
        let config = read(&text);
        let IntegrationSettings::OpsGenie(settings) = &config.receivers[0].integrations[0].settings
        else {
            panic!()
        };
        assert_eq!(settings.api_url.as_str(), meant);
    }
}

/// Every key of every kind that is a template, numbered in the order of the paths.
#[test]
fn templates_are_listed_with_their_paths() {
    for (keys, paths) in [
        (
            "opsgenie_configs: [{api_key: '{{ 0 }}', message: '{{ 1 }}', description: '{{ 2 }}', source: '{{ 3 }}', details: {a: '{{ 4 }}'}, entity: '{{ 5 }}', responders: [{id: '{{ 6 }}', type: '{{ 7 }}'}], actions: '{{ 8 }}', tags: '{{ 9 }}', note: '{{ 10 }}', priority: '{{ 11 }}'}]",
            "api_key message description source details.a entity responders[0].id responders[0].type actions tags note priority",
        ),
        (
            "wechat_configs: [{api_secret: '{{ 0 }}', corp_id: '{{ 1 }}', message: '{{ 2 }}', to_user: '{{ 3 }}', to_party: '{{ 4 }}', to_tag: '{{ 5 }}', agent_id: '{{ 6 }}'}]",
            "api_secret corp_id message to_user to_party to_tag agent_id",
        ),
        (
            "victorops_configs: [{api_key: '{{', routing_key: '{{ 0 }}', message_type: '{{ 1 }}', state_message: '{{ 2 }}', entity_display_name: '{{ 3 }}', monitoring_tool: '{{ 4 }}', custom_fields: {a: '{{ 5 }}'}}]",
            "routing_key message_type state_message entity_display_name monitoring_tool custom_fields.a",
        ),
        (
            "pushover_configs: [{user_key: '{{ 0 }}', token: '{{ 1 }}', title: '{{ 2 }}', message: '{{ 3 }}', url: '{{ 4 }}', url_title: '{{ 5 }}', device: '{{ 6 }}', sound: '{{ 7 }}', priority: '{{ 8 }}'}]",
            "user_key token title message url url_title device sound priority",
        ),
        (
            "sns_configs: [{api_url: '{{ 0 }}', topic_arn: '{{ 1 }}', subject: '{{ 2 }}', message: '{{ 3 }}', attributes: {'{{ 4 }}': x}}]",
            "api_url topic_arn subject message attributes.{{ 4 }}",
        ),
        (
            "telegram_configs: [{bot_token: t, chat_id: 1, message: '{{ 0 }}'}]",
            "message",
        ),
        (
            "discord_configs: [{webhook_url: <secret>, content: '{{ 0 }}', title: '{{ 1 }}', message: '{{ 2 }}', username: '{{', avatar_url: '{{'}]",
            "content title message",
        ),
        (
            "webex_configs: [{room_id: '{{ 0 }}', message: '{{ 1 }}', http_config: {authorization: {credentials: c}}}]",
            "room_id message",
        ),
        (
            "msteams_configs: [{webhook_url: <secret>, title: '{{ 0 }}', summary: '{{ 1 }}', text: '{{ 2 }}'}]",
            "title summary text",
        ),
        (
            "msteamsv2_configs: [{webhook_url: <secret>, title: '{{ 0 }}', text: '{{ 1 }}'}]",
            "title text",
        ),
        (
            "jira_configs: [{api_url: 'http://j', project: '{{ 0 }}', issue_type: '{{ 1 }}', summary: '{{ 2 }}', description: {template: '{{ 3 }}'}, labels: ['{{ 4 }}'], priority: '{{ 5 }}', fields: {a: {b: ['{{ 6 }}']}}}]",
            "project issue_type summary description labels[0] priority fields.a.b[0]",
        ),
        (
            "incidentio_configs: [{url: 'http://i', alert_source_token: '{{'}]",
            "",
        ),
        (
            "rocketchat_configs: [{token: '{{', token_id: '{{', channel: '{{ 0 }}', color: '{{ 1 }}', title: '{{ 2 }}', title_link: '{{ 3 }}', text: '{{ 4 }}', fields: [{title: '{{ 5 }}', value: '{{ 6 }}'}], emoji: '{{ 7 }}', icon_url: '{{ 8 }}', image_url: '{{ 9 }}', thumb_url: '{{ 10 }}', actions: [{text: '{{ 11 }}', url: '{{ 12 }}', msg: '{{ 13 }}'}]}]",
            "channel color title title_link text fields[0].title fields[0].value emoji icon_url image_url thumb_url actions[0].text actions[0].url actions[0].msg",
        ),
        (
            "mattermost_configs: [{webhook_url: <secret>, channel: '{{ 0 }}', username: '{{ 1 }}', text: '{{ 2 }}', attachments: [{title: '{{ 3 }}', fields: [{title: '{{ 4 }}', value: v}]}], props: {card: '{{ 5 }}'}, priority: {priority: '{{ 6 }}'}}]",
            "channel username text attachments[0].title attachments[0].fields[0].title props.card priority.priority",
        ),
    ] {
        let integration = read(&with_receiver(keys))
            .receivers
            .remove(0)
            .integrations
            .remove(0);
        let fields = template_texts(&integration);
        let of_number = |number: usize| {
            let text = format!("{{{{ {number} }}}}");
            let field = fields.iter().find(|field| field.text.as_str() == text);
            field.map(|field| field.path.clone())
        };
        let found: Vec<String> = (0..).map_while(of_number).collect();
        assert_eq!(found.join(" "), paths);
        assert!(fields.iter().all(|field| field.text.as_str() != "{{"));
        let is_html = keys.starts_with("telegram");
        assert!(fields.iter().all(|field| field.html == is_html), "{keys}");
    }
}
