//! Data nodes join, are emptied and leave; metadata nodes take each other's place.
//!
//! **While nodes leave, others die.** In every other strike a data node is killed in the middle of a drain, so
//! that shards are moved that have lost redundancy, too. A drain ends only when the node is empty, and
//! the strike with it: what takes longer than [`EMPTY_MAX_S`] fails the run.

use rand::{Rng, rngs::StdRng};
use serde_json::json;

use super::{Strike, any, words};
use crate::nemesis::control::Nodes;

/// How long it may take to empty a node, in seconds.
const EMPTY_MAX_S: u64 = 300;

/// A data node joins.
pub(super) fn grow(nodes: &Nodes) -> Strike {
    let Some(new) = nodes.spare_data.first() else { return Strike::default() };
    (new.clone(), vec![words("join", &[new])], Vec::new())
}

/// A data node that joined is emptied and leaves.
pub(super) fn shrink(nodes: &Nodes, random: &mut StdRng) -> Strike {
    let Some(leaving) = nodes.grown.last() else { return Strike::default() };
    let (killed, mut begin, mut end) = emptied(nodes, leaving, random);
    begin.insert(0, words("drain", &[leaving]));
    end.push(json!({ "do": "leave", "nodes": [leaving], "wait_s": EMPTY_MAX_S }));
    (format!("{leaving}{killed}"), begin, end)
}

/// A data node is emptied and leaves, and its machine comes back with an empty folder, as a new node. Another
/// one joins before if there would be too few.
pub(super) fn drain(nodes: &Nodes, random: &mut StdRng) -> Strike {
    // What rots has one victim, whose bits can be put right only where they are.
    let drained = any(&nodes.data[1..], random);
    let (killed, mut begin, mut end) = emptied(nodes, &drained, random);
    begin.insert(0, words("drain", &[&drained]));
    if nodes.grown.is_empty() {
        let Some(new) = nodes.spare_data.first() else { return Strike::default() };
        begin.insert(0, words("join", &[new]));
    }
    end.push(json!({ "do": "leave", "nodes": [drained], "wait_s": EMPTY_MAX_S }));
    end.push(words("join", &[&drained]));
    (format!("{drained}{killed}"), begin, end)
}

/// A metadata node of a new id is added, and one that was there is removed.
pub(super) fn member(nodes: &Nodes, random: &mut StdRng) -> Strike {
    let Some(new) = nodes.spare_meta.first() else { return Strike::default() };
    let old = any(&nodes.meta, random);
    (
        format!("{new} for {old}"),
        vec![json!({ "do": "add_meta", "node": new })],
        vec![json!({ "do": "remove_meta", "node": old })],
    )
}

/// Whoever dies while a node is emptied, as the report says it, and how.
fn emptied(
    nodes: &Nodes,
    leaving: &str,
    random: &mut StdRng,
) -> (String, Vec<serde_json::Value>, Vec<serde_json::Value>) {
    if random.random() {
        return Default::default();
    }
    let others: Vec<String> = nodes.data.iter().filter(|name| *name != leaving).cloned().collect();
    let killed = any(&others, random);
    let what = format!(", {killed} killed meanwhile");
    (what, vec![words("kill", &[&killed])], vec![words("start", &[&killed])])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use serde_json::Value;

    use super::*;

    fn verbs(commands: &[Value]) -> Vec<&str> {
        commands.iter().filter_map(|command| command["do"].as_str()).collect()
    }

    fn seeds() -> impl Iterator<Item = StdRng> {
        (0..32).map(StdRng::seed_from_u64)
    }

    #[test]
    fn a_cluster_grows_while_there_is_a_spare_node_and_shrinks_by_those() {
        let mut nodes = Nodes::of(3, 6, 3);
        assert_eq!(grow(&nodes).0, "data-7");
        let mut random = StdRng::seed_from_u64(1);
        assert!(shrink(&nodes, &mut random).1.is_empty(), "all six are needed");
        let new = nodes.spare_data.remove(0);
        nodes.data.push(new.clone());
        nodes.grown.push(new);
        assert!(grow(&nodes).1.is_empty());
        for mut random in seeds() {
            assert!(shrink(&nodes, &mut random).0.starts_with("data-7"));
        }
    }

    #[test]
    fn a_node_is_drained_only_beside_enough_others() {
        let mut nodes = Nodes::of(3, 6, 3);
        for mut random in seeds() {
            let (_, begin, end) = drain(&nodes, &mut random);
            assert_eq!(verbs(&begin)[..2], ["join", "drain"]);
            assert!(verbs(&end).ends_with(&["leave", "join"]));
            assert_ne!(begin[1]["nodes"][0], "data-1", "its bits may have to be put right");
        }
        nodes.grown = vec![nodes.spare_data.remove(0)];
        nodes.data.extend(nodes.grown.clone());
        let mut killed = 0;
        for mut random in seeds() {
            let (_, begin, end) = drain(&nodes, &mut random);
            assert_eq!(verbs(&begin)[0], "drain");
            if let Some(kill) = begin.get(1) {
                assert_ne!(kill["nodes"], begin[0]["nodes"]);
                assert_eq!((verbs(&end)[0], &end[0]["nodes"]), ("start", &kill["nodes"]));
                killed += 1;
            }
        }
        assert!(0 < killed && killed < 32);
    }

    #[test]
    fn metadata_nodes_are_replaced_while_there_are_new_ids() {
        let mut nodes = Nodes::of(3, 6, 3);
        let (_, begin, end) = member(&nodes, &mut StdRng::seed_from_u64(1));
        assert_eq!((verbs(&begin), verbs(&end)), (vec!["add_meta"], vec!["remove_meta"]));
        nodes.spare_meta.clear();
        assert!(member(&nodes, &mut StdRng::seed_from_u64(1)).1.is_empty());
    }
}
