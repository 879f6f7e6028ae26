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

/// What happened to one group.
pub(crate) enum ViewChange {
    Published(GroupView),
    Removed(GroupKey),
}

impl Views {
    /// All at once: nobody sees half of a reload.
    pub(crate) fn apply(&self, tenant: &TenantId, changes: Vec<ViewChange>) {
        if changes.is_empty() {
            return;
        }
        let mut tenants = self.groups.write();
        let groups = tenants.entry(tenant.clone()).or_default();
        for change in changes {
            match change {
                ViewChange::Published(view) => {
                    groups.insert(view.group.key.clone(), Arc::new(view));
                }
                ViewChange::Removed(group) => {
                    groups.remove(&group);
                }
            }
        }
    }

    /// Of every tenant.
    pub(crate) fn all(&self) -> Vec<(TenantId, Arc<GroupView>)> {
        let tenants = self.groups.read();
        let groups = tenants.iter().flat_map(|(tenant, groups)| {
            groups.values().map(|group| (tenant.clone(), group.clone()))
        });
        groups.collect()
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
