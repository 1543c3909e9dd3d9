//! Commands and queries of the two kinds of groups, with their answers.
//!
//! Encoding, in the Raft log and between nodes: one version byte, then postcard.
//! postcard numbers enum variants in order, so **variants and fields are only ever
//! added at the end, under a higher version**; golden files hold version 1 fixed.

pub mod index;
pub mod root;

use bytes::Bytes;
pub use index::{IndexAnswer, IndexCommand, IndexQuery, IndexView};
pub use root::{RootAnswer, RootCommand, RootQuery, RootView};
use serde::{Serialize, de::DeserializeOwned};

/// The version that this build writes and the newest that it reads.
pub const VERSION: u8 = 1;

/// Bytes that are not an encoded command, query or answer of a version known here.
#[derive(Debug, Clone, thiserror::Error)]
#[error("metadata message: {0}")]
pub struct DecodeError(pub String);

/// Encodes a command, query or answer.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let bytes = postcard::to_extend(message, vec![VERSION])
        .expect("messages are plain data and a Vec grows as needed");
    Bytes::from(bytes)
}

/// Decodes what [`encode`] wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((message, [])) => Ok(message),
            Ok(_) => Err(DecodeError("bytes follow the message".into())),
            Err(error) => Err(DecodeError(error.to_string())),
        },
        Some((version, _)) => Err(DecodeError(format!("version {version} is not known"))),
        None => Err(DecodeError("no bytes".into())),
    }
}
