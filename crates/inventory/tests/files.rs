//! The bytes of data files: golden lines, and all rows read back by other readers.

use std::io::Read;

use flate2::read::GzDecoder;
use inventory::{
    Configuration, Destination, Entry, Field, Format, Frequency, Full, Object, Versions, Writer,
    writer::{ROWS_MAX, VALUE_BYTES_MAX},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field as Cell, Row},
};
use proptest::{collection::vec, prelude::*};
use types::{
    ChecksumAlgorithm, ETag, ObjectLock, Retention, RetentionMode, StorageClass, UnixMillis,
    Version, VersionId,
};

const BUCKET: &str = "src";

fn configuration(format: Format, versions: Versions, fields: &[Field]) -> Configuration {
    Configuration {
        id: "i".into(),
        enabled: true,
        versions,
        prefix: None,
        frequency: Frequency::Daily,
        fields: fields.to_vec(),
        destination: Destination { bucket: "dst".into(), account: None, prefix: None, format },
        owner: "0wner".into(),
        made: UnixMillis(0),
    }
}

fn entry(key: &str) -> Entry<'_> {
    Entry {
        key,
        version: Version::Id(VersionId { at: UnixMillis(1), number: 2 }),
        latest: true,
        modified: UnixMillis(1_514_944_800_000),
        object: Some(Object {
            size: 12,
            etag: ETag { md5: [0xab; 16], parts: 3 },
            class: StorageClass::IntelligentTiering,
            checksum: Some(ChecksumAlgorithm::Crc64Nvme),
            lock: ObjectLock {
                retention: Some(Retention {
                    mode: RetentionMode::Compliance,
                    until: UnixMillis(1_514_944_800_001),
                }),
                legal_hold: Some(true),
            },
        }),
    }
}

fn write(configuration: &Configuration, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(configuration).expect("a schema");
    for entry in entries {
        assert_eq!(writer.push(BUCKET, configuration, entry), Ok(Full::No));
    }
    assert_eq!(writer.rows(), entries.len() as u64);
    writer.finish().expect("a file")
}

fn lines(file: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("gzip of UTF-8");
    text
}

fn rows(file: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).expect("Parquet");
    reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect()
}

#[test]
fn lines_are_fixed() {
    let all = configuration(Format::Csv, Versions::All, &Field::ALL);
    let marker = Entry { object: None, latest: false, version: Version::Null, ..entry("b") };
    assert_eq!(
        lines(&write(&all, &[entry("a b+\"ä/c,\n"), marker])),
        "\"src\",\"a%20b%2B%22%C3%A4/c%2C%0A\",\"00000000000000010000000000000002\",\"true\",\
         \"false\",\"12\",\"2018-01-03T02:00:00.000Z\",\"abababababababababababababababab-3\",\
         \"INTELLIGENT_TIERING\",\"true\",\"\",\"NOT-SSE\",\"2018-01-03T02:00:00.001Z\",\
         \"COMPLIANCE\",\"ON\",\"FREQUENT\",\"DISABLED\",\"CRC64NVME\",\"0wner\"\n\
         \"src\",\"b\",\"\",\"false\",\"true\",\"\",\"2018-01-03T02:00:00.000Z\",\"\",\"\",\"\",\
         \"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"0wner\"\n"
    );
    // AWS's order, not the one in which the fields were asked for.
    let few = configuration(Format::Csv, Versions::Current, &[Field::ETag, Field::Size]);
    assert_eq!(
        lines(&write(&few, &[entry("a")])),
        "\"src\",\"a\",\"12\",\"abababababababababababababababab-3\"\n"
    );
    assert_eq!(lines(&write(&few, &[])), "");
}

