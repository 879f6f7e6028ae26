//! Each integration as a small machine from notification to outcome. Performs no IO: a conversation says what to
//! ask, is told what came back, and ends with an outcome and what must be remembered.
mod notification;
mod step;

pub use notification::{GroupKey, Notification, NotificationReason};
pub use step::{
    Failure, HttpRequest, HttpResponse, MailLogin, MailReply, MailRequest, MailSecurity, MailStage,
    Memory, Method, Outcome, RESPONSE_BODY_MAX, Reached, Remembered, Request, Response, Step,
};
