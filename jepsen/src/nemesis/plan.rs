//! What each nemesis does, and to whom: plain commands, chosen by chance, that harm a cluster and heal it.
//!
//! **Safe targets.** A nemesis that waits for the cluster to serve again leaves a quorum: at most one of
//! three metadata nodes and two data nodes are harmed at a time. Those that harm more (everything is
//! killed, the network falls into halves) are only asked to lose nothing and to recover when it is over.
//! What rots is put right at the end of a strike, unless it was rewritten meanwhile; so rot has one victim in
//! a whole run, the first data node, and nothing else ever takes the durable bytes of another.

mod members;

use std::collections::BTreeSet;

use rand::{
    Rng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use serde_json::{Value, json};

use super::control::Nodes;

/// What one strike is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The nemesis.
    pub(crate) name: &'static str,
    /// Who is harmed, and how, for the report.
    pub(crate) target: String,
    /// Done one after the other, at the beginning.
    pub(crate) begin: Vec<Value>,
    /// Done one after the other, at the end. Whoever is dead then is started besides.
    pub(crate) end: Vec<Value>,
}

/// Every nemesis.
pub(crate) const NAMES: [&str; 34] = [
    "partition-majority",
    "partition-minority",
    "partition-leader",
    "partition-ring",
    "partition-one-way",
    "black-hole",
    "slow-links",
    "lossy-links",
    "narrow-links",
    "kill-data",
    "kill-two-data",
    "kill-meta",
    "kill-leader",
    "kill-gateway",
    "kill-all",
    "pause-data",
    "pause-leader",
    "pause-gateway",
    "power-data",
    "power-meta",
    "power-all",
    "full-data",
    "full-meta",
    "eio-data",
    "eio-meta",
    "slow-disk",
    "rot-shards",
    "rot-log",
    "clock-jump",
    "rolling-restart",
    "grow",
    "drain",
    "shrink",
    "member",
];

impl Plan {
    /// Who is dead after the beginning because the nemesis killed it.
    pub(crate) fn killed(&self) -> BTreeSet<&str> {
        let mut killed = BTreeSet::new();
        for command in &self.begin {
            let names = command["nodes"].as_array().into_iter().flatten().filter_map(Value::as_str);
            match command["do"].as_str() {
                Some("kill" | "cut") => killed.extend(names),
                Some("start") => names.for_each(|name| {
                    killed.remove(name);
                }),
                _ => {}
            }
        }
        killed
    }
}

