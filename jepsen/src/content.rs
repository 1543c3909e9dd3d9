//! What clients write: eight bytes that name the value, then filler that depends on it, so that every
//! read checks every byte.

use crate::history::Value;

/// The bytes of a value; at least eight.
pub(crate) fn content(value: Value, length: usize) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    let mut word = value;
    while bytes.len() < length {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length.max(8));
    bytes
}

/// Which value these bytes are, all of them; `length` gives what a value's length must be.
pub(crate) fn value(bytes: &[u8], length: impl Fn(Value) -> usize) -> Option<Value> {
    let value = Value::from_le_bytes(*bytes.first_chunk()?);
    // A value that nobody wrote could ask for any length.
    (length(value).max(8) == bytes.len() && content(value, bytes.len()) == bytes).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_values_apart_in_every_part() {
        let (one, two) = (content(1, 100), content(2, 100));
        assert_eq!((one.len(), two.len()), (100, 100));
        assert_ne!(one[..8], two[..8]);
        assert_ne!(one[50..], two[50..]);
        assert_eq!(content(1, 100), one);
    }

    #[test]
    fn only_the_whole_content_is_the_value() {
        let one = content(1, 100);
        assert_eq!(value(&one, |_| 100), Some(1));
        assert_eq!(value(&one[..99], |_| 100), None);
        assert_eq!(value(&[], |_| 100), None);
        let mixed = [&one[..50], &content(2, 100)[50..]].concat();
        assert_eq!(value(&mixed, |_| 100), None);
        let mut flipped = one;
        flipped[70] ^= 4;
        assert_eq!(value(&flipped, |_| 100), None);
    }
}
