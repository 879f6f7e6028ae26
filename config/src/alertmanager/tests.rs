//! The whole file: what is refused and in which words, and what real files mean.
mod dump;
mod effects;
mod first_mistake;
mod integration_dumps;
mod integrations;
mod observation;
mod receivers;
mod refusals;
mod routing;
mod templates;
mod texts;
