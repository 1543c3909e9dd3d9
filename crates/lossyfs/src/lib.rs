//! A file system that loses what was not fsynced. It lives in memory, is mounted with FUSE, and does
//! on command what a power cut, a full disk or a dying one does to the files of a program.
//!
//! Reading order: [`content`] (the bytes of a file, and which of them are durable), [`volume`] (files
//! and folders, and what a power cut leaves of them), [`faults`] (what else can go wrong),
//! [`mount`] (the same for the kernel), [`control`] (commands over a Unix socket).
//!
//! **The model.** A write is in the page cache until an `fsync` of the file returns. A new name, a
//! rename or a removal is in it until an `fsync` of the folder returns: nothing else makes
//! a name durable, though many real file systems are kinder. After a cut all that was durable is
//! there, and of the rest nothing, or by chance some blocks, down to half-written ones.

pub mod content;
pub mod control;
pub mod faults;
pub mod mount;
pub mod volume;
