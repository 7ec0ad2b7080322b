//! Trees of containers: stacked, copied, shared, and gone without a trace.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use plimsoll_digest::chain_ids;
use plimsoll_image::layer::Limits;
use plimsoll_image::snapshot::{Mode, Options, Snapshot, unpack};
use plimsoll_image::{Beside, Image, Kind, Result, Store};
use plimsoll_test_support::{Need, have, skipped, while_others_fork};
use rustix::fs::{CWD, Mode as Permissions, OFlags};

use crate::archive::{archive, entry, file};
use crate::sample::{failure, image, store};

/// An image of two layers: the upper one replaces `etc/a`, removes `etc/b` and adds `etc/c`.
fn two_layers(store: &Store) -> Image {
    let lower = archive(&[entry("etc", b'5', "", b""), file("etc/a", b"lower"), file("etc/b", b"gone")]);
    let upper = archive(&[
        entry("etc", b'5', "", b""),
        file("etc/a", b"upper"),
        file("etc/.wh.b", b""),
        file("etc/c", b"added"),
    ]);
    store.image(&image(store, &[&lower, &upper])).unwrap()
}

const OPTIONS: Options<'static> = Options { limits: Limits::DEFAULT, progress: &|_| Ok(()) };

pub(crate) fn prepare<'a>(store: &'a Store, id: &str, image: &Image, mode: Mode) -> Result<Snapshot<'a>> {
    store.prepare(id, image, mode, &OPTIONS)
}

/// Names and contents of the files in `folder`.
fn content(folder: &Path) -> Vec<(String, String)> {
    let mut content: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|found| found.unwrap())
        .map(|found| {
            let name = found.file_name().into_string().unwrap();
            (name, fs::read_to_string(found.path()).unwrap())
        })
        .collect();
    content.sort();
    content
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// How many entries `folder` of the snapshots has.
fn count(store: &Store, folder: &str) -> usize {
    fs::read_dir(store.path().join("snapshots").join(folder)).map_or(0, Iterator::count)
}

