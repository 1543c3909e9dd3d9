//! Who votes in the metadata groups: the decision, one change at a time. The leaders of the groups
//! carry it out ([`crate::members`]).

use std::collections::BTreeSet;

use consensus::KvError;
use types::{Node, NodeId, Role};

use super::{Apply, query, refused};
use crate::{
    api::{
        RootAnswer,
        root::{META_VOTERS_MAX, MetaChange, MetaMembers},
    },
    keys::root as keys,
    rows,
};

impl Apply<'_> {
    pub(super) fn begin_meta_change(
        &mut self,
        change: MetaChange,
        found: &BTreeSet<NodeId>,
    ) -> Result<RootAnswer, KvError> {
        let node = change.node();
        let row: Option<Node> = rows::get(self.rows, &keys::node(node))?;
        if row.is_none_or(|row| row.role != Role::Meta) {
            return refused(format!(
                "there is no metadata node {node}: start it first, with the addresses of the others \
                 in cluster.meta"
            ));
        }
        let mut members = match query::meta_members(self.rows)? {
            Some(members) => members,
            None => MetaMembers { voters: found.clone(), change: None },
        };
        match members.change {
            Some(current) if current == change => return Ok(RootAnswer::Done),
            Some(MetaChange::Add(current)) if change == MetaChange::Remove(current) => {}
            Some(current) => {
                return refused(format!("{current} is under way: one change at a time"));
            }
            None if members.voters != *found => {
                return refused("the metadata nodes have changed in this moment: try again");
            }
            None => {}
        }
        match change {
            MetaChange::Add(_) if members.voters.len() >= META_VOTERS_MAX => {
                return refused(format!("{META_VOTERS_MAX} metadata nodes vote: no more can"));
            }
            MetaChange::Add(_) if !members.voters.insert(node) => {
                return refused(format!("metadata node {node} has a vote already"));
            }
            MetaChange::Remove(_) if members.voters == BTreeSet::from([node]) => {
                return refused(format!("metadata node {node} is the only one that has a vote"));
            }
            MetaChange::Add(_) => {}
            MetaChange::Remove(_) => {
                members.voters.remove(&node);
            }
        }
        members.change = Some(change);
        rows::put(self.rows, keys::META_MEMBERS, &members);
        Ok(RootAnswer::Done)
    }

    pub(super) fn end_meta_change(&mut self, change: MetaChange) -> Result<RootAnswer, KvError> {
        let members = query::meta_members(self.rows)?;
        let Some(members) = members.filter(|members| members.change == Some(change)) else {
            return Ok(RootAnswer::Done);
        };
        rows::put(self.rows, keys::META_MEMBERS, &MetaMembers { change: None, ..members });
        if let MetaChange::Remove(node) = change {
            self.rows.delete(&keys::node(node));
            self.raise_epoch()?;
        }
        Ok(RootAnswer::Done)
    }
}
