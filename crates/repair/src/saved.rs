//! What a worker keeps in the root group, so that its next run on any node goes on from there: one
//! small value by name, in the worker's own form behind a version byte.

use bytes::Bytes;
use cluster::Metadata;
use metastore::api::{RootAnswer, RootCommand, RootQuery, RootView};
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// What was written last under this name.
pub(crate) async fn read(metadata: &dyn Metadata, name: &str) -> Result<Option<Bytes>, Error> {
    match metadata.root_query(RootQuery::Cursor { worker: name.to_owned() }).await? {
        RootView::Cursor(saved) => Ok(saved),
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}

/// Durable on return. The root group bounds the length of name and value.
pub(crate) async fn write(
    metadata: &dyn Metadata,
    name: &str,
    value: impl Into<Bytes>,
) -> Result<(), Error> {
    let command = RootCommand::SaveCursor { worker: name.to_owned(), cursor: value.into() };
    match metadata.root(command).await? {
        RootAnswer::Done => Ok(()),
        other => Err(Error::Unexpected(format!("{other:?}"))),
    }
}

/// The stored form: the version, then postcard.
pub(crate) fn encode<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![version])
        .expect("a cursor is plain data and a Vec grows as needed")
}

/// `None` for what another version wrote: the worker begins again, which does no harm.
pub(crate) fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Option<T> {
    match bytes.split_first() {
        Some((found, rest)) if *found == version => postcard::from_bytes(rest).ok(),
        _ => None,
    }
}
