//! What one replica applies at a place, every replica applies there: the same command at the same
//! time with the same answer, whatever crashed in between. So nothing that was committed is ever lost
//! or replaced.

use std::collections::BTreeMap;

use types::GroupId;

/// A command's place: group, log index, and number in the entry.
pub type Place = (GroupId, u64, u32);

/// What was applied where.
#[derive(Debug, Default)]
pub struct Applied {
    commands: BTreeMap<Place, [u8; 32]>,
    newest: BTreeMap<GroupId, u64>,
}

impl Applied {
    /// A replica applies a command. True if it is the first to do so at this place.
    pub fn note(&mut self, place: Place, hash: [u8; 32]) -> Result<bool, String> {
        let newest = self.newest.entry(place.0).or_default();
        *newest = place.1.max(*newest);
        match self.commands.insert(place, hash) {
            None => Ok(true),
            Some(before) if before == hash => Ok(false),
            Some(_) => {
                let (group, index, number) = place;
                Err(format!("command {number} of entry {index} of {group} is another one"))
            }
        }
    }

    /// The last log index of a group that any replica ever applied a command of.
    pub fn newest(&self, group: GroupId) -> u64 {
        self.newest.get(&group).copied().unwrap_or(0)
    }

    /// How many commands were applied.
    pub fn commands(&self) -> usize {
        self.commands.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_command_at_the_same_place_is_found() {
        let mut applied = Applied::default();
        let place = (GroupId(1), 7, 0);
        assert_eq!(applied.note(place, [1; 32]), Ok(true));
        assert_eq!(applied.note(place, [1; 32]), Ok(false));
        assert!(applied.note(place, [2; 32]).is_err());
        assert_eq!(applied.newest(GroupId(1)), 7);
        assert_eq!(applied.newest(GroupId(2)), 0);
    }
}
