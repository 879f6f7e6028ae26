//! One conversation with one vendor, whichever it is.
use std::time::Duration;

use model::Timestamp;

use crate::email;
use crate::pagerduty;
use crate::slack;
use crate::step::{HttpRequest, MailRequest, Memory, Method, Outcome, Request, Response, Step};
use crate::webhook;

/// How an integration begins: with one request, or without any.
pub(crate) enum Begun {
    Asking(HttpRequest),
    Mailing(Box<MailRequest>),
    Done(Outcome),
}

/// What has been said so far.
#[derive(Clone, Debug)]
pub struct Conversation {
    talk: Talk,
}

#[derive(Clone, Debug)]
pub(crate) enum Talk {
    /// The conversation ended with its first step.
    Over,
    Email(email::Talk),
    PagerDuty(pagerduty::Talk),
    Slack(slack::Talk),
    Webhook,
}

impl Conversation {
    /// A conversation and its first step.
    pub(crate) fn new(talk: Talk, begun: Begun, memory: &Memory) -> (Self, Step) {
        match begun {
            Begun::Asking(request) => (Self { talk }, Step::Ask(Request::Http(request))),
            Begun::Mailing(mail) => (Self { talk }, Step::Ask(Request::Mail(mail))),
            Begun::Done(outcome) => (
                Self { talk: Talk::Over },
                Step::Done(outcome, memory.clone()),
            ),
        }
    }

    /// What follows from an answer. Must be called once for each [`Step::Ask`].
    pub fn next(&mut self, response: Response, now: Timestamp) -> Step {
        match &mut self.talk {
            Talk::Email(talk) => talk.next(response),
            Talk::PagerDuty(talk) => talk.next(response, now),
            Talk::Slack(talk) => talk.next(response, now),
            Talk::Webhook => Step::Done(webhook::next(response, now), webhook::memory()),
            Talk::Over => {
                let reason = "an answer came after the conversation had ended".to_owned();
                Step::Done(Outcome::Rejected { reason }, Memory::default())
            }
        }
    }
}

/// `POST` of a JSON body. Without a `timeout`, or with one of nothing, its answer is waited for as long as the attempt may
/// take: whoever is slow, and is asked again meanwhile, tells people twice.
pub(crate) fn json_request(url: String, body: String, timeout: Option<Duration>) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        url,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.into_bytes(),
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
    }
}