#[test]
fn a_plain_tree_is_a_copy() {
    let (_folder, store) = store();
    let image = two_layers(&store);
    let snapshot = prepare(&store, "one", &image, Mode::Plain).unwrap();
    assert_eq!((snapshot.id(), snapshot.mode()), ("one", Mode::Plain));
    snapshot.mount().unwrap();
    assert_eq!(content(&snapshot.rootfs().join("etc")), pairs(&[("a", "upper"), ("c", "added")]));
    assert_eq!(snapshot.bundle(), store.path().join("snapshots/containers/one"));
    assert_eq!(
        failure(prepare(&store, "one", &image, Mode::Plain)),
        (Kind::Exists, r#"container "one" has a snapshot already"#.into())
    );
    assert_eq!(store.snapshots().unwrap(), ["one"]);
    store.snapshot("one").unwrap().remove().unwrap();
    assert_eq!(store.snapshots().unwrap(), [""; 0]);
    assert_eq!((count(&store, "staging"), count(&store, "layers")), (0, 0));
    assert_eq!(failure(store.snapshot("one")), (Kind::NotFound, r#"container "one" has no snapshot"#.into()));
    for id in ["", ".", "..", "a/b", ".hidden", "a b", &"a".repeat(256)] {
        let want = (
            Kind::Invalid,
            format!("invalid container id {id:?}; it takes letters, digits and _.+-, the first no dot"),
        );
        assert_eq!(failure(store.snapshot(id)), want);
        assert_eq!(failure(prepare(&store, id, &image, Mode::Plain)), want);
    }
}

#[test]
fn a_damaged_layer_leaves_no_tree() {
    let (folder, store) = store();
    let image = two_layers(&store);
    let blob = store.path().join("blobs/sha256").join(image.layers[1].descriptor.digest.encoded());
    let mut bytes = fs::read(&blob).unwrap();
    let last = bytes.iter().rposition(|&byte| byte == b'd').unwrap();
    bytes[last] = b'D';
    fs::write(&blob, bytes).unwrap();
    let target = folder.path().join("target");
    let modes =
        if rustix::process::geteuid().is_root() { &[Mode::Plain, Mode::Overlay][..] } else { &[Mode::Plain] };
    for &mode in modes {
        let (kind, text) = failure(prepare(&store, "one", &image, mode));
        assert_eq!(kind, Kind::Digest);
        let start = format!("unpack layer {}: ", image.layers[1].descriptor.digest);
        assert!(text.starts_with(&start), "{text}");
    }
    assert_eq!(failure(unpack(&store, &image, &target, &OPTIONS)).0, Kind::Digest);
    assert_eq!((count(&store, "staging"), count(&store, "layers"), count(&store, "containers")), (0, 0, 0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn unpacks_to_where_nothing_is() {
    let (folder, store) = store();
    let image = two_layers(&store);
    let target = folder.path().join("target");
    let unpack = || unpack(&store, &image, &target, &OPTIONS);
    unpack().unwrap();
    assert_eq!(content(&target.join("etc")), pairs(&[("a", "upper"), ("c", "added")]));
    let want = format!("make {}: File exists (os error 17)", target.display());
    assert_eq!(failure(unpack()), (Kind::Exists, want));
    fs::remove_dir_all(&target).unwrap();
    fs::create_dir(&target).unwrap();
    unpack().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_the_dead_made_beside_a_target_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let names = || {
        let found = fs::read_dir(place.path()).unwrap();
        let mut names: Vec<_> =
            found.map(|found| found.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let make = |name: &str, mode| {
        let path = place.path().join(name);
        fs::create_dir_all(path.join("made/etc")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    make(".plimsoll-0123456789abcdef", 0o700);
    // None of these is of the kind that is removed.
    make(".plimsoll-0123456789abcdeg", 0o700);
    make(".plimsoll-0123456789abcde", 0o700);
    make(".plimsoll-fedcba9876543210", 0o755);
    std::os::unix::fs::symlink(".plimsoll-fedcba9876543210", place.path().join(".plimsoll-aaaaaaaaaaaaaaaa"))
        .unwrap();
    let others = [
        ".plimsoll-0123456789abcde",
        ".plimsoll-0123456789abcdeg",
        ".plimsoll-aaaaaaaaaaaaaaaa",
        ".plimsoll-fedcba9876543210",
    ];
    let living = Beside::new(&place.path().join("living")).unwrap();
    drop(Beside::new(&place.path().join("given-up")).unwrap());
    let hidden = living.path().parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    let mut want = [others.as_slice(), &[&hidden]].concat();
    want.sort_unstable();
    assert_eq!(names(), want);
    fs::write(living.path().join("file"), "content").unwrap();
    living.show().unwrap();
    assert_eq!(names(), [others.as_slice(), &["living"]].concat());
    assert_eq!(content(&place.path().join("living")), pairs(&[("file", "content")]));
    // An empty directory gives way only to who says so.
    fs::create_dir(place.path().join("empty")).unwrap();
    let new = Beside::new(&place.path().join("empty")).unwrap();
    let want = format!("make {}: File exists (os error 17)", place.path().join("empty").display());
    assert_eq!(failure(new.show_new()), (Kind::Exists, want));
    assert_eq!(names(), [others.as_slice(), &["empty", "living"]].concat());
}

#[test]
fn a_snapshot_is_held_by_who_made_it() {
    let (_folder, store) = store();
    let image = two_layers(&store);
    let made = prepare(&store, "box", &image, Mode::Plain).unwrap();
    assert!(store.take_over("box").unwrap().is_none());
    assert_eq!(store.snapshot("box").unwrap().id(), "box");
    drop(made);
    let taken = store.take_over("box").unwrap().unwrap();
    assert!(store.take_over("box").unwrap().is_none());
    taken.remove().unwrap();
    let want = "container \"box\" has no snapshot".to_owned();
    assert_eq!(failure(store.take_over("box").map(drop)), (Kind::NotFound, want));
}

#[test]
fn what_is_let_go_is_free_though_others_fork() {
    let (_folder, store) = store();
    let image = two_layers(&store);
    drop(prepare(&store, "box", &image, Mode::Plain).unwrap());
    let free: usize = while_others_fork(|| (0..2000).map(|_| store.abandoned().unwrap().len()).sum());
    assert_eq!(free, 2000);
}

#[test]
fn remains_are_removed_however_deep() {
    let (_folder, store) = store();
    let remains = store.path().join("snapshots/staging/remains");
    fs::create_dir_all(&remains).unwrap();
    let mut level: OwnedFd =
        rustix::fs::openat(CWD, &remains, OFlags::DIRECTORY, Permissions::empty()).unwrap();
    for depth in 0..3000 {
        // Names that the removal itself makes use of, and a file beside each.
        let name = (depth % 7).to_string();
        let file = OFlags::CREATE | OFlags::WRONLY;
        rustix::fs::openat(&level, "f", file, Permissions::RUSR).unwrap();
        rustix::fs::mkdirat(&level, name.as_str(), Permissions::RWXU).unwrap();
        level = rustix::fs::openat(&level, name.as_str(), OFlags::DIRECTORY, Permissions::empty()).unwrap();
    }
    // A link out of the tree is removed, not followed.
    let kept = tempfile::tempdir().unwrap();
    fs::write(kept.path().join("kept"), "").unwrap();
    rustix::fs::symlinkat(kept.path(), &level, "out").unwrap();
    drop(level);
    Store::open(store.path()).unwrap();
    assert_eq!(count(&store, "staging"), 0);
    assert!(kept.path().join("kept").exists());
}

/// Runs the ignored test `name` in a mount namespace of its own.
pub(crate) fn in_mount_namespace(name: &str) {
    if !have(&[Need::Root, Need::Program("unshare")]) {
        return;
    }
    let output = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env("PLIMSOLL_TEST_PRIVATE", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{text}");
    // The other process was heard by nobody but this one.
    text.lines().filter_map(|line| line.strip_prefix("skipped: ")).for_each(skipped);
}

/// Whether this test was started by [`in_mount_namespace`].
pub(crate) fn is_private() -> bool {
    let private = std::env::var_os("PLIMSOLL_TEST_PRIVATE").is_some();
    if !private {
        skipped("only of use to another test");
    }
    private
}

#[test]
fn stacked_trees_share_their_layers() {
    in_mount_namespace("snapshot::child_stacks_layers");
}

#[test]
#[ignore = "started by another test"]
fn child_stacks_layers() {
    if !is_private() {
        return;
    }
    let (_folder, store) = store();
    assert_eq!(store.best_mode().unwrap(), Mode::Overlay);
    assert_eq!(count(&store, "staging"), 0);
    let image = two_layers(&store);
    store.tag("image", &image.descriptor).unwrap();
    let one = prepare(&store, "one", &image, Mode::Overlay).unwrap();
    assert_eq!(one.mode(), Mode::Overlay);
    let chains = chain_ids(&image.config.rootfs.diff_ids);
    let layer = store.path().join("snapshots/layers/sha256").join(chains[1].encoded());
    let inode = fs::metadata(&layer).unwrap().ino();
    let two = prepare(&store, "two", &image, Mode::Overlay).unwrap();
    assert_eq!((fs::metadata(&layer).unwrap().ino(), count(&store, "layers/sha256")), (inode, 2));
    for snapshot in [&one, &two] {
        snapshot.mount().unwrap();
        // A second time changes nothing.
        snapshot.mount().unwrap();
        let etc = snapshot.rootfs().join("etc");
        assert_eq!(content(&etc), pairs(&[("a", "upper"), ("c", "added")]));
    }
    fs::write(one.rootfs().join("etc/a"), "mine").unwrap();
    fs::remove_file(one.rootfs().join("etc/c")).unwrap();
    fs::rename(one.rootfs().join("etc/a"), one.rootfs().join("etc/d")).unwrap();
    assert_eq!(content(&one.rootfs().join("etc")), pairs(&[("d", "mine")]));
    assert_eq!(content(&two.rootfs().join("etc")), pairs(&[("a", "upper"), ("c", "added")]));
    // What a container wrote is there when it is mounted again.
    one.unmount().unwrap();
    one.unmount().unwrap();
    assert_eq!(fs::read_dir(one.rootfs()).unwrap().count(), 0);
    one.mount().unwrap();
    assert_eq!(content(&one.rootfs().join("etc")), pairs(&[("d", "mine")]));
    // Layers outlive the name while a container stands on them, and go with the last.
    assert_eq!(store.remove("image").unwrap().layers, 0);
    one.remove().unwrap();
    assert_eq!(store.sweep().unwrap().layers, 0);
    two.remove().unwrap();
    assert_eq!(store.sweep().unwrap().layers, 2);
    assert_eq!((count(&store, "layers/sha256"), count(&store, "staging")), (0, 0));
}

#[test]
fn hundreds_of_layers_are_stacked() {
    in_mount_namespace("snapshot::child_stacks_hundreds");
}

#[test]
#[ignore = "started by another test"]
fn child_stacks_hundreds() {
    if !is_private() {
        return;
    }
    let (_folder, store) = store();
    let layers: Vec<Vec<u8>> = (0..300)
        .map(|at| archive(&[file(&format!("f{at}"), b"x"), file("top", at.to_string().as_bytes())]))
        .collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let image = store.image(&image(&store, &layers)).unwrap();
    let snapshot = prepare(&store, "one", &image, Mode::Overlay).unwrap();
    match snapshot.mount() {
        Err(e) if e.kind() == Kind::Limit => {
            skipped(&e.to_string());
            return;
        }
        mounted => mounted.unwrap(),
    }
    assert_eq!(fs::read_dir(snapshot.rootfs()).unwrap().count(), 301);
    assert_eq!(fs::read_to_string(snapshot.rootfs().join("top")).unwrap(), "299");
    snapshot.remove().unwrap();
}

/// The entry of the directory `name` with the permissions `mode`.
pub(crate) fn directory(name: &str, mode: u32) -> Vec<u8> {
    let mut block = entry(name, b'5', "", b"");
    block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn directories_without_entries_keep_their_attributes() {
    in_mount_namespace("snapshot::child_compares_roots");
}

#[test]
#[ignore = "started by another test"]
fn child_compares_roots() {
    if !is_private() {
        return;
    }
    let (_folder, store) = store();
    let lower = [directory("./", 0o750), directory("tmp", 0o1777), file("a", b"")];
    // Neither the root nor the directory has an entry here.
    let (lower, upper) = (archive(&lower), archive(&[file("tmp/new/b", b"")]));
    let image = store.image(&image(&store, &[&lower, &upper])).unwrap();
    for mode in [Mode::Plain, Mode::Overlay] {
        let snapshot = prepare(&store, "one", &image, mode).unwrap();
        snapshot.mount().unwrap();
        let permissions = |path: &str| fs::metadata(snapshot.rootfs().join(path)).unwrap().mode() & 0o7777;
        let all = (permissions(""), permissions("tmp"), permissions("tmp/new"));
        assert_eq!(all, (0o750, 0o1777, 0o755), "{mode:?}");
        assert!(snapshot.rootfs().join("tmp/new/b").exists());
        snapshot.remove().unwrap();
    }
}

#[test]
fn the_same_layers_may_be_made_twice_at_once() {
    if !have(&[Need::Root]) {
        return;
    }
    let (_folder, store) = store();
    let image = two_layers(&store);
    std::thread::scope(|scope| {
        for id in ["a", "b", "c", "d"] {
            let (store, image) = (&store, &image);
            scope.spawn(move || prepare(store, id, image, Mode::Overlay).unwrap());
        }
    });
    assert_eq!(store.snapshots().unwrap(), ["a", "b", "c", "d"]);
    assert_eq!((count(&store, "layers/sha256"), count(&store, "staging")), (2, 0));
    // One identifier has one tree, however many ask for it.
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| prepare(&store, "e", &image, Mode::Overlay).is_ok())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|&made| made).count()
    });
    assert_eq!((made, count(&store, "containers"), count(&store, "staging")), (1, 5, 0));
}
