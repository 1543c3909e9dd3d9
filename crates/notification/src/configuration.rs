//! What the notifications of a bucket say, the bytes in which they are stored, and who is told of
//! an event.

use std::collections::BTreeSet;

use metastore::api::index::Event;
use serde::{Deserialize, Serialize};

use crate::{EventName, Filter};

/// The notification configuration of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Notification {
    /// The bucket.
    pub bucket: Bucket,
    /// In the order in which they are shown; at most [`Notification::CONFIGURATIONS_MAX`].
    pub configurations: Vec<Configuration>,
    /// Whether every event goes to [`Notification::EVENT_BRIDGE`].
    pub event_bridge: bool,
}

/// The bucket as its messages name it. It is here because the root group finds buckets by their
/// name only, and because only gateways know their region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Bucket {
    /// Its name; an id never gets another one.
    pub name: String,
    /// The region of the gateway that stored the configuration.
    pub region: String,
    /// The account that owns the bucket.
    pub account: String,
}

/// Which events go to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Unique in the bucket; at most 255 characters.
    pub id: String,
    /// What AWS would have there.
    pub destination: Destination,
    /// `arn:aws:sqs:REGION:ACCOUNT:TARGET`, or `sns` for a topic.
    pub arn: String,
    /// Names of events and of their families, as [`EventName::is_asked_by`] takes them.
    pub events: Vec<String>,
    /// Which keys.
    pub filter: Filter,
}

/// What AWS has at the other end of an ARN. Here it is a webhook in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// An SQS queue.
    Queue,
    /// An SNS topic.
    Topic,
}

impl Destination {
    /// How ARNs name the service.
    pub fn service(self) -> &'static str {
        match self {
            Self::Queue => "sqs",
            Self::Topic => "sns",
        }
    }
}

impl Configuration {
    /// The target that the ARN names.
    pub fn target(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or_default()
    }

    /// Whether it is about this event of this key.
    pub fn is_about(&self, name: EventName, key: &str) -> bool {
        self.events.iter().any(|pattern| name.is_asked_by(pattern)) && self.filter.passes(key)
    }
}

/// A stored configuration that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored notification configuration cannot be read: {0}")]
pub struct Unreadable(String);

/// The version of the stored form.
const VERSION: u8 = 1;

impl Notification {
    /// Configurations of one bucket at most. AWS: quotas of event notifications.
    pub const CONFIGURATIONS_MAX: usize = 100;

    /// The target of all events of a bucket whose configuration has `EventBridgeConfiguration`.
    pub const EVENT_BRIDGE: &str = "eventbridge";

    /// Whether nobody is told of anything.
    pub fn is_empty(&self) -> bool {
        self.configurations.is_empty() && !self.event_bridge
    }

    /// All targets that it names.
    pub fn named_targets(&self) -> BTreeSet<&str> {
        let bridge = self.event_bridge.then_some(Self::EVENT_BRIDGE);
        self.configurations.iter().map(Configuration::target).chain(bridge).collect()
    }

    /// The targets that are told of this event, each once, whatever number of configurations
    /// name it.
    pub fn targets(&self, event: &Event) -> BTreeSet<&str> {
        let name = EventName::of(event);
        let about = self.configurations.iter().filter(|it| it.is_about(name, &event.key));
        let bridge = self.event_bridge.then_some(Self::EVENT_BRIDGE);
        about.map(Configuration::target).chain(bridge).collect()
    }

    /// The stored form: one version byte, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("a configuration is plain data and a Vec grows as needed")
    }

    /// The configuration that these bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((configuration, [])) => Ok(configuration),
                Ok(_) => Err(Unreadable("trailing bytes".to_owned())),
                Err(error) => Err(Unreadable(error.to_string())),
            },
            Some((version, _)) => Err(Unreadable(format!("unknown version {version}"))),
            None => Err(Unreadable("no bytes".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests;
