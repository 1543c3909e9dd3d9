//! RenameObject: another key for an object, in one step.
//!
//! AWS has it for directory buckets, which have no versions:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>. Here it works in every
//! bucket whose versioning was never enabled.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use http::StatusCode;
use metastore::api::index::Reason;
use objects::{Error, request::Rename};
use s3s::{S3Error, S3Request, S3Response, S3Result, dto::*};
use types::{Condition, Match, ObjectHead};

use crate::{
    api::Api,
    conditions::{self, ReadConditions, precondition_failed},
    delete_marker,
    errors::{custom, from_objects, invalid_argument, invalid_request},
    origin, text,
};

/// `PUT /bucket/key?renameObject`.
pub(crate) async fn rename_object(
    api: &Api,
    request: S3Request<RenameObjectInput>,
) -> S3Result<S3Response<RenameObjectOutput>> {
    let origin = origin::of(&request, Reason::RenameObject);
    let input = request.input;
    let from = source_key(&input.rename_source, &input.bucket)?;
    let done = Done { bucket: input.bucket.clone(), from, to: input.key.clone() };
    if let Some(token) = &input.client_token
        && api.renames.is_done(token, &done)?
    {
        return Ok(S3Response::new(RenameObjectOutput::default()));
    }
    let source_conditions = ReadConditions {
        if_match: input.source_if_match.as_deref().map(tag).transpose()?,
        if_none_match: input.source_if_none_match.as_deref().map(tag).transpose()?,
        if_modified_since: input.source_if_modified_since,
        if_unmodified_since: input.source_if_unmodified_since,
    };
    let conditions = ReadConditions {
        if_match: input.destination_if_match,
        if_none_match: input.destination_if_none_match,
        if_modified_since: input.destination_if_modified_since,
        if_unmodified_since: input.destination_if_unmodified_since,
    };
    let rename = Rename {
        source_condition: of_source(api, &done, source_conditions).await?,
        condition: of_destination(api, &done, conditions).await?,
        bucket: done.bucket.clone(),
        from: done.from.clone(),
        to: done.to.clone(),
        origin,
    };
    let (objects, renames) = (api.objects.clone(), api.renames.clone());
    // In a task of its own: a client that gives up waiting asks again with its token, and must then be
    // told what became of it.
    let renaming = tokio::spawn(async move {
        objects.rename(rename).await?;
        if let Some(token) = input.client_token {
            renames.remember(token, done);
        }
        Ok(())
    });
    let renamed = renaming.await.unwrap_or_else(|error| {
        Err(Error::Internal(format!("a renaming ended without an answer: {error}")))
    });
    renamed.map_err(|error| delete_marker::of_read(error, None))?;
    Ok(S3Response::new(RenameObjectOutput::default()))
}

/// The key in `bucket/key`, URL-encoded; the bucket must be the request's.
fn source_key(source: &str, bucket: &str) -> S3Result<String> {
    let source = source.strip_prefix('/').unwrap_or(source);
    let (source_bucket, key) = text::url_decode(source)
        .and_then(|decoded| {
            let (bucket, key) = decoded.split_once('/')?;
            Some((bucket.to_owned(), key.to_owned()))
        })
        .ok_or_else(|| {
            invalid_argument("x-amz-rename-source must be of the form bucket/key, URL-encoded.")
        })?;
    if source_bucket != bucket {
        return Err(invalid_request(
            "An object is renamed within its bucket: x-amz-rename-source names another one.",
        ));
    }
    text::check_key(&key)?;
    Ok(key)
}

/// The header's own type knows only texts, quoted or not.
fn tag(text: &str) -> S3Result<ETagCondition> {
    let quoted = format!("\"{}\"", text.trim_matches('"'));
    let text = if text == "*" { text } else { &quoted };
    text.parse().map_err(|_| invalid_argument("A condition on the source is no entity tag."))
}

/// What must hold of an object for conditions that held of it when it was looked at.
fn pinned(head: &ObjectHead) -> Condition {
    Condition::Match(Match { version: Some(head.version), ..Match::default() })
}

