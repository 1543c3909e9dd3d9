//! Names of the keys: [`DIRECTORIES`] directories, and in each of them keys in a scattered
//! order, so that a bucket grows everywhere at once and not at its end.

use std::iter;

/// Directories: common prefixes of a listing with delimiter `/`.
pub(super) const DIRECTORIES: u64 = 256;

/// Keys of the smallest bucket that is measured: a full page.
pub(super) const SIZE_MIN: u64 = 1000;

/// The name of a key; no two numbers have the same.
pub(super) fn name(number: u64) -> String {
    // Multiplication by an odd number is one to one.
    let scattered = (number / DIRECTORIES).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    format!("{}/{scattered:016x}", directory(number % DIRECTORIES))
}

fn directory(number: u64) -> String {
    format!("{number:02x}")
}

/// A name that comes after all keys of a directory and before those of the next.
pub(super) fn end_of_directory(number: u64) -> String {
    format!("{}/~", directory(number))
}

/// Bucket sizes: a thousand, ten thousand and so on, and at the end `keys`.
pub(super) fn sizes(keys: u64) -> Vec<u64> {
    let tens = iter::successors(Some(SIZE_MIN), |size| size.checked_mul(10));
    tens.take_while(|size| *size < keys).chain(iter::once(keys)).collect()
}

/// What one of several listers lists: keys after the first name, up to before the second.
/// Together the shares are everything.
pub(super) fn share(lister: u64, listers: u64) -> (Option<String>, Option<String>) {
    // Not the bare name of a directory: SeaweedFS skips all of a directory that is named so.
    let border = |number: u64| end_of_directory(DIRECTORIES * number / listers - 1);
    let after = (lister > 0).then(|| border(lister));
    let before = (lister + 1 < listers).then(|| border(lister + 1));
    (after, before)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn sizes_end_with_the_whole() {
        assert_eq!(sizes(1_000_000), [1000, 10_000, 100_000, 1_000_000]);
        assert_eq!(sizes(25_000), [1000, 10_000, 25_000]);
        assert_eq!(sizes(1000), [1000]);
    }

    #[test]
    fn names_differ_and_every_key_is_in_one_share() {
        let names: HashSet<String> = (0..20_000).map(name).collect();
        assert_eq!(names.len(), 20_000);
        for listers in [1, 3, 4] {
            for name in &names {
                let holders = (0..listers).filter(|lister| {
                    let (after, before) = share(*lister, listers);
                    after.is_none_or(|after| *name > after)
                        && before.is_none_or(|before| *name < before)
                });
                assert_eq!(holders.count(), 1, "{name} of {listers}");
            }
        }
        let behind = |name: &&String| **name > end_of_directory(DIRECTORIES / 2 - 1);
        let upper = |name: &&String| **name > directory(DIRECTORIES / 2);
        assert_eq!(names.iter().filter(behind).count(), names.iter().filter(upper).count());
    }
}
