//! The words of a conversation with a vendor: requests as data, responses as data, and how it ended.
use std::collections::BTreeMap;
use std::time::Duration;

use model::Timestamp;

/// What a conversation wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Ask(Request),
    Done(Outcome, Memory),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Http(HttpRequest),
    Mail(Box<MailRequest>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Delete,
    Get,
    Post,
    Put,
}

/// One HTTP request. Proxies, TLS and authentication of `http_config` are the client's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: Method,
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// From connecting to the last byte of the answer; `None`: as long as the attempt may take.
    pub timeout: Option<Duration>,
}

/// One mail, rendered whole before the first byte goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRequest {
    pub smarthost: String,
    pub hello: String,
    pub security: MailSecurity,
    pub login: Option<MailLogin>,
    /// Envelope addresses.
    pub from: String,
    pub recipients: Vec<String>,
    /// Header block and body, CRLF line ends, not dot-stuffed.
    pub message: Vec<u8>,
    /// For each answer of the server up to its leave to send the message: before that nobody is told, and another
    /// attempt may do better. Its word on the whole message is waited for as long as the attempt may take.
    pub step_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS where it is offered.
    Opportunistic,
    /// STARTTLS, or no mail.
    StartTls,
}

#[derive(Clone, PartialEq, Eq)]
pub struct MailLogin {
    pub username: String,
    pub password: Option<String>,
    /// For CRAM-MD5.
    pub secret: Option<String>,
    pub identity: String,
}

impl std::fmt::Debug for MailLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MailLogin")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    Http(HttpResponse),
    Mail(MailReply),
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most [`RESPONSE_BODY_MAX`] bytes; the rest was read and thrown away.
    pub body: Vec<u8>,
    pub extent: BodyExtent,
}

/// How much of an answer's body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyExtent {
    Whole,
    /// It did not end in its time, it broke off, or it is longer than what is looked at: what is missing may change what
    /// the rest means.
    CutOff,
}

/// More of a vendor's answer than this is never looked at.
pub const RESPONSE_BODY_MAX: usize = 64 * 1024;

/// The mail server's answer to the step that ended the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailReply {
    pub stage: MailStage,
    pub code: u16,
    pub text: String,
    /// Recipients whom the server would not have; the others got the mail if it was delivered.
    pub refused: Vec<RefusedRecipient>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecipient {
    pub address: String,
    pub code: u16,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MailStage {
    Connect,
    Hello,
    StartTls,
    Auth,
    MailFrom,
    RcptTo,
    Data,
    /// The server's word on the whole message: the mail is delivered if it is positive.
    Message,
}

/// The request did not lead to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reached: Reached,
    pub cause: FailureCause,
    /// For people; holds no secret.
    pub text: String,
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// Its time was over first.
    OutOfTime,
    /// Nobody to talk to, or a conversation that broke off.
    Unreachable,
}

/// How far a failed request came: what was never sent cannot have been taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// No connection, or nothing written yet.
    Nothing,
    /// Something was written, and no answer came: the vendor may have acted on it.
    PerhapsAll,
}

/// How a conversation ended.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Outcome {
    /// The vendor took it; `id` is the vendor's name for it where it gave one.
    Delivered { id: Option<String> },
    /// Worth trying again, not before `not_before` where the vendor said so.
    Retry {
        not_before: Option<Timestamp>,
        reason: String,
    },
    /// The same request will never be taken.
    Rejected { reason: String },
    /// It was sent and no answer came.
    Ambiguous { reason: String },
}

/// What a conversation must remember for the next notification of the same group (a thread, a ticket).
/// Persisted and replicated with the notification log's entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory(pub BTreeMap<String, Remembered>);

#[derive(Clone, Debug, PartialEq)]
pub enum Remembered {
    Text(String),
    Integer(i64),
    Number(f64),
}
