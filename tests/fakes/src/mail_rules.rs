//! What a mail server demands, and what it remembers.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use model::Timestamp;

use crate::ledger::Ledger;
use crate::mailbox::Mail;

/// What the server demands.
#[derive(Clone, Debug, PartialEq)]
pub struct MailRules {
    pub tls: MailTls,
    /// Who may log in; `None`: AUTH is not offered.
    pub account: Option<MailAccount>,
    /// Offered in this order.
    pub mechanisms: Vec<AuthMechanism>,
    /// Whether mail is refused (530) from those who are not logged in.
    pub auth_required: bool,
    /// Announced as `SIZE`; a longer message is refused (552).
    pub size_max: usize,
    /// Refuses (451) each pair of sender and recipient once.
    pub greylists: bool,
    /// Recipients that are refused, with code and text, for example `(550, "5.1.1 no such user")`.
    pub refused: BTreeMap<String, (u16, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte.
    Implicit,
    Off,
    /// STARTTLS is offered, and AUTH only after it.
    Offered,
    /// As offered, and no mail is taken (530) without.
    Required,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailAccount {
    pub username: String,
    pub password: String,
    /// For CRAM-MD5.
    pub secret: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMechanism {
    CramMd5,
    Login,
    Plain,
    /// Known to nobody here: offered to see clients pass over it.
    Xoauth2,
}

impl AuthMechanism {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CramMd5 => "CRAM-MD5",
            Self::Login => "LOGIN",
            Self::Plain => "PLAIN",
            Self::Xoauth2 => "XOAUTH2",
        }
    }
}

impl Default for MailRules {
    fn default() -> Self {
        Self {
            tls: MailTls::Off,
            account: None,
            mechanisms: vec![AuthMechanism::Plain, AuthMechanism::Login],
            auth_required: false,
            size_max: 10 * 1024 * 1024,
            greylists: false,
            refused: BTreeMap::new(),
        }
    }
}

/// Where in a session something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpStage {
    Banner,
    Hello,
    StartTls,
    Auth,
    MailFrom,
    RcptTo,
    Data,
    /// The answer to the dot that ends the message.
    Message,
    Quit,
}

/// What goes wrong in one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFault {
    /// This is answered at that stage; nothing is taken in.
    Answer {
        at: SmtpStage,
        code: u16,
        text: String,
    },
    /// The connection closes at that stage without an answer; nothing is taken in.
    Close { at: SmtpStage },
    /// The mail is in the mailbox, and the connection closes without a word.
    CloseAfterCommit,
    /// The answer of that stage comes that much later.
    Delay { at: SmtpStage, delay: Duration },
}

/// One connection, with everything that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct MailSession {
    /// From 0, in order of arrival.
    pub number: u64,
    pub arrived_at: Timestamp,
    /// `C: …` and `S: …`, without messages and without what follows `AUTH`.
    pub said: Vec<String>,
    pub ended: bool,
}

impl fmt::Display for MailSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} session {}: {}",
            self.arrived_at,
            self.number,
            self.said.join(" | ")
        )
    }
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct MailHouse {
    pub rules: MailRules,
    /// In order of arrival.
    pub mailbox: Vec<Mail>,
    /// Pairs that greylisting has seen.
    pub(crate) greeted: BTreeSet<(String, String)>,
}

pub(crate) type MailLedger = Ledger<MailHouse, MailSession, MailFault>;
