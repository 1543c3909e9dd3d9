//! The two state machines once more, over plain maps: short, slow and obviously right.
//! Property tests hold the real ones to these; crates above may use them as mocks.

mod index;
mod root;

pub use index::IndexModel;
pub use root::RootModel;