/// Plans a strike of the nemesis of this name; `leader` leads the most index partitions, if that is known.
/// `None` if there is nothing that it could do now.
pub(crate) fn plan(
    name: &'static str,
    nodes: &Nodes,
    leader: Option<&str>,
    random: &mut StdRng,
) -> Option<Plan> {
    let leader = leader.map_or_else(|| any(&nodes.meta, random), str::to_owned);
    let (target, begin, end) = match name {
        "partition-majority" => halves(nodes, random),
        "partition-minority" => {
            let minority = vec![any(&nodes.meta, random), any(&nodes.data, random)];
            cut_off(nodes, &minority, random)
        }
        "partition-leader" => cut_off(nodes, &[leader], random),
        "partition-ring" => ring(nodes, random),
        "partition-one-way" => one_way(nodes, leader, random),
        "black-hole" => {
            let weather = json!({ "blocked": true });
            let pairs: Vec<_> =
                pairs(&nodes.all()).into_iter().filter(|_| random.random_ratio(1, 6)).collect();
            (
                format!("{} links", pairs.len()),
                vec![set_weather(pairs, weather)],
                vec![heal_network()],
            )
        }
        "slow-links" => {
            let weather = json!({ "latency_ms": 30, "jitter_ms": 80 });
            everywhere(nodes, weather)
        }
        "lossy-links" => {
            let weather = json!({ "stall_one_in": 40, "stall_ms": 250, "reset_one_in": 400 });
            everywhere(nodes, weather)
        }
        "narrow-links" => everywhere(nodes, json!({ "bytes_per_s": 400_000 })),
        "kill-data" => kill(vec![any(&nodes.data, random)]),
        "kill-two-data" => kill(two(&nodes.data, random)),
        "kill-meta" => kill(vec![any(&nodes.meta, random)]),
        "kill-leader" => kill(vec![leader]),
        "kill-gateway" => kill(vec![any(&nodes.gateway, random)]),
        "kill-all" => kill(nodes.all()),
        "pause-data" => pause(two(&nodes.data, random)),
        "pause-leader" => pause(vec![leader]),
        "pause-gateway" => pause(vec![any(&nodes.gateway, random)]),
        "power-data" => power(vec![any(&nodes.data, random)], random),
        "power-meta" => power(vec![any(&nodes.meta, random)], random),
        "power-all" => power(nodes.all(), random),
        "full-data" => disk(any(&nodes.data, random), json!({ "full": true })),
        "full-meta" => disk(any(&nodes.meta, random), json!({ "full": true })),
        "eio-data" => disk(any(&nodes.data, random), eio(random)),
        "eio-meta" => disk(any(&nodes.meta, random), eio(random)),
        "slow-disk" => {
            let keepers = [&nodes.data[..], &nodes.meta[..]].concat();
            disk(any(&keepers, random), json!({ "fsync_delay_ms": 150, "io_delay_ms": 2 }))
        }
        "rot-shards" => {
            let victim = rotten(nodes).to_owned();
            // Tables, blob files and logs: what holds the shards.
            let flip = flip(&victim, "/disk-0/db/0", 3, random);
            let end = exchanged(&victim, json!({ "do": "unflip", "node": victim }));
            (victim, vec![flip], end)
        }
        "rot-log" => {
            // It is down while its log rots, or else the log would be read too late to matter. A bad disk is
            // looked at and exchanged: the bits are put right before it comes back.
            let victim = any(&nodes.meta, random);
            let flip = flip(&victim, ".log", 2, random);
            let begin = vec![words("kill", &[&victim]), flip, words("start", &[&victim])];
            let end = exchanged(&victim, json!({ "do": "unflip", "node": victim }));
            (victim, begin, end)
        }
        "clock-jump" => clock_jump(nodes, random),
        "rolling-restart" => rolling_restart(nodes),
        "grow" => members::grow(nodes),
        "drain" => members::drain(nodes, random),
        "shrink" => members::shrink(nodes, random),
        "member" => members::member(nodes, random),
        _ => unreachable!("{name} is not in NAMES"),
    };
    let plan = Plan { name, target, begin, end };
    (!plan.begin.is_empty()).then_some(plan)
}

/// Whose shards rot.
pub(crate) fn rotten(nodes: &Nodes) -> &str {
    nodes.data.first().expect("a cluster has data nodes")
}

/// Makes everything well, whatever was planned before.
pub(crate) fn heal_everything(nodes: &Nodes) -> Vec<Value> {
    let keepers = [&nodes.data[..], &nodes.meta[..]].concat();
    vec![
        json!({ "do": "resume", "nodes": nodes.all() }),
        heal_network(),
        json!({ "do": "disk", "nodes": keepers, "faults": {} }),
        json!({ "do": "clock", "nodes": nodes.all(), "seconds": 0 }),
    ]
}

type Strike = (String, Vec<Value>, Vec<Value>);

fn any(names: &[String], random: &mut StdRng) -> String {
    names.choose(random).expect("a cluster has nodes of every role").clone()
}

fn two(names: &[String], random: &mut StdRng) -> Vec<String> {
    names.choose_multiple(random, 2).cloned().collect()
}

fn words<S: AsRef<str>>(verb: &str, nodes: &[S]) -> Value {
    let nodes: Vec<&str> = nodes.iter().map(AsRef::as_ref).collect();
    json!({ "do": verb, "nodes": nodes })
}

fn heal_network() -> Value {
    json!({ "do": "heal_network" })
}

fn flip(node: &str, on: &str, count: usize, random: &mut StdRng) -> Value {
    json!({ "do": "flip", "node": node, "on": on, "count": count, "seed": random.random::<u32>() })
}

// ---- the network

/// Every link, in both directions.
fn pairs(nodes: &[String]) -> Vec<(String, String)> {
    let of = |from: &String| {
        let others = nodes.iter().filter(|to| *to != from).cloned().collect::<Vec<_>>();
        others.into_iter().map(|to| (from.clone(), to)).collect::<Vec<_>>()
    };
    nodes.iter().flat_map(of).collect()
}

fn set_weather(pairs: Vec<(String, String)>, weather: Value) -> Value {
    json!({ "do": "weather", "pairs": pairs, "weather": weather })
}

