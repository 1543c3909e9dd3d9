//! [`RpcError`] on the wire: gRPC status code for tools, the exact kind in
//! `grpc-status-details-bin` for us.
//!
//! ```text
//! details = version (1 byte, 1) ‖ postcard(RpcErrorKind)
//! ```

use bytes::Bytes;
use tonic::{Code, Status};

use crate::{RpcError, RpcErrorKind};

const DETAILS_VERSION: u8 = 1;

/// The longest message that is sent, in bytes; the rest is cut off. Percent-encoding
/// may triple it, and a peer accepts 16 KiB of headers.
const MESSAGE_BYTES_MAX: usize = 4096;

/// The error as a gRPC status.
pub(crate) fn to_status(error: RpcError) -> Status {
    let details = postcard::to_extend(&error.kind, vec![DETAILS_VERSION])
        .expect("an error kind is plain data and a Vec grows as needed");
    let mut message = error.message;
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    Status::with_details(code_of(&error.kind), message, Bytes::from(details))
}

/// The error in a gRPC status. A status that did not come from [`to_status`] is one that
/// the transport made up.
pub(crate) fn from_status(status: &Status) -> RpcError {
    let kind = kind_in(status.details()).unwrap_or_else(|| kind_of_transport(status.code()));
    let message = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    RpcError { kind, message }
}

fn kind_in(details: &[u8]) -> Option<RpcErrorKind> {
    let (&DETAILS_VERSION, rest) = details.split_first()? else { return None };
    postcard::from_bytes(rest).ok()
}

fn code_of(kind: &RpcErrorKind) -> Code {
    match kind {
        RpcErrorKind::Unreachable => Code::Unavailable,
        RpcErrorKind::Deadline => Code::DeadlineExceeded,
        RpcErrorKind::NotLeader { .. } | RpcErrorKind::Conflict => Code::FailedPrecondition,
        RpcErrorKind::StaleEpoch => Code::Aborted,
        RpcErrorKind::Refused => Code::PermissionDenied,
        RpcErrorKind::NotFound => Code::NotFound,
        RpcErrorKind::Corrupt => Code::DataLoss,
        RpcErrorKind::NoSpace | RpcErrorKind::Busy => Code::ResourceExhausted,
        RpcErrorKind::Failed => Code::Internal,
        RpcErrorKind::Invalid => Code::InvalidArgument,
    }
}

/// Without our details the peer's service did not answer. Unless the code proves that it
/// never ran, the request may have been carried out.
fn kind_of_transport(code: Code) -> RpcErrorKind {
    match code {
        // The peer does not serve this method, so nobody carried it out.
        Code::Unimplemented => RpcErrorKind::Unreachable,
        // A message beyond the bound, or bytes that are no message.
        Code::OutOfRange | Code::InvalidArgument => RpcErrorKind::Invalid,
        _ => RpcErrorKind::Deadline,
    }
}

#[cfg(test)]
mod tests {
    use types::NodeId;

    use super::*;

    /// Every kind; the match makes the compiler ask for new ones.
    pub(crate) fn all_kinds() -> Vec<RpcErrorKind> {
        use RpcErrorKind::*;
        let kinds = vec![
            Unreachable,
            Deadline,
            NotLeader { leader: None },
            NotLeader { leader: Some(NodeId(u64::MAX)) },
            StaleEpoch,
            Refused,
            NotFound,
            Conflict,
            Corrupt,
            NoSpace,
            Busy,
            Failed,
            Invalid,
        ];
        for kind in &kinds {
            match kind {
                Unreachable
                | Deadline
                | NotLeader { .. }
                | StaleEpoch
                | Refused
                | NotFound
                | Conflict
                | Corrupt
                | NoSpace
                | Busy
                | Failed
                | Invalid => {}
            }
        }
        kinds
    }

    #[test]
    fn kind_and_message_round_trip() {
        for kind in all_kinds() {
            let error = RpcError::new(kind, "Knoten 7: 100 % voll\nsagt „nein“");
            assert_eq!(from_status(&to_status(error.clone())), error);
        }
    }

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let error = RpcError::new(RpcErrorKind::Failed, "ä".repeat(4000) + "x");
        assert_eq!(from_status(&to_status(error)).message, "ä".repeat(2048));
        let odd = RpcError::new(RpcErrorKind::Failed, "x".to_owned() + &"ä".repeat(4000));
        assert_eq!(from_status(&to_status(odd)).message.len(), 4095);
    }

    /// Golden bytes: the kinds' numbers are a wire format.
    #[test]
    fn golden() {
        for (number, kind) in all_kinds().into_iter().enumerate() {
            let status = to_status(RpcError::new(kind.clone(), ""));
            // The two NotLeader samples share a number.
            let variant = if number > 2 { number - 1 } else { number };
            assert_eq!(&status.details()[..2], [1, variant as u8], "{kind:?}");
        }
        let leader = RpcErrorKind::NotLeader { leader: Some(NodeId(300)) };
        assert_eq!(to_status(RpcError::new(leader, "")).details(), [1, 2, 1, 0xac, 2]);
    }

    #[test]
    fn what_the_transport_makes_up_is_an_unknown_outcome_unless_proven() {
        let kind = |code| from_status(&Status::new(code, "x")).kind;
        assert_eq!(kind(Code::Unimplemented), RpcErrorKind::Unreachable);
        assert_eq!(kind(Code::OutOfRange), RpcErrorKind::Invalid);
        for code in [Code::Unavailable, Code::Cancelled, Code::Unknown, Code::Internal] {
            assert_eq!(kind(code), RpcErrorKind::Deadline, "{code:?}");
        }
        let newer = Status::with_details(Code::Aborted, "x", Bytes::from_static(&[2, 9]));
        assert_eq!(from_status(&newer).kind, RpcErrorKind::Deadline);
    }
}
