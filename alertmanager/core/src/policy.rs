//! What one tenant's configuration means to the machine.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{AlertmanagerConfig, Integration, Receiver, Route, RouteIndex};
use model::{Alert, Labels};
use notifiers_core::GroupKey;

use crate::nflog::LogKey;

/// One configuration and where people reach this Alertmanager. A reload replaces the whole of it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub config: Arc<AlertmanagerConfig>,
    /// Without a trailing slash.
    pub external_url: String,
    receivers: BTreeMap<String, usize>,
}

impl Policy {
    #[must_use]
    pub fn new(config: Arc<AlertmanagerConfig>, external_url: &str) -> Self {
        let receivers = config
            .receivers
            .iter()
            .enumerate()
            .map(|(index, receiver)| (receiver.name.clone(), index))
            .collect();
        Self {
            config,
            external_url: external_url.trim_end_matches('/').to_owned(),
            receivers,
        }
    }

    #[must_use]
    pub fn route(&self, index: RouteIndex) -> &Route {
        self.config.routes.route(index)
    }

    #[must_use]
    pub fn routes_for(&self, alert: &Alert) -> Arc<[RouteIndex]> {
        self.config.routes.routes_for(&alert.labels).into()
    }

    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers
            .get(name)
            .map(|index| &self.config.receivers[*index])
    }

    /// The receivers that tell by other means, or otherwise, than they did by the policy before.
    #[must_use]
    pub(crate) fn receivers_anew(&self, before: &Self) -> BTreeSet<String> {
        self.config
            .receivers
            .iter()
            .filter(|receiver| {
                before
                    .receiver(&receiver.name)
                    .is_none_or(|known| known.integrations != receiver.integrations)
            })
            .map(|receiver| receiver.name.clone())
            .collect()
    }

    /// The integration that a log key is about, where the configuration has it.
    #[must_use]
    pub fn integration(&self, key: &LogKey) -> Option<&Integration> {
        self.receiver(&key.receiver)?
            .integrations
            .iter()
            .find(|integration| {
                integration.kind().as_str() == key.integration
                    && u32::try_from(integration.index) == Ok(key.index)
            })
    }

    /// The log keys of a group's receiver, in the receiver's order. A receiver without integrations has none.
    #[must_use]
    pub fn targets(&self, route: RouteIndex, group_key: &GroupKey) -> Vec<LogKey> {
        let name = &self.route(route).receiver;
        let integrations = self
            .receiver(name)
            .map_or(&[][..], |receiver| &receiver.integrations);
        integrations
            .iter()
            .map(|integration| LogKey {
                group_key: group_key.clone(),
                receiver: name.clone(),
                integration: integration.kind().as_str().to_owned(),
                index: u32::try_from(integration.index).unwrap_or(u32::MAX),
            })
            .collect()
    }

    /// A route's own labels; their values are templates.
    #[must_use]
    pub fn route_labels(&self, route: RouteIndex) -> Labels {
        self.route(route)
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}
