//! `slack_configs`.
use std::time::Duration;

use crate::http::HttpConfig;
use crate::value::{HttpUrl, SecretSource, TemplateText};

#[derive(Clone, Debug, PartialEq)]
pub struct SlackSettings {
    pub http: HttpConfig,
    pub target: SlackTarget,
    pub channel: TemplateText,
    pub username: TemplateText,
    pub color: TemplateText,
    pub title: TemplateText,
    pub title_link: TemplateText,
    pub pretext: TemplateText,
    pub text: TemplateText,
    /// The message's own text, outside the attachment; empty: none.
    pub message_text: TemplateText,
    pub fields: Vec<SlackField>,
    pub short_fields: bool,
    pub footer: TemplateText,
    pub fallback: TemplateText,
    pub callback_id: TemplateText,
    pub icon_emoji: TemplateText,
    pub icon_url: TemplateText,
    pub image_url: TemplateText,
    pub thumb_url: TemplateText,
    pub link_names: bool,
    pub mrkdwn_in: Vec<String>,
    pub actions: Vec<SlackAction>,
    pub update_message: bool,
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlackTarget {
    /// A bot token: sent as `Authorization: Bearer`.
    App { url: HttpUrl, token: SecretSource },
    /// An address that is itself the secret.
    Webhook(SecretSource),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackField {
    pub title: TemplateText,
    pub value: TemplateText,
    /// `short_fields` where it is not written.
    pub short: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackAction {
    pub kind: TemplateText,
    pub text: TemplateText,
    pub url: TemplateText,
    pub style: TemplateText,
    pub name: TemplateText,
    pub value: TemplateText,
    pub confirm: Option<SlackConfirmation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackConfirmation {
    pub text: TemplateText,
    pub title: TemplateText,
    pub ok_text: TemplateText,
    pub dismiss_text: TemplateText,
}
