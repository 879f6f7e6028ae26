//! What a receiver is told that has heard nothing yet, or has forgotten: every alert as it was last told.
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::alert::ActiveAlert;
use crate::alerting::{Sending, outgoing};
use crate::departed::Departed;
use crate::group_table::GroupTable;
use crate::notes::Notes;
use crate::outbox::{Message, has_expired};

/// Alerts that were told before and fire, or have just ended. Where two have the same labels the living rule's stands
/// last, so that it counts. What receivers should have let go by now, because it was told so long ago, is not said again
/// as it was: the next evaluation says what is.
pub(crate) fn announcement(
    groups: &GroupTable,
    departed: &Departed,
    resend_delay: Duration,
    now: Timestamp,
) -> Vec<Message> {
    let of_departed = departed.iter().filter_map(|departed| {
        message(
            &departed.alert,
            resolved(resend_delay),
            &Notes::default(),
            &departed.expression,
        )
    });
    let of_rules = groups.iter().flat_map(|(_, state)| {
        let sending = state.sending(resend_delay);
        let rules = state.group.rules.iter().zip(&state.rules);
        rules.flat_map(move |(rule, state)| {
            let told = state
                .alerts
                .iter()
                .filter(|alert| alert.state.sent_at().is_some());
            let notes = state.notes();
            told.filter_map(move |alert| message(alert, sending, &notes, &rule.expression))
        })
    });
    of_departed
        .chain(of_rules)
        .filter(|message| !has_expired(&message.alert, now))
        .collect()
}

/// `None` for a pending alert.
pub(crate) fn message(
    alert: &ActiveAlert,
    sending: Sending,
    notes: &Notes,
    expression: &Arc<str>,
) -> Option<Message> {
    outgoing(alert, sending, notes).map(|alert| Message {
        alert,
        expression: expression.clone(),
    })
}

/// A resolved alert has an end already, so its rule's interval does not matter.
pub(crate) fn resolved(resend_delay: Duration) -> Sending {
    Sending {
        resend_delay,
        interval: Duration::ZERO,
    }
}
