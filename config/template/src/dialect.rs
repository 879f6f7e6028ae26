//! Whose functions a template may call.
use crate::alertmanager;
use crate::builtins;
use crate::function::Function;
use crate::prometheus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Alertmanager,
    Prometheus,
}

impl Dialect {
    /// Finds a function by its name.
    pub(crate) fn functions(self) -> fn(&str) -> Option<&'static Function> {
        match self {
            Self::Alertmanager => {
                |name| alertmanager::functions::function(name).or_else(|| builtins::function(name))
            }
            Self::Prometheus => {
                |name| prometheus::functions::function(name).or_else(|| builtins::function(name))
            }
        }
    }
}
