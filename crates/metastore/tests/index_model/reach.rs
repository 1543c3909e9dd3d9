//! What the dice reach.

use std::collections::BTreeMap;

use metastore::api::{IndexAnswer, IndexCommand, IndexView};
use proptest::{prelude::*, strategy::ValueTree};
use types::Version;

use crate::{common::Dice, pair::Pair};

/// The dice reach every answer and every view, and repeated writes meet every kind of first
/// answer: without that the tests above would hold little.
#[test]
fn the_dice_reach_every_answer() {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let steps = prop::collection::vec(any::<(Dice, Dice)>(), 1..96);
    for _ in 0..3000 {
        let mut pair = Pair::new(any::<u8>().new_tree(&mut runner).unwrap().current());
        for (step, query) in steps.new_tree(&mut runner).unwrap().current() {
            pair.step(step);
            let command = format!("{:?}", pair.source.history.last().unwrap());
            let answer = pair.answer.clone().unwrap();
            let parts = format!("{answer:?}").contains("content: Parts");
            let special = match pair.source.history.last() {
                Some(IndexCommand::UpdateObject { update, .. }) => {
                    Some(first_word(&format!("{update:?}")))
                }
                Some(IndexCommand::PutObject { renamed: Some(_), .. }) => Some("renamed".into()),
                Some(IndexCommand::CompleteUpload { renamed: Some(_), .. }) => {
                    Some("renamed".into())
                }
                Some(IndexCommand::ReplaceBlob { part: Some(_), .. }) => Some("part".into()),
                _ => None,
            };
            if let Some(special) = special {
                let answer = first_word(&format!("{answer:?}"));
                let name = format!("{} {special}: {answer}", first_word(&command));
                *seen.entry(name).or_default() += 1;
            }
            let name = match &answer {
                IndexAnswer::Deleted { existed, version, marker } => {
                    let version = version.map(|version| matches!(version, Version::Null));
                    format!("Deleted {existed} {version:?} {marker}")
                }
                IndexAnswer::Object(_) if parts => "Object of parts".to_owned(),
                answer => first_word(&format!("{answer:?}")),
            };
            *seen.entry(format!("{} {name}", first_word(&command))).or_default() += 1;
            let query = pair.source.query(query, pair.time, &pair.known());
            let view = match pair.model.query(&query) {
                IndexView::Object(None) => "Object None".to_owned(),
                IndexView::Segments(all) if all.is_empty() => "Segments none".to_owned(),
                IndexView::ObjectParts { parts, truncated } => {
                    format!("ObjectParts {} {truncated}", parts.len().min(2))
                }
                IndexView::Versions { entries, next } => {
                    format!(
                        "Versions {} {}",
                        entries.len().min(2),
                        first_word(&format!("{next:?}"))
                    )
                }
                IndexView::Due(due) => format!("Due {due}"),
                IndexView::Events(events) => format!("Events {}", events.len().min(2)),
                IndexView::Blobs(all) => {
                    for reference in &all {
                        let word = first_word(&format!("{reference:?}"));
                        *seen.entry(format!("view Blobs {word}")).or_default() += 1;
                    }
                    "Blobs".to_owned()
                }
                IndexView::Referenced { blobs, .. } => {
                    for blob in &blobs {
                        let part = blob.intent.part.is_some();
                        *seen.entry(format!("view Referenced part {part}")).or_default() += 1;
                    }
                    format!("Referenced {}", blobs.len().min(2))
                }
                IndexView::Settled(settled) => format!("Settled {settled:?}"),
                view => first_word(&format!("{view:?}")),
            };
            *seen.entry(format!("view {view}")).or_default() += 1;
        }
        for event in &pair.model.events {
            let kind = first_word(&format!("{:?}", event.kind));
            let reason = format!("{:?}", event.origin.reason);
            *seen.entry(format!("event {kind}")).or_default() += 1;
            *seen.entry(format!("event {kind} by {reason}")).or_default() += 1;
        }
    }
    let missing: Vec<_> = REACHED
        .lines()
        .map(str::trim)
        .filter(|name| !name.is_empty() && seen.get(*name).copied().unwrap_or(0) < 10)
        .collect();
    assert!(missing.is_empty(), "{missing:?} are too seldom in {seen:#?}");
}

