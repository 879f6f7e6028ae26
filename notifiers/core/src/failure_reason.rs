//! Why a notification failed, in the classes that Alertmanager counts failures by.
use crate::step::{FailureCause, MailReply, MailStage, Memory, Outcome, Response};

/// As in `alertmanager_notifications_failed_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    AuthError,
    /// The request is at fault, says whoever got it.
    ClientError,
    /// A reload or the process' end took it away.
    ContextCanceled,
    /// There was no answer in the time that it had.
    ContextDeadlineExceeded,
    /// No connection, a template that failed, and what fits nowhere else.
    Other,
    RateLimited,
    ServerError,
}

impl FailureReason {
    pub const ALL: [Self; 7] = [
        Self::AuthError,
        Self::ClientError,
        Self::ContextCanceled,
        Self::ContextDeadlineExceeded,
        Self::Other,
        Self::RateLimited,
        Self::ServerError,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthError => "authError",
            Self::ClientError => "clientError",
            Self::ContextCanceled => "contextCanceled",
            Self::ContextDeadlineExceeded => "contextDeadlineExceeded",
            Self::Other => "other",
            Self::RateLimited => "rateLimited",
            Self::ServerError => "serverError",
        }
    }

    /// What an answer is counted as, where it ended in a failure.
    #[must_use]
    pub fn of(response: &Response) -> Self {
        match response {
            Response::Http(response) => of_status(response.status),
            Response::Mail(reply) => of_reply(reply),
            Response::Failed(failure) => match failure.cause {
                FailureCause::OutOfTime => Self::ContextDeadlineExceeded,
                FailureCause::Unreachable => Self::Other,
            },
        }
    }
}

/// How one attempt ended, and what is remembered of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempted {
    pub outcome: Outcome,
    pub memory: Memory,
    /// What it is counted as where it failed; means nothing of what was delivered.
    pub failure: FailureReason,
}

fn of_status(status: u16) -> FailureReason {
    match status {
        401 | 403 => FailureReason::AuthError,
        429 => FailureReason::RateLimited,
        // A vendor that answers 200 and refuses in the body blames the request.
        200..=299 | 400..=499 => FailureReason::ClientError,
        500..=599 => FailureReason::ServerError,
        _ => FailureReason::Other,
    }
}

/// RFC 5321: 4yz may pass, 5yz will not; RFC 4954: 530, 534, 535 and 538 are about the login.
fn of_reply(reply: &MailReply) -> FailureReason {
    match (reply.stage, reply.code) {
        (MailStage::Auth, _) | (_, 530 | 534 | 535 | 538) => FailureReason::AuthError,
        (_, 400..=499) => FailureReason::ServerError,
        (_, 200..=299 | 500..=599) => FailureReason::ClientError,
        (_, _) => FailureReason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::FailureReason;
    use crate::step::{
        BodyExtent, Failure, FailureCause, HttpResponse, MailReply, MailStage, Reached, Response,
    };

    #[test]
    fn answers_are_counted_in_alertmanagers_classes() {
        let http = |status| {
            Response::Http(HttpResponse {
                status,
                headers: Vec::new(),
                body: Vec::new(),
                extent: BodyExtent::Whole,
            })
        };
        let mail = |stage, code| {
            Response::Mail(MailReply {
                stage,
                code,
                text: String::new(),
                refused: Vec::new(),
            })
        };
        let failed = |cause| {
            Response::Failed(Failure {
                reached: Reached::Nothing,
                cause,
                text: String::new(),
            })
        };
        for (response, class) in [
            (http(200), "clientError"),
            (http(302), "other"),
            (http(400), "clientError"),
            (http(401), "authError"),
            (http(403), "authError"),
            (http(404), "clientError"),
            (http(429), "rateLimited"),
            (http(500), "serverError"),
            (http(503), "serverError"),
            (mail(MailStage::Auth, 454), "authError"),
            (mail(MailStage::MailFrom, 530), "authError"),
            (mail(MailStage::RcptTo, 550), "clientError"),
            (mail(MailStage::Message, 451), "serverError"),
            (failed(FailureCause::OutOfTime), "contextDeadlineExceeded"),
            (failed(FailureCause::Unreachable), "other"),
        ] {
            assert_eq!(FailureReason::of(&response).as_str(), class, "{response:?}");
        }
    }
}
