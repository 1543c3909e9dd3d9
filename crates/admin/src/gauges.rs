//! The cluster's state as metrics. Refreshed by each scrape of `/metrics`, so that they cost
//! nothing in between and are never older than the scrape.
//!
//! | metric | labels | |
//! |---|---|---|
//! | `shardlake_cluster_known` | | 0 if the state could not be learnt: the others are old then |
//! | `shardlake_cluster_healthy` | | the verdict of `/health/cluster` |
//! | `shardlake_placement_groups` | `state` | `total`, `healthy`, `writable`, `readable`, `unreadable` |
//! | `shardlake_storage_class_groups` | `class`, `state` | `total`, `writable`: where its new objects may go |
//! | `shardlake_node_up` | `node`, `role` | |
//! | `shardlake_disk_up` | `disk`, `node` | |
//! | `shardlake_disk_used_bytes`, `shardlake_disk_capacity_bytes` | `disk`, `node` | |
//! | `shardlake_raft_has_leader` | `group`, `node` | 1 if the replica knows a leader |
//! | `shardlake_raft_is_leader`, `shardlake_raft_stopped` | `group`, `node` | |
//! | `shardlake_raft_term`, `shardlake_raft_last_log_index`, `shardlake_raft_applied_index`, `shardlake_raft_snapshot_index` | `group`, `node` | |

use metrics::gauge;

use crate::{ClusterHealth, model::NodeRole};

/// Takes note of the state, or that it is not known.
pub(crate) fn record(cluster: Result<&ClusterHealth, &String>) {
    gauge!("shardlake_cluster_known").set(truth(cluster.is_ok()));
    let healthy = cluster.is_ok_and(|cluster| cluster.verdict().is_ok());
    gauge!("shardlake_cluster_healthy").set(truth(healthy));
    let Ok(cluster) = cluster else { return };
    for (state, count) in [
        ("total", cluster.groups.total),
        ("healthy", cluster.groups.healthy),
        ("writable", cluster.groups.writable),
        ("readable", cluster.groups.readable),
        ("unreadable", cluster.groups.unreadable),
    ] {
        gauge!("shardlake_placement_groups", "state" => state).set(count as f64);
    }
    for row in &cluster.classes {
        for (state, count) in [("total", row.groups), ("writable", row.writable)] {
            let labels = [("class", row.class.clone()), ("state", state.to_owned())];
            gauge!("shardlake_storage_class_groups", &labels).set(count as f64);
        }
    }
    for node in &cluster.nodes {
        let role = match node.role {
            NodeRole::Meta => "meta",
            NodeRole::Data => "data",
        };
        let labels = [("node", node.id.to_string()), ("role", role.to_owned())];
        gauge!("shardlake_node_up", &labels).set(truth(node.up));
    }
    for disk in &cluster.disks {
        let labels = [("disk", disk.id.to_string()), ("node", disk.node.to_string())];
        gauge!("shardlake_disk_up", &labels).set(truth(disk.up));
        gauge!("shardlake_disk_used_bytes", &labels).set(disk.used_bytes as f64);
        gauge!("shardlake_disk_capacity_bytes", &labels).set(disk.capacity_bytes as f64);
    }
    for replica in &cluster.raft {
        let labels = [("group", replica.group.to_string()), ("node", replica.node.to_string())];
        gauge!("shardlake_raft_has_leader", &labels).set(truth(replica.leader.is_some()));
        let leads = replica.leader == Some(replica.node);
        gauge!("shardlake_raft_is_leader", &labels).set(truth(leads));
        gauge!("shardlake_raft_stopped", &labels).set(truth(replica.stopped.is_some()));
        gauge!("shardlake_raft_term", &labels).set(replica.term as f64);
        gauge!("shardlake_raft_last_log_index", &labels).set(replica.last_log_index as f64);
        gauge!("shardlake_raft_applied_index", &labels).set(replica.applied_index as f64);
        gauge!("shardlake_raft_snapshot_index", &labels).set(replica.snapshot_index as f64);
    }
}

fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}
