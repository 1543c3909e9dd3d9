use proptest::prelude::*;

use super::*;

/// A whole blob, as an upload writes it, from content that comes in pieces of `piece` bytes.
fn blob(content: &[u8], piece: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    let mut blob = Vec::new();
    let mut add = |writer: &mut Writer, content: Vec<u8>| {
        let frame = compress(&content).expect("it compresses");
        writer.wrote(frame.len(), content.len());
        blob.extend_from_slice(&frame);
    };
    for piece in content.chunks(piece) {
        let mut source = Bytes::copy_from_slice(piece);
        while !source.is_empty() {
            if let Some(full) = writer.fill(&mut source) {
                add(&mut writer, full);
            }
        }
    }
    if let Some(rest) = writer.rest() {
        add(&mut writer, rest);
    }
    blob.extend_from_slice(&writer.table());
    assert!(blob.len() as u64 <= stored_bytes_max(content.len() as u64));
    blob
}

fn table_of(blob: &[u8], content_bytes: u64) -> Result<Table, BadFrames> {
    let stored = blob.len() as u64;
    let place = Table::place(stored, content_bytes)?;
    Table::parse(&blob[place.start as usize..], stored, content_bytes)
}

/// A range of the content, from stored bytes that come in pieces of `piece` bytes.
fn read(blob: &[u8], table: &Table, range: Range<u64>, piece: usize) -> Vec<u8> {
    let mut reader = Reader::new(table.clone(), range.clone());
    let stored = table.stored_of(&range);
    let mut content = Vec::new();
    for piece in blob[stored.start as usize..stored.end as usize].chunks(piece) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = reader.take() {
            let whole = decompress(&frame.stored, frame.content_bytes).expect("a whole frame");
            content.extend_from_slice(&whole[frame.wanted]);
        }
    }
    assert!(reader.is_done() && reader.bytes == 0);
    content
}

/// Runs of random bytes and of equal ones: some frames get smaller, some do not.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u64>(), 1usize..900_000, any::<bool>());
    prop::collection::vec(run, 1..6).prop_map(|runs| {
        use rand::{RngCore, SeedableRng};
        let mut content = Vec::new();
        for (seed, length, random) in runs {
            let start = content.len();
            content.resize(start + length, seed as u8);
            if random {
                rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut content[start..]);
            }
        }
        content
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_range_comes_back(
        content in contents(),
        pieces in (1usize..3_000_000, 1usize..3_000_000),
        ends in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 4),
    ) {
        let blob = blob(&content, pieces.0);
        let length = content.len();
        let table = table_of(&blob, length as u64).expect("well formed");
        if let Some(implied) = Table::of_one_frame(blob.len() as u64, length as u64) {
            prop_assert_eq!(&implied, &table);
        }
        prop_assert!(read(&blob, &table, 0..length as u64, pieces.1) == content);
        for (a, b) in ends {
            let (a, b) = (a.index(length + 1), b.index(length + 1));
            let (start, end) = (a.min(b), a.max(b));
            let part = read(&blob, &table, start as u64..end as u64, pieces.1);
            prop_assert!(part == content[start..end], "{}..{} of {}", start, end, length);
        }
    }

    /// Whatever a table says: an error, never a panic.
    #[test]
    fn a_changed_table_is_refused(at in any::<prop::sample::Index>(), bit in 0u32..8) {
        let content = vec![7; 2 * Encoding::FRAME_BYTES + 5];
        let mut blob = blob(&content, content.len());
        let place = Table::place(blob.len() as u64, content.len() as u64).expect("a place");
        let at = place.start as usize + at.index(blob.len() - place.start as usize);
        blob[at] ^= 1 << bit;
        prop_assert!(table_of(&blob, content.len() as u64).is_err());
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    for (stored, content) in
        [(100, 0), (16, 1), (1000, u64::MAX), (u64::MAX, u64::MAX), (20, FRAME + 1)]
    {
        assert!(Table::place(stored, content).is_err(), "{content} in {stored}");
        assert_eq!(Table::of_one_frame(stored, content), None);
    }
    assert_eq!(Table::of_one_frame(25, 1), None, "nothing is left for the frame");
    let whole = blob(&[1; 1000], 1000);
    assert!(table_of(&whole, 999).is_err());
    assert!(table_of(&whole[1..], 1000).is_err());
    let frame = compress(&[1; 1000]).expect("it compresses");
    assert!(decompress(&frame, 999).is_err());
    assert!(decompress(&frame, 1001).is_err());
    assert!(decompress(&frame[1..], 1000).is_err());
}

#[test]
fn the_whole_blob_is_what_zstd_reads() {
    let content: Vec<u8> = (0..3_000_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let blob = blob(&content, 100_000);
    let all = zstd::stream::decode_all(blob.as_slice()).expect("frames and a skippable one");
    assert!(all == content);
    assert!(blob.len() < content.len() / 2);
}

/// A frame is compared by its content: another version of zstd may compress better. The command
/// line tool reads these bytes too.
#[test]
fn golden() {
    let content = "shardlake ".repeat(30);
    let golden = hex(GOLDEN);
    let table = table_of(&golden, 300).expect("well formed");
    assert_eq!(read(&golden, &table, 0..300, 1000), content.as_bytes());
    let mut writer = Writer::default();
    writer.wrote(0x0001_0203, Encoding::FRAME_BYTES);
    writer.wrote(0x11, 0x22);
    let table: Vec<u8> = writer.table().to_vec();
    assert_eq!(
        table,
        hex("5e2a4d18 19000000 03020100 00001000 11000000 22000000 02000000 00 b1ea928f")
    );
}

const GOLDEN: &str = "28b52ffd 602c008d 00005073 68617264 6c616b65 2001001f 550b12
    5e2a4d18 11000000 1b000000 2c010000 01000000 00 b1ea928f";

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("hexadecimal")
    };
    digits.chunks(2).map(pair).collect()
}
