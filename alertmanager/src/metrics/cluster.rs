//! Figures of the cluster, which has one node: nothing is gossiped, and everybody's alerts on them are at peace.
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use runtime::Metrics;

use crate::metrics::labels::{LabelSet, pairs};

/// The default buckets of Go's client, in seconds.
const LATENCY_BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const PING_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// `peer_name` is this node's own name; none where clustering is off.
pub(crate) fn register(metrics: &Metrics, peer_name: Option<&str>) {
    for (name, help, value) in [
        (
            "alertmanager_cluster_enabled",
            "Indicates whether the clustering is enabled or not",
            i64::from(peer_name.is_some()),
        ),
        (
            "alertmanager_cluster_members",
            "Number indicating current number of members in cluster",
            1,
        ),
        (
            "alertmanager_cluster_failed_peers",
            "Number indicating the current number of failed peers in the cluster",
            0,
        ),
        (
            "alertmanager_cluster_health_score",
            "Health score of the cluster; lower values are better and zero means totally healthy",
            0,
        ),
        (
            "alertmanager_cluster_messages_queued",
            "Number of cluster messages which are queued",
            0,
        ),
        (
            "alertmanager_peer_position",
            "Position the Alertmanager instance believes it's in, which determines its behaviour in the cluster",
            0,
        ),
    ] {
        let gauge: Gauge = Gauge::default();
        gauge.set(value);
        metrics.register(name, help, gauge);
    }
    for (name, help) in [
        (
            "alertmanager_cluster_messages_pruned",
            "Total number of cluster messages pruned",
        ),
        (
            "alertmanager_cluster_peer_name_conflicts",
            "Total number of times a peer of the same name was found",
        ),
        (
            "alertmanager_cluster_peers_joined",
            "A counter of the number of peers that have joined",
        ),
        (
            "alertmanager_cluster_peers_left",
            "A counter of the number of peers that have left",
        ),
        (
            "alertmanager_cluster_peers_update",
            "A counter of the number of peers that have updated metadata",
        ),
        (
            "alertmanager_cluster_reconnections",
            "A counter of the number of cluster peer reconnections",
        ),
        (
            "alertmanager_cluster_reconnections_failed",
            "A counter of the number of failed cluster peer reconnection attempts",
        ),
        (
            "alertmanager_cluster_refresh_join",
            "A counter of the number of cluster peers joined via refresh",
        ),
        (
            "alertmanager_cluster_refresh_join_failed",
            "A counter of the number of failed cluster peers joined attempts via refresh",
        ),
        (
            "alertmanager_nflog_gossip_messages_propagated",
            "Number of received gossip messages that have been further gossiped",
        ),
        (
            "alertmanager_silences_gossip_messages_propagated",
            "Number of received gossip messages that have been further gossiped",
        ),
    ] {
        metrics.register(name, help, Counter::<u64>::default());
    }
    for (name, help) in [
        (
            "alertmanager_cluster_messages_received",
            "Total number of cluster messages received",
        ),
        (
            "alertmanager_cluster_messages_received_size",
            "Total size of cluster messages received",
        ),
        (
            "alertmanager_cluster_messages_sent",
            "Total number of cluster messages sent",
        ),
        (
            "alertmanager_cluster_messages_sent_size",
            "Total size of cluster messages sent",
        ),
    ] {
        register_at_zero(metrics, name, help, "msg_type", &["full_state", "update"]);
    }
    for (name, help) in [
        (
            "alertmanager_oversized_gossip_message_sent",
            "Number of oversized gossip message sent",
        ),
        (
            "alertmanager_oversized_gossip_message_failure",
            "Number of oversized gossip message sends that failed",
        ),
        (
            "alertmanager_oversized_gossip_message_dropped",
            "Number of oversized gossip messages that were dropped due to a full message queue",
        ),
    ] {
        register_at_zero(metrics, name, help, "key", &["nfl", "sil"]);
    }
    let oversized = metrics.register(
        "alertmanager_oversize_gossip_message_duration_seconds",
        "Duration of oversized gossip message requests",
        Family::<LabelSet, Histogram>::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
    );
    for key in ["nfl", "sil"] {
        drop(oversized.get_or_create(&pairs(&[("key", key)])));
    }
    let own: Vec<&str> = peer_name.into_iter().collect();
    let help = "Total number of received alive messages";
    register_at_zero(
        metrics,
        "alertmanager_cluster_alive_messages",
        help,
        "peer",
        &own,
    );
    // Of other peers, and there are none.
    metrics.register(
        "alertmanager_cluster_pings_seconds",
        "Histogram of latencies for ping messages",
        Family::<LabelSet, Histogram>::new_with_constructor(|| Histogram::new(PING_BUCKETS)),
    );
    let peer_info = metrics.register(
        "alertmanager_cluster_peer_info",
        "A metric with a constant '1' value labeled by peer name",
        Family::<LabelSet, Gauge>::default(),
    );
    if let Some(name) = peer_name {
        peer_info.get_or_create(&pairs(&[("peer", name)])).set(1);
    }
}

fn register_at_zero(metrics: &Metrics, name: &str, help: &str, label: &str, values: &[&str]) {
    let family = metrics.register(name, help, Family::<LabelSet, Counter>::default());
    for value in values {
        family.get_or_create(&pairs(&[(label, value)])).inc_by(0);
    }
}
