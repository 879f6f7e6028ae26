//! The routing tree: which receivers hear of an alert, and in which rhythm.
use std::collections::BTreeMap;
use std::time::Duration;

use model::{Labels, Matcher, match_all};

use crate::matchers::WrittenMatchers;
use crate::value::TemplateText;

/// A route's number in its tree, counted in preorder; the root is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteIndex(pub usize);

/// One node, with all that it inherits filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub receiver: String,
    pub group_by: GroupBy,
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
    /// From `match`, `match_re` and `matchers`, sorted by name, value and operator.
    pub matchers: Vec<Matcher>,
    /// Whether the next sibling is tried although this route matched.
    pub continues: bool,
    pub mute_time_intervals: Vec<String>,
    pub active_time_intervals: Vec<String>,
    /// The parents' labels too; of a name that comes twice the child's.
    pub labels: BTreeMap<String, TemplateText>,
    /// `{}/{team="x"}`: the matchers on the way from the root. Siblings with equal matchers share it.
    pub key: String,
    /// The key with `/<child index>` behind each level below the root: unique in the tree.
    pub id: String,
    pub parent: Option<RouteIndex>,
    pub children: Vec<RouteIndex>,
    pub written: WrittenRoute,
}

/// What a route says itself, of all that it may also inherit: the dump prints this.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenRoute {
    /// Empty where it is inherited.
    pub receiver: String,
    /// With `...`.
    pub group_by: Option<Vec<String>>,
    pub group_wait: Option<Duration>,
    pub group_interval: Option<Duration>,
    pub repeat_interval: Option<Duration>,
    pub matchers: WrittenMatchers,
    pub labels: BTreeMap<String, TemplateText>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// `['...']`: every set of labels is a group of its own.
    All,
    Labels(Vec<String>),
}

impl GroupBy {
    /// Those of the alert's labels that make its group; what the alert does not carry is absent.
    #[must_use]
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match self {
            Self::All => labels.clone(),
            Self::Labels(names) => {
                labels.filtered(|name| names.iter().any(|wanted| wanted == name))
            }
        }
    }
}

/// Never empty: the root always exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTree {
    routes: Vec<Route>,
}

impl RouteTree {
    /// `routes` in preorder, the root first, with indices that agree.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        debug_assert!(!routes.is_empty(), "a tree has a root");
        Self { routes }
    }

    /// In preorder: a route's index is its position here.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    #[must_use]
    pub fn root(&self) -> &Route {
        &self.routes[0]
    }

    /// # Panics
    /// Where the index is not of this tree.
    #[must_use]
    pub fn route(&self, index: RouteIndex) -> &Route {
        &self.routes[index.0]
    }

    /// Depth first, left to right: a route whose children do not match answers itself; after a matching child
    /// its siblings are tried only where it continues. Never empty, because the root matches every alert.
    #[must_use]
    pub fn routes_for(&self, labels: &Labels) -> Vec<RouteIndex> {
        let mut matching = Vec::new();
        self.collect(RouteIndex(0), labels, &mut matching);
        matching
    }

    /// The depth of a tree is bounded where it is read, so the recursion is too.
    fn collect(&self, index: RouteIndex, labels: &Labels, matching: &mut Vec<RouteIndex>) {
        let before = matching.len();
        for child in &self.route(index).children {
            let route = self.route(*child);
            if match_all(&route.matchers, labels) {
                self.collect(*child, labels, matching);
                if !route.continues {
                    break;
                }
            }
        }
        if matching.len() == before {
            matching.push(index);
        }
    }
}
