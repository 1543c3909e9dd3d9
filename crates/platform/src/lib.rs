//! The seam to time. Everything that asks for the time or makes an id asks
//! here, so that tests and the simulator decide what the answer is.

mod clock;

pub use clock::{Clock, ManualClock, SystemClock};
