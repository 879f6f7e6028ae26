//! Which alerts and groups a reader wants to see.
use std::collections::BTreeMap;

use alertmanager_core::{AlertView, ReceiverView};
use model::matcher_syntax::{ParserMode, parse_one};
use model::{GoRegex, Labels, Matcher, match_all};

use crate::api::error::ApiError;
use crate::api::query::Query;

pub(crate) struct AlertFilter {
    active: bool,
    silenced: bool,
    inhibited: bool,
    matchers: Vec<Matcher>,
    receiver: Option<GoRegex>,
    /// The receivers that `receiver_matchers` want; all where none is given.
    receivers: Option<Vec<String>>,
}

impl AlertFilter {
    pub(crate) fn read(
        query: &Query,
        mode: ParserMode,
        receivers: &[ReceiverView],
    ) -> Result<Self, ApiError> {
        let receiver = query
            .all("receiver")
            .last()
            .filter(|receiver| !receiver.is_empty())
            .map(|receiver| {
                GoRegex::anchored(receiver).map_err(|error| {
                    ApiError::bad_request(format!("failed to parse receiver param: {error}"))
                })
            })
            .transpose()?;
        Ok(Self {
            active: query.flag("active", true),
            silenced: query.flag("silenced", true),
            inhibited: query.flag("inhibited", true),
            matchers: matchers(query, "filter", mode).map_err(ApiError::bad_request)?,
            receiver,
            receivers: wanted_receivers(query, mode, receivers)?,
        })
    }

    /// Without regard to receivers.
    pub(crate) fn wants(&self, alert: &AlertView) -> bool {
        let mutes = &alert.mutes;
        match_all(&self.matchers, &alert.alert.labels)
            && (self.active || mutes.is_muted())
            && (self.silenced || mutes.silenced_by.is_empty())
            && (self.inhibited || mutes.inhibited_by.is_none())
    }

    pub(crate) fn wants_receiver(&self, name: &str) -> bool {
        self.receiver
            .as_ref()
            .is_none_or(|receiver| receiver.is_match(name))
            && self
                .receivers
                .as_ref()
                .is_none_or(|receivers| receivers.iter().any(|wanted| wanted == name))
    }
}

/// The receivers whose labels fulfil all of `receiver_matchers`; `None` where none is given.
pub(crate) fn wanted_receivers(
    query: &Query,
    mode: ParserMode,
    receivers: &[ReceiverView],
) -> Result<Option<Vec<String>>, ApiError> {
    let wanted = matchers(query, "receiver_matchers", mode).map_err(|error| {
        ApiError::bad_request(format!("failed to parse receiver_matchers param: {error}"))
    })?;
    if wanted.is_empty() {
        return Ok(None);
    }
    let matches =
        |labels: &BTreeMap<String, String>| match_all(&wanted, &Labels::from_pairs(labels));
    Ok(Some(
        receivers
            .iter()
            .filter(|receiver| matches(&receiver.labels))
            .map(|receiver| receiver.name.clone())
            .collect(),
    ))
}

pub(crate) fn matchers(
    query: &Query,
    name: &str,
    mode: ParserMode,
) -> Result<Vec<Matcher>, String> {
    query
        .all(name)
        .map(|text| {
            parse_one(text, mode)
                .map(|parsed| parsed.value)
                .map_err(|error| error.to_string())
        })
        .collect()
}
