//! What goes wrong in one direction of a link, and what that does to one chunk of bytes.

use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

/// Faults that stay until they are set anew. The default is fair: nothing goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Weather {
    /// Every chunk comes so many milliseconds later ...
    pub(crate) latency_ms: u64,
    /// ... and by chance up to so many more. Bytes never overtake each other.
    pub(crate) jitter_ms: u64,
    /// All connections of the direction together pass at most so many bytes a second; 0 is no limit.
    pub(crate) bytes_per_s: u64,
    /// One chunk in so many is lost, and comes again after `stall_ms`; 0 is none.
    pub(crate) stall_one_in: u32,
    /// Milliseconds until what was lost comes again, as TCP would send it again.
    pub(crate) stall_ms: u64,
    /// One chunk in so many resets its connection; 0 is none.
    pub(crate) reset_one_in: u32,
    /// Whether nothing passes: what was sent waits, as behind a cable that is unplugged.
    pub(crate) blocked: bool,
}

impl Weather {
    /// How much later than it came a chunk may leave.
    pub(crate) fn delay(&self, random: &mut impl Rng) -> Duration {
        let jitter = random.random_range(0..=self.jitter_ms);
        let stall = if one_in(self.stall_one_in, random) { self.stall_ms } else { 0 };
        Duration::from_millis(self.latency_ms + jitter + stall)
    }

    /// Whether a chunk resets its connection.
    pub(crate) fn resets(&self, random: &mut impl Rng) -> bool {
        one_in(self.reset_one_in, random)
    }
}

fn one_in(count: u32, random: &mut impl Rng) -> bool {
    count > 0 && random.random_ratio(1, count)
}

/// One direction of a link.
pub(crate) struct Direction {
    weather: watch::Sender<Weather>,
    /// When the bytes that were let through so far have passed at the direction's rate.
    busy_until: Mutex<Instant>,
}

impl Direction {
    pub(crate) fn new() -> Self {
        Self { weather: watch::Sender::default(), busy_until: Mutex::new(Instant::now()) }
    }

    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    pub(crate) fn weather(&self) -> Weather {
        self.weather.borrow().clone()
    }

    /// Waits while nothing passes.
    pub(crate) async fn passable(&self) {
        let mut weather = self.weather.subscribe();
        // The sender lives as long as `self`.
        let _ = weather.wait_for(|weather| !weather.blocked).await;
    }

    /// Waits for the turn of so many bytes.
    pub(crate) async fn turn(&self, bytes: usize) {
        let rate = self.weather.borrow().bytes_per_s;
        if rate == 0 {
            return;
        }
        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
        let until = {
            let mut busy_until = self.busy_until.lock().await;
            *busy_until = (*busy_until).max(Instant::now()) + takes;
            *busy_until
        };
        sleep_until(until).await;
    }
}
