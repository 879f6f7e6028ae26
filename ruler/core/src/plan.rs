//! What a rule needs to be run: parsed once, at load.

#[derive(Clone, Debug, Default)]
pub struct RulePlan;
