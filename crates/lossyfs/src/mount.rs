//! The volume as the kernel asks for it. Nothing is cached in the kernel: every call comes here, so
//! that a program sees after a power cut what the volume has then.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno as Code, FileAttr, FileHandle, FileType,
    Filesystem, FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;

use crate::{
    content::BLOCK,
    volume::{Errno, Ino, Kind, Volume},
};

const NO_CACHE: Duration = Duration::ZERO;

/// Threads that answer the kernel, so that a delay holds up only its own call.
const THREADS: usize = 8;

/// `FALLOC_FL_KEEP_SIZE` of fallocate(2).
const KEEP_SIZE: i32 = 1;

struct Mounted(Arc<Mutex<Volume>>);

/// Mounts a volume; it is unmounted when the session is dropped.
pub fn mount(volume: Arc<Mutex<Volume>>, at: &Path) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("lossyfs".to_owned()), MountOption::NoAtime];
    config.n_threads = Some(THREADS);
    fuser::spawn_mount(Mounted(volume), at, &config)
}

fn code(error: Errno) -> Code {
    match error {
        Errno::NotFound => Code::ENOENT,
        Errno::Exists => Code::EEXIST,
        Errno::NotEmpty => Code::ENOTEMPTY,
        Errno::NotAFolder => Code::ENOTDIR,
        Errno::IsAFolder => Code::EISDIR,
        Errno::Io => Code::EIO,
        Errno::NoSpace => Code::ENOSPC,
        Errno::OtherFolder => Code::EXDEV,
    }
}

/// Names that are not UTF-8 do not exist here.
fn text(name: &OsStr) -> &str {
    name.to_str().unwrap_or("\u{fffd}")
}

fn attributes(volume: &Volume, ino: Ino) -> Result<FileAttr, Errno> {
    let node = volume.node(ino)?;
    let (kind, size, blocks) = match &node.kind {
        Kind::File(content) => (FileType::RegularFile, content.size(), content.used_bytes() / 512),
        Kind::Folder(_) => (FileType::Directory, BLOCK as u64, 1),
    };
    Ok(FileAttr {
        ino: INodeNo(ino),
        size,
        blocks,
        atime: node.modified,
        mtime: node.modified,
        ctime: node.modified,
        crtime: node.modified,
        kind,
        perm: node.mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: u32::try_from(BLOCK).expect("a block is small"),
        flags: 0,
    })
}

fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).expect("twelve bits")
}

impl Mounted {
    fn with<T>(&self, ask: impl FnOnce(&mut Volume) -> Result<T, Errno>) -> Result<T, Code> {
        ask(&mut self.0.lock()).map_err(code)
    }

    fn delayed(&self) {
        let delay = self.0.lock().faults.io_delay_ms;
        if delay > 0 {
            std::thread::sleep(Duration::from_millis(delay));
        }
    }

    fn make(
        &self,
        parent: INodeNo,
        name: &OsStr,
        mode: u16,
        folder: bool,
    ) -> Result<FileAttr, Code> {
        self.with(|volume| {
            let ino = volume.make(parent.0, text(name), mode, folder)?;
            attributes(volume, ino)
        })
    }
}

fn finish(result: Result<(), Code>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn slowly(result: Result<Duration, Code>, reply: ReplyEmpty) {
    finish(result.map(std::thread::sleep), reply);
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.with(|volume| {
            let ino = volume.lookup(parent.0, text(name))?;
            attributes(volume, ino)
        });
        match found {
            Ok(attr) => reply.entry(&NO_CACHE, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|volume| attributes(volume, ino.0)) {
            Ok(attr) => reply.attr(&NO_CACHE, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.with(|volume| {
            if let Some(mode) = mode {
                volume.node_mut(ino.0)?.mode = permissions(mode, 0);
            }
            if let Some(size) = size {
                volume.truncate(ino.0, size)?;
            }
            attributes(volume, ino.0)
        });
        match set {
            Ok(attr) => reply.attr(&NO_CACHE, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        match self.make(parent, name, permissions(mode, umask), true) {
            Ok(attr) => reply.entry(&NO_CACHE, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.make(parent, name, permissions(mode, umask), false).and_then(|attr| {
            self.with(|volume| volume.opened(attr.ino.0))?;
            Ok(attr)
        });
        match made {
            Ok(attr) => reply.created(
                &NO_CACHE,
                &attr,
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.with(|volume| volume.remove(parent.0, text(name), false)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.with(|volume| volume.remove(parent.0, text(name), true)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Code::EINVAL);
        }
        let (from, to) = ((parent.0, text(name)), (newparent.0, text(newname)));
        finish(self.with(|volume| volume.rename(from, to)), reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|volume| volume.opened(ino.0)) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.0.lock().released(ino.0);
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.delayed();
        match self.with(|volume| volume.read(ino.0, offset, size as usize)) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.delayed();
        match self.with(|volume| volume.write(ino.0, offset, data)) {
            Ok(()) => {
                reply.written(u32::try_from(data.len()).expect("the kernel's limit is lower"))
            }
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        slowly(self.with(|volume| volume.sync(ino.0)), reply);
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        slowly(self.with(|volume| volume.sync_folder(ino.0)), reply);
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listed = self.with(|volume| {
            let named = volume.entries(ino.0)?.into_iter().map(|(name, child)| {
                let folder =
                    volume.node(child).is_ok_and(|node| matches!(node.kind, Kind::Folder(_)));
                let kind = if folder { FileType::Directory } else { FileType::RegularFile };
                (name, child, kind)
            });
            let own = [".", ".."].map(|name| (name.to_owned(), ino.0, FileType::Directory));
            Ok(own.into_iter().chain(named).collect::<Vec<_>>())
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return reply.error(error),
        };
        for ((name, child, kind), at) in
            listed.into_iter().zip(1u64..).skip(usize::try_from(offset).unwrap_or(usize::MAX))
        {
            if reply.add(INodeNo(child), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        // Space is not reserved: a promise that the model does not need.
        let done = match mode {
            KEEP_SIZE => Ok(()),
            0 => self.with(|volume| {
                let size = attributes(volume, ino.0)?.size;
                let end = offset.saturating_add(length);
                if end > size { volume.truncate(ino.0, end) } else { Ok(()) }
            }),
            _ => Err(Code::EOPNOTSUPP),
        };
        finish(done, reply);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (total, free) = self.0.lock().blocks();
        let block = u32::try_from(BLOCK).expect("a block is small");
        reply.statfs(total, free, free, 1 << 20, 1 << 20, block, 255, block);
    }
}
