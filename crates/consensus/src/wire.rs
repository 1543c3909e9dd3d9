//! The payloads between replicas: a version byte (1), then a postcard body. Message
//! integrity is the transport's; entries are checked again when they are stored.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use proto::{RpcError, RpcErrorKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    raft_types::{SnapshotMeta, TypeConfig, Vote},
    record::{
        body::{LogIdBody, StoredMembershipBody, VoteBody},
        entry::EntryBody,
    },
};

const VERSION: u8 = 1;

/// A payload with `body`.
pub(crate) fn encode<T: Serialize>(body: &T) -> Bytes {
    postcard::to_extend(body, vec![VERSION])
        .expect("writing to a Vec cannot fail and the bodies have known lengths")
        .into()
}

/// The body of a payload.
pub(crate) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, RpcError> {
    let invalid = |message: String| RpcError::new(RpcErrorKind::Invalid, message);
    match payload.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body)
            .map_err(|error| invalid(format!("raft payload does not decode: {error}"))),
        Some((version, _)) => {
            Err(invalid(format!("raft payload has version {version}, this build knows {VERSION}")))
        }
        None => Err(invalid("raft payload is empty".into())),
    }
}

/// AppendEntries.
#[derive(Serialize, Deserialize)]
pub(crate) struct Append {
    vote: VoteBody,
    previous: Option<LogIdBody>,
    committed: Option<LogIdBody>,
    entries: Vec<EntryBody>,
}

impl From<AppendEntriesRequest<TypeConfig>> for Append {
    fn from(request: AppendEntriesRequest<TypeConfig>) -> Self {
        Self {
            vote: request.vote.into(),
            previous: request.prev_log_id.map(Into::into),
            committed: request.leader_commit.map(Into::into),
            entries: request.entries.iter().map(Into::into).collect(),
        }
    }
}

impl From<Append> for AppendEntriesRequest<TypeConfig> {
    fn from(append: Append) -> Self {
        Self {
            vote: append.vote.into(),
            prev_log_id: append.previous.map(Into::into),
            leader_commit: append.committed.map(Into::into),
            entries: append.entries.into_iter().map(Into::into).collect(),
        }
    }
}

/// Answer to AppendEntries.
#[derive(Serialize, Deserialize)]
pub(crate) enum Appended {
    All,
    UpTo(Option<LogIdBody>),
    Conflict,
    HigherVote(VoteBody),
}

impl From<AppendEntriesResponse<u64>> for Appended {
    fn from(response: AppendEntriesResponse<u64>) -> Self {
        match response {
            AppendEntriesResponse::Success => Appended::All,
            AppendEntriesResponse::PartialSuccess(upto) => Appended::UpTo(upto.map(Into::into)),
            AppendEntriesResponse::Conflict => Appended::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(vote.into()),
        }
    }
}

impl From<Appended> for AppendEntriesResponse<u64> {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::All => AppendEntriesResponse::Success,
            Appended::UpTo(upto) => AppendEntriesResponse::PartialSuccess(upto.map(Into::into)),
            Appended::Conflict => AppendEntriesResponse::Conflict,
            Appended::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
        }
    }
}

/// What one replica asks of another about elections.
#[derive(Serialize, Deserialize)]
pub(crate) enum Election {
    /// RequestVote.
    Ask(AskVote),
    /// Stand for election, so often, although a leader is alive: it asks for it. The answer is
    /// [`Stood`].
    Stand { times: u8 },
}

/// The replica has begun to.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stood;

/// RequestVote.
#[derive(Serialize, Deserialize)]
pub(crate) struct AskVote {
    vote: VoteBody,
    last: Option<LogIdBody>,
}

impl From<VoteRequest<u64>> for AskVote {
    fn from(request: VoteRequest<u64>) -> Self {
        Self { vote: request.vote.into(), last: request.last_log_id.map(Into::into) }
    }
}

impl From<AskVote> for VoteRequest<u64> {
    fn from(ask: AskVote) -> Self {
        VoteRequest::new(ask.vote.into(), ask.last.map(Into::into))
    }
}

/// Answer to RequestVote.
#[derive(Serialize, Deserialize)]
pub(crate) struct Voted {
    vote: VoteBody,
    granted: bool,
    last: Option<LogIdBody>,
}

impl From<VoteResponse<u64>> for Voted {
    fn from(response: VoteResponse<u64>) -> Self {
        Self {
            vote: response.vote.into(),
            granted: response.vote_granted,
            last: response.last_log_id.map(Into::into),
        }
    }
}

impl From<Voted> for VoteResponse<u64> {
    fn from(voted: Voted) -> Self {
        VoteResponse {
            vote: voted.vote.into(),
            vote_granted: voted.granted,
            last_log_id: voted.last.map(Into::into),
        }
    }
}

/// Description of a snapshot, before its frames.
#[derive(Serialize, Deserialize)]
pub(crate) struct SnapshotHead {
    vote: VoteBody,
    last: Option<LogIdBody>,
    membership: StoredMembershipBody,
    id: String,
    /// The sender's clock at the last command in the snapshot.
    pub(crate) clock_ms: u64,
}

impl SnapshotHead {
    pub(crate) fn new(vote: Vote, meta: &SnapshotMeta, clock_ms: u64) -> Self {
        Self {
            vote: vote.into(),
            last: meta.last_log_id.map(Into::into),
            membership: (&meta.last_membership).into(),
            id: meta.snapshot_id.clone(),
            clock_ms,
        }
    }

    /// The leader's vote.
    pub(crate) fn vote(&self) -> Vote {
        self.vote.into()
    }

    /// What openraft knows about the snapshot.
    pub(crate) fn into_meta(self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last.map(Into::into),
            last_membership: self.membership.into(),
            snapshot_id: self.id,
        }
    }
}

/// Answer to a snapshot: the receiver's vote.
#[derive(Serialize, Deserialize)]
pub(crate) struct Installed(VoteBody);

impl From<SnapshotResponse<u64>> for Installed {
    fn from(response: SnapshotResponse<u64>) -> Self {
        Self(response.vote.into())
    }
}

impl From<Vote> for Installed {
    fn from(vote: Vote) -> Self {
        Self(vote.into())
    }
}

impl From<Installed> for SnapshotResponse<u64> {
    fn from(installed: Installed) -> Self {
        SnapshotResponse::new(installed.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_election() {
        let ask = Election::Ask(AskVote::from(VoteRequest::new(Vote::new(300, 2), None)));
        let payload = encode(&ask);
        assert_eq!(hex::encode(&payload), "0100ac02020000");
        let Election::Ask(ask) = decode(&payload).unwrap() else { panic!("another call") };
        let back: VoteRequest<u64> = ask.into();
        assert_eq!(back, VoteRequest::new(Vote::new(300, 2), None));

        assert_eq!(hex::encode(encode(&Election::Stand { times: 2 })), "010102");
        assert_eq!(hex::encode(encode(&Stood)), "01");
    }

    #[test]
    fn golden_heartbeat() {
        let request = AppendEntriesRequest::<TypeConfig> {
            vote: Vote::new_committed(1, 2),
            prev_log_id: None,
            leader_commit: None,
            entries: Vec::new(),
        };
        assert_eq!(hex::encode(encode(&Append::from(request))), "01010201000000");
    }

    #[test]
    fn other_versions_and_junk_are_refused() {
        for payload in [&b""[..], b"\x02\x00", b"\x01\xff"] {
            let error = decode::<Election>(payload).err().unwrap();
            assert_eq!(error.kind, RpcErrorKind::Invalid);
        }
    }
}
