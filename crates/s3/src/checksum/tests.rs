//! Known values, declarations, and the checksums of multipart objects.

use http::HeaderValue;

use super::*;

fn of(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Checksum {
    let mut hasher = Hasher::new(algorithm);
    for chunk in bytes.chunks(7) {
        hasher.update(chunk);
    }
    hasher.finish()
}

/// The check values of the catalogues: CRC of "123456789", SHA and MD5 (RFC 1321) of "abc",
/// and the vectors that the xxHash specification's own test program prints for "abc".
#[test]
fn known_values() {
    for (algorithm, input, expected) in [
        (ChecksumAlgorithm::Crc32, "123456789", "cbf43926"),
        (ChecksumAlgorithm::Crc32c, "123456789", "e3069283"),
        (ChecksumAlgorithm::Crc64Nvme, "123456789", "ae8b14860a799888"),
        (ChecksumAlgorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            ChecksumAlgorithm::Sha256,
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            ChecksumAlgorithm::Sha512,
            "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (ChecksumAlgorithm::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
        (ChecksumAlgorithm::XxHash64, "abc", "44bc2cf5ad770999"),
        (ChecksumAlgorithm::XxHash3, "abc", "78af5f94892f3950"),
        (ChecksumAlgorithm::XxHash128, "abc", "06b05ab6733a618578af5f94892f3950"),
    ] {
        assert_eq!(hex::encode(of(algorithm, input.as_bytes()).value), expected, "{algorithm:?}");
    }
}

/// Longer than every algorithm's inner block. From hashlib of Python 3.11 and from the reference
/// implementation of xxHash, 0.8.4.
#[test]
fn known_values_of_long_inputs() {
    let bytes: Vec<u8> = (0..300_000u32).map(|i| (i * 31 % 251) as u8).collect();
    for (algorithm, expected) in [
        (ChecksumAlgorithm::Sha1, "c79d3d793f534de1bd67213d2295621c91bc0c03"),
        (ChecksumAlgorithm::Md5, "595f72e94389c37764635a38069ac868"),
        (ChecksumAlgorithm::XxHash64, "1d81abcbb7059b0d"),
        (ChecksumAlgorithm::XxHash3, "72b19f629d50046a"),
        (ChecksumAlgorithm::XxHash128, "96caf2a551fa233272b19f629d50046a"),
    ] {
        let mut hasher = Hasher::new(algorithm);
        for chunk in bytes.chunks(70_001) {
            hasher.update(chunk);
        }
        assert_eq!(hex::encode(hasher.finish().value), expected, "{algorithm:?}");
    }
}

#[test]
fn text_round_trips() {
    for algorithm in ALL {
        let checksum = of(algorithm, b"shardlake");
        assert_eq!(decode(algorithm, &encode(&checksum)).expect("valid"), checksum);
        assert_eq!(parse_name(name(algorithm)).expect("valid"), algorithm);
        assert!(decode(algorithm, "AAAA").is_err(), "a wrong length is refused");
        assert!(decode(algorithm, "not base64!").is_err());
    }
    assert_eq!(parse_name("crc16").expect_err("refused").code().as_str(), "InvalidRequest");
}

#[test]
fn parts_combine_to_the_whole() {
    let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7 % 251) as u8).collect();
    for algorithm in
        [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme]
    {
        for cuts in [vec![10_000], vec![1, 9_999], vec![4_000, 4_000, 2_000], vec![9_999, 1, 0]] {
            let mut rest = bytes.as_slice();
            let parts: Vec<(Checksum, u64)> = cuts
                .iter()
                .map(|cut| {
                    let (part, tail) = rest.split_at(*cut);
                    rest = tail;
                    (of(algorithm, part), part.len() as u64)
                })
                .collect();
            let combined = of_parts(
                algorithm,
                ChecksumKind::FullObject,
                parts.iter().map(|(checksum, bytes)| (Some(checksum), *bytes)),
            );
            assert_eq!(combined, Some(of(algorithm, &bytes)), "{algorithm:?} {cuts:?}");
        }
    }
}

