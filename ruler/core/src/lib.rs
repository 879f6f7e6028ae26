//! What is decided about rules: schedule, active alerts, outbox, restore.
mod alert;
mod alerting;
mod outbox;
mod plan;
mod recording;
mod refusal;
mod rule;
mod schedule;
mod series;
