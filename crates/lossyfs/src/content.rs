//! The bytes of a file: as the program sees them, and as the disk has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rand::Rng;

/// Bytes of a block.
pub const BLOCK: usize = 4096;

/// What a disk writes in one piece: blocks tear at multiples of it.
const SECTOR: usize = 512;

type Block = Arc<[u8; BLOCK]>;

/// A sparse run of blocks.
#[derive(Clone, Default)]
struct Image {
    size: u64,
    blocks: BTreeMap<u64, Block>,
}

/// A regular file.
#[derive(Clone, Default)]
pub struct Content {
    now: Image,
    durable: Image,
    /// Blocks that differ, or may differ, from the durable ones.
    dirty: BTreeSet<u64>,
    /// Bits that rotted and were not written since: by offset, the mask of the byte.
    rotten: BTreeMap<u64, u8>,
}

/// What a power cut does to what is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it is lost.
    Drop,
    /// Each block is lost, kept, or torn, by chance.
    Torn,
}

fn index(offset: u64) -> (u64, usize) {
    let within = usize::try_from(offset % BLOCK as u64).expect("less than a block");
    (offset / BLOCK as u64, within)
}

impl Image {
    fn block(&self, number: u64) -> [u8; BLOCK] {
        self.blocks.get(&number).map_or([0; BLOCK], |block| **block)
    }

    fn set(&mut self, number: u64, block: Option<Block>) {
        match block {
            Some(block) => self.blocks.insert(number, block),
            None => self.blocks.remove(&number),
        };
    }
}

impl Content {
    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.now.size
    }

    /// Bytes that its blocks take.
    pub fn used_bytes(&self) -> u64 {
        (self.now.blocks.len() * BLOCK) as u64
    }

    /// Bytes that a write would add to [`Content::used_bytes`].
    pub fn growth(&self, offset: u64, length: usize) -> u64 {
        let (first, _) = index(offset);
        let blocks = first..(offset + length as u64).div_ceil(BLOCK as u64);
        let new = blocks.filter(|number| !self.now.blocks.contains_key(number)).count();
        (new * BLOCK) as u64
    }

    /// Up to `length` bytes from `offset`; fewer at the end of the file.
    pub fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.now.size.min(offset.saturating_add(length as u64));
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let (number, from) = index(at);
            let upto = usize::try_from(end - at).map_or(BLOCK, |rest| BLOCK.min(from + rest));
            match self.now.blocks.get(&number) {
                Some(block) => bytes.extend_from_slice(&block[from..upto]),
                None => bytes.resize(bytes.len() + upto - from, 0),
            }
            at += (upto - from) as u64;
        }
        bytes
    }

    /// Writes; the file grows as needed.
    pub fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        self.rotten.retain(|at, _| !(offset..end).contains(at));
        let mut at = offset;
        while !bytes.is_empty() {
            let (number, from) = index(at);
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - from));
            let block = self.now.blocks.entry(number).or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[from..from + head.len()].copy_from_slice(head);
            self.dirty.insert(number);
            at += head.len() as u64;
            bytes = rest;
        }
        self.now.size = self.now.size.max(at);
    }

    /// Cuts the file off, or lets it grow by zeros.
    pub fn truncate(&mut self, size: u64) {
        self.rotten.retain(|at, _| *at < size);
        if size < self.now.size {
            let (last, within) = index(size);
            let keep = if within == 0 { last } else { last + 1 };
            self.dirty.extend(self.now.blocks.split_off(&keep).into_keys());
            if within > 0
                && let Some(block) = self.now.blocks.get_mut(&last)
            {
                Arc::make_mut(block)[within..].fill(0);
                self.dirty.insert(last);
            }
        }
        self.now.size = size;
    }

    /// Makes everything durable: what a successful `fsync` means.
    pub fn sync(&mut self) {
        for number in std::mem::take(&mut self.dirty) {
            self.durable.set(number, self.now.blocks.get(&number).cloned());
        }
        self.durable.size = self.now.size;
    }

    /// What a failed `fsync` leaves on Linux: the pages count as clean and are not durable. A later
    /// `fsync` that succeeds does not write them.
    pub fn fail_to_sync(&mut self) {
        self.dirty.clear();
    }

    /// What is there after a power cut. All of it is durable then.
    pub fn cut(&mut self, cut: Cut, random: &mut impl Rng) {
        if cut == Cut::Torn {
            let grown = self.now.size > self.durable.size;
            for number in std::mem::take(&mut self.dirty) {
                let new = self.now.blocks.get(&number).cloned();
                match random.random_range(0..4) {
                    0 | 1 => {}
                    2 => self.durable.set(number, new),
                    _ => {
                        let mut torn = self.durable.block(number);
                        let upto = SECTOR * random.random_range(0..=BLOCK / SECTOR);
                        let new = new.map_or([0; BLOCK], |block| *block);
                        torn[..upto].copy_from_slice(&new[..upto]);
                        self.durable.set(number, Some(Arc::new(torn)));
                    }
                }
            }
            // The length is metadata: it comes before, with or after the data.
            self.durable.size = match random.random_range(0..3) {
                0 => self.durable.size,
                1 => self.now.size,
                _ if grown => random.random_range(self.durable.size..=self.now.size),
                _ => self.durable.size,
            };
            self.cut_off();
        }
        self.dirty.clear();
        self.now = self.durable.clone();
    }

    /// Nothing lies behind the durable end.
    fn cut_off(&mut self) {
        let (last, within) = index(self.durable.size);
        self.durable.blocks.split_off(&if within == 0 { last } else { last + 1 });
        if within > 0
            && let Some(block) = self.durable.blocks.get_mut(&last)
        {
            Arc::make_mut(block)[within..].fill(0);
        }
    }

    /// Flips one bit of a durable byte, as a disk does that rots. False if there is none.
    pub fn flip(&mut self, random: &mut impl Rng) -> bool {
        if self.durable.blocks.is_empty() {
            return false;
        }
        let nth = random.random_range(0..self.durable.blocks.len());
        let number = *self.durable.blocks.keys().nth(nth).expect("counted before");
        let start = number * BLOCK as u64;
        let inside = usize::try_from(self.durable.size.saturating_sub(start)).unwrap_or(BLOCK);
        if inside == 0 {
            return false;
        }
        let (byte, bit) = (random.random_range(0..inside.min(BLOCK)), random.random_range(0..8));
        let offset = start + byte as u64;
        self.exchange(offset, 1 << bit);
        *self.rotten.entry(offset).or_default() ^= 1 << bit;
        true
    }

    /// Flips back what was flipped and not written since; says how many bytes that were.
    pub fn unflip(&mut self) -> usize {
        let rotten = std::mem::take(&mut self.rotten);
        for (offset, mask) in &rotten {
            self.exchange(*offset, *mask);
        }
        rotten.len()
    }

    /// Flips the bits of the mask in a byte, on the disk and in the cache.
    fn exchange(&mut self, offset: u64, mask: u8) {
        let (number, byte) = index(offset);
        for image in [&mut self.durable, &mut self.now] {
            if let Some(block) = image.blocks.get_mut(&number) {
                Arc::make_mut(block)[byte] ^= mask;
            }
        }
    }
}
