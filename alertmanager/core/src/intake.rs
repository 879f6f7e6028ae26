//! An alert at the door: what a sender says, and what it means.
use std::collections::BTreeMap;
use std::time::Duration;

use model::matcher_syntax::ParserMode;
use model::wire::PostableAlert;
use model::{Alert, Labels, TimeError, Timestamp, go_quote};

/// A posted alert whose times are read; nothing else is judged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertDraft {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub generator_url: String,
}

/// How large one alert may be. A larger one is refused to its sender, and the operator is told: nobody is paged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertLimits {
    /// Names and values together.
    pub labels_bytes_max: usize,
    /// Names and values together.
    pub annotations_bytes_max: usize,
    pub generator_url_bytes_max: usize,
}

impl Default for AlertLimits {
    fn default() -> Self {
        Self {
            // Every route, silence and inhibition looks at all of an alert's labels, again at each reload. The widest
            // real ones have 40 and some 4 kB.
            labels_bytes_max: 64 * 1024,
            // Carried and stored, never searched. Real ones run to several kB, lists made by templates to a hundred.
            annotations_bytes_max: 256 * 1024,
            // It holds the rule's expression, with three bytes for many a character.
            generator_url_bytes_max: 64 * 1024,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertPart {
    Annotations,
    GeneratorUrl,
    Labels,
}

impl AlertPart {
    /// The member's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Annotations => "annotations",
            Self::GeneratorUrl => "generatorURL",
            Self::Labels => "labels",
        }
    }
}

/// A part of an alert that is larger than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    pub part: AlertPart,
    pub bytes: usize,
    pub bytes_max: usize,
}

/// The texts are those of Alertmanager's API; it has no bound on an alert's size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    #[error("invalid annotations: invalid name {}", go_quote::quote(.0))]
    AnnotationName(String),
    #[error("invalid label set: invalid name {}", go_quote::quote(.0))]
    LabelName(String),
    #[error("at least one label pair required")]
    NoLabels,
    #[error("start time must be before end time")]
    StartAfterEnd,
    /// `index` is the alert's place in its request, from 0.
    #[error(
        "{index}.{} in body exceeded maximum size: {} bytes (limit: {} bytes)",
        .what.part.as_str(), .what.bytes, .what.bytes_max
    )]
    TooLarge { index: usize, what: TooLarge },
}

impl AlertDraft {
    /// Go's zero time means "not said", and so does an empty text: Alertmanager takes it for 1970, and an alert that
    /// names such an end would be over before anybody was told.
    pub fn parse(posted: PostableAlert) -> Result<Self, TimeError> {
        let time = |text: Option<String>| match text {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => Timestamp::parse_date_time(&text)
                .map(|time| (time != Timestamp::GO_ZERO).then_some(time)),
        };
        Ok(Self {
            starts_at: time(posted.starts_at)?,
            ends_at: time(posted.ends_at)?,
            labels: posted.labels,
            annotations: posted.annotations,
            generator_url: posted.generator_url,
        })
    }

    /// The first part that is larger than it may be.
    #[must_use]
    pub(crate) fn too_large(&self, limits: &AlertLimits) -> Option<TooLarge> {
        [
            (
                AlertPart::Labels,
                size_bytes(&self.labels),
                limits.labels_bytes_max,
            ),
            (
                AlertPart::Annotations,
                size_bytes(&self.annotations),
                limits.annotations_bytes_max,
            ),
            (
                AlertPart::GeneratorUrl,
                self.generator_url.len(),
                limits.generator_url_bytes_max,
            ),
        ]
        .into_iter()
        .find(|(_, bytes, bytes_max)| bytes > bytes_max)
        .map(|(part, bytes, bytes_max)| TooLarge {
            part,
            bytes,
            bytes_max,
        })
    }

