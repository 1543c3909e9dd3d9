//! One simulation from its seed: faults and clients first; then everything is made whole and all must
//! work again, in bounded time.

use std::{
    panic,
    sync::{Arc, Mutex as StdMutex},
    time::Duration,
};

use crate::{
    chaos::Chaos,
    invariants::{
        k_shards_survive, linearizable, list_complete, nothing_leaks, promises, replicas_agree,
        terms_never_go_back::Terms,
    },
    nodes,
    scenario::Scenario,
    world::World,
};

/// Simulated time of a tick: messages are delivered between two.
const TICK: Duration = Duration::from_millis(2);
/// How often what is cheap is checked.
const CHEAP_US: u64 = 20_000;
/// How often the rest is.
const DEAR_US: u64 = 250_000;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The broken promise, if one was.
    pub violation: Option<String>,
    /// Operations begun, and how many had an answer.
    pub operations: (usize, usize),
    /// Faults begun.
    pub faults: usize,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
    /// Hash of all that happened, and of how many events.
    pub trace: (String, u64),
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, operations, faults, simulated_ms, trace, .. } = self;
        write!(
            f,
            "seed {seed}: {}, {:.1} s simulated, {} operations ({} answered), {faults} faults, trace {} of {} events",
            if self.violation.is_some() { "FAILED" } else { "ok" },
            *simulated_ms as f64 / 1000.0,
            operations.0,
            operations.1,
            trace.0,
            trace.1,
        )
    }
}

/// Runs a scenario to its end, or to the first broken promise. The process's randomness has been
/// seeded, and nothing else runs in it.
pub fn run(scenario: Scenario, print: bool) -> Report {
    platform::stay_on_thread();
    let panics = watch_panics();
    let world = World::new(scenario, print);
    world.note(&format!("{:?}", world.scenario));
    let mut simulation = Simulation::new(world.clone());
    let violation = simulation.run(&panics);
    let history = world.history.lock();
    Report {
        seed: world.scenario.seed,
        violation,
        operations: (history.operations.len(), history.succeeded()),
        faults: simulation.chaos.begun(),
        simulated_ms: world.time.ms(),
        trace: world.trace.hash(),
    }
}

/// Where panics are written down: tokio catches those of tasks.
type Panics = Arc<StdMutex<Vec<String>>>;

fn watch_panics() -> Panics {
    let panics = Panics::default();
    let seen = Arc::clone(&panics);
    panic::set_hook(Box::new(move |info| {
        if let Ok(mut seen) = seen.lock() {
            seen.push(info.to_string());
        }
    }));
    panics
}

struct Simulation<'a> {
    world: Arc<World>,
    sim: turmoil::Sim<'a>,
    chaos: Chaos,
    terms: Terms,
}

impl Simulation<'_> {
    fn new(world: Arc<World>) -> Self {
        let mut sim = turmoil::Builder::new()
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3600))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(world.scenario.latency_max)
            .tcp_capacity(4096)
            .rng_seed(world.scenario.seed)
            .build();
        for (number, site) in world.metas.iter().enumerate() {
            let world = world.clone();
            sim.host(site.host.as_str(), move || nodes::meta(world.clone(), number));
        }
        for (number, site) in world.datas.iter().enumerate() {
            let world = world.clone();
            sim.host(site.host.as_str(), move || nodes::data(world.clone(), number));
        }
        for (number, site) in world.gateways.iter().enumerate() {
            let world = world.clone();
            sim.host(site.host.as_str(), move || nodes::gateway(world.clone(), number));
        }
        let chaos = Chaos::new(&world);
        Self { world, sim, chaos, terms: Terms::default() }
    }

    fn run(&mut self, panics: &Panics) -> Option<String> {
        let world = self.world.clone();
        let chaos_us = world.scenario.chaos_ms * 1000;
        while world.time.us() < chaos_us {
            if let Some(violation) = self.tick(panics) {
                return Some(violation);
            }
        }
        world.note("everything is made whole");
        self.chaos.stop(&mut self.sim, &world);
        world.settle();
        let end_us = chaos_us + world.scenario.settle_ms * 1000;
        loop {
            if let Some(violation) = self.tick(panics) {
                return Some(violation);
            }
            let us = world.time.us();
            if !us.is_multiple_of(DEAR_US) {
                continue;
            }
            let lacking = lacking(&world);
            match lacking {
                None => break,
                Some(lacking) if us >= end_us => {
                    let within = world.scenario.settle_ms / 1000;
                    world.violate(
                        lacking.0,
                        format!("after {within} s without faults {}", lacking.1),
                    );
                    return violation(&world);
                }
                Some(_) => {}
            }
        }
        world.note("the end");
        linearizable::check(&world);
        list_complete::check(&world);
        replicas_agree::check(&world);
        violation(&world)
    }

    /// One tick, and what must hold after it.
    fn tick(&mut self, panics: &Panics) -> Option<String> {
        let world = self.world.clone();
        let us = u64::try_from(self.sim.elapsed().as_micros()).unwrap_or(u64::MAX);
        world.time.set_us(us);
        self.chaos.step(&mut self.sim, &world);
        if let Err(error) = self.sim.step() {
            world.violate("nodes_serve", format!("a node gives up: {error}"));
        }
        if let Some(panic) = panics.lock().ok().and_then(|mut panics| panics.pop()) {
            world.violate("no_panic", panic);
        }
        promises::check(&world);
        if us.is_multiple_of(CHEAP_US) || world.scenario.faults.vote_crash {
            self.terms.check(&world);
        }
        if us.is_multiple_of(DEAR_US) {
            k_shards_survive::check(&world);
        }
        violation(&world)
    }
}

/// What is not yet as it must be in the end, and the name of the promise.
fn lacking(world: &World) -> Option<(&'static str, String)> {
    if let Some(site) = world.gateways.iter().find(|site| !*site.settled.lock()) {
        return Some(("everything_works", format!("{} does not get its answers", site.host)));
    }
    nothing_leaks::lacking(world).map(|lacking| ("nothing_leaks", lacking))
}

fn violation(world: &World) -> Option<String> {
    let violations = world.violations.lock();
    violations.first().map(|it| format!("{}: {}", it.invariant, it.detail))
}
