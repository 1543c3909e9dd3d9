//! Notifications of a bucket: what its configuration says, which targets an event goes to, and
//! the message that they receive. Nothing here does I/O: the protocol layer checks and stores
//! configurations, the worker reads events from the index and asks [`Notification::targets`].
//!
//! Reading order: [`name`] (what AWS calls an event), [`filter`] (which keys), [`configuration`]
//! (what is stored, and who is told), [`check`] (what is refused), [`message`] (the JSON).
//!
//! Every target receives the message in the form of Amazon EventBridge, also those that a
//! configuration names as a queue or a topic.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html>.

pub mod check;
pub mod configuration;
pub mod filter;
pub mod message;
pub mod name;

pub use check::Invalid;
pub use configuration::{Bucket, Configuration, Destination, Notification, Unreadable};
pub use filter::Filter;
pub use message::Message;
pub use name::EventName;
