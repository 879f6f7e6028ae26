//! Mail: one message for all recipients, rendered whole before the first byte goes out.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use config::{EmailSettings, EmailThreading, SecretSource, TlsConfig};
use model::{AlertStatus, Timestamp};
use sha2::{Digest, Sha256};
use template::{Mode, RenderError, Template, TemplateSet};

use crate::classify::no_answer;
use crate::mime::{address_header, addresses, header, quoted_printable};
use crate::notification::Notification;
use crate::rendering::{PlanError, Rendering, compile, compile_as, failure_note, plain_subject};
use crate::secrets::SecretFiles;
use crate::step::{
    MailLogin, MailReply, MailRequest, MailSecurity, MailStage, Memory, Outcome, RefusedRecipient,
    Remembered, Response, Step,
};

/// Servers that keep senders waiting before they greet, or ask others about a recipient, take half a minute and more.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
/// Headers whose values are lists of addresses (RFC 5322 3.6), by canonical name.
const ADDRESS_HEADERS: [&str; 6] = ["Bcc", "Cc", "From", "Reply-To", "Sender", "To"];
/// How often recipients who are refused for the moment are tried again while others have the mail already: about a
/// minute of attempts. After that the mail counts as delivered, so that a full mailbox does not keep the group's state
/// open for those who read theirs.
const PARTIAL_ATTEMPTS_MAX: i64 = 8;
/// What is remembered between attempts: the mail's id and, line by line, who has it.
const TOLD: &str = "mailTold";
const ATTEMPTS: &str = "mailAttempts";
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
            security: match (settings.implicit_tls(), settings.require_tls) {
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
        memory: &Memory,
        secrets: &SecretFiles,
    ) -> Result<(MailRequest, Talk), Outcome> {
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
        let id = message_id(notification, &rendering, &from, &recipients);
        let mut talk = Talk::resuming(id, memory);
        let message = self.message(notification, &rendering, &talk.id);
        talk.recipients = recipients
            .into_iter()
            .filter(|recipient| !talk.told.contains(recipient))
            .collect();
        if talk.recipients.is_empty() {
            return Err(talk.delivered());
        }
        let request = MailRequest {
            smarthost: self.smarthost.clone(),
            hello: self.hello.clone(),
            security: self.security,
            login: self.login(secrets)?,
            message: message.into_bytes(),
            from,
            recipients: talk.recipients.clone(),
            step_timeout: STEP_TIMEOUT,
        };
        Ok((request, talk))
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
    fn message(&self, notification: &Notification, rendering: &Rendering, id: &str) -> String {
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
        let subject = |_: &RenderError| plain_subject(notification);
        let mut message = String::with_capacity(16 * 1024);
        for (name, template) in &self.headers {
            let value = render(template, &subject);
            if ADDRESS_HEADERS.contains(&name.as_str()) {
                message.push_str(&address_header(name, &value));
            } else {
                message.push_str(&header(name, &value));
            }
        }
        if !self.headers.iter().any(|(name, _)| name == "Message-Id") {
            message.push_str(&header("Message-Id", id));
        }
        if let Some(thread) = self.thread(notification) {
            message.push_str(&header("References", &thread));
            message.push_str(&header("In-Reply-To", &thread));
        }
        message.push_str(&header("Date", &date(notification.at)));
        // Made from the parts too, so that no part can hold it.
        let mut seed = vec![id];
        seed.extend(parts.iter().map(|(_, body)| body.as_str()));
        let boundary = &digest(&seed)[..60];
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

/// What is known of one mail. A recipient who was refused for the moment is tried again alone; what is remembered from
/// one attempt to the next is who has the mail already, so that nobody gets it twice.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    id: String,
    /// Those who got this very mail in earlier attempts.
    told: BTreeSet<String>,
    /// Earlier attempts in which some got it and some did not.
    attempts: i64,
    recipients: Vec<String>,
}

impl Talk {
    /// Goes on where the last attempt at the same mail ended; what is remembered of another mail does not count.
    fn resuming(id: String, memory: &Memory) -> Self {
        let mut talk = Self {
            id,
            told: BTreeSet::new(),
            attempts: 0,
            recipients: Vec::new(),
        };
        if let (Some(Remembered::Text(told)), Some(Remembered::Integer(attempts))) =
            (memory.0.get(TOLD), memory.0.get(ATTEMPTS))
        {
            let mut lines = told.lines();
            if lines.next() == Some(talk.id.as_str()) {
                talk.told = lines.map(str::to_owned).collect();
                talk.attempts = *attempts;
            }
        }
        talk
    }

    pub(crate) fn next(&mut self, response: Response) -> Step {
        let reply = match response {
            Response::Mail(reply) => reply,
            Response::Failed(failure) => return self.done(no_answer(failure)),
            Response::Http(_) => {
                return self.done(Outcome::Rejected {
                    reason: "an HTTP server answered a mail".to_owned(),
                });
            }
        };
        let was_taken = reply.stage == MailStage::Message && (200..300).contains(&reply.code);
        if was_taken {
            let refused: BTreeSet<&str> = addresses_of(&reply.refused).collect();
            let taken = self.recipients.iter();
            let taken = taken.filter(|recipient| !refused.contains(recipient.as_str()));
            self.told.extend(taken.cloned());
        }
        let passing = reply
            .refused
            .iter()
            .find(|recipient| (400..500).contains(&recipient.code));
        let outcome = match passing {
            Some(recipient) if was_taken && self.attempts < PARTIAL_ATTEMPTS_MAX => {
                self.attempts += 1;
                Outcome::Retry {
                    not_before: None,
                    reason: format!(
                        "the mail server answered {} {} for {}; the others have the mail",
                        recipient.code, recipient.text, recipient.address
                    ),
                }
            }
            Some(_) | None if was_taken => self.delivered(),
            // Nobody new got it, but it will not get better, and somebody has it.
            None if reply.stage == MailStage::RcptTo && !self.told.is_empty() => self.delivered(),
            Some(_) if !self.told.is_empty() && self.attempts >= PARTIAL_ATTEMPTS_MAX => {
                self.delivered()
            }
            Some(_) | None => {
                if !self.told.is_empty() {
                    self.attempts += 1;
                }
                refusal(&reply)
            }
        };
        self.done(outcome)
    }

    fn delivered(&self) -> Outcome {
        Outcome::Delivered {
            id: Some(self.id.clone()),
        }
    }

    fn done(&self, outcome: Outcome) -> Step {
        let mut memory = Memory::default();
        let unfinished = match &outcome {
            Outcome::Ambiguous { .. } | Outcome::Retry { .. } => !self.told.is_empty(),
            Outcome::Delivered { .. } | Outcome::Rejected { .. } => false,
        };
        if unfinished {
            let mut told = self.id.clone();
            for recipient in &self.told {
                told.push('\n');
                told.push_str(recipient);
            }
            memory.0 = BTreeMap::from([
                (TOLD.to_owned(), Remembered::Text(told)),
                (ATTEMPTS.to_owned(), Remembered::Integer(self.attempts)),
            ]);
        }
        Step::Done(outcome, memory)
    }
}

fn addresses_of(refused: &[RefusedRecipient]) -> impl Iterator<Item = &str> {
    refused.iter().map(|recipient| recipient.address.as_str())
}

/// The class of the code decides (RFC 5321 4.2.1).
fn refusal(reply: &MailReply) -> Outcome {
    let reason = format!(
        "the mail server answered {} {} ({})",
        reply.code,
        reply.text,
        stage_name(reply.stage)
    );
    match reply.code {
        code if LOGIN_REFUSED.contains(&code) => Outcome::Rejected {
            reason: format!("{reason}; check smtp_auth_username and its password or secret"),
        },
        500..600 => Outcome::Rejected { reason },
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

/// The same for every attempt at one notification and another for every integration, so that a mail whose answer was lost is known when it comes again.
fn message_id(
    notification: &Notification,
    rendering: &Rendering,
    from: &str,
    recipients: &[String],
) -> String {
    let domain = from.rsplit('@').next().unwrap_or("watchbell");
    let group = &notification.group_key.sha256_hex()[..16];
    let which = &digest(&[
        &notification.receiver,
        from,
        &recipients.join(","),
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

fn plain_text(notification: &Notification, error: &RenderError) -> String {
    let mut text = format!(
        "{}\n\n{}\n",
        plain_subject(notification),
        failure_note(error)
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
