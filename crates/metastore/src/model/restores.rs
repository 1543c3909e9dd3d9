//! What the passing of time does to restored objects. The machine does at most 100 of it with a
//! command, the model all of it.

use types::{ObjectHead, Restore, StorageClass, UnixMillis, VersionId};

use super::{IndexModel, Key, events::of_object};
use crate::api::{
    IndexAnswer as A,
    index::{EventKind, Origin, Reason},
};

/// What an object's restore becomes, or why nothing becomes of it.
pub(super) fn restored(
    head: &ObjectHead,
    now: UnixMillis,
    (ready_after_ms, readable_ms, day_ms): (u64, u64, u64),
) -> Result<Restore, A> {
    if !matches!(head.attributes.class, StorageClass::Glacier | StorageClass::DeepArchive) {
        return Err(A::NotArchived);
    }
    // Everything as if time had no end, which it meets last.
    let day = u128::from(day_ms.max(1));
    let wide = |ms: u64| u128::from(ms);
    let meets_the_end = |ms: u128| UnixMillis(u64::try_from(ms).unwrap_or(u64::MAX));
    let end_of_day = |from: u128| meets_the_end((from + wide(readable_ms)).div_ceil(day) * day);
    let soonest = meets_the_end(wide(now.0) + wide(ready_after_ms));
    match head.restore {
        Some(known) if known.ready <= now && now < known.expires => {
            Ok(Restore { ready: known.ready, expires: end_of_day(wide(now.0)) })
        }
        Some(known) if now < known.ready && known.ready <= soonest => {
            Err(A::RestoreInProgress(known))
        }
        _ => Ok(Restore { ready: soonest, expires: end_of_day(wide(soonest.0)) }),
    }
}

/// Who asks for what the clock brings about.
pub(super) fn nobody() -> Origin {
    Origin { reason: Reason::RestoreObject, ..Origin::default() }
}

impl IndexModel {
    /// When restores become ready or end, after one time and until another.
    pub(super) fn moments(
        &self,
        after: UnixMillis,
        until: UnixMillis,
    ) -> Vec<(UnixMillis, Key, VersionId)> {
        let mut moments = Vec::new();
        for (at, stored) in
            self.versions.iter().flat_map(|(at, all)| all.iter().map(move |v| (at, v)))
        {
            let Some(restore) = stored.object.as_ref().and_then(|head| head.restore) else {
                continue;
            };
            for when in [restore.ready, restore.expires] {
                if after < when && when <= until {
                    moments.push((when, at.clone(), stored.id));
                }
            }
        }
        moments.sort();
        moments.dedup();
        moments
    }

    /// Time has passed since `before`.
    pub(super) fn pass(&mut self, before: UnixMillis) {
        for (when, at, id) in self.moments(before, self.now) {
            let mut versions = self.versions.get_mut(&at).into_iter().flatten();
            let head = versions.find(|stored| stored.id == id).and_then(|it| it.object.as_mut());
            let Some(head) = head else { continue };
            let Some(restore) = head.restore else { continue };
            let mut kinds = Vec::new();
            if restore.ready == when {
                kinds.push(EventKind::RestoreCompleted(restore.expires));
            }
            if restore.expires == when {
                head.restore = None;
                kinds.push(EventKind::RestoreExpired);
            }
            let subject = of_object(head);
            for kind in kinds {
                self.happened(&at, kind, Some(subject), &nobody());
            }
        }
    }
}
