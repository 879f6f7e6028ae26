//! Silences: matchers that keep alerts quiet for a while.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::matcher_syntax::ParserMode;
use model::{Labels, MatchOp, Matcher, MatcherDialect, Timestamp, match_all};

use crate::silence_index::SilenceIndex;

/// A UUID, or whatever an older store called it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(String);

impl SilenceId {
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: SilenceId,
    /// An alert is silenced where all matchers of one set match. Never empty, nor is a set.
    pub matcher_sets: Vec<Vec<Matcher>>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub updated_at: Timestamp,
    pub created_by: String,
    pub comment: String,
    pub annotations: Labels,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceState {
    Pending,
    Active,
    Expired,
}

impl SilenceState {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl Silence {
    #[must_use]
    pub fn state(&self, now: Timestamp) -> SilenceState {
        if now < self.starts_at {
            SilenceState::Pending
        } else if now < self.ends_at {
            SilenceState::Active
        } else {
            SilenceState::Expired
        }
    }

    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matcher_sets.iter().any(|set| match_all(set, labels))
    }

    /// Whether this word stands above another on the same silence. The later one wins; what comes after the time
    /// only makes the order total, so that peers agree.
    #[must_use]
    pub fn replaces(&self, other: &Self) -> bool {
        self.rank() > other.rank()
    }

    fn rank(
        &self,
    ) -> (
        Timestamp,
        Timestamp,
        Timestamp,
        &str,
        &str,
        &Labels,
        &[Vec<Matcher>],
    ) {
        (
            self.updated_at,
            self.ends_at,
            self.starts_at,
            &self.created_by,
            &self.comment,
            &self.annotations,
            &self.matcher_sets,
        )
    }
}

/// How many silences there may be, and how large one may be. What is larger is refused to whoever asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilenceLimits {
    /// Those that have ended and are not yet forgotten count.
    pub silences_max: usize,
    /// Of one silence.
    pub matchers_max: usize,
    /// Of one silence: names and values of matchers and annotations, comment and author.
    pub bytes_max: usize,
}

impl Default for SilenceLimits {
    fn default() -> Self {
        Self {
            silences_max: 20_000,
            // A silence that is made from an alert has a matcher for each of its labels.
            matchers_max: 100,
            // Every flush asks every silence that may match. A regular expression that lists a thousand hosts takes
            // some 30 kB.
            bytes_max: 64 * 1024,
        }
    }
}

/// What a person asks for. An id names the silence to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceDraft {
    pub id: Option<SilenceId>,
    pub matcher_sets: Vec<Vec<MatcherDraft>>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub created_by: String,
    pub comment: String,
    pub annotations: Labels,
}

impl SilenceDraft {
    fn check_size(&self, limits: &SilenceLimits) -> Result<(), SilenceError> {
        let count = self.matcher_sets.iter().map(Vec::len).sum();
        if count > limits.matchers_max {
            return Err(SilenceError::TooManyMatchers {
                count,
                limit: limits.matchers_max,
            });
        }
        let matchers = self.matcher_sets.iter().flatten();
        let bytes = matchers
            .map(|matcher| (matcher.name.as_str(), matcher.value.as_str()))
            .chain(&self.annotations)
            .chain([(self.created_by.as_str(), self.comment.as_str())])
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > limits.bytes_max {
            return Err(SilenceError::TooLarge {
                bytes,
                limit: limits.bytes_max,
            });
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatcherDraft {
    pub op: MatchOp,
    pub name: String,
    pub value: String,
}

/// The texts are Alertmanager's; those of [`SilenceError::Invalid`] follow `invalid silence: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    #[error("end time can't be in the past")]
    EndInPast,
    #[error("{0}")]
    Invalid(String),
    #[error("silence not found")]
    NotFound,
    #[error("start time must be before end time")]
    StartNotBeforeEnd,
    #[error("silence exceeded maximum size: {bytes} bytes (limit: {limit} bytes)")]
    TooLarge { bytes: usize, limit: usize },
    #[error("exceeded maximum number of silences: {count} (limit: {limit})")]
    TooMany { count: usize, limit: usize },
    #[error("silence exceeded maximum number of matchers: {count} (limit: {limit})")]
    TooManyMatchers { count: usize, limit: usize },
}

/// How a silence changed at somebody's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceChange {
    Created,
    Updated,
    Expired,
}

/// What looking for the silences of alerts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SilencesAsked {
    pub queries: usize,
    /// Silences that match, and of which only the times had to be looked at.
    pub scanned: usize,
    /// Silences of which it was known that they do not.
    pub skipped: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Silences {
    silences: BTreeMap<SilenceId, Arc<Silence>>,
    index: SilenceIndex,
}

impl Silences {
    #[must_use]
    pub fn get(&self, id: &SilenceId) -> Option<&Silence> {
        self.silences.get(id).map(Arc::as_ref)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.silences.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.silences.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values().map(Arc::as_ref)
    }

