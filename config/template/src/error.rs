//! What is said when a template is wrong, in Go's words.

/// The text of a template cannot be understood, or cannot be made safe for HTML.
/// It prints as Go does: `template: NAME:LINE: REASON`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {reason}")]
pub struct ParseError {
    pub name: String,
    /// Line in the text that was given, from 1.
    pub line: usize,
    /// Column in the text that was given, in bytes, from 1: where the reading stopped.
    pub column: usize,
    pub reason: String,
}

/// A template could not be rendered with the data it was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template asks for what is not there, or a function refused. The text is Go's:
    /// `template: NAME:LINE:COL: executing "NAME" at <.X>: REASON`.
    #[error("{text}")]
    Failed { text: String },
    /// A bound was passed; `text` has the same form.
    #[error("{text}")]
    Limit { limit: Limit, text: String },
}

impl RenderError {
    /// The error as Prometheus words it for a rule's template.
    pub(crate) fn of_expansion(self, name: &str) -> Self {
        let expansion = |text| format!("error executing template {name}: {text}");
        match self {
            Self::Failed { text } => Self::Failed {
                text: expansion(text),
            },
            Self::Limit { limit, text } => Self::Limit {
                limit,
                text: expansion(text),
            },
        }
    }
}

/// Which of the [`Limits`](crate::Limits) was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Depth,
    Iterations,
    Output,
    Steps,
}
