//! Mail: one message for all recipients, rendered whole before the first byte goes out.
use std::path::Path;
use std::time::Duration;

use config::{EmailSettings, EmailThreading, SecretSource, TlsConfig};
use model::{AlertStatus, Timestamp};
use sha2::{Digest, Sha256};
use template::{Mode, RenderError, Template, TemplateSet};

use crate::classify::no_answer;
use crate::mime::{addresses, header, quoted_printable};
use crate::notification::Notification;
use crate::rendering::{PlanError, Rendering, compile, compile_as};
use crate::secrets::SecretFiles;
use crate::step::{MailLogin, MailReply, MailRequest, MailSecurity, MailStage, Outcome, Response};

/// A whole session: connecting, TLS, login and the message. Mail servers that scan while they listen take their time.
const SESSION_TIMEOUT: Duration = Duration::from_secs(30);
/// Refusals that the operator's configuration causes, not the message (RFC 4954).
const LOGIN_REFUSED: [u16; 3] = [530, 534, 535];

#[derive(Clone, Debug)]
pub(crate) struct EmailPlan {
    to: Template,
    from: Template,
    /// By name, all templates.
    headers: Vec<(String, Template)>,
    html: Option<Template>,
    text: Option<Template>,
    smarthost: String,
    hello: String,
    security: MailSecurity,
    username: String,
    password: Option<SecretSource>,
    secret: Option<SecretSource>,
    identity: String,
    threading: EmailThreading,
    tls: TlsConfig,
}

impl EmailPlan {
    pub(crate) fn compile(settings: &EmailSettings, set: &TemplateSet) -> Result<Self, PlanError> {
        let headers = settings.headers.iter().map(|(name, text)| {
            Ok((
                name.clone(),
                compile(set, &format!("headers.{name}"), text)?,
            ))
        });
        let body = |path: &str, text: &config::TemplateText, mode| {
            if text.is_empty() {
                Ok(None)
            } else {
                compile_as(set, path, text, mode).map(Some)
            }
        };
        Ok(Self {
            to: compile(set, "to", &settings.to)?,
            from: compile(set, "from", &settings.from)?,
            headers: headers.collect::<Result<_, PlanError>>()?,
            html: body("html", &settings.html, Mode::Html)?,
            text: body("text", &settings.text, Mode::Text)?,
            smarthost: settings.smarthost.to_string(),
            hello: settings.hello.clone(),
            security: match (settings.implicit_tls, settings.require_tls) {
                (true, _) => MailSecurity::Implicit,
                (false, true) => MailSecurity::StartTls,
                (false, false) => MailSecurity::Opportunistic,
            },
            username: settings.auth_username.clone(),
            password: settings.auth_password.clone(),
            secret: settings.auth_secret.clone(),
            identity: settings.auth_identity.clone(),
            threading: settings.threading,
            tls: settings.tls.clone(),
        })
    }

    pub(crate) fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    pub(crate) fn secret_files(&self) -> Vec<&Path> {
        [&self.password, &self.secret]
            .into_iter()
            .filter_map(|source| match source {
                Some(SecretSource::File(path)) => Some(path.as_path()),
                Some(SecretSource::Inline(_)) | None => None,
            })
            .collect()
    }

    pub(crate) fn begin(
        &self,
        notification: &Notification,
        secrets: &SecretFiles,
    ) -> Result<MailRequest, Outcome> {
        let rejected = |reason: String| Outcome::Rejected { reason };
        let rendering = Rendering::new(notification);
        let text = |template: &Template| {
            rendering
                .text(template)
                .map_err(|error| rejected(error.to_string()))
        };
        let recipients = addresses(&text(&self.to)?).map_err(rejected)?;
        if recipients.is_empty() {
            return Err(rejected("there is no recipient".to_owned()));
        }
        let from = match addresses(&text(&self.from)?).map_err(rejected)?.as_slice() {
            [from] => from.clone(),
            others => {
                return Err(rejected(format!(
                    "must be exactly one 'from' address (got: {})",
                    others.len()
                )));
            }
        };
        Ok(MailRequest {
            smarthost: self.smarthost.clone(),
            hello: self.hello.clone(),
            security: self.security,
            login: self.login(secrets)?,
            message: self.message(notification, &rendering, &from).into_bytes(),
            from,
            recipients,
            timeout: SESSION_TIMEOUT,
        })
    }

    fn login(&self, secrets: &SecretFiles) -> Result<Option<MailLogin>, Outcome> {
        if self.username.is_empty() {
            return Ok(None);
        }
        let reveal = |source: &Option<SecretSource>| {
            let revealed = source.as_ref().map(|source| secrets.reveal(source));
            revealed.transpose().map_err(|reason| Outcome::Retry {
                not_before: None,
                reason,
            })
        };
        Ok(Some(MailLogin {
            username: self.username.clone(),
            password: reveal(&self.password)?,
            secret: reveal(&self.secret)?,
            identity: self.identity.clone(),
        }))
    }

