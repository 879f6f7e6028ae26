//! What is wrong with what an operator wrote.
use std::fmt;

/// Where something stands in a text; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

/// When Alertmanager would have noticed a mistake. It tells the first of these that there is, and stops there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The text is no YAML.
    Syntax,
    /// A value, or one block on its own, means nothing.
    Value,
    /// An unknown or repeated key, or a value of another type: told together.
    Decoding,
    /// What one block says does not go with the rest of the file.
    File,
    /// A template does not parse.
    Template,
}

/// One mistake. The order is by file, then place, then path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// As the caller named the file; empty for text without one.
    pub file: String,
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// Keys and indices down to the mistake: `receivers[3].slack_configs[0].api_url`; empty for the whole file.
    pub path: String,
    /// Prometheus' or Alertmanager's own sentence, where they have one.
    pub message: String,
    pub stage: Stage,
}

impl Problem {
    #[must_use]
    pub fn new(file: &str, place: Option<Place>, path: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            path: path.to_owned(),
            message: message.into(),
            stage: Stage::Value,
        }
    }

    #[must_use]
    pub fn at(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }
}

/// `file:line:column: message`; the parts that are not known are left out.
impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            path,
            message,
            stage: _,
        } = self;
        if !file.is_empty() {
            write!(formatter, "{file}:")?;
        }
        if let Some(line) = line {
            write!(formatter, "{line}:")?;
            if let Some(column) = column {
                write!(formatter, "{column}:")?;
            }
        }
        if !file.is_empty() || line.is_some() {
            formatter.write_str(" ")?;
        }
        formatter.write_str(message)?;
        if !path.is_empty() {
            write!(formatter, " ({path})")?;
        }
        Ok(())
    }
}

/// All mistakes of one or several texts: every check adds to one list, so that all are reported together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// What another program would have said of them all: it stands above them.
    headline: Option<String>,
    list: Vec<Problem>,
}

impl Problems {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Puts a line, or a few, above them.
    #[must_use]
    pub fn headed(mut self, headline: Option<String>) -> Self {
        self.headline = headline;
        self
    }

    #[must_use]
    pub fn headline(&self) -> Option<&str> {
        self.headline.as_deref()
    }

    /// Takes another list in; of two headlines the first stays.
    pub fn append(&mut self, other: Self) {
        self.headline = self.headline.take().or(other.headline);
        self.list.extend(other.list);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The mistake that was found first: the one that Prometheus or Alertmanager would have stopped at.
    #[must_use]
    pub fn first(&self) -> Option<&Problem> {
        self.list.first()
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// By file and place; of equal ones one stays.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.list.sort();
        self.list.dedup();
        self
    }
}

impl Extend<Problem> for Problems {
    fn extend<Iter: IntoIterator<Item = Problem>>(&mut self, problems: Iter) {
        self.list.extend(problems);
    }
}

impl FromIterator<Problem> for Problems {
    fn from_iter<Iter: IntoIterator<Item = Problem>>(problems: Iter) -> Self {
        Self {
            headline: None,
            list: problems.into_iter().collect(),
        }
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// The headline, where there is one, and one problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(headline) = &self.headline {
            formatter.write_str(headline)?;
            between = "\n";
        }
        for problem in &self.list {
            write!(formatter, "{between}{problem}")?;
            between = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::{Place, Problem, Problems};

    #[test]
    fn prints_what_is_known() {
        let place = Some(Place { line: 3, column: 5 });
        for (file, place, path, printed) in [
            (
                "a.yml",
                place,
                "route.receiver",
                "a.yml:3:5: wrong (route.receiver)",
            ),
            ("a.yml", place, "", "a.yml:3:5: wrong"),
            ("a.yml", None, "", "a.yml: wrong"),
            ("", place, "", "3:5: wrong"),
            ("", None, "", "wrong"),
        ] {
            assert_eq!(
                Problem::new(file, place, path, "wrong").to_string(),
                printed
            );
        }
    }

    #[test]
    fn a_headline_stands_above_and_is_no_problem() {
        let one: Problems = [Problem::new("b.yml", None, "", "wrong")]
            .into_iter()
            .collect();
        let mut all: Problems = [Problem::new("c.yml", None, "", "bad")]
            .into_iter()
            .collect();
        all.append(one.headed(Some("no".to_owned())));
        let all = all.sorted();
        assert_eq!(all.to_string(), "no\nb.yml: wrong\nc.yml: bad");
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn sorts_by_place_and_keeps_one_of_equal_ones() {
        let at =
            |line, message| Problem::new("a.yml", Some(Place { line, column: 1 }), "", message);
        let problems: Problems = [at(9, "b"), at(10, "c"), at(2, "a"), at(9, "b")]
            .into_iter()
            .collect();
        assert_eq!(problems.first().map(|problem| problem.line), Some(Some(9)));
        assert_eq!(
            problems.sorted().to_string(),
            "a.yml:2:1: a\na.yml:9:1: b\na.yml:10:1: c"
        );
    }
}