    /// To be kept by a reader.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.silences.values()
    }

    /// The silences that match, active or not, in the order of their ids.
    #[must_use]
    pub fn matching(&self, labels: &Labels) -> Vec<SilenceId> {
        let candidates = self.index.candidates(labels).into_iter();
        candidates
            .filter(|id| {
                let silence = self.silences.get(id);
                silence.is_some_and(|silence| silence.matches(labels))
            })
            .cloned()
            .collect()
    }

    /// Creates a silence, or changes one in place where that is allowed (Alertmanager 0.34: only with equal
    /// matchers, and never what has already happened); else the old one is expired and a new one takes its place.
    /// `fresh` is a new random id. Answers the silences to store; the last one is what the caller asked for.
    pub fn set(
        &mut self,
        draft: SilenceDraft,
        fresh: SilenceId,
        limits: &SilenceLimits,
        mode: ParserMode,
        now: Timestamp,
    ) -> Result<Vec<Silence>, SilenceError> {
        draft.check_size(limits)?;
        if draft.starts_at >= draft.ends_at {
            return Err(SilenceError::StartNotBeforeEnd);
        }
        if draft.ends_at < now {
            return Err(SilenceError::EndInPast);
        }
        let mut silence = Silence {
            matcher_sets: compile(&draft.matcher_sets, mode).map_err(SilenceError::Invalid)?,
            id: fresh,
            starts_at: draft.starts_at,
            ends_at: draft.ends_at,
            updated_at: now,
            created_by: draft.created_by,
            comment: draft.comment,
            annotations: draft.annotations,
        };
        let known = match &draft.id {
            Some(id) => Some(self.silences.get(id).ok_or(SilenceError::NotFound)?),
            None => None,
        };
        let mut changed = Vec::new();
        match known {
            Some(known) if may_become(known, &silence, now) => {
                silence.id = known.id.clone();
                silence.updated_at = said_after(known, now);
                if known.state(now) == SilenceState::Active {
                    silence.starts_at = known.starts_at;
                }
            }
            Some(_) | None => {
                let count = self.silences.len() + 1;
                if count > limits.silences_max {
                    return Err(SilenceError::TooMany {
                        count,
                        limit: limits.silences_max,
                    });
                }
                silence.starts_at = silence.starts_at.max(now);
                changed.extend(known.and_then(|known| expired(known, now)));
            }
        }
        changed.push(silence);
        for silence in &changed {
            self.insert(silence.clone());
        }
        Ok(changed)
    }

    /// Ends a silence. Answers what to store: nothing where it had ended already.
    pub fn expire(
        &mut self,
        id: &SilenceId,
        now: Timestamp,
    ) -> Result<Option<Silence>, SilenceError> {
        let known = self.silences.get(id).ok_or(SilenceError::NotFound)?;
        let expired = expired(known, now);
        if let Some(silence) = &expired {
            self.insert(silence.clone());
        }
        Ok(expired)
    }

