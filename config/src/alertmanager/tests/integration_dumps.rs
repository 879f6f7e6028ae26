//! The dump of the integrations beside webhook, mail, PagerDuty and Slack.
use crate::alertmanager::tests::texts::read;

const FILE: &str = r#"route: {receiver: d}
receivers:
- name: d
  discord_configs: [{webhook_url: <secret>, content: c, username: u, avatar_url: a}]
  incidentio_configs:
  - {url: 'http://i'}
  - {url_file: f, alert_source_token: <secret>, max_alerts: 3, timeout: 5s}
  - {url: 'http://i', http_config: {authorization: {credentials: <secret>}}}
  opsgenie_configs:
  - {api_key_file: f, api_url: 'http://h/x', message: '', details: {b: c, a: '1'}, entity: e, responders: [{id: i, type: Team}, {name: n, type: '{{ .x }}'}], actions: a, tags: t, note: n, priority: P1, update_alerts: true}
  wechat_configs:
  - {api_secret: <secret>, corp_id: c, to_user: u, agent_id: '5', message_type: markdown}
  pushover_configs:
  - {user_key: <secret>, token_file: t, retry: 90s, ttl: 2h, url_title: u, sound: s, device: d, html: true}
  victorops_configs:
  - {api_key: <secret>, routing_key: r, message_type: '', custom_fields: {x: y}}
  sns_configs:
  - {topic_arn: t}
  - {phone_number: p, sigv4: {region: r, access_key: a, secret_key: <secret>, profile: p, role_arn: x, external_id: e}, api_url: 'http://s', attributes: {a: b}, subject: s, use_aws_http_client: yes}
  telegram_configs:
  - {bot_token: <secret>, chat_id: -5, message_thread_id: 7}
  - {bot_token: <secret>, chat_id_file: f, parse_mode: '', disable_notifications: true}
  webex_configs: [{room_id: r, http_config: {authorization: {credentials_file: /x}}}]
  msteams_configs: [{webhook_url: <secret>}]
  msteamsv2_configs: [{webhook_url_file: f, text: ''}]
  jira_configs:
  - {api_url: 'http://j', project: P, issue_type: Bug, description: {enable_update: yes}}
  - {api_url: 'http://j', project: P, issue_type: Bug, api_type: cloud, summary: {template: t, enable_update: false}, description: x, labels: [a], priority: '', reopen_transition: a, resolve_transition: b, wont_fix_resolution: c, reopen_duration: 90m, fields: {b: {value: '{{ .x }}'}, a: [1]}}
  rocketchat_configs:
  - {token: <secret>, token_id_file: f, channel: c, fields: [{title: t, value: v}, {short: true, title: t}], actions: [{type: button, text: t, url: u, imageurl: i}], short_fields: true}
  mattermost_configs:
  - {webhook_url: <secret>, channel: c, color: '', fields: [{title: t, value: v, short: true}], attachments: [{text: x, title: t, author_name: a}], type: custom, props: {card: c}, priority: {priority: urgent, requested_ack: true}, footer: f, icon_emoji: e}
"#;