    /// Fills in what was not said: an alert without a start starts now (or at its end), one without an end lasts
    /// `resolve_timeout` unless it is sent again. Labels with empty values are the same as absent ones.
    pub fn admit(
        self,
        resolve_timeout: Duration,
        mode: ParserMode,
        now: Timestamp,
    ) -> Result<Alert, AlertError> {
        let starts_at = self.starts_at.or(self.ends_at).unwrap_or(now);
        // A sender whose clock is ahead means that it fires, and is not refused for it.
        let assumed = now.max(starts_at) + resolve_timeout;
        let ends_at = self.ends_at.unwrap_or(assumed);
        if ends_at < starts_at {
            return Err(AlertError::StartAfterEnd);
        }
        let wrong_name = |pairs: &BTreeMap<String, String>| {
            pairs.keys().find(|name| !mode.is_label_name(name)).cloned()
        };
        let labels: BTreeMap<String, String> = self
            .labels
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        if let Some(name) = wrong_name(&labels) {
            return Err(AlertError::LabelName(name));
        }
        if labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        if let Some(name) = wrong_name(&self.annotations) {
            return Err(AlertError::AnnotationName(name));
        }
        Ok(Alert {
            labels: Labels::from_pairs(&labels),
            annotations: Labels::from_pairs(&self.annotations),
            starts_at,
            ends_at,
            updated_at: now,
            generator_url: self.generator_url,
            timeout: self.ends_at.is_none(),
        })
    }
}

fn size_bytes(pairs: &BTreeMap<String, String>) -> usize {
    pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use model::Timestamp;
    use model::matcher_syntax::ParserMode;

    use super::{AlertDraft, AlertError, AlertLimits, AlertPart, TooLarge};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn draft(labels: &[(&str, &str)], starts_at: Option<i64>, ends_at: Option<i64>) -> AlertDraft {
        AlertDraft {
            labels: labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            starts_at: starts_at.map(at),
            ends_at: ends_at.map(at),
            ..AlertDraft::default()
        }
    }

    #[test]
    fn fills_in_what_was_not_said() {
        for (starts_at, ends_at, expected) in [
            (None, None, (1000, 1300, true)),
            (Some(900), None, (900, 1300, true)),
            (None, Some(950), (950, 950, false)),
            (Some(900), Some(1100), (900, 1100, false)),
            (Some(9000), None, (9000, 9300, true)),
        ] {
            let alert = draft(&[("a", "x"), ("empty", "")], starts_at, ends_at)
                .admit(Duration::from_secs(300), ParserMode::default(), at(1000))
                .unwrap();
            assert_eq!(
                (alert.starts_at, alert.ends_at, alert.timeout),
                (at(expected.0), at(expected.1), expected.2)
            );
            assert_eq!(alert.labels.to_string(), r#"{a="x"}"#);
        }
    }

    #[test]
    fn each_part_has_its_bound() {
        let limits = AlertLimits {
            labels_bytes_max: 10,
            annotations_bytes_max: 20,
            generator_url_bytes_max: 30,
        };
        let pairs =
            |name: &str, length: usize| [(name.to_owned(), "x".repeat(length - name.len()))].into();
        for (labels, annotations, generator_url, error) in [
            (10, 20, 30, None),
            (11, 20, 30, Some((AlertPart::Labels, 11, 10))),
            (10, 21, 30, Some((AlertPart::Annotations, 21, 20))),
            (10, 20, 31, Some((AlertPart::GeneratorUrl, 31, 30))),
        ] {
            let draft = AlertDraft {
                labels: pairs("name", labels),
                annotations: pairs("summary", annotations),
                generator_url: "u".repeat(generator_url),
                ..AlertDraft::default()
            };
            let error = error.map(|(part, bytes, bytes_max)| TooLarge {
                part,
                bytes,
                bytes_max,
            });
            assert_eq!(draft.too_large(&limits), error);
        }
    }

    #[test]
    fn refuses_in_alertmanagers_words() {
        for (draft, text) in [
            (draft(&[], None, None), "at least one label pair required"),
            (
                draft(&[("a", "")], None, None),
                "at least one label pair required",
            ),
            (
                draft(&[("a", "x")], Some(10), Some(9)),
                "start time must be before end time",
            ),
            (
                draft(&[("", "x")], None, None),
                "invalid label set: invalid name \"\"",
            ),
        ] {
            let error: AlertError = draft
                .admit(Duration::ZERO, ParserMode::default(), at(1000))
                .unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn names_are_what_the_mode_says() {
        for (name, mode, is_taken) in [
            ("größe", ParserMode::Fallback, true),
            ("größe", ParserMode::Utf8, true),
            ("größe", ParserMode::Classic, false),
            ("size", ParserMode::Classic, true),
        ] {
            let with_label = draft(&[(name, "x")], None, None);
            let mut annotated = draft(&[("a", "x")], None, None);
            annotated
                .annotations
                .insert(name.to_owned(), "x".to_owned());
            for draft in [with_label, annotated] {
                let admitted = draft.admit(Duration::ZERO, mode, at(1000));
                assert_eq!(admitted.is_ok(), is_taken, "{name} {mode:?}");
            }
        }
    }
}
