//! What commands see and change while a batch of entries is applied: the rows on disk
//! with the batch's own changes over them. Nothing is written before the whole batch is.

use std::{
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    ops::Bound,
};

use bytes::Bytes;

use super::view::{Source, View};
use crate::{
    KvError, KvRead, KvWrite, Row, keys,
    store::{Op, Store},
};

/// Changes over rows; `None` is a deleted row.
pub(crate) struct Overlay<'a> {
    base: View<'a>,
    changes: BTreeMap<Bytes, Option<Bytes>>,
    bytes: usize,
}

impl<'a> Overlay<'a> {
    /// No changes over the rows behind `prefix`.
    pub(crate) fn new(store: &'a Store, prefix: [u8; keys::ROW_PREFIX_BYTES]) -> Self {
        let base = View::new(store, Source::Now, prefix);
        Self { base, changes: BTreeMap::new(), bytes: 0 }
    }

    /// Bytes of keys and values written so far (rewritten rows count each time).
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the changes, to be written.
    pub(crate) fn drain(&mut self) -> Vec<Op> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        let op = |(key, value): (Bytes, Option<Bytes>)| {
            let (family, key) = (keys::ROWS, self.base.key(&key));
            match value {
                Some(value) => Op::Put { family, key, value },
                None => Op::Delete { family, key },
            }
        };
        changes.into_iter().map(op).collect()
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.changes.insert(Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
    }
}

impl KvRead for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        match self.changes.get(key) {
            Some(change) => Ok(change.clone()),
            None => self.base.get(key),
        }
    }

    fn scan<'b>(
        &'b self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'b> {
        if to.is_some_and(|to| to <= from) {
            return Box::new(std::iter::empty());
        }
        let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        Box::new(Merge {
            base: self.base.rows(from, to).peekable(),
            changes: self.changes.range::<[u8], _>(range).peekable(),
        })
    }
}

impl KvWrite for Overlay<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.change(key, None);
    }
}

/// Two ascending sequences as one; of equal keys the change counts.
struct Merge<'a> {
    base: Peekable<Box<dyn Iterator<Item = Result<Row, KvError>> + 'a>>,
    changes: Peekable<btree_map::Range<'a, Bytes, Option<Bytes>>>,
}

impl Iterator for Merge<'_> {
    type Item = Result<Row, KvError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((changed, _)) = self.changes.peek() else { return self.base.next() };
            match self.base.peek() {
                Some(Err(_)) => return self.base.next(),
                Some(Ok((key, _))) if key < changed => return self.base.next(),
                Some(Ok((key, _))) if key == *changed => {
                    self.base.next();
                }
                _ => {}
            }
            let (key, change) = self.changes.next()?;
            if let Some(value) = change {
                return Some(Ok((key.clone(), value.clone())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use proptest::prelude::*;
    use types::GroupId;

    use super::*;
    use crate::MemoryKv;

    #[derive(Clone, Debug)]
    enum Step {
        Put(Vec<u8>, Vec<u8>),
        Delete(Vec<u8>),
        Get(Vec<u8>),
        Scan(Vec<u8>, Option<Vec<u8>>),
        /// Writes the changes down and begins a new overlay.
        Commit,
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, 2, 0xff]), 0..4)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (key(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(k, v)| Step::Put(k, v)),
            3 => key().prop_map(Step::Delete),
            2 => key().prop_map(Step::Get),
            2 => (key(), prop::option::of(key())).prop_map(|(from, to)| Step::Scan(from, to)),
            1 => Just(Step::Commit),
        ]
    }

    fn rows(kv: &dyn KvRead, from: &[u8], to: Option<&[u8]>) -> Vec<Row> {
        kv.scan(from, to).map(Result::unwrap).collect()
    }

    /// One database for all cases: each has a group of its own, four apart.
    fn store() -> &'static Store {
        static STORE: LazyLock<(tempfile::TempDir, Arc<Store>)> = LazyLock::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), Arc::new(|_: &str| {})).unwrap();
            (dir, store)
        });
        &STORE.1
    }

    fn next_group() -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        NEXT.fetch_add(4, Ordering::Relaxed) + 2
    }

    /// A row of a neighbouring incarnation or group must never be seen or touched.
    fn fences(store: &Store, group: u32) -> Vec<Vec<u8>> {
        let around = [(group - 1, 1), (group, 2), (group, 4), (group + 1, 1)];
        let around = around.map(|(group, incarnation)| {
            let mut key = keys::row_prefix(GroupId(group), incarnation).to_vec();
            key.push(1);
            key
        });
        for key in &around {
            let value = Bytes::from_static(b"fence");
            let put = Op::Put { family: keys::ROWS, key: key.clone(), value };
            store.engine().write(vec![put]).unwrap();
        }
        around.into()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
        #[test]
        fn overlay_behaves_like_the_model(runs in prop::collection::vec(prop::collection::vec(step(), 1..40), 1..4)) {
            let (store, group) = (store(), next_group());
            let fences = fences(store, group);
            let prefix = keys::row_prefix(GroupId(group), 3);
            let mut model = MemoryKv::default();
            let mut overlay = Overlay::new(store, prefix);
            for step in runs.into_iter().flatten() {
                match step {
                    Step::Put(key, value) => {
                        model.put(&key, &value);
                        overlay.put(&key, &value);
                    }
                    Step::Delete(key) => {
                        model.delete(&key);
                        overlay.delete(&key);
                    }
                    Step::Get(key) => {
                        prop_assert_eq!(overlay.get(&key).unwrap(), model.get(&key).unwrap());
                    }
                    Step::Scan(from, to) => {
                        let (from, to) = (from.as_slice(), to.as_deref());
                        prop_assert_eq!(rows(&overlay, from, to), rows(&model, from, to));
                    }
                    Step::Commit => {
                        store.engine().write(overlay.drain()).unwrap();
                    }
                }
            }
            prop_assert_eq!(rows(&overlay, b"", None), rows(&model, b"", None));
            store.engine().write(overlay.drain()).unwrap();
            let snapshot = store.engine().snapshot();
            let view = View::new(store, Source::Snapshot(&*snapshot), prefix);
            prop_assert_eq!(rows(&view, b"", None), rows(&model, b"", None));
            for key in fences {
                prop_assert!(store.get(keys::ROWS, &key).unwrap().is_some());
            }
        }
    }
}
