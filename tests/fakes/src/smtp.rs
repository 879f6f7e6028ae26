//! One SMTP session (RFC 5321) with STARTTLS (RFC 3207), AUTH (RFC 4954), SIZE and 8BITMIME; strict, and without
//! PIPELINING: a client that does not wait for answers is sent away.
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::event::Happened;
use crate::mail_rules::{
    AuthMechanism, MailAccount, MailFault, MailLedger, MailRules, MailTls, SmtpStage,
};
use crate::mailbox::{Mail, malformed};
use crate::smtp_words::{hmac_md5, multiline, path};

/// RFC 5321 4.5.3.1.4 wants 512 at least; AUTH answers may be longer.
const COMMAND_BYTES_MAX: u64 = 12_288;
/// Bytes of one line of a message that are kept; the check for 998 comes later.
const MESSAGE_LINE_BYTES_MAX: u64 = 64 * 1024;
const RECIPIENTS_MAX: usize = 100;
const CHALLENGE: &str = "<1896.697170952@fakes.example>";

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<Stream: AsyncRead + AsyncWrite + Unpin + Send> Wire for Stream {}

/// The session ends here.
struct Ended;

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

struct Session {
    number: u64,
    stream: BufReader<Box<dyn Wire>>,
    rules: MailRules,
    fault: Option<MailFault>,
    ledger: Arc<MailLedger>,
    encrypted: bool,
    greeted: bool,
    user: Option<String>,
    from: Option<String>,
    recipients: Vec<String>,
}

pub(crate) async fn serve(
    stream: TcpStream,
    number: u64,
    rules: MailRules,
    fault: Option<MailFault>,
    ledger: Arc<MailLedger>,
    acceptor: TlsAcceptor,
) {
    let implicit = rules.tls == MailTls::Implicit;
    let stream: Box<dyn Wire> = if implicit {
        match acceptor.accept(stream).await {
            Ok(stream) => Box::new(stream),
            Err(_) => return,
        }
    } else {
        Box::new(stream)
    };
    let mut session = Session {
        number,
        stream: BufReader::new(stream),
        rules,
        fault,
        ledger,
        encrypted: implicit,
        greeted: false,
        user: None,
        from: None,
        recipients: Vec::new(),
    };
    // However it ended, it ended.
    let _ = session.talk(&acceptor).await;
    session.note_end();
}

impl Session {
    async fn talk(&mut self, acceptor: &TlsAcceptor) -> Result<(), Ended> {
        if !self.ordered(SmtpStage::Banner).await? {
            self.say("220 fakes.example ESMTP").await?;
        }
        loop {
            let line = self.read_command().await?;
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.hello(rest).await?,
                "HELO" => self.helo(rest).await?,
                "STARTTLS" => {
                    if self.start_tls().await? {
                        self.upgrade(acceptor).await?;
                    }
                }
                "AUTH" => self.auth(rest).await?,
                "MAIL" => self.mail_from(rest).await?,
                "RCPT" => self.rcpt_to(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.forget_mail();
                    self.say("250 2.0.0 ok").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => {
                    if !self.ordered(SmtpStage::Quit).await? {
                        self.say("221 2.0.0 bye").await?;
                    }
                    return Err(Ended);
                }
                _ => self.say("500 5.5.2 unknown command").await?,
            }
        }
    }

    async fn hello(&mut self, name: &str) -> Result<(), Ended> {
        if self.ordered(SmtpStage::Hello).await? {
            return Ok(());
        }
        if name.trim().is_empty() {
            return self.say("501 5.5.4 a name is missing").await;
        }
        self.greeted = true;
        self.forget_mail();
        let mut lines = vec!["fakes.example".to_owned(), "8BITMIME".to_owned()];
        lines.push(format!("SIZE {}", self.rules.size_max));
        if self.offers_starttls() {
            lines.push("STARTTLS".to_owned());
        }
        if self.offers_auth() {
            let mechanisms = self.rules.mechanisms.iter();
            let names: Vec<&str> = mechanisms.map(|mechanism| mechanism.as_str()).collect();
            lines.push(format!("AUTH {}", names.join(" ")));
        }
        self.say(&multiline(250, &lines)).await
    }

