//! Votes and log positions in `raft_meta`: envelopes (see [`super`]) around
//! `term ‖ node ‖ committed` and `term ‖ leader ‖ index`.
//!
//! The vote is stored twice, under keys and checksums of their own, and both are written
//! in one batch: losing it would let this node vote twice in a term. One damaged copy is
//! survived; two intact copies that differ cannot be explained and are refused.

use types::GroupId;

use super::{
    RecordError,
    body::{LogIdBody, VoteBody},
};
use crate::{
    keys,
    raft_types::{LogId, Vote},
};

/// Both copies of a vote: key and record.
pub(crate) fn encode_vote(group: GroupId, vote: Vote) -> [(Vec<u8>, Vec<u8>); 2] {
    [0, 1].map(|copy| {
        let key = keys::vote(group, copy);
        let record = super::seal(&key, &VoteBody::from(vote));
        (key, record)
    })
}

/// The vote in its two copies; none if neither was ever written.
pub(crate) fn decode_vote(
    group: GroupId,
    copies: [Option<&[u8]>; 2],
) -> Result<Option<Vote>, RecordError> {
    if copies == [None, None] {
        return Ok(None);
    }
    let [first, second] = [0_u8, 1].map(|copy| {
        let record = copies[usize::from(copy)].ok_or(RecordError::Short)?;
        super::open::<VoteBody>(&keys::vote(group, copy), record)
    });
    match (first, second) {
        (Ok(first), Ok(second)) if first == second => Ok(Some(first.into())),
        (Ok(_), Ok(_)) => Err(RecordError::Decode("the two copies of the vote differ".into())),
        (Ok(vote), Err(error)) | (Err(error), Ok(vote)) => {
            tracing::error!(%group, %error, "one copy of the vote is damaged, using the other");
            Ok(Some(vote.into()))
        }
        (Err(error), Err(_)) => Err(error),
    }
}

/// The record of a log position at `key`.
pub(crate) fn encode_log_id(key: &[u8], id: LogId) -> Vec<u8> {
    super::seal(key, &LogIdBody::from(id))
}

/// The log position in the record at `key`.
pub(crate) fn decode_log_id(key: &[u8], record: &[u8]) -> Result<LogId, RecordError> {
    super::open::<LogIdBody>(key, record).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId(5);

    #[test]
    fn one_damaged_copy_is_survived_and_two_are_not() {
        let vote = Vote::new_committed(9, 4);
        let [(_, first), (_, second)] = encode_vote(GROUP, vote);
        let read = |a: Option<&[u8]>, b: Option<&[u8]>| decode_vote(GROUP, [a, b]);
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some(&first), Some(&second)), Ok(Some(vote)));
        assert_eq!(read(Some(b"junk!!"), Some(&second)), Ok(Some(vote)));
        assert_eq!(read(Some(&first), None), Ok(Some(vote)));
        assert!(read(Some(b"junk!!"), Some(b"junk!!")).is_err());
        assert!(read(Some(&second), Some(&first)).is_err(), "each copy has its own key");
    }

    #[test]
    fn copies_that_differ_are_refused() {
        let [(_, first), _] = encode_vote(GROUP, Vote::new(9, 4));
        let [_, (_, second)] = encode_vote(GROUP, Vote::new(8, 4));
        assert!(decode_vote(GROUP, [Some(&first), Some(&second)]).is_err());
    }

    #[test]
    fn golden_vote() {
        let [(key, record), _] = encode_vote(GROUP, Vote::new_committed(9, 4));
        assert_eq!(hex::encode(key), "01000000057600");
        assert_eq!(hex::encode(record), "0106460367090401");
    }
}
