//! One mail, one SMTP session (RFC 5321): connect, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA. lettre speaks it; here is
//! decided what is said and what an answer means.
//!
//! Whatever breaks before the message's last line is sent has told nobody anything, and the server's answers up to there
//! are not waited for without end: another attempt may do better. From that line to the server's word on the message
//! nobody knows, and a server that looks through it first is given its time. A recipient that the server refuses does not keep the others from their mail.
use std::error::Error as _;
use std::fmt::Display;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use config::{HostPort, TlsConfig};
use lettre::Address;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response as SmtpResponse;
use notifiers_core::{
    MailReply, MailRequest, MailSecurity, MailStage, Reached, RefusedRecipient, Response,
};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connector::{ANSWER_GRACE, CONNECT_TIMEOUT_MAX};
use crate::failure::{chain, failed, out_of_time};
use crate::smtp_auth::{Login, Mechanisms};
use crate::smtp_wire::Wire;
use crate::tls::{TlsMaterial, client_config};

/// How the server is left after its last word: it has the mail, so nothing depends on it.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Sends one mail, within `time_left`.
pub(crate) async fn send(request: &MailRequest, tls: &TlsConfig, time_left: Duration) -> Response {
    let wire = OnceLock::new();
    let has_sent_message = || wire.get().is_some_and(Wire::has_sent_message);
    let session = Session {
        request,
        tls,
        wire: &wire,
    };
    let mut running = pin!(session.run());
    let ended = match timeout(time_left, &mut running).await {
        // A process that was suspended finds its time over and the server's word, which has come meanwhile.
        Err(_) if has_sent_message() => timeout(ANSWER_GRACE, running).await,
        ended => ended,
    };
    let reached = if has_sent_message() {
        Reached::PerhapsAll
    } else {
        Reached::Nothing
    };
    match ended {
        Ok(Ok((reply, connection))) => {
            say_goodbye(connection);
            Response::Mail(reply)
        }
        Ok(Err(End::Replied(reply))) => Response::Mail(reply),
        Ok(Err(End::Failed(text))) => failed(reached, text),
        Ok(Err(End::Late(text))) => out_of_time(reached, text),
        Err(_) => out_of_time(reached, format!("no answer within {time_left:?}")),
    }
}

/// Politeness: whether it is heard changes nothing, so nobody waits for it.
fn say_goodbye(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = timeout(GOODBYE_MAX, connection.quit()).await;
    });
}

/// Why a session ended before its last step.
enum End {
    Failed(String),
    /// The server did not answer in the time that a step has.
    Late(String),
    /// The server refused a step.
    Replied(MailReply),
}

impl From<std::io::Error> for End {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

struct Session<'a> {
    request: &'a MailRequest,
    tls: &'a TlsConfig,
    /// Once there is a connection.
    wire: &'a OnceLock<Wire>,
}

/// The server's answer to one command.
struct Reply {
    code: u16,
    /// Without their codes.
    lines: Vec<String>,
}

/// What EHLO said.
struct Greeting {
    extensions: Vec<String>,
}

