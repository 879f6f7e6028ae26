//! What the engine gives, in rows.
mod differential;
mod golden;
mod html;
mod language;
mod ledger;
mod limits;
mod rules;
mod world;
