//! What happened, as one hash: two runs of a seed that differ anywhere differ here.

use parking_lot::Mutex;

/// Lines of events with their time.
#[derive(Debug)]
pub struct Trace {
    hasher: Mutex<(blake3::Hasher, u64)>,
    print: bool,
}

impl Trace {
    /// An empty trace; with `print` every line goes to the standard error output.
    pub fn new(print: bool) -> Self {
        Self { hasher: Mutex::new((blake3::Hasher::new(), 0)), print }
    }

    /// Adds a line.
    #[allow(clippy::print_stderr, reason = "asked for by --trace")]
    pub fn line(&self, us: u64, line: &str) {
        let mut hasher = self.hasher.lock();
        hasher.0.update(&us.to_le_bytes()).update(line.as_bytes()).update(b"\n");
        hasher.1 += 1;
        if self.print {
            eprintln!("{:>12.6} {line}", us as f64 / 1e6);
        }
    }

    /// Adds what is too much for a line.
    pub fn quietly(&self, bytes: &[u8]) {
        let mut hasher = self.hasher.lock();
        hasher.0.update(bytes);
        hasher.1 += 1;
    }

    /// The hash so far, and of how many events.
    pub fn hash(&self) -> (String, u64) {
        let hasher = self.hasher.lock();
        (hasher.0.finalize().to_hex()[..16].to_owned(), hasher.1)
    }
}
