//! Faults, and how a cluster comes back from each.
//!
//! Reading order: [`control`] (a cluster that can be harmed, by JSON lines), [`plan`] (what each nemesis
//! does to whom), [`mix`] (all of them in turn, with the time to recovery), [`shell`] (faults that are
//! shell commands, for clusters of other kinds).

pub(crate) mod control;
pub(crate) mod mix;
pub(crate) mod plan;
pub(crate) mod shell;