    async fn helo(&mut self, name: &str) -> Result<(), Ended> {
        if self.ordered(SmtpStage::Hello).await? {
            return Ok(());
        }
        self.greeted = !name.trim().is_empty();
        self.say("250 fakes.example").await
    }

    fn offers_starttls(&self) -> bool {
        match self.rules.tls {
            MailTls::Offered | MailTls::Required => !self.encrypted,
            MailTls::Implicit | MailTls::Off => false,
        }
    }

    fn offers_auth(&self) -> bool {
        self.rules.account.is_some() && !self.offers_starttls() && self.user.is_none()
    }

    /// Whether the handshake follows.
    async fn start_tls(&mut self) -> Result<bool, Ended> {
        if self.ordered(SmtpStage::StartTls).await? {
            return Ok(false);
        }
        if !self.offers_starttls() {
            self.say("502 5.5.1 STARTTLS is not offered").await?;
            return Ok(false);
        }
        self.say("220 2.0.0 go ahead").await?;
        Ok(true)
    }

    async fn upgrade(&mut self, acceptor: &TlsAcceptor) -> Result<(), Ended> {
        let nothing: Box<dyn Wire> = Box::new(tokio::io::empty());
        let plain = std::mem::replace(&mut self.stream, BufReader::new(nothing)).into_inner();
        let encrypted = acceptor.accept(plain).await?;
        self.stream = BufReader::new(Box::new(encrypted));
        self.encrypted = true;
        // RFC 3207 4.2: what was said before does not count.
        self.greeted = false;
        self.forget_mail();
        Ok(())
    }

    async fn auth(&mut self, rest: &str) -> Result<(), Ended> {
        if self.ordered(SmtpStage::Auth).await? {
            return Ok(());
        }
        let account = match &self.rules.account {
            Some(account) if self.offers_auth() && self.greeted => account.clone(),
            Some(_) if self.offers_starttls() => {
                return self.say("538 5.7.11 encryption required").await;
            }
            Some(_) | None => return self.say("503 5.5.1 AUTH is not offered").await,
        };
        let (name, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let offered = self
            .rules
            .mechanisms
            .iter()
            .find(|mechanism| mechanism.as_str().eq_ignore_ascii_case(name))
            .copied();
        let user = match offered {
            Some(AuthMechanism::CramMd5) => self.cram_md5(&account).await?,
            Some(AuthMechanism::Login) => self.login(&account, initial).await?,
            Some(AuthMechanism::Plain) => self.plain(&account, initial).await?,
            Some(AuthMechanism::Xoauth2) | None => {
                return self.say("504 5.5.4 unknown mechanism").await;
            }
        };
        if user {
            self.user = Some(account.username);
            self.say("235 2.7.0 welcome").await
        } else {
            self.say("535 5.7.8 username or password not accepted")
                .await
        }
    }

    async fn plain(&mut self, account: &MailAccount, initial: &str) -> Result<bool, Ended> {
        let answer = if initial.is_empty() {
            self.challenge("").await?
        } else {
            BASE64.decode(initial).unwrap_or_default()
        };
        let mut parts = answer.split(|byte| *byte == 0).skip(1);
        Ok(parts.next() == Some(account.username.as_bytes())
            && parts.next() == Some(account.password.as_bytes()))
    }

    async fn login(&mut self, account: &MailAccount, initial: &str) -> Result<bool, Ended> {
        let username = if initial.is_empty() {
            self.challenge("Username:").await?
        } else {
            BASE64.decode(initial).unwrap_or_default()
        };
        let password = self.challenge("Password:").await?;
        Ok(username == account.username.as_bytes() && password == account.password.as_bytes())
    }

    async fn cram_md5(&mut self, account: &MailAccount) -> Result<bool, Ended> {
        let answer = self.challenge(CHALLENGE).await?;
        let right = format!(
            "{} {}",
            account.username,
            hmac_md5(account.secret.as_bytes(), CHALLENGE.as_bytes())
        );
        Ok(answer == right.as_bytes())
    }

    async fn challenge(&mut self, text: &str) -> Result<Vec<u8>, Ended> {
        self.say(&format!("334 {}", BASE64.encode(text))).await?;
        let answer = self.read_line().await?;
        Ok(BASE64.decode(answer).unwrap_or_default())
    }

    async fn mail_from(&mut self, rest: &str) -> Result<(), Ended> {
        if self.ordered(SmtpStage::MailFrom).await? {
            return Ok(());
        }
        if !self.greeted {
            return self.say("503 5.5.1 say EHLO first").await;
        }
        if self.rules.tls == MailTls::Required && !self.encrypted {
            return self.say("530 5.7.0 say STARTTLS first").await;
        }
        if self.rules.auth_required && self.user.is_none() {
            return self.say("530 5.7.0 authentication required").await;
        }
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.say("501 5.5.4 not MAIL FROM:<address>").await;
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_uppercase().as_str() {
                "BODY" => {}
                "SIZE"
                    if value
                        .parse::<usize>()
                        .is_ok_and(|size| size > self.rules.size_max) =>
                {
                    return self.say("552 5.3.4 message too big").await;
                }
                "SIZE" => {}
                _ => return self.say("555 5.5.4 unknown parameter").await,
            }
        }
        self.forget_mail();
        self.from = Some(address);
        self.say("250 2.1.0 ok").await
    }

