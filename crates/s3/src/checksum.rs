//! The checksums of the S3 model: names, values, declared ones, and those of multipart
//! objects.
//!
//! Rules: "Checking object integrity" in the Amazon S3 user guide.

use base64::{Engine, engine::general_purpose::STANDARD};
use crc_fast::CrcAlgorithm;
use http::{HeaderMap, HeaderName};
use s3s::{
    S3Error, S3Result,
    crypto::{self, Checksum as _},
    dto::ChecksumType,
};
use sha2::Digest as _;
use types::{Checksum, ChecksumAlgorithm, ChecksumKind};

use crate::errors::invalid_request;

/// Every algorithm of the S3 model.
pub(crate) const ALL: [ChecksumAlgorithm; 10] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Sha512,
    ChecksumAlgorithm::Md5,
    ChecksumAlgorithm::XxHash64,
    ChecksumAlgorithm::XxHash3,
    ChecksumAlgorithm::XxHash128,
];

/// What AWS computes when the client names no algorithm.
pub(crate) const DEFAULT: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

/// Headers that begin with `x-amz-checksum-` and declare no value.
const NOT_VALUES: [&str; 3] = ["algorithm", "mode", "type"];

/// The name in `x-amz-checksum-algorithm` and in XML.
pub(crate) fn name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
        ChecksumAlgorithm::Sha512 => "SHA512",
        ChecksumAlgorithm::Md5 => "MD5",
        ChecksumAlgorithm::XxHash64 => "XXHASH64",
        ChecksumAlgorithm::XxHash3 => "XXHASH3",
        ChecksumAlgorithm::XxHash128 => "XXHASH128",
    }
}

/// The header and trailer that carry a value.
pub(crate) fn header(algorithm: ChecksumAlgorithm) -> HeaderName {
    HeaderName::from_static(match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        ChecksumAlgorithm::Sha512 => "x-amz-checksum-sha512",
        ChecksumAlgorithm::Md5 => "x-amz-checksum-md5",
        ChecksumAlgorithm::XxHash64 => "x-amz-checksum-xxhash64",
        ChecksumAlgorithm::XxHash3 => "x-amz-checksum-xxhash3",
        ChecksumAlgorithm::XxHash128 => "x-amz-checksum-xxhash128",
    })
}

/// The name of a checksum type in headers and XML.
pub(crate) fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    }
}

/// The type of a stored checksum as outputs carry it.
pub(crate) fn kind(checksum: Option<&Checksum>) -> Option<ChecksumType> {
    checksum.map(|checksum| ChecksumType::from_static(kind_name(checksum.kind)))
}

/// Bytes of a value.
fn length(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64Nvme | ChecksumAlgorithm::XxHash64 | ChecksumAlgorithm::XxHash3 => {
            8
        }
        ChecksumAlgorithm::Md5 | ChecksumAlgorithm::XxHash128 => 16,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
        ChecksumAlgorithm::Sha512 => 64,
    }
}

/// Reads an algorithm's name as clients write it.
pub(crate) fn parse_name(text: &str) -> S3Result<ChecksumAlgorithm> {
    let upper = text.to_ascii_uppercase();
    if let Some(algorithm) = ALL.into_iter().find(|algorithm| name(*algorithm) == upper) {
        return Ok(algorithm);
    }
    Err(invalid_request(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
         [CRC32, CRC32C, CRC64NVME, SHA1, SHA256, SHA512, MD5, XXHASH64, XXHASH3, XXHASH128]",
    ))
}

/// Reads a checksum type; `None` if there is none.
pub(crate) fn parse_kind(text: Option<&str>) -> S3Result<Option<ChecksumKind>> {
    match text {
        None => Ok(None),
        Some("FULL_OBJECT") => Ok(Some(ChecksumKind::FullObject)),
        Some("COMPOSITE") => Ok(Some(ChecksumKind::Composite)),
        Some(_) => Err(invalid_request("Value for x-amz-checksum-type header is invalid.")),
    }
}

