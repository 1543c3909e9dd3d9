//! A change of a placement group was decided by what somebody knew of it. If that is not so any more,
//! the change is refused: another rank may be on the move by now, or the disk be a member again.

use types::{Epoch, PlacementGroup};

use crate::world::World;

/// Checks a change that was planned on `epoch`.
pub fn check(world: &World, before: &PlacementGroup, epoch: Epoch, after: &PlacementGroup) {
    if before != after && before.epoch != epoch {
        world.violate(
            "planned_on_this_map",
            format!(
                "group {} was changed at epoch {} by a command that was planned on epoch {epoch}",
                before.id, before.epoch
            ),
        );
    }
}