impl Session<'_> {
    /// The server's word on the message, and the connection on which it waits for more.
    async fn run(self) -> Result<(MailReply, AsyncSmtpConnection), End> {
        let host = host(&self.request.smarthost)?;
        let client = ClientId::Domain(one_line(&self.request.hello)?.to_owned());
        let (mut connection, encrypted) = self.open(&host, &client).await?;
        // After STARTTLS it must be said again (RFC 3207 4.2), and what lettre keeps of its own EHLO's answer lacks
        // SIZE, CRAM-MD5 and the order of the mechanisms.
        let greeting = self.ask(&mut connection, Ehlo::new(client)).await?;
        let greeting = Greeting::new(expect(greeting, MailStage::Hello, 200..300)?);
        self.log_in(&mut connection, &greeting, &host, encrypted)
            .await?;
        self.mail_from(&mut connection, &greeting).await?;
        let refused = self.recipients(&mut connection).await?;
        let reply = self.ask(&mut connection, Data).await?;
        expect(reply, MailStage::Data, 300..400)?;
        // lettre ends the last line itself.
        let message = self.request.message.as_slice();
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        let reply = answered(connection.message(message).await)?;
        let reply = MailReply {
            stage: MailStage::Message,
            code: reply.code,
            text: reply.text(),
            refused,
        };
        Ok((reply, connection))
    }

    /// Connected and greeted, and whether there is TLS: where it is demanded or offered.
    async fn open(
        &self,
        host: &HostPort,
        client: &ClientId,
    ) -> Result<(AsyncSmtpConnection, bool), End> {
        let connecting = TcpStream::connect((host.host.as_str(), port(host)?));
        let stream = within(CONNECT_TIMEOUT_MAX, "no connection", connecting).await??;
        stream.set_nodelay(true)?;
        let wire = Wire::new(stream)?;
        self.wire.get_or_init(|| wire.clone());
        let implicit = self.request.security == MailSecurity::Implicit;
        if implicit {
            self.encrypt(&wire, &host.host).await?;
        }
        let mut connection = self.step(greet(&wire, client)).await??;
        if implicit {
            return Ok((connection, true));
        }
        let info = connection.server_info();
        if !info.supports_feature(Extension::StartTls) {
            return if self.request.security == MailSecurity::StartTls {
                Err(End::Failed(format!(
                    "'require_tls' is true (default) but {host} does not advertise the STARTTLS extension"
                )))
            } else {
                Ok((connection, false))
            };
        }
        let reply = self.ask(&mut connection, Starttls).await?;
        expect(reply, MailStage::StartTls, 200..300)?;
        self.encrypt(&wire, &host.host).await?;
        Ok((connection, true))
    }

    async fn encrypt(&self, wire: &Wire, host: &str) -> Result<(), End> {
        let failed = |text: String| End::Failed(format!("TLS: {text}"));
        let material = TlsMaterial::read(self.tls)
            .await
            .map_err(|error| failed(chain(&error)))?;
        let config = client_config(self.tls, &material).map_err(|error| failed(chain(&error)))?;
        // The name that the server is asked for; the configured one where there is one.
        let name = if self.tls.server_name.is_empty() {
            host
        } else {
            &self.tls.server_name
        };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| failed(format!("{name:?} is not a server's name")))?;
        self.step(wire.encrypt(config, name))
            .await?
            .map_err(|error| failed(error.to_string()))
    }

    /// One exchange of those that come before the message.
    async fn step<Work: Future>(&self, work: Work) -> Result<Work::Output, End> {
        within(self.request.step_timeout, "no answer", work).await
    }

    async fn ask(
        &self,
        connection: &mut AsyncSmtpConnection,
        command: impl Display + Send,
    ) -> Result<Reply, End> {
        answered(self.step(connection.command(command)).await?)
    }

    /// Logs in where there is somebody to log in and the server knows logins.
    async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        greeting: &Greeting,
        host: &HostPort,
        encrypted: bool,
    ) -> Result<(), End> {
        let (Some(login), Some(offered)) = (&self.request.login, greeting.parameters("AUTH"))
        else {
            return Ok(());
        };
        let local = matches!(host.host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let mechanisms = Mechanisms::new(offered, login, encrypted || local);
        let mut conversation = mechanisms.usable().map_err(End::Failed)?;
        // lettre's own login knows no CRAM-MD5 and no identity, and gives up at questions that it has not met.
        let mut reply = self.ask(connection, Line(&conversation.begin())).await?;
        while let Reply { code: 334, .. } = reply {
            reply = match conversation.answer(&reply.text()) {
                Login::Answer(answer) => self.ask(connection, Line(&answer)).await?,
                // RFC 4954 4: a lone star gives up.
                Login::GivesUp => self.ask(connection, Line("*")).await?,
            };
        }
        expect(reply, MailStage::Auth, 200..300)?;
        Ok(())
    }

    async fn mail_from(
        &self,
        connection: &mut AsyncSmtpConnection,
        greeting: &Greeting,
    ) -> Result<(), End> {
        let mut parameters = Vec::new();
        if greeting.has("8BITMIME") {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if greeting.has("SIZE") {
            parameters.push(MailParameter::Size(self.request.message.len()));
        }
        let command = Mail::new(Some(address(&self.request.from)?), parameters);
        let reply = self.ask(connection, command).await?;
        expect(reply, MailStage::MailFrom, 200..300)?;
        Ok(())
    }

    /// Those whom the server refuses although it takes others. Where it takes nobody, the session ends with a refusal
    /// that can pass, if there is one.
    async fn recipients(
        &self,
        connection: &mut AsyncSmtpConnection,
    ) -> Result<Vec<RefusedRecipient>, End> {
        let mut refused = Vec::new();
        let mut worst: Option<Reply> = None;
        for recipient in &self.request.recipients {
            let command = Rcpt::new(address(recipient)?, Vec::new());
            let reply = self.ask(connection, command).await?;
            if (200..300).contains(&reply.code) {
                continue;
            }
            refused.push(RefusedRecipient {
                address: recipient.clone(),
                code: reply.code,
                text: reply.text(),
            });
            let passing = (400..500).contains(&reply.code);
            if worst.is_none() || passing {
                worst = Some(reply);
            }
        }
        match worst {
            Some(reply) if refused.len() == self.request.recipients.len() => {
                Err(End::Replied(MailReply {
                    stage: MailStage::RcptTo,
                    code: reply.code,
                    text: reply.text(),
                    refused,
                }))
            }
            Some(_) | None => Ok(refused),
        }
    }
}

impl Reply {
    fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// As the session's last word.
    fn ends(&self, stage: MailStage) -> End {
        End::Replied(MailReply {
            stage,
            code: self.code,
            text: self.text(),
            refused: Vec::new(),
        })
    }
}

impl Greeting {
    fn new(reply: Reply) -> Self {
        Self {
            extensions: reply.lines.into_iter().skip(1).collect(),
        }
    }

    fn has(&self, extension: &str) -> bool {
        self.parameters(extension).is_some()
    }

    /// What stands behind an extension's name; empty where nothing does.
    fn parameters(&self, extension: &str) -> Option<&str> {
        self.extensions.iter().find_map(|line| {
            let (name, parameters) = line.split_once(' ').unwrap_or((line, ""));
            name.eq_ignore_ascii_case(extension).then_some(parameters)
        })
    }
}

/// A line that lettre has no word for.
struct Line<'a>(&'a str);

