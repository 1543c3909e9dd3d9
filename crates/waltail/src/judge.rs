//! Reading all logs of a database, in front of and behind the first place that cannot be read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    fragments::{Found, Fragments, Part},
    mark::{HEAD_BYTES, Head},
};

/// What is to be thought of the logs of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They can be read to their end: whatever is wrong with the database is elsewhere.
    Whole,
    /// Behind this place nothing is proved to have been durable: it is the end of the log.
    Torn {
        /// The log.
        file: PathBuf,
        /// Bytes from its beginning.
        offset: u64,
    },
    /// What cannot be read here was durable once.
    Damaged {
        /// The log.
        file: PathBuf,
        /// Bytes from its beginning.
        offset: u64,
    },
}

/// Where the log breaks off.
struct Break {
    file: PathBuf,
    offset: u64,
    /// The first sequence number that cannot be read; unknown at the beginning of the first log.
    lost_from: Option<u64>,
}

#[derive(Default)]
struct Reading {
    /// The sequence number after those that were read, once there are any.
    next: Option<u64>,
    /// Whether nothing of the present file has been looked at.
    at_beginning: bool,
    /// The beginning of the record of which a part has been read.
    head: Option<Vec<u8>>,
    broken: Option<Break>,
    /// Whether a mark behind the break covers what cannot be read there.
    accused: bool,
}

/// Reads the logs in a database's folder. The database is closed.
pub fn judge(database: &Path) -> io::Result<Verdict> {
    let mut reading = Reading::default();
    for file in logs(database)? {
        reading.read(&file)?;
    }
    Ok(match reading.broken {
        None => Verdict::Whole,
        Some(Break { file, offset, .. }) => match reading.accused {
            true => Verdict::Damaged { file, offset },
            false => Verdict::Torn { file, offset },
        },
    })
}

/// The logs in the order of their numbers.
fn logs(database: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "log")
        {
            logs.push((number, path));
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

impl Reading {
    fn read(&mut self, file: &Path) -> io::Result<()> {
        let mut fragments = Fragments::open(file)?;
        self.at_beginning = true;
        while let Some(found) = fragments.next()? {
            match found {
                Found::Broken { offset } => self.break_off(file, offset),
                Found::Fragment(Part::Full, bytes) => self.record(bytes),
                Found::Fragment(Part::First, bytes) => {
                    let length = bytes.len().min(HEAD_BYTES);
                    self.head = Some(bytes[..length].to_vec());
                }
                Found::Fragment(part @ (Part::Middle | Part::Last), bytes) => {
                    let Some(mut head) = self.head.take() else { continue };
                    let length = bytes.len().min(HEAD_BYTES - head.len());
                    head.extend_from_slice(&bytes[..length]);
                    match part {
                        Part::Last => self.record(&head),
                        _ => self.head = Some(head),
                    }
                }
                Found::Fragment(Part::Other, _) => {}
            }
        }
        if self.head.is_some() {
            // A record goes on in its own file or not at all.
            let end = fs::metadata(file)?.len();
            self.break_off(file, end);
        }
        Ok(())
    }

    fn break_off(&mut self, file: &Path, offset: u64) {
        self.at_beginning = false;
        // Of a record that is not all there, the beginning still says what was synced before it.
        if let Some(head) = self.head.take()
            && self.broken.is_some()
        {
            self.note_mark(&head);
        }
        if self.broken.is_none() {
            let lost_from = self.next;
            self.broken = Some(Break { file: file.to_owned(), offset, lost_from });
        }
    }

    fn record(&mut self, bytes: &[u8]) {
        let Some(head) = Head::parse(bytes) else { return };
        if std::mem::take(&mut self.at_beginning)
            && let Some(Break { lost_from: Some(lost_from), .. }) = self.broken
            && head.sequence <= lost_from
        {
            // The database was opened behind that break before, and went on from there: the file
            // with the break is one that it no longer uses.
            self.broken = None;
            self.accused = false;
        }
        if self.broken.is_some() {
            self.note_mark(bytes);
        } else {
            self.next = Some(head.sequence.saturating_add(u64::from(head.count)));
        }
    }

    /// What cannot be read begins where reading ended. Where nothing was read before, only a mark
    /// that covers everything up to its own record proves anything.
    fn note_mark(&mut self, bytes: &[u8]) {
        let Some(Break { lost_from, .. }) = self.broken else { return };
        if let Some(Head { sequence, mark: Some(mark), .. }) = Head::parse(bytes) {
            let covered = lost_from.unwrap_or(sequence.saturating_sub(1)).max(1);
            self.accused |= mark.synced >= covered && mark.synced < sequence;
        }
    }
}

#[cfg(test)]
mod tests;