async fn of_source(api: &Api, done: &Done, conditions: ReadConditions) -> S3Result<Condition> {
    if conditions.is_empty() {
        return Ok(Condition::None);
    }
    let head = api.objects.head(&done.bucket, &done.from, None).await;
    let head = head.map_err(|error| delete_marker::of_read(error, None))?;
    conditions.check_copy_source(&head)?;
    Ok(pinned(&head))
}

async fn of_destination(api: &Api, done: &Done, conditions: ReadConditions) -> S3Result<Condition> {
    let dates = conditions.if_modified_since.is_some() || conditions.if_unmodified_since.is_some();
    let absent = matches!(conditions.if_none_match, None | Some(ETagCondition::Any));
    if !dates && absent {
        return conditions::of_write(conditions.if_match, conditions.if_none_match);
    }
    match api.objects.head(&done.bucket, &done.to, None).await {
        Ok(head) => {
            conditions.check_copy_source(&head)?;
            Ok(pinned(&head))
        }
        Err(Error::NoSuchKey) if conditions.if_match.is_some() => Err(precondition_failed()),
        Err(Error::NoSuchKey) => Ok(Condition::Absent),
        Err(error) => Err(from_objects(error)),
    }
}

/// A renaming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    bucket: String,
    from: String,
    to: String,
}

/// Renamings that were done for a client token, so that a client that asks again because an answer
/// was lost is told so and not `NoSuchKey`. The latest [`RENAMES_MAX`] that this process did: a
/// retry that reaches another gateway is a renaming of its own.
#[derive(Clone, Default)]
pub(crate) struct Renames(Arc<Mutex<VecDeque<(String, Done)>>>);

/// See [`Renames`].
const RENAMES_MAX: usize = 1024;

impl Renames {
    /// Whether it was done for this token. 400 if the token was another renaming's.
    fn is_done(&self, token: &str, asked: &Done) -> S3Result<bool> {
        let renames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match renames.iter().find(|(known, _)| known == token) {
            None => Ok(false),
            Some((_, done)) if done == asked => Ok(true),
            Some(_) => Err(mismatch()),
        }
    }

    fn remember(&self, token: String, done: Done) {
        let mut renames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if renames.len() == RENAMES_MAX {
            renames.pop_front();
        }
        renames.push_back((token, done));
    }
}

fn mismatch() -> S3Error {
    custom(
        "IdempotencyParameterMismatch",
        StatusCode::BAD_REQUEST,
        "Parameters on this idempotent request are inconsistent with parameters used in previous \
         request(s).",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_name_a_key_of_the_same_bucket() {
        for (source, key) in [
            ("/b/from/a%20b", Some("from/a b")),
            ("b/k", Some("k")),
            ("b/a+b", Some("a+b")),
            ("other/k", None),
            ("k", None),
            ("b/", None),
            ("/b/%ff", None),
        ] {
            assert_eq!(source_key(source, "b").ok().as_deref(), key, "{source}");
        }
    }

    #[test]
    fn tags_are_read_with_and_without_quotes() {
        let of = |text| tag(text).expect("a tag");
        assert_eq!(of("abc"), of("\"abc\""));
        assert_eq!(of("*"), ETagCondition::Any);
    }

    #[test]
    fn a_token_is_one_renaming() {
        let renames = Renames::default();
        let done = |to: &str| Done { bucket: "b".into(), from: "f".into(), to: to.into() };
        assert!(!renames.is_done("t", &done("x")).expect("unknown"));
        renames.remember("t".to_owned(), done("x"));
        assert!(renames.is_done("t", &done("x")).expect("the same"));
        let error = renames.is_done("t", &done("y")).expect_err("another");
        assert_eq!(error.code().as_str(), "IdempotencyParameterMismatch");
        for number in 0..RENAMES_MAX {
            renames.remember(number.to_string(), done("z"));
        }
        assert!(!renames.is_done("t", &done("x")).expect("forgotten"));
    }
}
