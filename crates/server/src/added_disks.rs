//! `disks.json` in a node's folder: the disks that an operator added while the node ran. They are opened
//! at the next start like those of the configuration.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use types::DiskClass;

use crate::error::UserError;

/// Disks that can be added to a node at most; the configuration has no such bound.
pub(crate) const ADDED_DISKS_MAX: usize = 256;

const MAGIC: &str = "shardlake added disks";
const VERSION: u32 = 1;
const NAME: &str = "disks.json";

/// The list, and the folder that it lies in.
#[derive(Clone, Debug)]
pub(crate) struct AddedDisks {
    folder: PathBuf,
    disks: Vec<Added>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    /// Absolute, or below the node's folder, which may be moved.
    path: PathBuf,
    class: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    magic: String,
    version: u32,
    disks: Vec<Added>,
}

impl AddedDisks {
    /// The list of a node; empty if none was ever added.
    pub(crate) fn read(folder: &Path) -> Result<Self, UserError> {
        let folder = std::path::absolute(folder)
            .map_err(|error| UserError::new(format!("{}: {error}", folder.display())))?;
        let path = folder.join(NAME);
        let shown = path.display();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { folder, disks: Vec::new() });
            }
            Err(error) => return Err(UserError::new(format!("{shown}: {error}"))),
        };
        let written: Written = serde_json::from_str(&text)
            .map_err(|error| UserError::new(format!("{shown} is damaged: {error}")))?;
        if written.magic != MAGIC || written.version > VERSION {
            return Err(UserError::new(format!(
                "{shown} was written by a newer version of shardlake (format {}, this build knows up \
                 to {VERSION}); start that version",
                written.version
            )));
        }
        for disk in &written.disks {
            disk.class.parse::<DiskClass>().map_err(|error| {
                UserError::new(format!("{shown} is damaged: {}: {error}", disk.path.display()))
            })?;
        }
        Ok(Self { folder, disks: written.disks })
    }

    /// The folders, absolute, with their class.
    pub(crate) fn folders(&self) -> Vec<(PathBuf, DiskClass)> {
        let class = |disk: &Added| disk.class.parse().expect("checked when it was read or added");
        self.disks.iter().map(|disk| (self.folder.join(&disk.path), class(disk))).collect()
    }

    /// Remembers a disk; durable on return. Refused beyond [`ADDED_DISKS_MAX`].
    pub(crate) fn remember(&mut self, path: &Path, class: DiskClass) -> Result<(), UserError> {
        if self.disks.len() >= ADDED_DISKS_MAX {
            return Err(UserError::new(format!(
                "{ADDED_DISKS_MAX} disks were added to this node already: name further ones in its \
                 configuration"
            )));
        }
        let path = path.strip_prefix(&self.folder).unwrap_or(path).to_owned();
        let mut disks = self.disks.clone();
        disks.retain(|disk| disk.path != path);
        disks.push(Added { path, class: class.to_string() });
        self.replace(disks)
    }

    /// Forgets a disk; durable on return.
    pub(crate) fn forget(&mut self, path: &Path) -> Result<(), UserError> {
        let folder = self.folder.clone();
        let mut disks = self.disks.clone();
        disks.retain(|disk| folder.join(&disk.path) != path);
        if disks.len() == self.disks.len() {
            return Ok(());
        }
        self.replace(disks)
    }

    /// Writes the file so that a crash leaves the old one or the new one.
    fn replace(&mut self, disks: Vec<Added>) -> Result<(), UserError> {
        let failed = |error: std::io::Error| {
            UserError::new(format!("{}: {error}", self.folder.join(NAME).display()))
        };
        let written = Written { magic: MAGIC.to_owned(), version: VERSION, disks };
        let text = serde_json::to_string_pretty(&written).expect("plain data");
        let temporary = self.folder.join(".disks.json.new");
        let mut file = File::create(&temporary).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&temporary, self.folder.join(NAME)).map_err(failed)?;
        platform::folder::sync(&self.folder).map_err(failed)?;
        self.disks = written.disks;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_there_after_a_restart_and_moves_with_the_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("old");
        fs::create_dir(&folder).expect("made");
        let mut added = AddedDisks::read(&folder).expect("none yet");
        assert_eq!(added.folders(), []);
        added.remember(&folder.join("disk-6"), DiskClass::Hot).expect("written");
        added.remember(Path::new("/srv/archive"), DiskClass::Cold).expect("written");
        added.remember(Path::new("/srv/archive"), DiskClass::Warm).expect("once is enough");
        let moved = dir.path().join("new");
        fs::rename(&folder, &moved).expect("moved");
        let mut added = AddedDisks::read(&moved).expect("readable");
        let archive = PathBuf::from("/srv/archive");
        let expected =
            vec![(moved.join("disk-6"), DiskClass::Hot), (archive.clone(), DiskClass::Warm)];
        assert_eq!(added.folders(), expected);
        added.forget(&moved.join("disk-6")).expect("written");
        added.forget(Path::new("/never")).expect("nothing to do");
        let added = AddedDisks::read(&moved).expect("readable");
        assert_eq!(added.folders(), [(archive, DiskClass::Warm)]);
    }

    #[test]
    fn the_list_is_bounded_and_a_damaged_one_is_said() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut added = AddedDisks::read(dir.path()).expect("none yet");
        for number in 0..ADDED_DISKS_MAX {
            let path = PathBuf::from(format!("/d/{number}"));
            added.disks.push(Added { path, class: "hot".to_owned() });
        }
        let error = added.remember(Path::new("/d/more"), DiskClass::Hot).expect_err("full");
        assert!(error.to_string().contains("configuration"), "{error}");
        for (text, said) in [
            ("{", "is damaged"),
            (r#"{"magic":"shardlake added disks","version":2,"disks":[]}"#, "newer version"),
            (
                r#"{"magic":"shardlake added disks","version":1,"disks":[{"path":"/d","class":"x"}]}"#,
                "not one of hot",
            ),
        ] {
            fs::write(dir.path().join(NAME), text).expect("written");
            let error = AddedDisks::read(dir.path()).expect_err(text).to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    /// The file as version 1 wrote it opens for ever.
    #[test]
    fn golden() {
        let dir = tempfile::tempdir().expect("a folder");
        let text = r#"{"magic":"shardlake added disks","version":1,
            "disks":[{"path":"disk-6","class":"hot"}]}"#;
        fs::write(dir.path().join(NAME), text).expect("written");
        let added = AddedDisks::read(dir.path()).expect("version 1");
        assert_eq!(added.folders(), [(dir.path().join("disk-6"), DiskClass::Hot)]);
    }
}