#[test]
fn composite_is_the_algorithm_over_raw_values() {
    for algorithm in ALL {
        let parts = [of(algorithm, b"one"), of(algorithm, b"two")];
        let composite = of_parts(
            algorithm,
            ChecksumKind::Composite,
            parts.iter().map(|checksum| (Some(checksum), 3)),
        )
        .expect("every part has one");
        assert_eq!(
            composite.value,
            of(algorithm, &[&*parts[0].value, &*parts[1].value].concat()).value
        );
        assert!(encode(&composite).ends_with("-2"));
    }
    let mixed = [of(ChecksumAlgorithm::Crc32, b"one"), of(ChecksumAlgorithm::Sha1, b"two")];
    let parts = mixed.iter().map(|checksum| (Some(checksum), 3));
    assert_eq!(of_parts(ChecksumAlgorithm::Crc32, ChecksumKind::Composite, parts), None);
}

#[test]
fn kinds_follow_the_algorithm() {
    use ChecksumKind::{Composite, FullObject};
    assert_eq!(kind_of(ChecksumAlgorithm::Crc32, None).expect("valid"), Composite);
    assert_eq!(kind_of(ChecksumAlgorithm::Crc32, Some(FullObject)).expect("valid"), FullObject);
    assert_eq!(kind_of(ChecksumAlgorithm::Crc64Nvme, None).expect("valid"), FullObject);
    assert!(kind_of(ChecksumAlgorithm::Crc64Nvme, Some(Composite)).is_err());
    for algorithm in ALL.into_iter().filter(|algorithm| crc(*algorithm).is_none()) {
        assert_eq!(kind_of(algorithm, None).expect("valid"), Composite, "{algorithm:?}");
        assert!(kind_of(algorithm, Some(FullObject)).is_err(), "{algorithm:?}");
    }
}

fn declared(headers: &[(&'static str, &str)]) -> Result<Declared, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).expect("printable"));
    }
    Declared::of(&map).map_err(|error| error.code().as_str().to_owned())
}

#[test]
fn declarations() {
    let crc32 = encode(&of(ChecksumAlgorithm::Crc32, b"x"));
    assert_eq!(declared(&[]), Ok(Declared::Nothing));
    assert_eq!(
        declared(&[("x-amz-checksum-crc32", &crc32), ("x-amz-sdk-checksum-algorithm", "CRC32")]),
        Ok(Declared::Value(of(ChecksumAlgorithm::Crc32, b"x")))
    );
    assert_eq!(
        declared(&[("x-amz-trailer", "x-amz-checksum-sha256")]),
        Ok(Declared::Trailer(ChecksumAlgorithm::Sha256))
    );
    assert_eq!(declared(&[("x-amz-checksum-type", "FULL_OBJECT")]), Ok(Declared::Nothing));
    for refused in [
        vec![("x-amz-checksum-crc32", "bad")],
        vec![("x-amz-checksum-crc32", crc32.as_str()), ("x-amz-trailer", "x-amz-checksum-sha1")],
        vec![("x-amz-checksum-crc32", crc32.as_str()), ("x-amz-checksum-crc32c", crc32.as_str())],
        vec![("x-amz-sdk-checksum-algorithm", "CRC32")],
        vec![("x-amz-checksum-crc32", crc32.as_str()), ("x-amz-sdk-checksum-algorithm", "SHA1")],
        vec![("x-amz-trailer", "x-amz-meta-late")],
    ] {
        assert_eq!(declared(&refused), Err("InvalidRequest".to_owned()), "{refused:?}");
    }
    assert_eq!(declared(&[("x-amz-checksum-sha512", "AAAA")]), Err("InvalidRequest".to_owned()));
    assert_eq!(
        declared(&[("x-amz-trailer", "x-amz-checksum-xxhash128")]),
        Ok(Declared::Trailer(ChecksumAlgorithm::XxHash128))
    );
}