fn first_word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}

/// Commands with their answers, and views. A deletion's words: whether there was something,
/// whether its version is `null`, and whether that is a delete marker.
const REACHED: &str = "
    OpenBucket Done
    OpenBucket BucketSealed
    ConfigureBucket Done
    ConfigureBucket BucketState
    ConfigureBucket DeadlinePassed
    SealBucket Done
    SealBucket NotEmpty
    PutObject Object
    PutObject NoLock
    PutObject NoSuchKey
    PutObject ConditionFailed
    PutObject DeadlinePassed
    PutObject BucketSealed
    DeleteObject Deleted true None false
    DeleteObject Deleted false None false
    DeleteObject Deleted true Some(false) true
    DeleteObject Deleted true Some(true) true
    DeleteObject Deleted false Some(false) true
    DeleteObject Deleted false Some(true) true
    DeleteObject Deleted true Some(false) false
    DeleteObject Deleted true Some(true) false
    DeleteObject Deleted false Some(false) false
    DeleteObject Deleted false Some(true) false
    DeleteObject Locked
    DeleteObject NoSuchKey
    DeleteObject ConditionFailed
    DeleteObject DeadlinePassed
    UpdateObject Object
    UpdateObject Object of parts
    UpdateObject NoLock
    UpdateObject Locked
    UpdateObject NoSuchKey
    UpdateObject NoSuchVersion
    UpdateObject DeleteMarker
    UpdateObject DeadlinePassed
    UpdateObject Tags: Object
    UpdateObject Class: Object
    UpdateObject Class: ConditionFailed
    UpdateObject Restore: Object
    UpdateObject Restore: NotArchived
    UpdateObject Restore: RestoreInProgress
    PutObject renamed: Object
    PutObject renamed: BucketState
    PutObject renamed: NoSuchKey
    PutObject renamed: SourceChanged
    PutObject renamed: ConditionFailed
    ReplaceBlob Done
    ReplaceBlob Moved
    ReplaceBlob DeadlinePassed
    ReplaceBlob part: Done
    ReplaceBlob part: Moved
    EventsDelivered Done
    CreateUpload Done
    CreateUpload NoLock
    CreateUpload NoSuchUpload
    PutPart Done
    PutPart DeadlinePassed
    PutPart NoSuchUpload
    CompleteUpload Object of parts
    CompleteUpload NoSuchUpload
    CompleteUpload BucketState
    CompleteUpload SourceChanged
    CompleteUpload renamed: Object
    CompleteUpload DeadlinePassed
    CompleteUpload NoSuchKey
    CompleteUpload ConditionFailed
    CompleteUpload InvalidPart
    CompleteUpload PartTooSmall
    CompleteUpload SizeMismatch
    AbortUpload Done
    AbortUpload NoSuchUpload
    Collected Done
    ExpandGarbage Done
    Repaired Done
    Tick Done
    view Object
    view Object None
    view Marker
    view Settings
    view Segments
    view ObjectParts 0 false
    view ObjectParts 1 false
    view ObjectParts 1 true
    view ObjectParts 2 false
    view Versions 0 None
    view Versions 1 None
    view Versions 2 None
    view Versions 1 Some
    view Versions 2 Some
    view Page
    view Upload
    view Uploads
    view Parts
    view NoSuchUpload
    view Settled Some(true)
    view Settled Some(false)
    view Settled None
    view Blobs Referenced
    view Blobs Unreferenced
    view Blobs Undecided
    view Referenced 0
    view Referenced 2
    view Referenced part true
    view Referenced part false
    view Garbage
    view Repairs
    view Due true
    view Due false
    view Events 0
    view Events 1
    view Events 2
    event Created
    event Deleted
    event Deleted by RenameObject
    event MarkerCreated
    event TagsSet
    event TagsRemoved
    event ClassChanged
    event RestoreBegun
    event RestoreCompleted
    event RestoreExpired
    view BucketSealed
";