    /// Puts back what was stored; a later record of the same silence stands for the whole of it.
    pub(crate) fn restore(&mut self, silence: Silence) {
        self.insert(silence);
    }

    /// What was over at `alive_until`, in the time of a clock that was set back to `now`, is over.
    pub(crate) fn turn_back(&mut self, alive_until: Timestamp, now: Timestamp) {
        for silence in self.silences.values_mut() {
            let silence = Arc::make_mut(silence);
            match silence.state(alive_until) {
                SilenceState::Expired => {
                    silence.ends_at = silence.ends_at.min(now);
                    silence.starts_at = silence.starts_at.min(now);
                }
                // It goes on to the end that was named.
                SilenceState::Active => silence.starts_at = silence.starts_at.min(now),
                SilenceState::Pending => {}
            }
        }
    }

    /// Takes in what a peer says; answers whether it was news.
    pub fn merge(&mut self, silence: Silence) -> bool {
        let news = self
            .silences
            .get(&silence.id)
            .is_none_or(|known| silence.replaces(known));
        if news {
            self.insert(silence);
        }
        news
    }

    /// Forgets what ended longer than `retention` ago; answers which silences those were.
    pub fn collect_garbage(&mut self, retention: Duration, now: Timestamp) -> Vec<SilenceId> {
        let dead: Vec<SilenceId> = self
            .silences
            .values()
            .filter(|silence| silence.ends_at + retention <= now)
            .map(|silence| silence.id.clone())
            .collect();
        for id in &dead {
            self.remove(id);
        }
        dead
    }

    /// When the next silence starts or ends.
    #[must_use]
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.silences
            .values()
            .flat_map(|silence| [silence.starts_at, silence.ends_at])
            .filter(|at| *at > now)
            .min()
    }

    fn insert(&mut self, silence: Silence) {
        self.index.insert(&silence);
        self.silences.insert(silence.id.clone(), Arc::new(silence));
    }

    fn remove(&mut self, id: &SilenceId) {
        self.index.remove(id);
        self.silences.remove(id);
    }
}

fn may_become(known: &Silence, new: &Silence, now: Timestamp) -> bool {
    let seconds = |time: Timestamp| time.as_millis().div_euclid(1000);
    same_matchers(&known.matcher_sets, &new.matcher_sets)
        && match known.state(now) {
            SilenceState::Active => {
                seconds(known.starts_at) == seconds(new.starts_at) && new.ends_at >= now
            }
            SilenceState::Pending => new.starts_at >= now,
            SilenceState::Expired => false,
        }
}

/// Matchers stay in the order in which they were written, and are the same in any.
fn same_matchers(known: &[Vec<Matcher>], new: &[Vec<Matcher>]) -> bool {
    let sorted = |set: &Vec<Matcher>| {
        let mut matchers: Vec<Matcher> = set.clone();
        matchers.sort();
        matchers
    };
    known.iter().map(sorted).eq(new.iter().map(sorted))
}

fn expired(known: &Silence, now: Timestamp) -> Option<Silence> {
    let starts_at = match known.state(now) {
        SilenceState::Active => known.starts_at,
        SilenceState::Pending => now,
        SilenceState::Expired => return None,
    };
    Some(Silence {
        starts_at,
        ends_at: now,
        updated_at: said_after(known, now),
        ..known.clone()
    })
}

/// When a change of a silence is said: later than what it changes, which may come from a clock that is ahead.
fn said_after(known: &Silence, now: Timestamp) -> Timestamp {
    now.max(known.updated_at + Duration::from_millis(1))
}

fn compile(sets: &[Vec<MatcherDraft>], mode: ParserMode) -> Result<Vec<Vec<Matcher>>, String> {
    if sets.is_empty() {
        return Err("at least one matcher set required".to_owned());
    }
    sets.iter()
        .enumerate()
        .map(|(number, set)| compile_set(number, set, mode))
        .collect()
}

