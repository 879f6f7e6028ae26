//! What readers see without waiting for any ruler.
use std::collections::BTreeMap;
use std::sync::Arc;

use model::TenantId;
use parking_lot::RwLock;
use ruler_core::{GroupKey, GroupView};

/// Every tenant's groups as they last were, for readers.
#[derive(Clone, Default)]
pub(crate) struct Views {
    groups: Arc<RwLock<BTreeMap<TenantId, TenantGroups>>>,
}

type TenantGroups = BTreeMap<GroupKey, Arc<GroupView>>;

impl Views {
    pub(crate) fn publish(&self, tenant: &TenantId, view: GroupView) {
        let key = view.group.key.clone();
        let mut groups = self.groups.write();
        groups
            .entry(tenant.clone())
            .or_default()
            .insert(key, Arc::new(view));
    }

    pub(crate) fn remove(&self, tenant: &TenantId, group: &GroupKey) {
        if let Some(groups) = self.groups.write().get_mut(tenant) {
            groups.remove(group);
        }
    }

    /// By file, then name.
    pub(crate) fn of(&self, tenant: &TenantId) -> Vec<Arc<GroupView>> {
        let groups = self.groups.read();
        groups
            .get(tenant)
            .map(|groups| groups.values().cloned().collect())
            .unwrap_or_default()
    }
}