/// The type of a multipart upload's checksum: the asked one if the algorithm can do it,
/// else the algorithm's default.
///
/// Only a CRC of the whole follows from the CRCs of the parts; CRC64NVME is always of the
/// whole. Every other algorithm is composite.
pub(crate) fn kind_of(
    algorithm: ChecksumAlgorithm,
    asked: Option<ChecksumKind>,
) -> S3Result<ChecksumKind> {
    use ChecksumAlgorithm::{Crc32, Crc32c, Crc64Nvme};
    use ChecksumKind::{Composite, FullObject};
    match (algorithm, asked) {
        (Crc32 | Crc32c, asked) => Ok(asked.unwrap_or(Composite)),
        (Crc64Nvme, None | Some(FullObject)) => Ok(FullObject),
        (Crc64Nvme, Some(kind @ Composite)) => Err(cannot(algorithm, kind)),
        (_, None | Some(Composite)) => Ok(Composite),
        (_, Some(kind @ FullObject)) => Err(cannot(algorithm, kind)),
    }
}

fn cannot(algorithm: ChecksumAlgorithm, kind: ChecksumKind) -> S3Error {
    invalid_request(format!(
        "The {} checksum type cannot be used with the {} checksum algorithm.",
        kind_name(kind),
        name(algorithm).to_ascii_lowercase()
    ))
}

/// The text of a stored checksum: base64, with `-N` for a composite one.
pub(crate) fn encode(checksum: &Checksum) -> String {
    let mut text = STANDARD.encode(&checksum.value);
    if checksum.kind == ChecksumKind::Composite {
        text.push_str(&format!("-{}", checksum.parts));
    }
    text
}

/// A value that a client sent for a whole body.
pub(crate) fn decode(algorithm: ChecksumAlgorithm, text: &str) -> S3Result<Checksum> {
    match STANDARD.decode(text.trim()) {
        Ok(value) if value.len() == length(algorithm) => Ok(full(algorithm, value)),
        _ => Err(invalid_request(format!("Value for {} header is invalid.", header(algorithm)))),
    }
}

/// What a request says about its body's checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// Nothing.
    Nothing,
    /// This value, in a header.
    Value(Checksum),
    /// A value of this algorithm will follow the body.
    Trailer(ChecksumAlgorithm),
}

impl Declared {
    /// The algorithm that must be computed.
    pub(crate) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        match self {
            Self::Nothing => None,
            Self::Value(checksum) => Some(checksum.algorithm),
            Self::Trailer(algorithm) => Some(*algorithm),
        }
    }

    /// Reads `x-amz-checksum-*`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`. At
    /// most one value; an unknown algorithm is refused.
    pub(crate) fn of(headers: &HeaderMap) -> S3Result<Self> {
        let mut declared = Self::Nothing;
        let mut declare = |found: Self| match &declared {
            Self::Nothing => {
                declared = found;
                Ok(())
            }
            _ => Err(invalid_request(
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed.",
            )),
        };
        for (header_name, value) in headers {
            let Some(suffix) = header_name.as_str().strip_prefix("x-amz-checksum-") else {
                continue;
            };
            if NOT_VALUES.contains(&suffix) {
                continue;
            }
            let algorithm = parse_name(suffix)?;
            declare(Self::Value(decode(algorithm, value.to_str().unwrap_or_default())?))?;
        }
        for value in headers.get_all("x-amz-trailer") {
            for trailer in value.to_str().unwrap_or_default().split(',') {
                let trailer = trailer.trim().to_ascii_lowercase();
                match trailer.strip_prefix("x-amz-checksum-") {
                    Some(suffix) => declare(Self::Trailer(parse_name(suffix)?))?,
                    None if trailer.is_empty() => {}
                    None => {
                        return Err(invalid_request(
                            "The value specified in the x-amz-trailer header is not supported.",
                        ));
                    }
                }
            }
        }
        if let Some(value) = headers.get("x-amz-sdk-checksum-algorithm") {
            let algorithm = parse_name(value.to_str().unwrap_or_default())?;
            match declared.algorithm() {
                Some(declared) if declared == algorithm => {}
                Some(_) => {
                    return Err(invalid_request(
                        "Value for x-amz-sdk-checksum-algorithm header is invalid.",
                    ));
                }
                None => {
                    return Err(invalid_request(
                        "x-amz-sdk-checksum-algorithm specified, but no corresponding \
                         x-amz-checksum-* or x-amz-trailer headers were found.",
                    ));
                }
            }
        }
        Ok(declared)
    }
}

