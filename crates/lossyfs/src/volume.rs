//! Files and folders, as the program sees them and as they are after a power cut.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, SystemTime},
};

use rand::Rng;

use crate::{
    content::{BLOCK, Content, Cut},
    faults::Faults,
};

/// Names a file or folder; never used twice.
pub type Ino = u64;

/// The topmost folder.
pub const ROOT: Ino = 1;

/// Why a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of errno")]
pub enum Errno {
    NotFound,
    Exists,
    NotEmpty,
    NotAFolder,
    IsAFolder,
    Io,
    NoSpace,
    OtherFolder,
}

/// What a node is.
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A folder.
    Folder(Folder),
}

/// The names in a folder.
#[derive(Default)]
pub struct Folder {
    now: BTreeMap<String, Ino>,
    durable: BTreeMap<String, Ino>,
    /// What was done since the last `fsync`, in order: what a name meant from then on.
    pending: Vec<Vec<(String, Option<Ino>)>>,
}

/// A file or folder.
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// When it was changed last.
    pub modified: SystemTime,
    parent: Ino,
    name: String,
    open: u32,
}

/// The file system.
pub struct Volume {
    nodes: HashMap<Ino, Node>,
    next: Ino,
    capacity_bytes: u64,
    used_bytes: u64,
    /// What goes wrong at present.
    pub faults: Faults,
    /// `fsync` calls of files so far, the failed ones among them.
    pub fsyncs: u64,
}

impl Folder {
    fn change(&mut self, change: Vec<(String, Option<Ino>)>) {
        for (name, ino) in &change {
            match ino {
                Some(ino) => self.now.insert(name.clone(), *ino),
                None => self.now.remove(name),
            };
        }
        self.pending.push(change);
    }
}

/// What a file system tells its users the time is; no decision is made by it.
#[allow(clippy::disallowed_methods, reason = "the one place that asks")]
fn now() -> SystemTime {
    SystemTime::now()
}

impl Node {
    fn new(kind: Kind, mode: u16, parent: Ino, name: &str) -> Self {
        let modified = now();
        Self { kind, mode, modified, parent, name: name.to_owned(), open: 0 }
    }
}