    /// Headers and body. A template that fails is replaced by a plain one: a mail is never lost to a template.
    fn message(&self, notification: &Notification, rendering: &Rendering, from: &str) -> String {
        let render = |template: &Template, instead: &dyn Fn(&RenderError) -> String| {
            rendering
                .text(template)
                .unwrap_or_else(|error| instead(&error))
        };
        let plain = |error: &RenderError| plain_text(notification, error);
        let mut parts = Vec::with_capacity(2);
        if let Some(template) = &self.text {
            parts.push(("text/plain", render(template, &plain)));
        }
        if let Some(template) = &self.html {
            parts.push((
                "text/html",
                render(template, &|error| {
                    format!("<pre>{}</pre>", escape(&plain(error)))
                }),
            ));
        }
        let subject = |_: &RenderError| subject_text(notification);
        let mut message = String::with_capacity(16 * 1024);
        for (name, template) in &self.headers {
            message.push_str(&header(name, &render(template, &subject)));
        }
        if !self.headers.iter().any(|(name, _)| name == "Message-Id") {
            message.push_str(&header(
                "Message-Id",
                &message_id(notification, rendering, from),
            ));
        }
        if let Some(thread) = self.thread(notification) {
            message.push_str(&header("References", &thread));
            message.push_str(&header("In-Reply-To", &thread));
        }
        message.push_str(&header("Date", &date(notification.at)));
        let boundary = &digest(&[
            notification.group_key.as_str(),
            &notification.at.as_millis().to_string(),
            from,
        ])[..60];
        message.push_str(&format!(
            "Content-Type: multipart/alternative;  boundary={boundary}\r\nMIME-Version: 1.0\r\n\r\n"
        ));
        for (kind, body) in parts {
            message.push_str(&format!(
                "--{boundary}\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: {kind}; charset=UTF-8\r\n\r\n"
            ));
            message.push_str(&quoted_printable(&body));
            message.push_str("\r\n");
        }
        message.push_str(&format!("--{boundary}--\r\n"));
        message
    }

    fn thread(&self, notification: &Notification) -> Option<String> {
        let day = match self.threading {
            EmailThreading::Off => return None,
            EmailThreading::Group => String::new(),
            EmailThreading::GroupAndDay => notification.at.to_rfc3339_nano()[..10].to_owned(),
        };
        Some(format!(
            "<alert-{}-{day}@alertmanager>",
            &notification.group_key.sha256_hex()[..16]
        ))
    }
}

pub(crate) fn next(response: Response) -> Outcome {
    match response {
        Response::Mail(reply) => replied(reply),
        Response::Failed(failure) => no_answer(failure),
        Response::Http(_) => Outcome::Rejected {
            reason: "an HTTP server answered a mail".to_owned(),
        },
    }
}

fn replied(reply: MailReply) -> Outcome {
    let MailReply {
        stage, code, text, ..
    } = reply;
    let reason = format!(
        "the mail server answered {code} {text} ({})",
        stage_name(stage)
    );
    match (stage, code) {
        (MailStage::Message, 200..300) => Outcome::Delivered { id: None },
        (_, code) if LOGIN_REFUSED.contains(&code) => Outcome::Rejected {
            reason: format!("{reason}; check smtp_auth_username and its password or secret"),
        },
        (_, 500..600) => Outcome::Rejected { reason },
        _ => Outcome::Retry {
            not_before: None,
            reason,
        },
    }
}

fn stage_name(stage: MailStage) -> &'static str {
    match stage {
        MailStage::Connect => "connecting",
        MailStage::Hello => "EHLO",
        MailStage::StartTls => "STARTTLS",
        MailStage::Auth => "AUTH",
        MailStage::MailFrom => "MAIL FROM",
        MailStage::RcptTo => "RCPT TO",
        MailStage::Data => "DATA",
        MailStage::Message => "end of the message",
    }
}

/// The same for every attempt at one notification, so that a mail whose answer was lost is known when it comes again.
fn message_id(notification: &Notification, rendering: &Rendering, from: &str) -> String {
    let domain = from.rsplit('@').next().unwrap_or("watchbell");
    let group = &notification.group_key.sha256_hex()[..16];
    let which = &digest(&[
        &notification.receiver,
        from,
        &rendering.data.notification_reason,
    ])[..8];
    format!("<{group}.{}.{which}@{domain}>", notification.at.as_millis())
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// RFC 1123 with a numeric zone.
fn date(at: Timestamp) -> String {
    let instant =
        jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn subject_text(notification: &Notification) -> String {
    let status = notification.status().as_str().to_uppercase();
    format!("[{status}] {}", notification.group_labels)
}

fn plain_text(notification: &Notification, error: &RenderError) -> String {
    let mut text = format!(
        "{}\n\n[template error: {error}]\n",
        subject_text(notification)
    );
    for alert in &notification.alerts {
        let status = match alert.status(notification.at) {
            AlertStatus::Firing => "firing",
            AlertStatus::Resolved => "resolved",
        };
        text.push_str(&format!(
            "\n{status} {} {}",
            alert.labels, alert.annotations
        ));
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
