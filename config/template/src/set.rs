//! Sets of named templates, and the templates that are compiled against them.
use std::sync::{Arc, LazyLock};

use crate::alertmanager::defaults;
use crate::dialect::Dialect;
use crate::error::{ParseError, RenderError};
use crate::evaluate::{Definitions, Job};
use crate::host::Host;
use crate::html::escape;
use crate::limits::Limits;
use crate::parser::{Parsed, parse};
use crate::render::render;
use crate::syntax::{Definition, List, Node};
use crate::value::Value;

/// How the text around the actions is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing is escaped.
    Text,
    /// Every action is escaped for the place in the HTML where it stands.
    Html,
}

/// Named templates in one dialect. Cheap to clone; never changes: parsing a file gives another set.
#[derive(Clone, Debug)]
pub struct TemplateSet {
    dialect: Dialect,
    definitions: Arc<Definitions>,
}

/// A template that is ready to be rendered, any number of times. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Template {
    dialect: Dialect,
    definitions: Arc<Definitions>,
    main: Arc<Definition>,
    constant: Option<Arc<str>>,
}

/// What Prometheus puts before every template of a rule; columns in error messages count it.
const PREFIX: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

static ALERTMANAGER: LazyLock<TemplateSet> = LazyLock::new(|| {
    let empty = TemplateSet {
        dialect: Dialect::Alertmanager,
        definitions: Arc::default(),
    };
    defaults::FILES.iter().fold(empty, |set, (name, text)| {
        set.with_file(name, text)
            .expect("the tests parse the default templates")
    })
});

impl TemplateSet {
    /// Alertmanager's functions and its default templates.
    #[must_use]
    pub fn alertmanager() -> Self {
        ALERTMANAGER.clone()
    }

    /// Prometheus' functions; no templates.
    #[must_use]
    pub fn prometheus() -> Self {
        Self {
            dialect: Dialect::Prometheus,
            definitions: Arc::default(),
        }
    }

    /// This set and what a template file defines. Its definitions win over those of the set, except that an empty
    /// one does not replace one with content (so in Go). `name` is the file's base name: errors carry it, and the
    /// text outside of definitions becomes the template of that name.
    pub fn with_file(&self, name: &str, text: &str) -> Result<Self, ParseError> {
        let Parsed { main, defined } = parse(name, text, self.dialect.functions())?;
        let mut definitions = Definitions::clone(&self.definitions);
        for definition in defined.into_iter().chain([main]) {
            define(&mut definitions, definition);
        }
        Ok(Self {
            dialect: self.dialect,
            definitions: Arc::new(definitions),
        })
    }

    /// Compiles a template against this set. In the Prometheus dialect `$labels`, `$externalLabels`,
    /// `$externalURL` and `$value` are known. `name` stands in errors: empty for Alertmanager's templates,
    /// `__alert_NAME` for a rule's.
    ///
    /// A template may call one that the set does not have: in text that fails when it is rendered, in HTML here.
    /// In HTML the template and all that it calls are also refused where an action stands inside a script or style,
    /// or where branches leave the document in different places.
    pub fn compile(&self, name: &str, text: &str, mode: Mode) -> Result<Template, ParseError> {
        let Parsed { main, defined } = match self.dialect {
            // Without actions there is nothing that could need the variables.
            Dialect::Prometheus if text.contains("{{") => {
                let prefixed = format!("{PREFIX}{text}");
                parse(name, &prefixed, self.dialect.functions()).map_err(|mut error| {
                    if error.line == 1 {
                        error.column = error.column.saturating_sub(PREFIX.len()).max(1);
                    }
                    error
                })?
            }
            Dialect::Alertmanager | Dialect::Prometheus => {
                parse(name, text, self.dialect.functions())?
            }
        };
        let mut definitions = Arc::clone(&self.definitions);
        for definition in defined {
            define(Arc::make_mut(&mut definitions), definition);
        }
        let (main, definitions) = match mode {
            Mode::Text => (main, definitions),
            Mode::Html => {
                let (main, definitions) = escape(&main, &definitions)?;
                (main, Arc::new(definitions))
            }
        };
        Ok(Template {
            dialect: self.dialect,
            definitions,
            constant: constant(&main.body),
            main: Arc::new(main),
        })
    }
}

impl Template {
    /// The text that every rendering gives, where that is known without one.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        self.constant.as_deref()
    }

    /// Executes the template with `data` as its dot. In the Prometheus dialect errors begin with
    /// `error executing template NAME: `, as its rules show them.
    pub fn render(
        &self,
        data: &Value,
        host: &dyn Host,
        limits: &Limits,
    ) -> Result<String, RenderError> {
        let job = Job {
            definitions: &self.definitions,
            dialect: self.dialect,
            data,
            host,
            limits,
        };
        match &self.constant {
            Some(text) if text.len() <= limits.output_bytes_max => Ok(text.to_string()),
            _ => render(job, &self.main).map_err(|error| match self.dialect {
                Dialect::Alertmanager => error,
                Dialect::Prometheus => error.of_expansion(&self.main.name),
            }),
        }
    }
}

/// The text of a body without actions.
fn constant(body: &List) -> Option<Arc<str>> {
    match body.0.as_slice() {
        [] => Some("".into()),
        [Node::Text { text, .. }] => Some(Arc::clone(text)),
        _ => None,
    }
}

fn define(definitions: &mut Definitions, definition: Definition) {
    let keeps_old = definition.body.is_empty_tree()
        && definitions
            .get(&definition.name)
            .is_some_and(|old| !old.body.is_empty_tree());
    if !keeps_old {
        definitions.insert(Arc::clone(&definition.name), Arc::new(definition));
    }
}
