//! The bodies of API v2, both ways.
use std::collections::BTreeMap;

use alertmanager_core::{AlertView, Silence, SilenceState};
use model::{Labels, MatchOp, Timestamp};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::service::ClusterMember;

/// What an alert of usual size takes in a list.
pub(crate) const ALERT_BYTES: usize = 640;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GettableAlert<'a> {
    pub(crate) annotations: LabelMap<'a>,
    pub(crate) ends_at: String,
    pub(crate) fingerprint: String,
    pub(crate) receivers: Vec<ReceiverName<'a>>,
    pub(crate) starts_at: String,
    pub(crate) status: AlertStatusBody<'a>,
    pub(crate) updated_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "str::is_empty")]
    pub(crate) generator_url: &'a str,
    pub(crate) labels: LabelMap<'a>,
}

#[derive(Serialize)]
pub(crate) struct ReceiverName<'a> {
    pub(crate) name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertStatusBody<'a> {
    inhibited_by: Vec<String>,
    muted_by: &'a [String],
    silenced_by: Vec<&'a str>,
    state: &'static str,
}

impl<'a> GettableAlert<'a> {
    /// `muted_by` are the time intervals that mute the alert's group.
    pub(crate) fn new(
        view: &'a AlertView,
        receivers: impl Iterator<Item = &'a str>,
        muted_by: &'a [String],
    ) -> Self {
        let alert = &view.alert;
        let suppressed = view.mutes.is_muted() || !muted_by.is_empty();
        Self {
            annotations: LabelMap(&alert.annotations),
            ends_at: alert.ends_at.to_rfc3339_millis(),
            fingerprint: view.fingerprint.to_string(),
            receivers: receivers.map(|name| ReceiverName { name }).collect(),
            starts_at: alert.starts_at.to_rfc3339_millis(),
            status: AlertStatusBody {
                inhibited_by: view
                    .mutes
                    .inhibited_by
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                muted_by,
                silenced_by: view
                    .mutes
                    .silenced_by
                    .iter()
                    .map(|id| id.as_str())
                    .collect(),
                state: if suppressed { "suppressed" } else { "active" },
            },
            updated_at: alert.updated_at.to_rfc3339_millis(),
            generator_url: &alert.generator_url,
            labels: LabelMap(&alert.labels),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertGroup<'a> {
    pub(crate) alerts: Vec<GettableAlert<'a>>,
    pub(crate) labels: LabelMap<'a>,
    pub(crate) receiver: ReceiverName<'a>,
    pub(crate) route_labels: LabelMap<'a>,
}

#[derive(Serialize)]
pub(crate) struct ReceiverBody<'a> {
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) name: &'a str,
}

/// Labels as an object.
pub(crate) struct LabelMap<'a>(pub(crate) &'a Labels);

impl Serialize for LabelMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// An alert as it is posted. Unknown members are not refused but looked at again, by `go_json`: they may be these ones in
/// other letters.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PostedAlert {
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) starts_at: Option<String>,
    pub(crate) ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    pub(crate) generator_url: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GettableSilence<'a> {
    id: &'a str,
    status: SilenceStatus,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<LabelMap<'a>>,
    comment: &'a str,
    created_by: &'a str,
    ends_at: String,
    matchers: Vec<MatcherBody<'a>>,
    starts_at: String,
}

#[derive(Serialize)]
struct SilenceStatus {
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MatcherBody<'a> {
    is_equal: bool,
    is_regex: bool,
    name: &'a str,
    value: &'a str,
}

impl<'a> GettableSilence<'a> {
    /// Of a silence with several sets of matchers this form can show only the first.
    pub(crate) fn new(silence: &'a Silence, now: Timestamp) -> Self {
        let state: SilenceState = silence.state(now);
        Self {
            id: silence.id.as_str(),
            status: SilenceStatus {
                state: state.as_str(),
            },
            updated_at: silence.updated_at.to_rfc3339_millis(),
            annotations: (!silence.annotations.is_empty())
                .then_some(LabelMap(&silence.annotations)),
            comment: &silence.comment,
            created_by: &silence.created_by,
            ends_at: silence.ends_at.to_rfc3339_millis(),
            matchers: silence
                .matcher_sets
                .first()
                .into_iter()
                .flatten()
                .map(|matcher| MatcherBody {
                    is_equal: matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex),
                    is_regex: matches!(matcher.op(), MatchOp::Regex | MatchOp::NotRegex),
                    name: matcher.name(),
                    value: matcher.value(),
                })
                .collect(),
            starts_at: silence.starts_at.to_rfc3339_millis(),
        }
    }
}

/// Unknown members as in an alert.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PostedSilence {
    pub(crate) id: Option<String>,
    pub(crate) matchers: Option<Vec<PostedMatcher>>,
    pub(crate) starts_at: Option<String>,
    pub(crate) ends_at: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PostedMatcher {
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) is_regex: Option<bool>,
    pub(crate) is_equal: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SilenceCreated<'a> {
    #[serde(rename = "silenceID")]
    pub(crate) silence_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusBody<'a> {
    pub(crate) cluster: ClusterBody<'a>,
    pub(crate) config: ConfigBody<'a>,
    pub(crate) uptime: String,
    pub(crate) version_info: VersionBody<'a>,
}

#[derive(Serialize)]
pub(crate) struct ClusterBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    peers: Vec<PeerBody<'a>>,
    status: &'static str,
}

#[derive(Serialize)]
struct PeerBody<'a> {
    address: String,
    name: &'a str,
}

impl<'a> ClusterBody<'a> {
    /// A member knows itself, and alone it has nothing to wait for.
    pub(crate) fn new(member: Option<&'a ClusterMember>) -> Self {
        let peer = |member: &'a ClusterMember| PeerBody {
            address: member.address.to_string(),
            name: &member.name,
        };
        Self {
            name: member.map(|member| member.name.as_str()),
            peers: member.into_iter().map(peer).collect(),
            status: if member.is_some() {
                "ready"
            } else {
                "disabled"
            },
        }
    }
}

#[derive(Serialize)]
pub(crate) struct ConfigBody<'a> {
    pub(crate) original: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionBody<'a> {
    pub(crate) branch: &'a str,
    pub(crate) build_date: &'a str,
    pub(crate) build_user: &'a str,
    pub(crate) go_version: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) version: &'a str,
}
