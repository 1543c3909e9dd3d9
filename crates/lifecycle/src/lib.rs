//! Lifecycle rules of a bucket: what they say, and what is due for a version at a time.
//! Nothing here does I/O: the worker walks the index and asks [`Lifecycle::due`]; the
//! protocol layer asks [`Lifecycle::expiry`] for the header that announces an end.
//!
//! Reading order: [`rule`] (what is stored), [`check`] (what is refused), [`calendar`] (when
//! a number of days is over), [`evaluate`] (what is due), `transition` (to which storage class).
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lifecycle-mgmt.html>.

pub mod calendar;
pub mod check;
pub mod evaluate;
pub mod rule;
mod transition;

pub use calendar::Calendar;
pub use check::Invalid;
pub use evaluate::{Action, State, Subject};
pub use rule::{
    Filter, Lifecycle, NoncurrentExpiration, NoncurrentTransition, Rule, Transition,
    TransitionMinimum, When,
};