#[test]
fn columns_of_parquet_have_their_types() {
    let all = configuration(Format::Parquet, Versions::All, &Field::ALL);
    let marker = Entry { object: None, latest: false, version: Version::Null, ..entry("b") };
    let rows = rows(write(&all, &[entry("a b+\"ä/c,\n"), marker]));
    let cells = |row: &Row| -> Vec<(String, Cell)> {
        row.get_column_iter().map(|(name, cell)| (name.clone(), cell.clone())).collect()
    };
    let text = |text: &str| Cell::Str(text.to_owned());
    let named = |name: &str, cell: Cell| (name.to_owned(), cell);
    assert_eq!(
        cells(&rows[0]),
        [
            named("bucket", text("src")),
            named("key", text("a b+\"ä/c,\n")),
            named("version_id", text("00000000000000010000000000000002")),
            named("is_latest", Cell::Bool(true)),
            named("is_delete_marker", Cell::Bool(false)),
            named("size", Cell::Long(12)),
            named("last_modified_date", Cell::TimestampMillis(1_514_944_800_000)),
            named("e_tag", text("abababababababababababababababab-3")),
            named("storage_class", text("INTELLIGENT_TIERING")),
            named("is_multipart_uploaded", Cell::Bool(true)),
            named("replication_status", Cell::Null),
            named("encryption_status", text("NOT-SSE")),
            named("object_lock_retain_until_date", Cell::TimestampMillis(1_514_944_800_001)),
            named("object_lock_mode", text("COMPLIANCE")),
            named("object_lock_legal_hold_status", text("ON")),
            named("intelligent_tiering_access_tier", text("FREQUENT")),
            named("bucket_key_status", text("DISABLED")),
            named("checksum_algorithm", text("CRC64NVME")),
            named("object_owner", text("0wner")),
        ]
    );
    let there: Vec<String> = cells(&rows[1])
        .into_iter()
        .filter(|(_, cell)| *cell != Cell::Null)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        there,
        ["bucket", "key", "is_latest", "is_delete_marker", "last_modified_date", "object_owner"]
    );
}

#[test]
fn a_file_is_bounded() {
    let configuration = configuration(Format::Csv, Versions::Current, &[]);
    let key = "k".repeat(1024);
    let mut writer = Writer::new(&configuration).expect("a schema");
    while writer.push(BUCKET, &configuration, &entry(&key)).expect("a row") == Full::No {}
    assert!(writer.rows() < ROWS_MAX);
    assert!(writer.rows() >= VALUE_BYTES_MAX / 1100 && writer.rows() <= VALUE_BYTES_MAX / 1024);
}

/// Undoes `%XX`, and nothing else.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next().expect("a digit")).to_digit(16);
            let (high, low) = (digit().expect("hex"), digit().expect("hex"));
            bytes.push(u8::try_from(high * 16 + low).expect("a byte"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What goes in comes out: any keys, in number around the size of a row group.
    #[test]
    fn rows_come_back(
        keys in vec("[ -~\n\r\"',;äλ🜚\u{1}\u{7f}]{1,20}", 0..40),
        sizes in vec(0_u64..u64::from(u32::MAX), 40),
        copies in prop_oneof![Just(1_usize), Just(300)],
    ) {
        let keys: Vec<&str> =
            keys.iter().map(String::as_str).cycle().take(keys.len() * copies).collect();
        let entries: Vec<Entry<'_>> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| {
                let object = entry(key).object.map(|it| Object { size: sizes[at % 40], ..it });
                Entry { object: object.filter(|_| at % 5 != 4), ..entry(key) }
            })
            .collect();
        let expected: Vec<(&str, Option<u64>)> =
            entries.iter().map(|it| (it.key, it.object.as_ref().map(|it| it.size))).collect();

        let csv = configuration(Format::Csv, Versions::Current, &[Field::Size]);
        let csv = lines(&write(&csv, &entries));
        let read: Vec<(String, Option<u64>)> = csv
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split(',').map(|it| it.trim_matches('"')).collect();
                (decode(fields[1]), fields[2].parse().ok())
            })
            .collect();
        let read: Vec<_> = read.iter().map(|(key, size)| (key.as_str(), *size)).collect();
        prop_assert_eq!(&read, &expected);

        let parquet = configuration(Format::Parquet, Versions::Current, &[Field::Size]);
        let rows = rows(write(&parquet, &entries));
        let read: Vec<(String, Option<u64>)> = rows
            .iter()
            .map(|row| {
                let cells: Vec<&Cell> = row.get_column_iter().map(|(_, cell)| cell).collect();
                match (cells[1], cells[2]) {
                    (Cell::Str(key), Cell::Long(size)) => (key.clone(), u64::try_from(*size).ok()),
                    (Cell::Str(key), Cell::Null) => (key.clone(), None),
                    other => panic!("{other:?}"),
                }
            })
            .collect();
        let read: Vec<_> = read.iter().map(|(key, size)| (key.as_str(), *size)).collect();
        prop_assert_eq!(&read, &expected);
    }
}