/// A running checksum.
pub(crate) enum Hasher {
    /// One of the three cyclic redundancy checks.
    Crc(ChecksumAlgorithm, Box<crc_fast::Digest>),
    /// SHA-1.
    Sha1(Box<crypto::Sha1>),
    /// SHA-256.
    Sha256(Box<sha2::Sha256>),
    /// SHA-512.
    Sha512(Box<sha2::Sha512>),
    /// MD5.
    Md5(Box<md5::Md5>),
    /// XXH64 with seed 0.
    XxHash64(Box<crypto::XxHash64>),
    /// XXH3 of 64 bits.
    XxHash3(Box<crypto::XxHash3>),
    /// XXH3 of 128 bits.
    XxHash128(Box<crypto::XxHash128>),
}

fn crc(algorithm: ChecksumAlgorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        ChecksumAlgorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        ChecksumAlgorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        _ => None,
    }
}

/// The checksum of a whole body.
pub(crate) fn full(algorithm: ChecksumAlgorithm, value: Vec<u8>) -> Checksum {
    Checksum { algorithm, kind: ChecksumKind::FullObject, value, parts: 0 }
}

impl Hasher {
    /// Over no bytes yet.
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        let of_crc = |crc| Self::Crc(algorithm, Box::new(crc_fast::Digest::new(crc)));
        match algorithm {
            ChecksumAlgorithm::Crc32 => of_crc(CrcAlgorithm::Crc32IsoHdlc),
            ChecksumAlgorithm::Crc32c => of_crc(CrcAlgorithm::Crc32Iscsi),
            ChecksumAlgorithm::Crc64Nvme => of_crc(CrcAlgorithm::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Box::new(crypto::Sha1::new())),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Box::default()),
            ChecksumAlgorithm::Sha512 => Self::Sha512(Box::default()),
            ChecksumAlgorithm::Md5 => Self::Md5(Box::default()),
            ChecksumAlgorithm::XxHash64 => Self::XxHash64(Box::new(crypto::XxHash64::new())),
            ChecksumAlgorithm::XxHash3 => Self::XxHash3(Box::new(crypto::XxHash3::new())),
            ChecksumAlgorithm::XxHash128 => Self::XxHash128(Box::new(crypto::XxHash128::new())),
        }
    }

    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
            Self::Sha512(digest) => digest.update(bytes),
            Self::Md5(digest) => digest.update(bytes),
            Self::XxHash64(digest) => digest.update(bytes),
            Self::XxHash3(digest) => digest.update(bytes),
            Self::XxHash128(digest) => digest.update(bytes),
        }
    }

    /// The checksum of everything.
    pub(crate) fn finish(self) -> Checksum {
        match self {
            Self::Crc(algorithm, digest) => {
                full(algorithm, crc_bytes(algorithm, digest.finalize()))
            }
            Self::Sha1(digest) => {
                full(ChecksumAlgorithm::Sha1, digest.finalize().as_ref().to_vec())
            }
            Self::Sha256(digest) => full(ChecksumAlgorithm::Sha256, digest.finalize().to_vec()),
            Self::Sha512(digest) => full(ChecksumAlgorithm::Sha512, digest.finalize().to_vec()),
            Self::Md5(digest) => full(ChecksumAlgorithm::Md5, digest.finalize().to_vec()),
            Self::XxHash64(digest) => full(ChecksumAlgorithm::XxHash64, digest.finalize().to_vec()),
            Self::XxHash3(digest) => full(ChecksumAlgorithm::XxHash3, digest.finalize().to_vec()),
            Self::XxHash128(digest) => {
                full(ChecksumAlgorithm::XxHash128, digest.finalize().to_vec())
            }
        }
    }
}

/// The last `length` bytes, big-endian: what the header carries.
fn crc_bytes(algorithm: ChecksumAlgorithm, value: u64) -> Vec<u8> {
    value.to_be_bytes()[8 - length(algorithm)..].to_vec()
}

fn crc_value(value: &[u8]) -> u64 {
    value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The checksum of an object made of parts, from its parts' `(checksum, bytes)` in order.
///
/// - Composite: the algorithm over the parts' raw values, written with `-N`.
/// - Full object (CRCs only): the parts' values combined, without their bytes.
///
/// `None` if a part has no checksum of this algorithm.
pub(crate) fn of_parts<'a>(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: impl Iterator<Item = (Option<&'a Checksum>, u64)>,
) -> Option<Checksum> {
    let mut composite = Hasher::new(algorithm);
    let mut full = 0u64;
    let mut count = 0u16;
    for (checksum, bytes) in parts {
        let value = &checksum.filter(|checksum| checksum.algorithm == algorithm)?.value;
        match (kind, crc(algorithm)) {
            (ChecksumKind::Composite, _) => composite.update(value),
            (ChecksumKind::FullObject, Some(_)) if count == 0 => full = crc_value(value),
            (ChecksumKind::FullObject, Some(crc)) => {
                full = crc_fast::checksum_combine(crc, full, crc_value(value), bytes);
            }
            (ChecksumKind::FullObject, None) => return None,
        }
        count += 1;
    }
    Some(match kind {
        ChecksumKind::Composite => Checksum { kind, parts: count, ..composite.finish() },
        ChecksumKind::FullObject => {
            Checksum { algorithm, kind, value: crc_bytes(algorithm, full), parts: 0 }
        }
    })
}

