//! `mattermost_configs`.
use crate::cursor::{Cursor, Fields};
use crate::defaults;
use crate::dump::entries::Entries;
use crate::dump::http::http_config;
use crate::go_yaml::Yaml;
use crate::http::HttpConfig;
use crate::integration::{Fallbacks, TemplateField};
use crate::value::{SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct MattermostSettings {
    pub http: HttpConfig,
    pub webhook_url: SecretSource,
    pub channel: TemplateText,
    pub username: TemplateText,
    /// What one attachment says, where there are no `attachments`.
    pub attachment: MattermostAttachment,
    pub icon_url: TemplateText,
    pub icon_emoji: TemplateText,
    /// The old form; where there are some, `attachment.text` is the message's own text.
    pub attachments: Vec<MattermostAttachment>,
    pub kind: TemplateText,
    pub props: Option<MattermostProps>,
    pub priority: Option<MattermostPriority>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MattermostAttachment {
    pub fallback: TemplateText,
    pub color: TemplateText,
    pub pretext: TemplateText,
    pub text: TemplateText,
    pub author_name: TemplateText,
    pub author_link: TemplateText,
    pub author_icon: TemplateText,
    pub title: TemplateText,
    pub title_link: TemplateText,
    pub fields: Vec<MattermostField>,
    pub thumb_url: TemplateText,
    pub footer: TemplateText,
    pub footer_icon: TemplateText,
    pub image_url: TemplateText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MattermostField {
    pub title: TemplateText,
    pub value: TemplateText,
    pub short: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MattermostProps {
    pub card: TemplateText,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MattermostPriority {
    pub priority: TemplateText,
    pub requested_ack: bool,
    pub persistent_notifications: bool,
}

pub(super) fn read(
    fields: &mut Fields<'_>,
    fallbacks: &Fallbacks<'_>,
) -> Option<MattermostSettings> {
    let own = fields.secret_url_or_file("webhook_url", "webhook_url_file");
    let is_wrong = own.is_none() && fields.has("webhook_url");
    let webhook_url = own.or_else(|| fallbacks.global.mattermost_webhook_url.clone());
    if webhook_url.is_none() && !is_wrong {
        fields.file_problem(
            "",
            "missing webhook_url or webhook_url_file on mattermost_config",
        );
    }
    let attachment = read_attachment(
        fields,
        &Defaults {
            fallback: defaults::MATTERMOST_FALLBACK,
            color: defaults::MATTERMOST_COLOR,
            text: defaults::MATTERMOST_TEXT,
            title: defaults::MATTERMOST_TITLE,
            title_link: defaults::MATTERMOST_TITLE_LINK,
        },
    );
    let attachments = fields.list("attachments").into_iter().map(|cursor| {
        let mut fields = cursor.fields("config.plain");
        let attachment = read_attachment(&mut fields, &Defaults::default());
        fields.finish();
        attachment
    });
    let settings = MattermostSettings {
        attachments: attachments.collect(),
        http: fallbacks.http(fields),
        channel: fields.template("channel"),
        username: fields.template_or("username", defaults::MATTERMOST_USERNAME),
        attachment,
        icon_url: fields.template("icon_url"),
        icon_emoji: fields.template("icon_emoji"),
        kind: fields.template("type"),
        props: fields.get("props").map(|cursor| read_props(&cursor)),
        priority: fields.get("priority").map(|cursor| read_priority(&cursor)),
        webhook_url: webhook_url?,
    };
    Some(settings)
}

/// Of the attachment that the integration itself describes; those of the list have none.
#[derive(Default)]
struct Defaults {
    fallback: &'static str,
    color: &'static str,
    text: &'static str,
    title: &'static str,
    title_link: &'static str,
}

fn read_attachment(fields: &mut Fields<'_>, defaults: &Defaults) -> MattermostAttachment {
    MattermostAttachment {
        fallback: fields.template_or("fallback", defaults.fallback),
        color: fields.template_or("color", defaults.color),
        pretext: fields.template("pretext"),
        text: fields.template_or("text", defaults.text),
        author_name: fields.template("author_name"),
        author_link: fields.template("author_link"),
        author_icon: fields.template("author_icon"),
        title: fields.template_or("title", defaults.title),
        title_link: fields.template_or("title_link", defaults.title_link),
        fields: fields.list("fields").iter().map(read_field).collect(),
        thumb_url: fields.template("thumb_url"),
        footer: fields.template("footer"),
        footer_icon: fields.template("footer_icon"),
        image_url: fields.template("image_url"),
    }
}

fn read_field(cursor: &Cursor<'_>) -> MattermostField {
    let mut fields = cursor.fields("config.plain");
    let field = MattermostField {
        title: fields.template("title"),
        value: fields.template("value"),
        short: fields.get("short").and_then(|cursor| cursor.boolean()),
    };
    for (key, text) in [("title", &field.title), ("value", &field.value)] {
        if text.is_empty() {
            fields.problem(
                key,
                format!("missing {key} in Mattermost field configuration"),
            );
        }
    }
    fields.finish();
    field
}

fn read_props(cursor: &Cursor<'_>) -> MattermostProps {
    let mut fields = cursor.fields("config.MattermostProps");
    let props = MattermostProps {
        card: fields.template("card"),
    };
    fields.finish();
    props
}

fn read_priority(cursor: &Cursor<'_>) -> MattermostPriority {
    let mut fields = cursor.fields("config.MattermostPriority");
    let priority = MattermostPriority {
        priority: fields.template("priority"),
        requested_ack: fields.boolean_or("requested_ack", false),
        persistent_notifications: fields.boolean_or("persistent_notifications", false),
    };
    fields.finish();
    priority
}

pub(super) fn template_texts(settings: &MattermostSettings) -> Vec<TemplateField> {
    let mut fields = TemplateField::texts([
        ("channel", &settings.channel),
        ("username", &settings.username),
        ("icon_url", &settings.icon_url),
        ("icon_emoji", &settings.icon_emoji),
        ("type", &settings.kind),
    ]);
    fields.extend(settings.attachment.template_texts(""));
    for (index, attachment) in settings.attachments.iter().enumerate() {
        fields.extend(attachment.template_texts(&format!("attachments[{index}].")));
    }
    if let Some(props) = &settings.props {
        fields.extend(TemplateField::texts([("props.card", &props.card)]));
    }
    if let Some(priority) = &settings.priority {
        let text = &priority.priority;
        fields.extend(TemplateField::texts([("priority.priority", text)]));
    }
    fields
}

impl MattermostAttachment {
    fn template_texts(&self, before: &str) -> Vec<TemplateField> {
        let mut fields = TemplateField::texts(
            [
                ("fallback", &self.fallback),
                ("color", &self.color),
                ("pretext", &self.pretext),
                ("text", &self.text),
                ("author_name", &self.author_name),
                ("author_link", &self.author_link),
                ("author_icon", &self.author_icon),
                ("title", &self.title),
                ("title_link", &self.title_link),
                ("thumb_url", &self.thumb_url),
                ("footer", &self.footer),
                ("footer_icon", &self.footer_icon),
                ("image_url", &self.image_url),
            ]
            .map(|(key, text)| (format!("{before}{key}"), text)),
        );
        for (index, field) in self.fields.iter().enumerate() {
            fields.extend(TemplateField::texts(
                [("title", &field.title), ("value", &field.value)]
                    .map(|(key, text)| (format!("{before}fields[{index}].{key}"), text)),
            ));
        }
        fields
    }
}

pub(super) fn dump(settings: &MattermostSettings, entries: &mut Entries) {
    entries.put("http_config", http_config(&settings.http));
    entries.source(
        "webhook_url",
        "webhook_url_file",
        Some(&settings.webhook_url),
    );
    entries.template("channel", &settings.channel);
    entries.defaulted(&[("username", &settings.username)]);
    let own = &settings.attachment;
    entries.defaulted(&[
        ("text", &own.text),
        ("fallback", &own.fallback),
        ("color", &own.color),
    ]);
    entries.template("pretext", &own.pretext);
    put_author(entries, own);
    entries.defaulted(&[("title", &own.title), ("title_link", &own.title_link)]);
    put_rest(entries, own);
    entries.template("icon_url", &settings.icon_url);
    entries.template("icon_emoji", &settings.icon_emoji);
    let attachments = settings.attachments.iter().map(dump_attachment);
    entries.list("attachments", attachments.collect());
    entries.template("type", &settings.kind);
    if let Some(props) = &settings.props {
        let mut own = Entries::default();
        own.template("card", &props.card);
        entries.put("props", own.into_yaml());
    }
    if let Some(priority) = &settings.priority {
        let mut own = Entries::default();
        own.template("priority", &priority.priority);
        own.flag("requested_ack", priority.requested_ack);
        own.flag(
            "persistent_notifications",
            priority.persistent_notifications,
        );
        entries.put("priority", own.into_yaml());
    }
}

fn dump_attachment(attachment: &MattermostAttachment) -> Yaml {
    let mut entries = Entries::default();
    entries.templates(&[
        ("fallback", &attachment.fallback),
        ("color", &attachment.color),
        ("pretext", &attachment.pretext),
        ("text", &attachment.text),
    ]);
    put_author(&mut entries, attachment);
    entries.templates(&[
        ("title", &attachment.title),
        ("title_link", &attachment.title_link),
    ]);
    put_rest(&mut entries, attachment);
    entries.into_yaml()
}

fn put_author(entries: &mut Entries, attachment: &MattermostAttachment) {
    entries.templates(&[
        ("author_name", &attachment.author_name),
        ("author_link", &attachment.author_link),
        ("author_icon", &attachment.author_icon),
    ]);
}

fn put_rest(entries: &mut Entries, attachment: &MattermostAttachment) {
    let fields = attachment.fields.iter().map(|field| {
        let mut entries = Entries::default();
        entries.templates(&[("title", &field.title), ("value", &field.value)]);
        entries.switch("short", field.short);
        entries.into_yaml()
    });
    entries.list("fields", fields.collect());
    entries.templates(&[
        ("thumb_url", &attachment.thumb_url),
        ("footer", &attachment.footer),
        ("footer_icon", &attachment.footer_icon),
        ("image_url", &attachment.image_url),
    ]);
}
