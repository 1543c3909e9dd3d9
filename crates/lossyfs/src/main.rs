//! `lossyfs MOUNTPOINT --control SOCKET`: mounts an empty volume and serves commands until SIGTERM.

use std::{os::unix::net::UnixListener, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Parser;
use lossyfs::{control, mount, volume::Volume};
use parking_lot::Mutex;

/// A file system in memory that can lose what was not fsynced.
#[derive(Parser)]
struct Arguments {
    /// An empty folder.
    mountpoint: PathBuf,
    /// Where the Unix socket for commands is made: one JSON object a line, as
    /// {"do":"cut","seed":1,"torn":true}.
    #[arg(long)]
    control: PathBuf,
    /// Size of the volume, in MiB. It lives in memory.
    #[arg(long, default_value_t = 4096)]
    mib: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let volume = Arc::new(Mutex::new(Volume::new(arguments.mib << 20)));
    let at = &arguments.mountpoint;
    let _session = mount::mount(Arc::clone(&volume), at)
        .with_context(|| format!("mounting at {}: this needs root and /dev/fuse", at.display()))?;
    let socket = &arguments.control;
    // Its being there tells whoever started this that the volume is mounted.
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("making the control socket {}", socket.display()))?;
    control::serve(&volume, &listener)?;
    Ok(())
}
