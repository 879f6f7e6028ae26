//! Regular expressions in templates.
use model::GoRegex;

use crate::error::Limit;
use crate::function::{Failure, World};
use crate::value::Value;

/// What a replacement may grow to before it is tried: it multiplies two texts.
const REPLACED_FACTOR: usize = 64;

/// `match pattern text`: anywhere in the text.
pub(crate) fn matches(world: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    let (pattern, text) = (text(values, 0), text(values, 1));
    charge(world, pattern, text)?;
    let regex = GoRegex::unanchored(pattern).map_err(|error| error.to_string())?;
    Ok(Value::Bool(regex.is_match(text)))
}

/// `reReplaceAll pattern replacement text`
pub(crate) fn replace_all(world: &mut dyn World, values: &[Value]) -> Result<Value, Failure> {
    let (pattern, replacement, text) = (text(values, 0), text(values, 1), text(values, 2));
    charge(world, pattern, text)?;
    let regex = GoRegex::unanchored(pattern).map_err(|error| {
        let shown = if pattern.contains('`') {
            model::go_quote::quote(pattern)
        } else {
            format!("`{pattern}`")
        };
        format!("regexp: Compile({shown}): {error}")
    })?;
    let most = (text.len() + 1).saturating_mul(replacement.len());
    if most > world.text_max().saturating_mul(REPLACED_FACTOR) {
        return Err(Failure::Limit(Limit::Output));
    }
    Ok(regex.replace_all(text, replacement).as_ref().into())
}

fn text(values: &[Value], index: usize) -> &str {
    values
        .get(index)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Compiling an expression takes as long as some hundred nodes, a few of them for every character of it; looking
/// through a text takes a node's time for a few dozen bytes.
fn charge(world: &mut dyn World, pattern: &str, text: &str) -> Result<(), Failure> {
    let steps = 100 + 10 * pattern.len() + text.len() / 32;
    world.work(u64::try_from(steps).unwrap_or(u64::MAX))
}