fn everywhere(nodes: &Nodes, weather: Value) -> Strike {
    (weather.to_string(), vec![set_weather(pairs(&nodes.all()), weather)], vec![heal_network()])
}

/// Nothing passes on these links: the kernel drops the packets, or the proxies hold the bytes back.
fn cut_links(what: String, links: Vec<(String, String)>, random: &mut StdRng) -> Strike {
    let (how, begin) = if random.random() {
        ("dropped", json!({ "do": "drop", "pairs": links }))
    } else {
        ("held back", set_weather(links, json!({ "blocked": true })))
    };
    (format!("{what} ({how})"), vec![begin], vec![heal_network()])
}

fn cut_off(nodes: &Nodes, some: &[String], random: &mut StdRng) -> Strike {
    let crosses = |(from, to): &(String, String)| some.contains(from) != some.contains(to);
    let links = pairs(&nodes.all()).into_iter().filter(crosses).collect();
    cut_links(some.join(", "), links, random)
}

/// Two halves, of which one has the majority of the metadata nodes.
fn halves(nodes: &Nodes, random: &mut StdRng) -> Strike {
    let half = |names: &[String], random: &mut StdRng| -> Vec<String> {
        names.choose_multiple(random, names.len() / 2).cloned().collect()
    };
    let roles = [&nodes.meta, &nodes.data, &nodes.gateway];
    let some: Vec<String> = roles.iter().flat_map(|names| half(names, random)).collect();
    cut_off(nodes, &some, random)
}

/// All in a ring, where each sees only its nearest, and more than half of all.
fn ring(nodes: &Nodes, random: &mut StdRng) -> Strike {
    let mut order = nodes.all();
    order.shuffle(random);
    let reach = order.len().div_ceil(4);
    let place = |name: &String| order.iter().position(|other| other == name).expect("one of all");
    let far = |(from, to): &(String, String)| {
        let distance = place(from).abs_diff(place(to));
        distance.min(order.len() - distance) > reach
    };
    let links = pairs(&order).into_iter().filter(far).collect();
    cut_links(format!("{} nodes, each sees {}", order.len(), 2 * reach), links, random)
}

fn one_way(nodes: &Nodes, leader: String, random: &mut StdRng) -> Strike {
    let victim = if random.random() { leader } else { any(&nodes.all(), random) };
    let deaf = random.random();
    let links = pairs(&nodes.all())
        .into_iter()
        .filter(|(from, to)| if deaf { *to == victim } else { *from == victim })
        .collect();
    cut_links(
        format!("{victim} {}", if deaf { "hears nobody" } else { "is not heard" }),
        links,
        random,
    )
}

// ---- processes

fn kill(names: Vec<String>) -> Strike {
    let (begin, end) = (vec![words("kill", &names)], vec![words("start", &names)]);
    (names.join(", "), begin, end)
}

fn pause(names: Vec<String>) -> Strike {
    let (begin, end) = (vec![words("pause", &names)], vec![words("resume", &names)]);
    (names.join(", "), begin, end)
}

fn power(names: Vec<String>, random: &mut StdRng) -> Strike {
    let (seed, torn) = (random.random::<u32>(), random.random_ratio(7, 10));
    let cut = json!({ "do": "cut", "nodes": names, "seed": seed, "torn": torn });
    let how = if torn { "torn" } else { "dropped" };
    let end = vec![words("start", &names)];
    (format!("{} ({how})", names.join(", ")), vec![cut], end)
}

fn rolling_restart(nodes: &Nodes) -> Strike {
    let restart = |name: &String| {
        [
            words("stop", &[name]),
            words("start", &[name]),
            json!({ "do": "wait_healthy", "seconds": 60 }),
        ]
    };
    ("one after the other".to_owned(), nodes.all().iter().flat_map(restart).collect(), Vec::new())
}

// ---- disks and clocks

/// A disk that failed is left alone until its node is started again: its operator has put it right.
fn exchanged(name: &str, cure: Value) -> Vec<Value> {
    vec![words("kill", &[name]), cure, words("start", &[name])]
}

fn disk(name: String, faults: Value) -> Strike {
    let set = |faults: &Value| json!({ "do": "disk", "nodes": [name], "faults": faults });
    let (begin, end) = (vec![set(&faults)], exchanged(&name, set(&json!({}))));
    (format!("{name} {faults}"), begin, end)
}

