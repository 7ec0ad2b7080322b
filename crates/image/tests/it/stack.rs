//! One image stacked by the kernel and copied: the same tree, whatever its layers say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use plimsoll_image::snapshot::Mode;
use plimsoll_image::{Image, Result, Store};
use proptest::prelude::*;

use crate::archive::{archive, entry, file};
use crate::sample::{image, store};
use crate::snapshot::{directory, in_mount_namespace, is_private, prepare};

/// Every path below `root` with what it is, but for what no two trees have in common: times of directories
/// that no entry describes, and names that are in another layer.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
        let meta = fs::symlink_metadata(path).unwrap();
        let content = match () {
            () if meta.is_file() => fs::read_to_string(path).unwrap(),
            () if meta.is_symlink() => fs::read_link(path).unwrap().display().to_string(),
            () => String::new(),
        };
        let text = format!("{:o} {}:{} {content}", meta.mode(), meta.uid(), meta.gid());
        found.insert(path.strip_prefix(root).unwrap().display().to_string(), text);
        if meta.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

/// The tree of `image` as `mode` makes it, and how it was made in the end.
fn made(store: &Store, image: &Image, mode: Mode) -> Result<(BTreeMap<String, String>, Mode)> {
    let snapshot = prepare(store, "one", image, mode)?;
    snapshot.mount()?;
    let (found, mode) = (tree(&snapshot.rootfs()), snapshot.mode());
    snapshot.remove()?;
    Ok((found, mode))
}

/// Makes both trees of `layers` and compares them; the names in it, and how the stacked one was made.
fn compare(store: &Store, layers: &[Vec<Vec<u8>>]) -> Result<(Vec<String>, Mode)> {
    let layers: Vec<Vec<u8>> = layers.iter().map(|entries| archive(entries)).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let image = store.image(&image(store, &layers)).unwrap();
    let copied = made(store, &image, Mode::Plain);
    let stacked = made(store, &image, Mode::Overlay);
    match (copied, stacked) {
        (Ok((copied, _)), Ok((stacked, mode))) => {
            assert_eq!(stacked, copied, "stacked and copied");
            Ok((copied.into_keys().filter(|path| !path.is_empty()).collect(), mode))
        }
        (Err(copied), Err(_)) => Err(copied),
        (copied, stacked) => panic!("copied: {copied:?}, stacked: {stacked:?}"),
    }
}

#[test]
fn stacks_are_what_copies_are() {
    in_mount_namespace("stack::child_compares_stacks");
}