/// Between the receiver's labels and the templates, without the `http_config` that says nothing. Those that an
/// Alertmanager 0.25 knows were compared with a running one; the others follow the keys of 0.34.
const DUMP: &str = r#"  discord_configs:
  - send_resolved: true
    webhook_url: <secret>
    content: c
    title: '{{ template "discord.default.title" . }}'
    message: '{{ template "discord.default.message" . }}'
    username: u
    avatar_url: a
  incidentio_configs:
  - send_resolved: true
    url: http://i
    url_file: ""
    max_alerts: 0
    timeout: 0s
  - send_resolved: true
    url: null
    url_file: f
    alert_source_token: <secret>
    max_alerts: 3
    timeout: 5s
  - send_resolved: true
    http_config:
      authorization:
        type: Bearer
        credentials: <secret>
      follow_redirects: true
      enable_http2: true
    url: http://i
    url_file: ""
    max_alerts: 0
    timeout: 0s
  opsgenie_configs:
  - send_resolved: true
    api_key_file: f
    api_url: http://h/x/
    message: ""
    description: '{{ template "opsgenie.default.description" . }}'
    source: '{{ template "opsgenie.default.source" . }}'
    details:
      a: "1"
      b: c
    entity: e
    responders:
    - id: i
      type: Team
    - name: "n"
      type: '{{ .x }}'
    actions: a
    tags: t
    note: "n"
    priority: P1
    update_alerts: true
  wechat_configs:
  - send_resolved: false
    api_secret: <secret>
    corp_id: c
    message: '{{ template "wechat.default.message" . }}'
    api_url: https://qyapi.weixin.qq.com/cgi-bin/
    to_user: u
    to_party: '{{ template "wechat.default.to_party" . }}'
    to_tag: '{{ template "wechat.default.to_tag" . }}'
    agent_id: "5"
    message_type: markdown
  pushover_configs:
  - send_resolved: true
    user_key: <secret>
    token_file: t
    title: '{{ template "pushover.default.title" . }}'
    message: '{{ template "pushover.default.message" . }}'
    url: '{{ template "pushover.default.url" . }}'
    url_title: u
    device: d
    sound: s
    priority: '{{ if eq .Status "firing" }}2{{ else }}0{{ end }}'
    retry: 1m30s
    expire: 1h0m0s
    ttl: 2h0m0s
    html: true
  victorops_configs:
  - send_resolved: true
    api_key: <secret>
    api_url: https://alert.victorops.com/integrations/generic/20131114/alert/
    routing_key: r
    message_type: ""
    state_message: '{{ template "victorops.default.state_message" . }}'
    entity_display_name: '{{ template "victorops.default.entity_display_name" . }}'
    monitoring_tool: '{{ template "victorops.default.monitoring_tool" . }}'
    custom_fields:
      x: "y"
  sns_configs:
  - send_resolved: true
    sigv4: {}
    topic_arn: t
    subject: '{{ template "sns.default.subject" . }}'
    message: '{{ template "sns.default.message" . }}'
  - send_resolved: true
    api_url: http://s
    sigv4:
      region: r
      access_key: a
      secret_key: <secret>
      profile: p
      role_arn: x
      external_id: e
    phone_number: p
    subject: s
    message: '{{ template "sns.default.message" . }}'
    attributes:
      a: b
    use_aws_http_client: true
  telegram_configs:
  - send_resolved: true
    api_url: https://api.telegram.org
    bot_token: <secret>
    chat_id: -5
    message_thread_id: 7
    message: '{{ template "telegram.default.message" . }}'
    parse_mode: HTML
  - send_resolved: true
    api_url: https://api.telegram.org
    bot_token: <secret>
    chat_id_file: f
    message: '{{ template "telegram.default.message" . }}'
    disable_notifications: true
    parse_mode: ""
  webex_configs:
  - send_resolved: true
    http_config:
      authorization:
        type: Bearer
        credentials_file: /x
      follow_redirects: true
      enable_http2: true
    api_url: https://webexapis.com/v1/messages
    message: '{{ template "webex.default.message" . }}'
    room_id: r
  msteams_configs:
  - send_resolved: true
    webhook_url: <secret>
    title: '{{ template "msteams.default.title" . }}'
    summary: '{{ template "msteams.default.summary" . }}'
    text: '{{ template "msteams.default.text" . }}'
  msteamsv2_configs:
  - send_resolved: true
    webhook_url_file: f
    title: '{{ template "msteamsv2.default.title" . }}'
    text: ""
  jira_configs:
  - send_resolved: true
    api_url: http://j
    api_type: auto
    project: P
    summary:
      template: '{{ template "jira.default.summary" . }}'
    description:
      template: '{{ template "jira.default.description" . }}'
      enable_update: true
    priority: '{{ template "jira.default.priority" . }}'
    issue_type: Bug
  - send_resolved: true
    api_url: http://j
    api_type: cloud
    project: P
    summary:
      template: t
      enable_update: false
    description:
      template: x
    labels:
    - a
    priority: ""
    issue_type: Bug
    reopen_transition: a
    resolve_transition: b
    wont_fix_resolution: c
    reopen_duration: 1h30m
    fields:
      a:
      - 1
      b:
        value: '{{ .x }}'
  rocketchat_configs:
  - send_resolved: false
    api_url: https://open.rocket.chat/
    token_id_file: f
    token: <secret>
    channel: c
    color: '{{ if eq .Status "firing" }}red{{ else }}green{{ end }}'
    title: '{{ template "rocketchat.default.title" . }}'
    title_link: '{{ template "rocketchat.default.titlelink" . }}'
    text: '{{ template "rocketchat.default.text" . }}'
    fields:
    - short: null
      title: t
      value: v
    - short: true
      title: t
      value: ""
    short_fields: true
    emoji: '{{ template "rocketchat.default.emoji" . }}'
    icon_url: '{{ template "rocketchat.default.iconurl" . }}'
    link_names: false
    actions:
    - type: button
      text: t
      url: u
      imageurl: i
      iswebview: false
      webviewheightratio: ""
      msg: ""
      msginchatwindow: false
      msgprocessingtype: ""
  mattermost_configs:
  - send_resolved: true
    webhook_url: <secret>
    channel: c
    username: '{{ template "mattermost.default.username" . }}'
    text: '{{ template "mattermost.default.text" . }}'
    fallback: '{{ template "mattermost.default.fallback" . }}'
    color: ""
    title: '{{ template "mattermost.default.title" . }}'
    title_link: '{{ template "mattermost.default.titlelink" . }}'
    fields:
    - title: t
      value: v
      short: true
    footer: f
    icon_emoji: e
    attachments:
    - text: x
      author_name: a
      title: t
    type: custom
    props:
      card: c
    priority:
      priority: urgent
      requested_ack: true
"#;

#[test]
fn every_key_is_printed_in_its_place() {
    let dump = read(FILE).dump();
    let (_, own) = dump.split_once("    name: d\n").unwrap();
    let (own, _) = own.split_once("templates: []").unwrap();
    let own = own.replace(
        "    http_config:\n      follow_redirects: true\n      enable_http2: true\n",
        "",
    );
    assert_eq!(own, DUMP);
}

#[test]
fn every_key_survives_a_dump() {
    let config = read(FILE);
    assert_eq!(read(&config.dump()), config);
}

/// What is inherited is printed as if it were the integration's own, and still means the same.
#[test]
fn a_global_block_that_authorizes_survives_a_dump() {
    let global = "global: {http_config: {authorization: {credentials: <secret>}}}\n";
    for keys in ["", ", alert_source_token: <secret>"] {
        let config = read(&format!(
            "{global}route: {{receiver: d}}\nreceivers: [{{name: d, incidentio_configs: [{{url: 'http://i'{keys}}}]}}]\n"
        ));
        assert_eq!(read(&config.dump()), config);
    }
}
