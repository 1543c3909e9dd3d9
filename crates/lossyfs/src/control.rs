//! Commands over a Unix socket: one JSON object a line, one line back.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
};

use parking_lot::Mutex;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::{content::Cut, faults::Faults, volume::Volume};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Cuts the power: what is not durable is lost, or `torn`.
    Cut {
        /// Decides what is kept and torn.
        seed: u64,
        /// Whether anything is.
        torn: bool,
    },
    /// Sets what goes wrong from now on.
    Faults(Faults),
    /// Flips a durable bit in each of so many files.
    Flip {
        /// A part of their paths.
        on: String,
        /// How many.
        count: usize,
        /// Decides which.
        seed: u64,
    },
    /// Flips back what was flipped, as a disk does whose bad reads pass.
    Unflip,
    /// Says how it stands.
    Status,
}

/// What every command is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Files in which a bit was flipped; of `unflip`: bytes in which one was flipped back.
    pub flipped: usize,
    /// Bytes that blocks take.
    pub used_bytes: u64,
    /// Calls of `fsync` so far.
    pub fsyncs: u64,
}

/// Does what the command says.
pub fn execute(volume: &Mutex<Volume>, command: Command) -> Answer {
    let mut volume = volume.lock();
    let mut flipped = 0;
    match command {
        Command::Cut { seed, torn } => {
            let cut = if torn { Cut::Torn } else { Cut::Drop };
            volume.cut(cut, &mut StdRng::seed_from_u64(seed));
        }
        Command::Faults(faults) => volume.faults = faults,
        Command::Flip { on, count, seed } => {
            flipped = volume.flip(&on, count, &mut StdRng::seed_from_u64(seed));
        }
        Command::Unflip => flipped = volume.unflip(),
        Command::Status => {}
    }
    Answer { flipped, used_bytes: volume.space().1, fsyncs: volume.fsyncs }
}

/// Serves commands until the listener fails.
pub fn serve(volume: &Arc<Mutex<Volume>>, listener: &UnixListener) -> std::io::Result<()> {
    for stream in listener.incoming() {
        let (volume, stream) = (Arc::clone(volume), stream?);
        std::thread::spawn(move || converse(&volume, &stream));
    }
    Ok(())
}

/// Ends with the connection; what cannot be understood is answered with the reason.
fn converse(volume: &Mutex<Volume>, stream: &UnixStream) -> std::io::Result<()> {
    let mut out = stream;
    for line in BufReader::new(stream).lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(command) => serde_json::to_string(&execute(volume, command)),
            Err(error) => serde_json::to_string(&serde_json::json!({"error": error.to_string()})),
        };
        writeln!(out, "{}", answer?)?;
    }
    Ok(())
}