#[test]
#[ignore = "started by another test"]
fn child_compares_stacks() {
    if !is_private() {
        return;
    }
    let (_folder, store) = store();
    let lower = || {
        vec![
            directory("lib2", 0o750),
            file("lib2/old", b"old"),
            directory("d", 0o700),
            file("d/old", b"old"),
            entry("l", b'2', "lib2", b""),
            file("f", b"old"),
        ]
    };
    let stacked = Mode::Overlay;
    let all = ["d", "d/old", "f", "l", "lib2", "lib2/old"];
    type Row<'a> = (&'a str, Vec<Vec<u8>>, Mode, Vec<&'a str>);
    let rows: [Row<'_>; 18] = [
        (
            "a whiteout in a directory of one layer",
            vec![directory("new", 0o755), file("new/.wh.x", b""), file("new/y", b"")],
            stacked,
            vec!["d", "d/old", "f", "l", "lib2", "lib2/old", "new", "new/y"],
        ),
        ("a whiteout in no directory", vec![file("no/such/.wh.x", b"")], stacked, all.to_vec()),
        (
            "a whiteout in an opaque directory",
            vec![file("d/.wh..wh..opq", b""), file("d/.wh.old", b""), file("d/new", b"")],
            stacked,
            vec!["d", "d/new", "f", "l", "lib2", "lib2/old"],
        ),
        (
            "an opaque root",
            vec![file("new", b""), file(".wh..wh..opq", b""), file("d/new", b"")],
            stacked,
            vec!["d", "d/new", "new"],
        ),
        (
            "a way through a link",
            vec![file("l/x", b"")],
            Mode::Plain,
            vec!["d", "d/old", "f", "l", "lib2", "lib2/old", "lib2/x"],
        ),
        (
            "a directory in place of a link",
            vec![directory("l", 0o755), file("l/x", b"")],
            stacked,
            vec!["d", "d/old", "f", "l", "l/x", "lib2", "lib2/old"],
        ),
        (
            "a directory in place of a link, late",
            vec![file("l/x", b""), directory("l", 0o755)],
            Mode::Plain,
            vec!["d", "d/old", "f", "l", "lib2", "lib2/old", "lib2/x"],
        ),
        (
            "a whiteout through a link",
            vec![file("l/.wh.old", b"")],
            Mode::Plain,
            vec!["d", "d/old", "f", "l", "lib2"],
        ),
        (
            "an opaque directory through a link",
            vec![file("l/.wh..wh..opq", b"")],
            Mode::Plain,
            vec!["d", "d/old", "f", "l", "lib2"],
        ),
        (
            "a way through a link of its own to what is below",
            vec![entry("m", b'2', "lib2", b""), file("m/x", b"")],
            Mode::Plain,
            vec!["d", "d/old", "f", "l", "lib2", "lib2/old", "lib2/x", "m"],
        ),
        (
            "a deletion and a directory",
            vec![file(".wh.d", b""), directory("d", 0o755), file("d/new", b"")],
            stacked,
            vec!["d", "d/new", "f", "l", "lib2", "lib2/old"],
        ),
        (
            "a deletion and a way",
            vec![file(".wh.d", b""), file("d/new", b"")],
            stacked,
            vec!["d", "d/new", "f", "l", "lib2", "lib2/old"],
        ),
        (
            "a way and a deletion",
            vec![file("d/new", b""), file(".wh.d", b"")],
            stacked,
            vec!["d", "d/new", "f", "l", "lib2", "lib2/old"],
        ),
        (
            "a directory and its deletion",
            vec![directory("d", 0o711), file(".wh.d", b"")],
            stacked,
            vec!["d", "f", "l", "lib2", "lib2/old"],
        ),
        (
            "deletions within what is deleted",
            vec![file("d/.wh.old", b""), file(".wh.d", b"")],
            stacked,
            vec!["f", "l", "lib2", "lib2/old"],
        ),
        (
            "a way through a link to what is deleted",
            vec![file("l/x", b""), file(".wh..wh..opq", b"")],
            Mode::Plain,
            vec!["l"],
        ),
        (
            "a way through a file",
            vec![file("f/x", b"")],
            stacked,
            vec!["d", "d/old", "f", "f/x", "l", "lib2", "lib2/old"],
        ),
        (
            "a file and a directory of one name",
            vec![file("d", b""), directory("d", 0o755)],
            stacked,
            vec!["d", "f", "l", "lib2", "lib2/old"],
        ),
    ];
    for (name, upper, mode, want) in rows {
        let found = compare(&store, &[lower(), upper]).unwrap();
        assert_eq!(found, (want.iter().map(|&path| path.to_owned()).collect(), mode), "{name}");
    }
}

#[test]
fn a_layer_counts_as_often_as_it_is_there() {
    in_mount_namespace("stack::child_repeats_layers");
}

#[test]
#[ignore = "started by another test"]
fn child_repeats_layers() {
    if !is_private() {
        return;
    }
    let (_folder, store) = store();
    let (brings, takes) = (vec![file("a", b"")], vec![file(".wh.a", b"")]);
    for (layers, want) in [
        (vec![brings.clone(), brings.clone()], vec!["a".to_owned()]),
        (vec![brings.clone(), takes.clone(), brings.clone()], vec!["a".to_owned()]),
        (vec![brings.clone(), takes.clone(), brings, takes], vec![]),
    ] {
        assert_eq!(compare(&store, &layers).unwrap(), (want, Mode::Overlay));
    }
}

fn any_entry() -> impl Strategy<Value = Vec<u8>> {
    let path = prop::sample::select(vec!["a", "b", "a/b", "a/b/c", "b/a", "l", "l/a", "a/l", "a/l/b"]);
    let target = prop::sample::select(vec!["a", "b", "a/b", "/b", "l", "c"]);
    (path, target, 0..12, any::<u8>()).prop_map(|(path, target, kind, content)| {
        let (above, name) =
            path.rsplit_once('/').map_or((String::new(), path), |(above, name)| (format!("{above}/"), name));
        match kind {
            0..=2 => directory(path, if content.is_multiple_of(2) { 0o755 } else { 0o700 }),
            3..=5 => file(path, content.to_string().as_bytes()),
            6 | 7 => entry(path, b'2', target, b""),
            8 | 9 => file(&format!("{above}.wh.{name}"), b""),
            10 => file(&format!("{above}.wh..wh..opq"), b""),
            _ => entry(path, b'1', target.trim_start_matches('/'), b""),
        }
    })
}

#[test]
fn stacks_are_what_copies_are_by_chance() {
    in_mount_namespace("stack::child_compares_by_chance");
}

#[test]
#[ignore = "started by another test"]
fn child_compares_by_chance() {
    if !is_private() {
        return;
    }
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let layers = prop::collection::vec(prop::collection::vec(any_entry(), 1..5), 1..4);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(layers in layers)| {
        let (_folder, store) = store();
        let _ = compare(&store, &layers);
    });
}
