//! The scanner against archives that are right, odd and broken.

use super::*;
use crate::image::golden::pack::{Item, archive, record, seal};

type Scanned = (Vec<Entry>, Vec<(u64, Fault)>);

fn scan(bytes: &[u8]) -> Scanned {
    let mut scanner = Scanner::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = scanner.entry().unwrap() {
        entries.push(entry);
    }
    (entries, scanner.faults().to_vec())
}

fn names(bytes: &[u8]) -> Vec<String> {
    scan(bytes).0.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect()
}

/// The blocks of one entry, with `change` made to the header.
fn changed(item: &Item, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = archive(std::slice::from_ref(item));
    change(&mut bytes[..512]);
    seal(&mut bytes[..512]);
    bytes
}

#[test]
fn entries_have_offsets() {
    let bytes =
        archive(&[Item::file("a", vec![b'x'; 513]), Item::directory("d"), Item::file("n".repeat(150), "y")]);
    let (entries, faults) = scan(&bytes);
    let places: Vec<_> = entries.iter().map(|entry| (entry.at, entry.content, entry.size)).collect();
    assert_eq!(places, [(0, 512, 513), (1536, 2048, 0), (2048, 3584, 1)]);
    assert_eq!((entries[2].name.len(), faults), (150, Vec::new()));
}

#[test]
fn long_names_come_in_every_form() {
    let long = "l".repeat(180);
    let gnu = |kind: u8| Item::file("././@LongLink", format!("{long}\0")).kind(kind).to_vec();
    let bytes = [gnu(b'L'), archive(&[Item::file("short", "")])].concat();
    assert_eq!(names(&bytes), [long.as_str()]);
    let bytes = [gnu(b'K'), archive(&[Item::symlink("s", "short")])].concat();
    assert_eq!(scan(&bytes).0[0].link, long.as_bytes());
    // PAX counts before GNU, whichever comes first.
    let pax = Item::file("pax", record(b"path", b"by-pax")).kind(b'x').to_vec();
    for bytes in [[pax.clone(), gnu(b'L')].concat(), [gnu(b'L'), pax].concat()] {
        assert_eq!(names(&[bytes, archive(&[Item::file("short", "")])].concat()), ["by-pax"]);
    }
    let prefixed = changed(&Item::file("name", ""), |header| header[345..351].copy_from_slice(b"prefix"));
    assert_eq!(names(&prefixed), ["prefix/name"]);
    let old = changed(&Item::file("name", ""), |header| {
        header[257..265].copy_from_slice(b"ustar  \0");
        header[345..351].copy_from_slice(b"123456");
    });
    assert_eq!(names(&old), ["name"]);
    // A global header names no entry.
    let global = Item::file("g", record(b"comment", b"x")).kind(b'g').to_vec();
    assert_eq!(names(&[global, archive(&[Item::file("f", "")])].concat()), ["f"]);
}

#[test]
fn numbers_are_octal_or_of_base_256() {
    let large = changed(&Item::file("f", ""), |header| {
        header[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
        header[136..148].copy_from_slice(&[0xff; 12]);
    });
    assert_eq!(scan(&large).0[0].faults, []);
    let text = changed(&Item::file("f", ""), |header| header[108..115].copy_from_slice(b"0000009"));
    assert_eq!(scan(&text).0[0].faults, [Fault::Number("uid")]);
    let blank = changed(&Item::file("f", ""), |header| header[100..108].fill(b' '));
    assert_eq!(scan(&blank).0[0].missing, ["mode"]);
    let size = changed(&Item::file("f", ""), |header| header[124..136].copy_from_slice(&[0xff; 12]));
    assert_eq!(scan(&size).0[0].faults, [Fault::Number("size")]);
}

#[test]
fn what_is_broken_ends_the_reading() {
    let whole = archive(&[Item::file("a", "x"), Item::file("b", "y")]);
    let mut bytes = whole.clone();
    bytes[1024] ^= 1;
    assert_eq!(scan(&bytes).1, [(1024, Fault::Checksum)]);
    assert_eq!(scan(&whole[..700]).1, [(700, Fault::Truncated)]);
    assert_eq!(scan(&whole[..1100]).1, [(1024, Fault::Truncated)]);
    assert_eq!(scan(&whole[..2048]).1, [(2048, Fault::NoEnd)]);
    assert_eq!(scan(&whole[..2560]).1, [(2560, Fault::NoEnd)]);
    assert_eq!(scan(&[]).1, [(0, Fault::NoEnd)]);
    let trailing = [whole.clone(), vec![0; 100], b"junk".to_vec()].concat();
    assert_eq!(scan(&trailing).1, [(whole.len() as u64 + 100, Fault::Trailing)]);
    assert_eq!(scan(&[whole, vec![0; 9000]].concat()).1, []);
    let chain: Vec<u8> =
        (0..100).flat_map(|_| Item::file("x", record(b"a", b"b")).kind(b'x').to_vec()).collect();
    assert!(matches!(scan(&chain).1[0].1, Fault::Limit(_)));
    let large =
        changed(&Item::file("x", "").kind(b'x'), |header| header[124..135].copy_from_slice(b"77777777777"));
    assert!(matches!(scan(&large).1[0].1, Fault::Limit(_)));
}

#[test]
fn records_are_strict() {
    let faults = |text: &[u8]| {
        let header = Item::file("pax", text).kind(b'x').to_vec();
        scan(&[header, archive(&[Item::file("f", "")])].concat()).0[0].faults.len()
    };
    assert_eq!(faults(&record(b"comment", b"a=b\n\0c")), 0);
    for text in [
        &b"5 a=\n"[..],
        b"6 a=b",
        b"x a=b\n",
        b"6 a=b\n6",
        b"7 a=b\n",
        b"99 a=b\n",
        b"5 =b\n",
        b"4 a\n",
        b"+6 a=b\n",
    ] {
        assert!(faults(text) > 0 || text == b"5 a=\n", "{text:?}");
    }
    assert_eq!(faults(&record(b"mtime", b"yesterday")), 1);
    assert_eq!(faults(&record(b"mtime", b"-5.25")), 0);
}

#[test]
fn sparse_files_are_seen_in_every_form() {
    let old = changed(&Item::file("s", "").kind(b'S'), |header| header[482] = 1);
    let bytes = [&old[..512], &[1; 512][..], &old[512..]].concat();
    // The block of the map says that another follows, which is the first of the end.
    assert!(scan(&bytes).0[0].sparse);
    let pax = Item::file("GNUSparseFile.0/s", "1\n0\n1\n")
        .record("GNU.sparse.major", b"1")
        .record("GNU.sparse.name", b"s");
    let (entries, _) = scan(&archive(&[pax]));
    assert!(entries[0].sparse && entries[0].name == b"s");
}