impl Display for Line<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}\r\n", self.0)
    }
}

/// The server's first word, and lettre's EHLO.
async fn greet(wire: &Wire, client: &ClientId) -> Result<AsyncSmtpConnection, End> {
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), client);
    connected.await.map_err(|error| match refusal(&error) {
        None => broken(&error),
        Some(reply) if wire.has_spoken() => reply.ends(MailStage::Hello),
        Some(reply) => reply.ends(MailStage::Connect),
    })
}

/// `what` is what did not come.
async fn within<Work: Future>(
    limit: Duration,
    what: &str,
    work: Work,
) -> Result<Work::Output, End> {
    let done = timeout(limit, work).await;
    done.map_err(|_| End::Late(format!("{what} within {limit:?}")))
}

/// lettre calls a refusal an error; here it is an answer like any other.
fn answered(answer: Result<SmtpResponse, SmtpError>) -> Result<Reply, End> {
    match answer {
        Ok(response) => Ok(Reply {
            code: response.code().into(),
            lines: response.message().map(str::to_owned).collect(),
        }),
        Err(error) => refusal(&error).ok_or_else(|| broken(&error)),
    }
}

fn refusal(error: &SmtpError) -> Option<Reply> {
    Some(Reply {
        code: error.status()?.into(),
        lines: error
            .source()
            .map(ToString::to_string)
            .into_iter()
            .collect(),
    })
}

fn broken(error: &SmtpError) -> End {
    // What lettre says of such an answer quotes it, line breaks and all.
    End::Failed(if error.is_response() {
        "the mail server's answer is not SMTP".to_owned()
    } else {
        chain(error)
    })
}

fn expect(reply: Reply, stage: MailStage, codes: std::ops::Range<u16>) -> Result<Reply, End> {
    if codes.contains(&reply.code) {
        return Ok(reply);
    }
    Err(reply.ends(stage))
}

/// The addresses were checked when they were read; lettre's own check refuses some that people have.
fn address(text: &str) -> Result<Address, End> {
    let (user, domain) = one_line(text)?
        .rsplit_once('@')
        .ok_or_else(|| End::Failed(format!("{text:?} is not a mail address")))?;
    Ok(Address::new_dangerous(user, domain))
}

/// A line break in a command would be a second command.
fn one_line(text: &str) -> Result<&str, End> {
    if text.contains(['\r', '\n', '\0']) {
        let reason = "a mail command must not hold line breaks";
        return Err(End::Failed(reason.to_owned()));
    }
    Ok(text)
}

fn host(smarthost: &str) -> Result<HostPort, End> {
    HostPort::parse(smarthost).map_err(|error| End::Failed(error.to_string()))
}

/// A number, or one of the names that mail's ports have.
fn port(host: &HostPort) -> Result<u16, End> {
    match host.port.as_str() {
        "smtp" => Ok(25),
        "smtps" | "submissions" => Ok(465),
        "submission" => Ok(587),
        number => number
            .parse()
            .map_err(|_| End::Failed(format!("{number:?} is not a mail server's port"))),
    }
}
