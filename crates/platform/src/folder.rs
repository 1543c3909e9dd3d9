//! Folders that outlast a power cut.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// Makes a folder and those above it, as far as they are missing. When it returns their names are
/// durable: `fsync` of a folder covers the names in it, not its own.
pub fn create_durably(dir: &Path) -> io::Result<()> {
    let above = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        // The root folder has no name, and the working folder is not ours to make.
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    if !above.try_exists()? {
        create_durably(above)?;
    }
    match fs::create_dir(dir) {
        // Perhaps of a process that lost its power before it could sync what follows.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    sync(above)
}

/// Makes the names in a folder durable.
pub fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_and_may_be_there() {
        let base = std::env::temp_dir().join(format!("shardlake-folder-{}", std::process::id()));
        let dir = base.join("a/b");
        for _ in 0..2 {
            create_durably(&dir).expect("made");
            assert!(dir.is_dir());
        }
        let file = dir.join("file");
        File::create(&file).expect("made");
        assert!(create_durably(&file).is_err(), "a file is in the way");
        fs::remove_dir_all(&base).expect("removed");
    }
}