    async fn rcpt_to(&mut self, rest: &str) -> Result<(), Ended> {
        if self.ordered(SmtpStage::RcptTo).await? {
            return Ok(());
        }
        let Some(from) = self.from.clone() else {
            return self.say("503 5.5.1 say MAIL first").await;
        };
        let address = match path(rest, "TO:") {
            Some((address, _)) if address.contains('@') => address,
            Some(_) | None => return self.say("501 5.5.4 not RCPT TO:<address>").await,
        };
        if let Some((code, text)) = self.rules.refused.get(&address).cloned() {
            return self.say(&format!("{code} {text}")).await;
        }
        if self.recipients.len() >= RECIPIENTS_MAX {
            return self.say("452 4.5.3 too many recipients").await;
        }
        let pair = (from, address.clone());
        let unknown =
            self.rules.greylists && self.ledger.write(|pages| pages.state.greeted.insert(pair));
        if unknown {
            return self.say("451 4.7.1 greylisted, come again").await;
        }
        self.recipients.push(address);
        self.say("250 2.1.5 ok").await
    }

    async fn data(&mut self) -> Result<(), Ended> {
        if self.ordered(SmtpStage::Data).await? {
            return Ok(());
        }
        let from = match &self.from {
            Some(from) if !self.recipients.is_empty() => from.clone(),
            Some(_) | None => return self.say("503 5.5.1 say MAIL and RCPT first").await,
        };
        self.say("354 go ahead").await?;
        let message = self.read_message().await?;
        if self.ordered(SmtpStage::Message).await? {
            self.forget_mail();
            return Ok(());
        }
        if message.len() > self.rules.size_max {
            self.forget_mail();
            return self.say("552 5.3.4 message too big").await;
        }
        if let Some(wrong) = malformed(&message) {
            self.forget_mail();
            return self.say(&format!("554 5.6.0 {wrong}")).await;
        }
        let index = self.keep(from, message);
        if self.fault == Some(MailFault::CloseAfterCommit) {
            return Err(Ended);
        }
        self.say("250 2.0.0 queued").await?;
        let at = self.ledger.stage.clock.now();
        self.ledger
            .write(|pages| pages.state.mailbox[index].answered_at = Some(at));
        Ok(())
    }

    /// Puts the mail into the mailbox; its place there.
    fn keep(&mut self, from: String, message: Vec<u8>) -> usize {
        let at = self.ledger.stage.clock.now();
        let mail = Mail {
            session: self.number,
            arrived_at: at,
            answered_at: None,
            from,
            recipients: std::mem::take(&mut self.recipients),
            encrypted: self.encrypted,
            user: self.user.clone(),
            message,
        };
        self.forget_mail();
        self.ledger.stage.tell(
            at,
            Happened::MailArrived {
                from: mail.from.clone(),
                recipients: mail.recipients.clone(),
                subject: mail.subject(),
            },
        );
        self.ledger.write(|pages| {
            pages.state.mailbox.push(mail);
            pages.state.mailbox.len() - 1
        })
    }