/// The text values as outputs carry them: the stored one, and `None` for all others.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) sha512: Option<String>,
    pub(crate) md5: Option<String>,
    pub(crate) xxhash64: Option<String>,
    pub(crate) xxhash3: Option<String>,
    pub(crate) xxhash128: Option<String>,
}

impl Texts {
    /// Of a stored checksum, if there is one.
    pub(crate) fn of(checksum: Option<&Checksum>) -> Self {
        let mut texts = Self::default();
        if let Some(checksum) = checksum {
            let text = Some(encode(checksum));
            match checksum.algorithm {
                ChecksumAlgorithm::Crc32 => texts.crc32 = text,
                ChecksumAlgorithm::Crc32c => texts.crc32c = text,
                ChecksumAlgorithm::Crc64Nvme => texts.crc64nvme = text,
                ChecksumAlgorithm::Sha1 => texts.sha1 = text,
                ChecksumAlgorithm::Sha256 => texts.sha256 = text,
                ChecksumAlgorithm::Sha512 => texts.sha512 = text,
                ChecksumAlgorithm::Md5 => texts.md5 = text,
                ChecksumAlgorithm::XxHash64 => texts.xxhash64 = text,
                ChecksumAlgorithm::XxHash3 => texts.xxhash3 = text,
                ChecksumAlgorithm::XxHash128 => texts.xxhash128 = text,
            }
        }
        texts
    }
}

/// Puts a stored checksum into an output that has the ten fields.
macro_rules! set_checksum {
    ($output:expr, $checksum:expr) => {{
        let texts = $crate::checksum::Texts::of($checksum);
        $output.checksum_crc32 = texts.crc32;
        $output.checksum_crc32c = texts.crc32c;
        $output.checksum_crc64nvme = texts.crc64nvme;
        $output.checksum_sha1 = texts.sha1;
        $output.checksum_sha256 = texts.sha256;
        $output.checksum_sha512 = texts.sha512;
        $output.checksum_md5 = texts.md5;
        $output.checksum_xxhash64 = texts.xxhash64;
        $output.checksum_xxhash3 = texts.xxhash3;
        $output.checksum_xxhash128 = texts.xxhash128;
    }};
}
pub(crate) use set_checksum;

/// The one checksum of an input that has the ten fields (a completed part).
macro_rules! listed_checksum {
    ($input:expr) => {{
        use types::ChecksumAlgorithm as A;
        $crate::checksum::one_of([
            (A::Crc32, $input.checksum_crc32.as_deref()),
            (A::Crc32c, $input.checksum_crc32c.as_deref()),
            (A::Crc64Nvme, $input.checksum_crc64nvme.as_deref()),
            (A::Sha1, $input.checksum_sha1.as_deref()),
            (A::Sha256, $input.checksum_sha256.as_deref()),
            (A::Sha512, $input.checksum_sha512.as_deref()),
            (A::Md5, $input.checksum_md5.as_deref()),
            (A::XxHash64, $input.checksum_xxhash64.as_deref()),
            (A::XxHash3, $input.checksum_xxhash3.as_deref()),
            (A::XxHash128, $input.checksum_xxhash128.as_deref()),
        ])
    }};
}
pub(crate) use listed_checksum;

/// The one text that is there; see `listed_checksum`.
pub(crate) fn one_of<const N: usize>(
    fields: [(ChecksumAlgorithm, Option<&str>); N],
) -> Result<Option<(ChecksumAlgorithm, &str)>, S3Error> {
    let mut found = None;
    for (algorithm, text) in fields {
        let Some(text) = text else { continue };
        if found.replace((algorithm, text)).is_some() {
            return Err(invalid_request("Multiple checksum types are not allowed."));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
