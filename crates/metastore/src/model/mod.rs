//! The two state machines once more, over plain maps: short, slow and obviously right.
//! Property tests hold the real ones to these; crates above may use them as mocks.

mod events;
mod index;
mod restores;
mod root;
mod views;

pub use index::{IndexModel, Key, Stored};
pub use root::RootModel;