impl Volume {
    /// An empty file system of so many bytes.
    pub fn new(capacity_bytes: u64) -> Self {
        let root = Node::new(Kind::Folder(Folder::default()), 0o755, ROOT, "");
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            capacity_bytes,
            used_bytes: 0,
            faults: Faults::default(),
            fsyncs: 0,
        }
    }

    /// Capacity and used bytes.
    pub fn space(&self) -> (u64, u64) {
        (self.capacity_bytes, self.used_bytes)
    }

    /// A node.
    pub fn node(&self, ino: Ino) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::NotFound)
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, ino: Ino) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::NotFound)
    }

    /// Where a node is, or was when it was named last.
    pub fn path(&self, ino: Ino) -> String {
        let (mut path, mut at) = (String::new(), ino);
        while at != ROOT
            && let Some(node) = self.nodes.get(&at)
        {
            path = format!("/{}{path}", node.name);
            at = node.parent;
        }
        path
    }

    fn file(&self, ino: Ino) -> Result<&Content, Errno> {
        match &self.node(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Errno::IsAFolder),
        }
    }

    fn file_mut(&mut self, ino: Ino) -> Result<&mut Content, Errno> {
        match &mut self.node_mut(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Folder(_) => Err(Errno::IsAFolder),
        }
    }

    fn folder(&self, ino: Ino) -> Result<&Folder, Errno> {
        match &self.node(ino)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::NotAFolder),
        }
    }

    fn folder_mut(&mut self, ino: Ino) -> Result<&mut Folder, Errno> {
        match &mut self.node_mut(ino)?.kind {
            Kind::Folder(folder) => Ok(folder),
            Kind::File(_) => Err(Errno::NotAFolder),
        }
    }

    /// What a name in a folder means.
    pub fn lookup(&self, folder: Ino, name: &str) -> Result<Ino, Errno> {
        self.folder(folder)?.now.get(name).copied().ok_or(Errno::NotFound)
    }

    /// The names in a folder, in order.
    pub fn entries(&self, folder: Ino) -> Result<Vec<(String, Ino)>, Errno> {
        Ok(self.folder(folder)?.now.iter().map(|(name, ino)| (name.clone(), *ino)).collect())
    }

    /// Makes a file or an empty folder.
    pub fn make(&mut self, parent: Ino, name: &str, mode: u16, folder: bool) -> Result<Ino, Errno> {
        if self.folder(parent)?.now.contains_key(name) {
            return Err(Errno::Exists);
        }
        let kind = match folder {
            true => Kind::Folder(Folder::default()),
            false => Kind::File(Content::default()),
        };
        let ino = self.next;
        self.next += 1;
        self.nodes.insert(ino, Node::new(kind, mode, parent, name));
        self.folder_mut(parent)?.change(vec![(name.to_owned(), Some(ino))]);
        Ok(ino)
    }

    /// Removes a name of a file, or of an empty folder.
    pub fn remove(&mut self, parent: Ino, name: &str, folder: bool) -> Result<(), Errno> {
        let ino = self.lookup(parent, name)?;
        match (&self.node(ino)?.kind, folder) {
            (Kind::Folder(it), true) if !it.now.is_empty() => return Err(Errno::NotEmpty),
            (Kind::Folder(_), false) => return Err(Errno::IsAFolder),
            (Kind::File(_), true) => return Err(Errno::NotAFolder),
            _ => {}
        }
        self.folder_mut(parent)?.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    /// Renames within a folder, over what is there. Between folders it is refused: a real file
    /// system does it atomically, which this model does not have.
    pub fn rename(&mut self, from: (Ino, &str), to: (Ino, &str)) -> Result<(), Errno> {
        if from.0 != to.0 {
            return Err(Errno::OtherFolder);
        }
        let ino = self.lookup(from.0, from.1)?;
        if from.1 == to.1 {
            return Ok(());
        }
        if let Ok(there) = self.lookup(to.0, to.1) {
            match (&self.node(there)?.kind, &self.node(ino)?.kind) {
                (Kind::Folder(it), Kind::Folder(_)) if !it.now.is_empty() => {
                    return Err(Errno::NotEmpty);
                }
                (Kind::Folder(_), Kind::File(_)) => return Err(Errno::IsAFolder),
                (Kind::File(_), Kind::Folder(_)) => return Err(Errno::NotAFolder),
                _ => {}
            }
        }
        let change = vec![(from.1.to_owned(), None), (to.1.to_owned(), Some(ino))];
        self.folder_mut(from.0)?.change(change);
        self.node_mut(ino)?.name = to.1.to_owned();
        Ok(())
    }

    /// Counts an open handle: its node stays though it has no name any more.
    pub fn opened(&mut self, ino: Ino) -> Result<(), Errno> {
        self.node_mut(ino)?.open += 1;
        Ok(())
    }

    /// The end of an open handle.
    pub fn released(&mut self, ino: Ino) {
        if let Ok(node) = self.node_mut(ino) {
            node.open = node.open.saturating_sub(1);
        }
        self.forget_if_unnamed(ino);
    }

    /// Up to `length` bytes of a file.
    pub fn read(&mut self, ino: Ino, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let path = self.path(ino);
        let Faults { read_errors, on, .. } = &mut self.faults;
        if Faults::strikes(read_errors, on, &path) {
            return Err(Errno::Io);
        }
        Ok(self.file(ino)?.read(offset, length))
    }

    /// Writes into a file.
    pub fn write(&mut self, ino: Ino, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let path = self.path(ino);
        let Faults { write_errors, on, .. } = &mut self.faults;
        if Faults::strikes(write_errors, on, &path) {
            return Err(Errno::Io);
        }
        let growth = self.file(ino)?.growth(offset, bytes.len());
        if growth > 0 && (self.faults.full || self.used_bytes + growth > self.capacity_bytes) {
            return Err(Errno::NoSpace);
        }
        self.used_bytes += growth;
        self.file_mut(ino)?.write(offset, bytes);
        self.node_mut(ino)?.modified = now();
        Ok(())
    }

    /// Sets the length of a file.
    pub fn truncate(&mut self, ino: Ino, size: u64) -> Result<(), Errno> {
        let file = self.file_mut(ino)?;
        let before = file.used_bytes();
        file.truncate(size);
        let freed = before - file.used_bytes();
        self.used_bytes -= freed;
        self.node_mut(ino)?.modified = now();
        Ok(())
    }

    /// `fsync` of a file; how much longer it has to take.
    pub fn sync(&mut self, ino: Ino) -> Result<Duration, Errno> {
        self.fsyncs += 1;
        let path = self.path(ino);
        let Faults { fsync_errors, on, .. } = &mut self.faults;
        if Faults::strikes(fsync_errors, on, &path) {
            self.file_mut(ino)?.fail_to_sync();
            return Err(Errno::Io);
        }
        self.file_mut(ino)?.sync();
        Ok(Duration::from_millis(self.faults.fsync_delay_ms))
    }

    /// `fsync` of a folder: its names are durable.
    pub fn sync_folder(&mut self, ino: Ino) -> Result<Duration, Errno> {
        let folder = self.folder_mut(ino)?;
        let mut gone: Vec<Ino> = folder.durable.values().copied().collect();
        for (_, named) in folder.pending.drain(..).flatten() {
            gone.extend(named);
        }
        folder.durable = folder.now.clone();
        for ino in gone {
            self.forget_if_unnamed(ino);
        }
        Ok(Duration::from_millis(self.faults.fsync_delay_ms))
    }

    /// Frees a node that no name and no handle leads to, now or after a cut.
    fn forget_if_unnamed(&mut self, ino: Ino) {
        let Some(node) = self.nodes.get(&ino) else { return };
        if ino == ROOT || node.open > 0 {
            return;
        }
        // Names never move between folders, so its own folder is the only one to ask.
        let named = self.folder(node.parent).is_ok_and(|folder| {
            folder.now.values().chain(folder.durable.values()).any(|it| *it == ino)
                || folder.pending.iter().flatten().any(|(_, it)| *it == Some(ino))
        });
        if !named && let Some(Node { kind: Kind::File(content), .. }) = self.nodes.remove(&ino) {
            self.used_bytes -= content.used_bytes();
        }
    }

    /// The power fails and comes back. Nobody may have a file open: whoever had is dead.
    pub fn cut(&mut self, cut: Cut, random: &mut impl Rng) {
        // In the order of the numbers, so that a seed says it all.
        let mut inos: Vec<Ino> = self.nodes.keys().copied().collect();
        inos.sort_unstable();
        for ino in inos {
            let Some(node) = self.nodes.get_mut(&ino) else { continue };
            node.open = 0;
            match &mut node.kind {
                Kind::File(content) => content.cut(cut, random),
                Kind::Folder(folder) => {
                    // The journal of a folder is written in order: any beginning may be there.
                    let kept = match cut {
                        Cut::Drop => 0,
                        Cut::Torn => random.random_range(0..=folder.pending.len()),
                    };
                    for (name, ino) in folder.pending.drain(..).take(kept).flatten() {
                        match ino {
                            Some(ino) => folder.durable.insert(name, ino),
                            None => folder.durable.remove(&name),
                        };
                    }
                    folder.now = folder.durable.clone();
                }
            }
        }
        self.drop_unreachable();
    }

    fn drop_unreachable(&mut self) {
        let mut kept = HashMap::new();
        let mut todo = vec![(ROOT, ROOT, String::new())];
        while let Some((ino, parent, name)) = todo.pop() {
            let Some(mut node) = self.nodes.remove(&ino) else { continue };
            if let Kind::Folder(folder) = &node.kind {
                todo.extend(folder.now.iter().map(|(name, child)| (*child, ino, name.clone())));
            }
            (node.parent, node.name) = (parent, name);
            kept.insert(ino, node);
        }
        self.nodes = kept;
        self.used_bytes = self
            .nodes
            .values()
            .map(|node| match &node.kind {
                Kind::File(content) => content.used_bytes(),
                Kind::Folder(_) => 0,
            })
            .sum();
    }

    /// Flips one durable bit in each of `count` files whose path contains `on`, or in fewer if
    /// there are not so many; in how many.
    pub fn flip(&mut self, on: &str, count: usize, random: &mut impl Rng) -> usize {
        let mut inos: Vec<Ino> =
            self.nodes.keys().copied().filter(|ino| self.path(*ino).contains(on)).collect();
        inos.sort_unstable();
        let mut flipped = 0;
        while flipped < count && !inos.is_empty() {
            let ino = inos.swap_remove(random.random_range(0..inos.len()));
            if let Ok(content) = self.file_mut(ino)
                && content.flip(random)
            {
                flipped += 1;
            }
        }
        flipped
    }

    /// Flips back every bit that rotted and was not written since; says in how many bytes.
    pub fn unflip(&mut self) -> usize {
        let contents = self.nodes.values_mut().filter_map(|node| match &mut node.kind {
            Kind::File(content) => Some(content),
            Kind::Folder(_) => None,
        });
        contents.map(Content::unflip).sum()
    }

    /// Free blocks, for `statfs`: total and free.
    pub fn blocks(&self) -> (u64, u64) {
        let block = BLOCK as u64;
        let free = if self.faults.full { 0 } else { self.capacity_bytes - self.used_bytes };
        (self.capacity_bytes / block, free / block)
    }
}
