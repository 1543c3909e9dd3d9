//! Prints docs/durability.md: the tables of the formula and of the simulator.

use std::{error::Error, io::Write as _};

use clap::Parser;
use durability::page::{Effort, page};

/// Computes and simulates how likely data is lost, and prints the page of figures as Markdown.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Cycles of each line that samples rare losses; years of each line in plain time.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    cycles: u32,
    /// Trials of ten nodes that vanish.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100..))]
    trials: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let cli = Cli::parse();
    let effort = Effort { cycles: cli.cycles as usize, trials: cli.trials as usize };
    std::io::stdout().write_all(page(effort)?.as_bytes())?;
    Ok(())
}
