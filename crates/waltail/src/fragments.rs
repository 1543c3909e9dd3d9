//! The fragments of a log file, and where there is none to be read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crc_fast::{CrcAlgorithm, checksum};

use crate::mark::{MAGIC, MARK_AT};

const BLOCK: usize = 32 << 10;
/// Checksum, length, type.
const HEADER: usize = 7;
const ZERO: u8 = 0;

/// What a fragment is of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Full,
    First,
    Middle,
    Last,
    /// Of something else than a batch of writes.
    Other,
}

/// What is found next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Fragment(Part, &'a [u8]),
    /// Nothing that can be read: the rest of its block is skipped, up to the next mark in it.
    Broken {
        /// Where in the file.
        offset: u64,
    },
}

/// Reads a file block by block.
pub(crate) struct Fragments {
    file: File,
    block: Vec<u8>,
    /// Where the block begins in the file.
    start: u64,
    /// Where the next fragment begins in the block.
    at: usize,
}

impl Fragments {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, block: Vec::new(), start: 0, at: 0 })
    }

    /// The next fragment or gap; none at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        // What is too short for a header is padding.
        if self.block.len().saturating_sub(self.at) < HEADER {
            let whole = self.block.is_empty() || self.block.len() == BLOCK;
            let cut_short = !whole && self.at < self.block.len();
            let offset = self.start + self.at as u64;
            self.start += self.block.len() as u64;
            self.block.clear();
            self.at = 0;
            if cut_short {
                return Ok(Some(Found::Broken { offset }));
            }
            (&mut self.file).take(BLOCK as u64).read_to_end(&mut self.block)?;
            if self.block.is_empty() {
                return Ok(None);
            }
            if self.block.len() < HEADER {
                let offset = self.start;
                self.at = self.block.len();
                return Ok(Some(Found::Broken { offset }));
            }
        }
        let offset = self.start + self.at as u64;
        let rest = &self.block[self.at..];
        let Some((part, length)) = parse(rest) else {
            self.at += witness(rest).unwrap_or(rest.len());
            return Ok(Some(Found::Broken { offset }));
        };
        let from = self.at + HEADER;
        self.at = from + length;
        Ok(Some(Found::Fragment(part, &self.block[from..from + length])))
    }
}

/// Where the first fragment with a mark begins, behind a place that cannot be read. Only fragments
/// with marks matter there, and these are found without trusting a length.
fn witness(bytes: &[u8]) -> Option<usize> {
    const BEFORE: usize = HEADER + MARK_AT;
    let magics = (BEFORE + 1..bytes.len()).filter(|at| bytes[*at..].starts_with(&MAGIC));
    magics.map(|at| at - BEFORE).find(|start| parse(&bytes[*start..]).is_some())
}

/// The fragment at the beginning of the bytes, if there is a whole one: what it is, and its length.
fn parse(bytes: &[u8]) -> Option<(Part, usize)> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (kind, payload) = rest.split_first()?;
    let covered = rest.get(..1 + length)?;
    if *kind == ZERO || payload.len() < length || u32::from_le_bytes(*crc) != masked(covered) {
        return None;
    }
    let part = match kind {
        1 => Part::Full,
        2 => Part::First,
        3 => Part::Middle,
        4 => Part::Last,
        _ => Part::Other,
    };
    Some((part, length))
}

/// RocksDB's masked CRC-32C (`util/crc32c.h`).
pub(crate) fn masked(bytes: &[u8]) -> u32 {
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("32 bits");
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
