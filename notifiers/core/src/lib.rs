//! Each integration as a small machine from notification to outcome. Performs no IO: an [`IntegrationPlan`] is compiled
//! when its configuration is loaded; it begins a [`Conversation`], which says what to ask, is told what came back, and
//! ends with an [`Outcome`] and what must be remembered.
mod classify;
mod conversation;
mod email;
mod failure_reason;
mod mime;
mod notification;
mod pagerduty;
mod plan;
mod rendering;
mod secrets;
mod slack;
mod step;
mod webhook;

pub use conversation::Conversation;
pub use failure_reason::{Attempted, FailureReason};
pub use notification::{GroupKey, Notification, NotificationReason};
pub use plan::IntegrationPlan;
pub use rendering::PlanError;
pub use secrets::SecretFiles;
pub use step::{
    BodyExtent, Failure, FailureCause, HttpRequest, HttpResponse, MailLogin, MailReply,
    MailRequest, MailSecurity, MailStage, Memory, Method, Outcome, RESPONSE_BODY_MAX, Reached,
    RefusedRecipient, Remembered, Request, Response, Step,
};
