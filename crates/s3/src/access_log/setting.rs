//! Where a bucket's access log goes, and the bytes in which that is stored.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Setting {
    /// The bucket that gets the log objects.
    pub(crate) bucket: String,
    /// Their keys begin with it.
    pub(crate) prefix: String,
    /// How their keys go on.
    pub(crate) layout: Layout,
}

/// How the keys of log objects are built after the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Layout {
    /// `YYYY-MM-DD-hh-mm-ss-UNIQUE`.
    Simple,
    /// `ACCOUNT/REGION/BUCKET/YYYY/MM/DD/YYYY-MM-DD-hh-mm-ss-UNIQUE`, by the time of delivery.
    ByDelivery,
    /// The same by the time of the events: an object holds those of one day, and its name has
    /// no time of day.
    ByEvent,
}

/// The version of the stored form.
const VERSION: u8 = 1;

impl Setting {
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("a setting is plain data and a Vec grows as needed")
    }

    /// `None` for what a newer version wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    /// The key of a log object about `source` with lines of the day of `event`, written at
    /// `now`.
    pub(crate) fn key(
        &self,
        account: &str,
        region: &str,
        source: &str,
        event: OffsetDateTime,
        now: OffsetDateTime,
        unique: &str,
    ) -> String {
        let prefix = &self.prefix;
        let day = |at: OffsetDateTime| {
            format!("{:04}/{:02}/{:02}", at.year(), u8::from(at.month()), at.day())
        };
        let name = |at: OffsetDateTime, with_time: bool| {
            let (hour, minute, second) =
                if with_time { (at.hour(), at.minute(), at.second()) } else { (0, 0, 0) };
            let date = day(at).replace('/', "-");
            format!("{date}-{hour:02}-{minute:02}-{second:02}-{unique}")
        };
        match self.layout {
            Layout::Simple => format!("{prefix}{}", name(now, true)),
            Layout::ByDelivery => {
                format!("{prefix}{account}/{region}/{source}/{}/{}", day(now), name(now, true))
            }
            Layout::ByEvent => {
                format!("{prefix}{account}/{region}/{source}/{}/{}", day(event), name(event, false))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_the_stored_form() {
        let mut setting =
            Setting { bucket: "logs".into(), prefix: "p/".into(), layout: Layout::Simple };
        let golden = [1, 4, b'l', b'o', b'g', b's', 2, b'p', b'/', 0];
        assert_eq!(setting.encode(), golden);
        assert_eq!(Setting::decode(&golden).as_ref(), Some(&setting));
        assert_eq!(Setting::decode(&[2, 0]), None);
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("in range");
        let (event, now) = (at(1_700_000_000), at(1_700_100_000));
        let mut key = |layout| {
            setting.layout = layout;
            setting.key("123", "us-east-1", "src", event, now, "AB")
        };
        assert_eq!(key(Layout::Simple), "p/2023-11-16-02-00-00-AB");
        assert_eq!(
            key(Layout::ByDelivery),
            "p/123/us-east-1/src/2023/11/16/2023-11-16-02-00-00-AB"
        );
        assert_eq!(key(Layout::ByEvent), "p/123/us-east-1/src/2023/11/14/2023-11-14-00-00-00-AB");
    }
}
