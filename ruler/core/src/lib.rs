//! What is decided about rules: schedule, active alerts, outbox, restore.