fn eio(random: &mut StdRng) -> Value {
    let kind = *["fsync_errors", "write_errors", "read_errors"].choose(random).expect("three");
    json!({ kind: 5 })
}

/// Some clocks jump, ahead or back. A write that is proposed names the time after which it is refused, ten
/// minutes later, and a partition's clock never goes back: a gateway and a metadata node may differ by
/// less than that. Data nodes ask nobody for the time.
fn clock_jump(nodes: &Nodes, random: &mut StdRng) -> Strike {
    let mut begin = Vec::new();
    let mut target = Vec::new();
    for name in nodes.all().choose_multiple(random, 3) {
        let most = match () {
            () if nodes.gateway.contains(name) => 60,
            () if nodes.meta.contains(name) => 480,
            () => 3600,
        };
        let seconds = random.random_range(-most..=most);
        begin.push(json!({ "do": "clock", "nodes": [name], "seconds": seconds }));
        target.push(format!("{name} {seconds:+} s"));
    }
    let end = json!({ "do": "clock", "nodes": nodes.all(), "seconds": 0 });
    (target.join(", "), begin, vec![end])
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// The last data node joined later.
    fn nodes() -> Nodes {
        let mut nodes = Nodes::of(3, 6, 3);
        nodes.grown = vec!["data-6".to_owned()];
        nodes
    }

    fn plans(name: &'static str) -> Vec<Plan> {
        let of = |seed| plan(name, &nodes(), Some("meta-2"), &mut StdRng::seed_from_u64(seed));
        (0..50).map(of).map(|plan| plan.expect("it can do something")).collect()
    }

    /// Everybody that a command names, alone or in a list.
    fn named(command: &Value) -> BTreeSet<String> {
        let list = command["nodes"].as_array().into_iter().flatten();
        list.chain(command.get("node")).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    #[test]
    fn every_name_has_a_plan_and_it_is_repeated_by_its_seed() {
        for name in NAMES {
            let planned = plans(name);
            assert_eq!(planned, plans(name));
        }
    }

    /// At most one of three metadata nodes and two of six data nodes of a 4+2 are harmed at a time.
    #[test]
    fn what_must_go_on_serving_keeps_its_quorums() {
        let whole = ["kill-all", "power-all", "rolling-restart", "clock-jump"];
        for name in NAMES.into_iter().filter(|name| !whole.contains(name)) {
            for plan in plans(name) {
                let harmed: BTreeSet<String> = plan.begin.iter().flat_map(named).collect();
                let of = |role: &str| harmed.iter().filter(|name| name.starts_with(role)).count();
                assert!(of("meta") <= 1 && of("data") <= 2 && of("gateway") <= 1, "{plan:?}");
            }
        }
    }

    #[test]
    fn rot_has_one_victim_among_the_data_nodes() {
        let victims: BTreeSet<String> =
            plans("rot-shards").iter().flat_map(|plan| named(&plan.begin[0])).collect();
        assert_eq!(victims, BTreeSet::from(["data-1".to_owned()]));
    }

    /// In a ring everybody sees more than half of all, and not all.
    #[test]
    fn a_ring_leaves_everybody_a_majority() {
        for plan in plans("partition-ring") {
            let links = plan.begin[0]["pairs"].as_array().expect("pairs");
            for name in nodes().all() {
                let cut = links.iter().filter(|pair| pair[0] == name.as_str()).count();
                assert!(0 < cut && 12 - cut > 6, "{name}: {cut}");
            }
        }
    }

    #[test]
    fn who_is_killed_is_started_and_who_is_cut_off_is_joined() {
        for name in NAMES {
            for plan in plans(name) {
                let verb = |command: &Value| command["do"].as_str().expect("a verb").to_owned();
                let begins: Vec<String> = plan.begin.iter().map(verb).collect();
                let ends: Vec<String> = plan.end.iter().map(verb).collect();
                for (harm, cure) in [
                    ("drop", "heal_network"),
                    ("weather", "heal_network"),
                    ("pause", "resume"),
                    ("cut", "start"),
                    ("disk", "disk"),
                    ("clock", "clock"),
                ] {
                    let harms = begins.iter().any(|verb| verb == harm);
                    assert!(!harms || ends.iter().any(|verb| verb == cure), "{plan:?}");
                }
            }
        }
    }
}
