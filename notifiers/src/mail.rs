//! One mail, one SMTP session (RFC 5321): connect, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA.
//!
//! Whatever breaks before the message itself is sent has told nobody anything. From the first byte of the message to
//! the server's word on it nobody knows. A recipient that the server refuses does not keep the others from their mail.
use std::time::Duration;

use config::{HostPort, TlsConfig};
use notifiers_core::{
    Failure, MailReply, MailRequest, MailSecurity, MailStage, Reached, RefusedRecipient, Response,
};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::failure::{chain, failed};
use crate::smtp_auth::{Login, Mechanisms};
use crate::smtp_line::{Connection, Reply, Wire, dot_stuffed};
use crate::tls::{TlsMaterial, client_config};

/// How the server is left after its last word: it has the mail, so nothing depends on it.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Sends one mail, within `time_left`.
pub(crate) async fn send(request: &MailRequest, tls: &TlsConfig, time_left: Duration) -> Response {
    let mut reached = Reached::Nothing;
    let session = Session {
        request,
        tls,
        reached: &mut reached,
    };
    match tokio::time::timeout(time_left, session.run()).await {
        Ok(Ok(reply)) => Response::Mail(reply),
        Ok(Err(End::Replied(reply))) => Response::Mail(reply),
        Ok(Err(End::Failed(text))) => Response::Failed(Failure { reached, text }),
        Err(_) => failed(reached, format!("no answer within {time_left:?}")),
    }
}

/// Why a session ended before its last step.
enum End {
    Failed(String),
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
    reached: &'a mut Reached,
}

/// What EHLO said.
struct Greeting {
    extensions: Vec<String>,
}

impl Session<'_> {
    async fn run(self) -> Result<MailReply, End> {
        let host = host(&self.request.smarthost)?;
        let (mut connection, greeting, encrypted) = self.open(&host).await?;
        self.log_in(&mut connection, &greeting, &host, encrypted)
            .await?;
        self.mail_from(&mut connection, &greeting).await?;
        let refused = self.recipients(&mut connection).await?;
        expect(connection.command("DATA").await?, MailStage::Data, 300..400)?;
        let message = dot_stuffed(&self.request.message);
        *self.reached = Reached::PerhapsAll;
        connection.write(&message).await?;
        let reply = connection.read_reply().await?;
        // Politeness: whether it is heard changes nothing.
        let _ = tokio::time::timeout(GOODBYE_MAX, connection.command("QUIT")).await;
        Ok(MailReply {
            stage: MailStage::Message,
            code: reply.code,
            text: reply.text(),
            refused,
        })
    }

    /// Connected and greeted, with TLS where it is demanded or offered.
    async fn open(&self, host: &HostPort) -> Result<(Connection, Greeting, bool), End> {
        let stream = TcpStream::connect((host.host.as_str(), port(host)?)).await?;
        stream.set_nodelay(true)?;
        let implicit = self.request.security == MailSecurity::Implicit;
        let wire: Box<dyn Wire> = if implicit {
            self.encrypt(Box::new(stream), &host.host).await?
        } else {
            Box::new(stream)
        };
        let mut connection = Connection::new(wire);
        expect(connection.read_reply().await?, MailStage::Connect, 200..300)?;
        let greeting = self.hello(&mut connection).await?;
        if implicit {
            return Ok((connection, greeting, true));
        }
        if !greeting.has("STARTTLS") {
            return if self.request.security == MailSecurity::StartTls {
                Err(End::Failed(format!(
                    "'require_tls' is true (default) but {host} does not advertise the STARTTLS extension"
                )))
            } else {
                Ok((connection, greeting, false))
            };
        }
        expect(
            connection.command("STARTTLS").await?,
            MailStage::StartTls,
            200..300,
        )?;
        let Some(plain) = connection.into_wire() else {
            // RFC 3207 5: whoever stands in between must not put words into the encrypted session.
            return Err(End::Failed(
                "the server said more before TLS began".to_owned(),
            ));
        };
        let mut connection = Connection::new(self.encrypt(plain, &host.host).await?);
        let greeting = self.hello(&mut connection).await?;
        Ok((connection, greeting, true))
    }

    async fn encrypt(&self, wire: Box<dyn Wire>, host: &str) -> Result<Box<dyn Wire>, End> {
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
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, wire)
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(Box::new(stream))
    }

    async fn hello(&self, connection: &mut Connection) -> Result<Greeting, End> {
        let hello = format!("EHLO {}", self.request.hello);
        let reply = expect(
            connection.command(&hello).await?,
            MailStage::Hello,
            200..300,
        )?;
        Ok(Greeting {
            extensions: reply.lines.into_iter().skip(1).collect(),
        })
    }

    /// Logs in where there is somebody to log in and the server knows logins.
    async fn log_in(
        &self,
        connection: &mut Connection,
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
        let mut reply = connection.command(&conversation.begin()).await?;
        while let Reply { code: 334, .. } = reply {
            reply = match conversation.answer(&reply.text()) {
                Login::Answer(answer) => connection.command(&answer).await?,
                // RFC 4954 4: a lone star gives up.
                Login::GivesUp => connection.command("*").await?,
            };
        }
        expect(reply, MailStage::Auth, 200..300)?;
        Ok(())
    }

    async fn mail_from(&self, connection: &mut Connection, greeting: &Greeting) -> Result<(), End> {
        let mut command = format!("MAIL FROM:<{}>", self.request.from);
        if greeting.has("8BITMIME") {
            command.push_str(" BODY=8BITMIME");
        }
        if greeting.has("SIZE") {
            command.push_str(&format!(" SIZE={}", self.request.message.len()));
        }
        expect(
            connection.command(&command).await?,
            MailStage::MailFrom,
            200..300,
        )?;
        Ok(())
    }

    /// Those whom the server refuses although it takes others. Where it takes nobody, the session ends with a refusal
    /// that can pass, if there is one.
    async fn recipients(&self, connection: &mut Connection) -> Result<Vec<RefusedRecipient>, End> {
        let mut refused = Vec::new();
        let mut worst: Option<Reply> = None;
        for recipient in &self.request.recipients {
            let command = format!("RCPT TO:<{recipient}>");
            let reply = connection.command(&command).await?;
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

impl Greeting {
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

fn expect(reply: Reply, stage: MailStage, codes: std::ops::Range<u16>) -> Result<Reply, End> {
    if codes.contains(&reply.code) {
        return Ok(reply);
    }
    Err(End::Replied(MailReply {
        stage,
        code: reply.code,
        text: reply.text(),
        refused: Vec::new(),
    }))
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