fn compile_set(
    number: usize,
    set: &[MatcherDraft],
    mode: ParserMode,
) -> Result<Vec<Matcher>, String> {
    if set.is_empty() {
        return Err(format!("matcher set {number} is empty"));
    }
    let mut matchers = Vec::with_capacity(set.len());
    for (index, draft) in set.iter().enumerate() {
        let wrong = |what: String| format!("invalid label matcher {index} in set {number}: {what}");
        if !mode.is_label_name(&draft.name) {
            return Err(wrong(format!("invalid label name {:?}", draft.name)));
        }
        let matcher = Matcher::new(
            draft.op,
            &draft.name,
            &draft.value,
            MatcherDialect::Alertmanager,
        )
        .map_err(|error| {
            wrong(format!(
                "invalid regular expression {:?}: {error}",
                draft.value
            ))
        })?;
        matchers.push(matcher);
    }
    let matches_empty = |matcher: &Matcher| match matcher.op() {
        MatchOp::Equal | MatchOp::Regex => matcher.matches_empty(),
        MatchOp::NotEqual | MatchOp::NotRegex => false,
    };
    if matchers.iter().all(matches_empty) {
        return Err(format!(
            "matcher set {number}: at least one matcher must not match the empty string"
        ));
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use model::{Labels, Matcher, Timestamp};
    use proptest::prelude::*;

    use super::{Silence, SilenceId, Silences};

    fn some_silence() -> impl Strategy<Value = Silence> {
        (0_usize..3, 0_i64..3, 0_i64..3, "[ab]", "[ab]").prop_map(
            |(id, updated, ends, comment, value)| Silence {
                id: SilenceId::new(id.to_string()),
                matcher_sets: vec![vec![Matcher::equal("a", &value)]],
                starts_at: Timestamp::from_secs(0),
                ends_at: Timestamp::from_secs(ends),
                updated_at: Timestamp::from_secs(updated),
                created_by: String::new(),
                comment,
                annotations: Labels::default(),
            },
        )
    }

    fn silences(said: &[Silence]) -> Silences {
        let mut silences = Silences::default();
        for silence in said {
            silences.merge(silence.clone());
        }
        silences
    }

    fn join(left: &Silences, right: &Silences) -> Silences {
        let mut joined = left.clone();
        for silence in right.iter() {
            joined.merge(silence.clone());
        }
        joined
    }

    fn all(silences: &Silences) -> Vec<Silence> {
        silences.iter().cloned().collect()
    }

    /// The silence may come from a clock that is ahead, and stand in a file that is read again.
    #[test]
    fn an_end_is_later_than_what_it_ends() {
        let at = Timestamp::from_secs;
        let id = SilenceId::new("x".to_owned());
        let mut silences = Silences::default();
        let ahead = Silence {
            id: id.clone(),
            matcher_sets: vec![vec![Matcher::equal("a", "b")]],
            starts_at: at(100),
            ends_at: at(9000),
            updated_at: at(130),
            created_by: String::new(),
            comment: String::new(),
            annotations: Labels::default(),
        };
        silences.merge(ahead.clone());
        let ended = silences.expire(&id, at(110)).unwrap().unwrap();
        assert!(ended.updated_at > ahead.updated_at);
        assert!(!silences.merge(ahead), "it is over");
    }

    proptest! {
        #[test]
        fn merging_commutes_associates_and_repeats_harmlessly(
            a in prop::collection::vec(some_silence(), 0..6),
            b in prop::collection::vec(some_silence(), 0..6),
            c in prop::collection::vec(some_silence(), 0..6),
        ) {
            let (a, b, c) = (silences(&a), silences(&b), silences(&c));
            prop_assert_eq!(all(&join(&a, &b)), all(&join(&b, &a)));
            prop_assert_eq!(all(&join(&join(&a, &b), &c)), all(&join(&a, &join(&b, &c))));
            prop_assert_eq!(all(&join(&a, &a)), all(&a));
        }
    }
}
