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

/// The check values of the catalogues: CRC of "123456789", SHA of "abc".
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
    ] {
        assert_eq!(hex::encode(of(algorithm, input.as_bytes()).value), expected, "{algorithm:?}");
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
    assert_eq!(parse_name("sha512").expect_err("refused").code().as_str(), "NotImplemented");
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
    assert!(kind_of(ChecksumAlgorithm::Sha256, Some(FullObject)).is_err());
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
    assert_eq!(declared(&[("x-amz-checksum-sha512", "AAAA")]), Err("NotImplemented".to_owned()));
}