    fn forget_mail(&mut self) {
        self.from = None;
        self.recipients.clear();
    }

    /// Plays the fault of this stage. Whether it has answered in place of the server.
    async fn ordered(&mut self, stage: SmtpStage) -> Result<bool, Ended> {
        match self.fault.clone() {
            Some(MailFault::Answer { at, code, text }) if at == stage => {
                self.say(&format!("{code} {text}")).await?;
                // A server that greets with a refusal, or says 421, hangs up.
                if stage == SmtpStage::Banner || code == 421 {
                    return Err(Ended);
                }
                Ok(true)
            }
            Some(MailFault::Close { at }) if at == stage => Err(Ended),
            Some(MailFault::Delay { at, delay }) if at == stage => {
                tokio::time::sleep(delay).await;
                Ok(false)
            }
            Some(
                MailFault::Answer { .. }
                | MailFault::Close { .. }
                | MailFault::CloseAfterCommit
                | MailFault::Delay { .. },
            )
            | None => Ok(false),
        }
    }

    async fn say(&mut self, reply: &str) -> Result<(), Ended> {
        self.note(format!("S: {}", reply.replace("\r\n", " / ")));
        if !reply.starts_with(['2', '3']) {
            let at = self.ledger.stage.clock.now();
            self.ledger.stage.tell(
                at,
                Happened::Refused {
                    vendor: "Mail",
                    reason: reply.to_owned(),
                },
            );
        }
        let wire = self.stream.get_mut();
        wire.write_all(format!("{reply}\r\n").as_bytes()).await?;
        wire.flush().await?;
        Ok(())
    }

    async fn read_command(&mut self) -> Result<String, Ended> {
        let line = self.read_line().await?;
        let shown = match line.get(..5) {
            Some(verb) if verb.eq_ignore_ascii_case("AUTH ") => {
                let mechanism = line[5..].split(' ').next().unwrap_or("");
                format!("C: AUTH {mechanism}")
            }
            Some(_) | None => format!("C: {line}"),
        };
        self.note(shown);
        if !self.stream.buffer().is_empty() {
            self.say("503 5.5.0 pipelining is not offered").await?;
            return Err(Ended);
        }
        Ok(line)
    }

    async fn read_line(&mut self) -> Result<String, Ended> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(COMMAND_BYTES_MAX);
        bounded.read_until(b'\n', &mut line).await?;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            if !line.is_empty() {
                self.say("500 5.5.2 a line must end with CRLF").await?;
            }
            return Err(Ended);
        };
        match String::from_utf8(line.to_vec()) {
            Ok(line) => Ok(line),
            Err(_) => {
                self.say("500 5.5.2 not text").await?;
                Err(Ended)
            }
        }
    }

    /// Everything up to the lonely dot, dots unstuffed. Of what is longer than the limit just enough is kept to see it.
    async fn read_message(&mut self) -> Result<Vec<u8>, Ended> {
        let mut message = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut bounded = (&mut self.stream).take(MESSAGE_LINE_BYTES_MAX);
            bounded.read_until(b'\n', &mut line).await?;
            if !line.ends_with(b"\r\n") {
                self.say("554 5.6.0 a line must end with CRLF").await?;
                return Err(Ended);
            }
            if line == b".\r\n" {
                return Ok(message);
            }
            if message.len() <= self.rules.size_max {
                message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
    }

    fn note(&self, line: String) {
        let number = self.number;
        self.ledger.write(|pages| {
            if let Some(session) = pages.records.iter_mut().rfind(|it| it.number == number) {
                session.said.push(line);
            }
        });
    }

    fn note_end(&self) {
        let number = self.number;
        self.ledger.write(|pages| {
            if let Some(session) = pages.records.iter_mut().rfind(|it| it.number == number) {
                session.ended = true;
            }
        });
    }
}
