//! A request's body that must come: it ends with an error where its sender pauses for too long or is too slow in all.
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::limits::ServerLimits;

#[derive(Debug, thiserror::Error)]
#[error("request body did not arrive in time")]
pub(crate) struct BodyLate;

/// Time counts only while somebody waits for the body: a handler that is busy is not the sender's fault.
pub(crate) struct PunctualBody {
    incoming: Incoming,
    pause_max: Duration,
    whole_by: Instant,
    is_awaited: bool,
    timer: Pin<Box<Sleep>>,
    late: Late,
}

/// Whether a body was given up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Late(Arc<AtomicBool>);

impl Late {
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl PunctualBody {
    pub(crate) fn new(incoming: Incoming, limits: &ServerLimits) -> (Self, Late) {
        let whole_by = Instant::now() + limits.body_time_max;
        let late = Late::default();
        let body = Self {
            incoming,
            pause_max: limits.body_pause_max,
            whole_by,
            is_awaited: false,
            timer: Box::pin(sleep_until(whole_by)),
            late: late.clone(),
        };
        (body, late)
    }
}

impl Body for PunctualBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) {
            self.is_awaited = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        if !self.is_awaited {
            self.is_awaited = true;
            let at = self.whole_by.min(Instant::now() + self.pause_max);
            self.timer.as_mut().reset(at);
        }
        ready!(self.timer.as_mut().poll(context));
        self.late.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(BodyLate.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
