//! Which parts of Watchbell one process runs.
use std::fmt;

use anyhow::bail;

use crate::cli::TargetName;
use crate::configuration::Configuration;

/// What this process runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    pub(crate) ingest: bool,
    pub(crate) ruler: bool,
    pub(crate) alertmanager: bool,
}

impl Targets {
    pub(crate) fn new(names: &[TargetName]) -> Self {
        let runs = |name| names.contains(&name) || names.contains(&TargetName::All);
        Self {
            ingest: runs(TargetName::Ingest),
            ruler: runs(TargetName::Ruler),
            alertmanager: runs(TargetName::Alertmanager),
        }
    }

    /// A ruler must know where it asks, writes and sends.
    pub(crate) fn check(self, configuration: &Configuration) -> anyhow::Result<()> {
        let ruler = &configuration.watchbell.ruler;
        if self.ruler && !self.ingest && ruler.query_url.is_none() {
            bail!(
                "the ruler needs ruler.query_url and ruler.write_url where it runs without the target ingest"
            );
        }
        if self.ruler && !self.alertmanager && configuration.alertmanagers.is_empty() {
            bail!(
                "the ruler needs alertmanager.urls where it runs without the target alertmanager"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Targets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("ingest", self.ingest),
            ("ruler", self.ruler),
            ("alertmanager", self.alertmanager),
        ];
        let names: Vec<&str> = all
            .iter()
            .filter(|(_, runs)| *runs)
            .map(|(name, _)| *name)
            .collect();
        formatter.write_str(&names.join(","))
    }
}
