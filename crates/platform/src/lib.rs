//! The seam to time: everything that asks for the time or makes an id asks here, so that tests and
//! the simulator decide what the answer is. The seam to threads ([`off_thread`]). And [`folder`]s that
//! outlast a power cut, and [`planted`] bugs.

mod clock;
pub mod folder;
mod plant;
mod thread;

pub use clock::{Clock, ManualClock, SystemClock};
pub use plant::planted;
pub use thread::{off_thread, stay_on_thread};
