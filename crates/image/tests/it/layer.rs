//! Layers: the same trees as GNU tar makes, and nothing outside the target whatever an archive says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use plimsoll_digest::{Algorithm, Digest};
use plimsoll_image::layer::{self, Expected, Limits, tar};
use plimsoll_image::snapshot::Mode;
use plimsoll_image::{Kind, Result};
use plimsoll_spec::image::media_type;
use plimsoll_test_support::{Need, have};
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode as Permissions, OFlags};

use crate::archive::{archive, entry, file, gzip};
use crate::sample::failure;

/// Everything about one entry of a tree that two tools must agree on.
fn described(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).unwrap();
    let link = fs::read_link(path).map(|link| link.display().to_string()).unwrap_or_default();
    let content = if meta.is_file() {
        Digest::of(Algorithm::Sha256, &fs::read(path).unwrap()).to_string()
    } else {
        String::new()
    };
    let mut names = vec![0u8; 4096];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let mut attributes: Vec<_> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = [0u8; 1024];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (String::from_utf8(name.to_vec()).unwrap(), value[..length].to_vec())
        })
        .collect();
    attributes.sort();
    let size = if meta.is_dir() { 0 } else { meta.size() };
    let links = if meta.is_dir() { 0 } else { meta.nlink() };
    format!(
        "{:o} {}:{} {size} {links} {:x} {}.{:09} {link} {content} {attributes:?}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.rdev(),
        meta.mtime(),
        meta.mtime_nsec()
    )
}

/// Every path below `root` with what it is.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
        found.insert(path.strip_prefix(root).unwrap().display().to_string(), described(path));
        if fs::symlink_metadata(path).unwrap().is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(root, &entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn apply(
    blob: &[u8],
    media_type: &str,
    diff: &[u8],
    target: &Path,
    mode: Mode,
    limits: &Limits,
) -> Result<()> {
    let expected = Expected {
        media_type,
        size: blob.len() as u64,
        digest: &Digest::of(Algorithm::Sha256, blob),
        diff_id: &Digest::of(Algorithm::Sha256, diff),
    };
    let fd =
        rustix::fs::openat(CWD, target, OFlags::RDONLY | OFlags::DIRECTORY, Permissions::empty()).unwrap();
    layer::apply(blob, &expected, fd.as_fd(), mode, limits, &|_| Ok(())).map(drop)
}

fn plain(archive: &[u8], target: &Path) -> Result<()> {
    apply(archive, media_type::LAYER, archive, target, Mode::Plain, &Limits::DEFAULT)
}

fn shell(dir: &Path, script: &str) {
    let output = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn trees_are_gnu_tars_entry_by_entry() {
    if !have(&[Need::Root, Need::Program("tar")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let long = "n".repeat(180);
    let deep = ["directory-with-a-long-name"; 12].join("/");
    shell(
        dir.path(),
        &format!(
            "mkdir tree && cd tree && echo content > file && chmod 4711 file && chown 12:34 file && ln file second && \
         ln -s ../../etc/passwd link && mkdir -m 1777 open && mkdir -m 000 closed && mkfifo -m 640 pipe && \
         mknod -m 600 char c 10 200 && mknod block b 7 1 && touch -d '1969-12-31 23:59:58.25' old && \
         touch -d '2039-01-02 03:04:05.123456789' new && echo x > {long} && mkdir -p {deep} && echo y > {deep}/file && \
         truncate -s 3M sparse && printf a | dd of=sparse bs=1 seek=1048576 conv=notrunc 2>/dev/null && \
         printf b | dd of=sparse bs=1 seek=3000000 conv=notrunc 2>/dev/null && : > empty && \
         head -c 700000 /dev/urandom > random && chown -h 7:8 link && chown 4000000000:3000000000 old && \
         touch -h -d '2001-01-01 00:00:00.5' link && touch -d '2002-02-02 02:02:02.25' open closed . \
         && printf 'caf\\351' > \"$(printf 'caf\\351')\"",
        ),
    );
    let tree_path = dir.path().join("tree");
    // The name that is not UTF-8 is compared by its bytes only where both have it.
    let attributes = rustix::fs::lsetxattr(
        tree_path.join("file"),
        "user.note",
        b"value\0with nul",
        rustix::fs::XattrFlags::empty(),
    );
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    rustix::fs::lsetxattr(
        tree_path.join("random"),
        "security.capability",
        &capability,
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    let formats = [
        "--format=pax --xattrs --xattrs-include=*",
        "--format=gnu",
        "--format=pax --sparse",
        "--format=gnu --sparse",
        "--format=pax --sparse --sparse-version=0.0",
        "--format=pax --sparse --sparse-version=0.1",
    ];
    assert!(attributes.is_ok() || attributes == Err(rustix::io::Errno::OPNOTSUPP));
    for (i, format) in formats.iter().enumerate() {
        let (want, got) = (dir.path().join(format!("want-{i}")), dir.path().join(format!("got-{i}")));
        fs::create_dir(&want).unwrap();
        fs::create_dir(&got).unwrap();
        shell(dir.path(), &format!("tar {format} --numeric-owner -C tree -cf layer-{i}.tar ."));
        shell(
            dir.path(),
            &format!("tar --numeric-owner --xattrs --xattrs-include='*' -C want-{i} -xpf layer-{i}.tar"),
        );
        plain(&fs::read(dir.path().join(format!("layer-{i}.tar"))).unwrap(), &got).unwrap();
        let (want, got) = (tree(&want), tree(&got));
        assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{format}");
        for (path, description) in &want {
            assert_eq!(&got[path], description, "{format}: {path}");
        }
    }
    shell(dir.path(), "chmod 700 tree/closed want-*/closed got-*/closed");
}

#[test]
fn every_compression_is_read_to_its_end() {
    let text = archive(&[file("a", b"one"), file("b", &[7; 100_000])]);
    let (first, second) = text.split_at(70_000);
    let members = [gzip(first), gzip(second)].concat();
    let frames = [
        zstd::encode_all(first, 3).unwrap(),
        vec![0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2],
        zstd::encode_all(second, 3).unwrap(),
    ]
    .concat();
    for (blob, kind) in [
        (text.clone(), media_type::LAYER),
        (members, media_type::LAYER_GZIP),
        (frames, media_type::LAYER_ZSTD),
    ] {
        let target = tempfile::tempdir().unwrap();
        apply(&blob, kind, &text, target.path(), Mode::Plain, &Limits::DEFAULT).unwrap();
        assert_eq!(fs::read(target.path().join("b")).unwrap(), [7; 100_000], "{kind}");
    }
}

#[test]
fn windows_of_zstd_are_bounded() {
    let text = archive(&[file("a", b"content")]);
    let unpack = |window_log| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(&text).unwrap();
        let blob = encoder.finish().unwrap();
        let target = tempfile::tempdir().unwrap();
        apply(&blob, media_type::LAYER_ZSTD, &text, target.path(), Mode::Plain, &Limits::DEFAULT)
    };
    unpack(27).unwrap();
    let (kind, said) = failure(unpack(28));
    assert_eq!(kind, Kind::Compression, "{said}");
    assert!(said.starts_with("decompress the layer: Frame requires too much memory"), "{said}");
}

#[test]
fn a_layer_may_be_empty() {
    let unpack = |blob: &[u8], media_type, text: &[u8]| {
        let target = tempfile::tempdir().unwrap();
        apply(blob, media_type, text, target.path(), Mode::Plain, &Limits::DEFAULT)
            .map(|()| tree(target.path()).len())
    };
    for text in [b"".as_slice(), &[0; 512], &[0; 1024], &[0; 10240]] {
        assert_eq!(unpack(text, media_type::LAYER, text).unwrap(), 1);
        assert_eq!(unpack(&gzip(text), media_type::LAYER_GZIP, text).unwrap(), 1);
        let blob = zstd::encode_all(text, 1).unwrap();
        assert_eq!(unpack(&blob, media_type::LAYER_ZSTD, text).unwrap(), 1);
    }
    let (kind, said) = failure(unpack(b"", media_type::LAYER_GZIP, b""));
    assert_eq!(
        (kind, said.as_str()),
        (Kind::MediaType, "the blob is not compressed, its media type says gzip")
    );
}

#[test]
fn zeros_behind_gzip_mean_nothing() {
    let text = archive(&[file("a", b"content")]);
    let (first, second) = text.split_at(100);
    let members = [gzip(first), gzip(second)].concat();
    let unpack = |end: &[u8]| {
        let target = tempfile::tempdir().unwrap();
        let blob = [&members[..], end].concat();
        apply(&blob, media_type::LAYER_GZIP, &text, target.path(), Mode::Plain, &Limits::DEFAULT)?;
        assert_eq!(fs::read(target.path().join("a")).unwrap(), b"content");
        Ok(())
    };
    unpack(b"").unwrap();
    unpack(b"\0").unwrap();
    unpack(&[0; 1_000_000]).unwrap();
    let foreign = "decompress the layer: what follows a member of gzip is none";
    for end in [&b"x"[..], b"\0\0x", b"\0\x1f\x8b"] {
        assert_eq!(failure(unpack(end)), (Kind::Compression, foreign.to_owned()));
    }
    assert_eq!(failure(unpack(b"\x1f\x8b")).0, Kind::Compression);
}

/// `lower` and then `upper` in one directory.
fn stacked(lower: &[Vec<u8>], upper: &[Vec<u8>]) -> Vec<String> {
    let target = tempfile::tempdir().unwrap();
    plain(&archive(lower), target.path()).unwrap();
    plain(&archive(upper), target.path()).unwrap();
    tree(target.path()).into_keys().filter(|path| !path.is_empty()).collect()
}

fn directory(name: &str) -> Vec<u8> {
    let mut made = entry(name, b'5', "", b"");
    made[100..108].copy_from_slice(b"0000755\0");
    made[148..156].fill(b' ');
    let sum: u32 = made[..512].iter().map(|&byte| u32::from(byte)).sum();
    made[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    made
}

#[test]
fn whiteouts_delete_what_is_below_and_nothing_else() {
    let lower = [
        directory("d"),
        file("d/old", b""),
        directory("d/sub"),
        file("d/sub/old", b""),
        file("keep", b""),
        file("gone", b""),
    ];
    assert_eq!(stacked(&lower, &[file(".wh.gone", b"")]), ["d", "d/old", "d/sub", "d/sub/old", "keep"]);
    assert_eq!(stacked(&lower, &[file(".wh.d", b"")]), ["gone", "keep"]);
    assert_eq!(stacked(&lower, &[file(".wh.absent", b""), file("x/.wh.absent", b"")]).len(), 6);
    // A whiteout and a new entry of one name, in either order.
    for upper in
        [[file(".wh.gone", b""), file("gone", b"new")], [file("gone", b"new"), file(".wh.gone", b"")]]
    {
        assert_eq!(stacked(&lower, &upper), ["d", "d/old", "d/sub", "d/sub/old", "gone", "keep"]);
    }
    // An opaque directory keeps what its own layer brings, before it and after it, however deep.
    let opaque = file("d/.wh..wh..opq", b"");
    let want = ["d", "d/new", "d/sub", "d/sub/new", "gone", "keep"];
    for upper in [
        [opaque.clone(), file("d/new", b""), file("d/sub/new", b"")],
        [file("d/new", b""), opaque.clone(), file("d/sub/new", b"")],
        [file("d/new", b""), file("d/sub/new", b""), opaque],
    ] {
        assert_eq!(stacked(&lower, &upper), want);
    }
    assert_eq!(stacked(&lower, &[file(".wh..wh.plnk", b"")]).len(), 6);
}

#[test]
fn deletions_are_overlayfs_own_where_it_stacks() {
    if !have(&[Need::Root]) {
        return;
    }
    let target = tempfile::tempdir().unwrap();
    let text = archive(&[
        directory("d"),
        file("d/.wh..wh..opq", b""),
        file(".wh.gone", b""),
        file(".wh.e", b""),
        directory("e"),
    ]);
    apply(&text, media_type::LAYER, &text, target.path(), Mode::Overlay, &Limits::DEFAULT).unwrap();
    let meta = fs::symlink_metadata(target.path().join("gone")).unwrap();
    assert_eq!((FileType::from_raw_mode(meta.mode()), meta.rdev()), (FileType::CharacterDevice, 0));
    let mut value = [0; 8];
    let length =
        rustix::fs::lgetxattr(target.path().join("d"), "trusted.overlay.opaque", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"y");
    assert!(target.path().join("e").is_dir());
}

#[test]
fn kinds_replace_each_other() {
    let lower = [directory("a"), file("a/x", b""), file("b", b""), entry("c", b'2', "a", b"")];
    assert_eq!(stacked(&lower, &[file("a", b"now a file")]), ["a", "b", "c"]);
    assert_eq!(stacked(&lower, &[directory("b"), file("b/y", b"")]), ["a", "a/x", "b", "b/y", "c"]);
    // A directory in place of a link is new; through a link it is the link's target.
    assert_eq!(stacked(&lower, &[directory("c"), file("c/z", b"")]), ["a", "a/x", "b", "c", "c/z"]);
    assert_eq!(stacked(&lower, &[file("c/z", b"")]), ["a", "a/x", "a/z", "b", "c"]);
}

/// Each archive is applied inside a folder whose neighbour must stay as it is.
#[test]
fn nothing_reaches_outside() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    fs::set_permissions(outside.join("victim"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = tree(&outside);
    let absolute = outside.display().to_string();
    let parent = "leads through a parent directory";
    type Row<'a> = (&'a str, Vec<Vec<u8>>, Option<&'a str>);
    let rows: [Row<'_>; 14] = [
        ("parents", vec![file("../outside/x", b"")], Some(parent)),
        ("parents inside", vec![file("a/../../outside/x", b"")], Some(parent)),
        ("absolute", vec![file(&format!("{absolute}/x"), b"")], None),
        (
            "link up, then through it",
            vec![entry("l", b'2', "../outside", b""), file("l/x", b"")],
            Some("not there"),
        ),
        (
            "absolute link, then through it",
            vec![entry("l", b'2', &absolute, b""), file("l/x", b"")],
            Some("not there"),
        ),
        ("link to itself", vec![entry("l", b'2', "l", b""), file("l/x", b"")], Some("symbolic links")),
        (
            "write through a link",
            vec![entry("victim", b'2', &format!("{absolute}/victim"), b""), file("victim", b"changed")],
            None,
        ),
        ("mode through a link", vec![entry("d", b'2', &absolute, b""), directory("d")], None),
        ("hard link up", vec![entry("h", b'1', "../outside/victim", b"")], Some(parent)),
        (
            "hard link, absolute",
            vec![entry("h", b'1', &format!("{absolute}/victim"), b""), file("h", b"x")],
            Some("not there"),
        ),
        (
            "hard link to a link",
            vec![
                entry("l", b'2', &format!("{absolute}/victim"), b""),
                entry("h", b'1', "l", b""),
                file("h", b"changed"),
            ],
            None,
        ),
        ("whiteout up", vec![file("../outside/.wh.victim", b"")], Some(parent)),
        ("whiteout through a link", vec![entry("l", b'2', &absolute, b""), file("l/.wh.victim", b"")], None),
        (
            "opaque through a link",
            vec![entry("l", b'2', "../outside", b""), file("l/.wh..wh..opq", b"")],
            Some("not there"),
        ),
    ];
    for (name, entries, want) in rows {
        let target = dir.path().join("target");
        fs::create_dir(&target).unwrap();
        let done = plain(&archive(&entries), &target);
        match want {
            None => assert!(done.is_ok(), "{name}: {done:?}"),
            Some(want) => {
                let (kind, text) = failure(done);
                let said = text.contains(want) || (want == "not there" && text.contains("No such file"));
                assert!(said || (want == "not there" && text.contains("exists")), "{name}: {kind:?} {text}");
            }
        }
        assert_eq!(tree(&outside), before, "{name}");
        fs::remove_dir_all(&target).unwrap();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn whiteouts_that_name_nothing_are_refused() {
    let target = tempfile::tempdir().unwrap();
    for name in [".wh.", ".wh..", "a/.wh...", ".wh.a/b", "a/.wh.b/.wh.c", ".wh..wh..opq/a"] {
        assert_eq!(failure(plain(&archive(&[file(name, b"")]), target.path())).0, Kind::Entry, "{name}");
    }
    plain(&archive(&[file(".wh..wh.plnk/1.2", b"")]), target.path()).unwrap();
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

/// The attributes of `path`, by name.
fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut list = vec![0; 4096];
    let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
    let names = list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = [0; 64];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (String::from_utf8(name.to_vec()).unwrap(), value[..length].to_vec())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn attributes_are_kept_but_for_those_of_the_host() {
    if !have(&[Need::Root]) {
        return;
    }
    let records = [
        record("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        record("SCHILY.xattr.security.selinux", b"label"),
        record("SCHILY.xattr.system.nfs4_acl", b"acl"),
        record("LIBARCHIVE.xattr.user.%C3%A4", b"AAE"),
    ];
    let text = archive(&[entry("x", b'x', "", &records.concat()), file("f", b"")]);
    let user = ("user.\u{e4}", vec![0, 1]);
    for (mode, name) in
        [(Mode::Plain, "trusted.overlay.opaque"), (Mode::Overlay, "trusted.overlay.overlay.opaque")]
    {
        let target = tempfile::tempdir().unwrap();
        apply(&text, media_type::LAYER, &text, target.path(), mode, &Limits::DEFAULT).unwrap();
        let want = [(name, b"y".to_vec()), user.clone()].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(xattrs(&target.path().join("f")), want);
    }
}

/// An entry whose name is too long for the header.
fn long(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    [entry("x", b'x', "", &record("path", name.as_bytes())), entry("x", kind, "", content)].concat()
}

#[test]
fn trees_deeper_than_paths_are_deleted() {
    let target = tempfile::tempdir().unwrap();
    let way = vec!["d"; 250].join("/");
    let mut lower = Vec::new();
    // Each link leads to the end of what is there, where the next part begins.
    for part in 0..3 {
        let from = if part == 0 { "top".to_owned() } else { format!("l{part}") };
        lower.push(long(b'5', &format!("{from}/{way}"), b""));
        let link = [
            entry("x", b'K', "", format!("{from}/{way}").as_bytes()),
            entry(&format!("l{}", part + 1), b'2', "", b""),
        ];
        lower.push(link.concat());
    }
    lower.push(file("top/kept", b""));
    let lower = archive(&lower);
    let names = |target: &Path| tree(target).into_keys().filter(|path| !path.is_empty()).count();
    for upper in [file(".wh.top", b""), file("top", b""), file("top/.wh..wh..opq", b"")] {
        plain(&lower, target.path()).unwrap();
        plain(&archive(&[upper]), target.path()).unwrap();
        assert!(names(target.path()) <= 4);
        shell(target.path(), "rm -rf top l?");
    }
}

#[test]
fn bombs_are_refused() {
    let target = tempfile::tempdir().unwrap();
    let limited = |text: &[u8], limits: Limits| {
        failure(apply(text, media_type::LAYER, text, target.path(), Mode::Plain, &limits))
    };
    let three = archive(&[file("a", b""), file("b", b""), file("c", b"")]);
    let (kind, text) = limited(&three, Limits { entries: 2, ..Limits::DEFAULT });
    assert_eq!((kind, text.as_str()), (Kind::Limit, "the layer has more than 2 entries"));
    let deep = archive(&[file("a/b/c/d", b"")]);
    let (kind, text) = limited(&deep, Limits { depth: 3, ..Limits::DEFAULT });
    assert_eq!((kind, text.as_str()), (Kind::Limit, "an entry is nested deeper than 3 directories"));
    let (kind, text) = limited(&archive(&[file("a", &[0; 4000])]), Limits { bytes: 1000, ..Limits::DEFAULT });
    assert_eq!((kind, text.as_str()), (Kind::Limit, "the archive of the layer has more than 1000 bytes"));
    // 200 MiB of zeros are 200 KB of gzip.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = file("zeros", b"");
    header[124..136].copy_from_slice(format!("{:011o}\0", 200 << 20).as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    encoder.write_all(&header).unwrap();
    for _ in 0..200 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let blob = encoder.finish().unwrap();
    let done = apply(&blob, media_type::LAYER_GZIP, b"", target.path(), Mode::Plain, &Limits::DEFAULT);
    let want = format!("the archive of the layer has more than {} bytes", 128 << 20);
    assert_eq!(failure(done), (Kind::Limit, want));
}

/// A record of pax: its length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// An extension header that gives the attributes `from` and so on, `count` of them.
fn attributes(kind: u8, from: usize, count: usize, value: &[u8]) -> Vec<u8> {
    let one = |at| record(&format!("SCHILY.xattr.user.{at}"), value);
    entry("x", kind, "", &(from..from + count).flat_map(one).collect::<Vec<_>>())
}

/// How many entries the reader finds in `archive`.
fn read(archive: &[u8]) -> Result<usize> {
    let mut reader = tar::Reader::new(archive);
    let mut entry = tar::Entry::default();
    let mut count = 0;
    while reader.read_entry(&mut entry)? {
        count += 1;
    }
    Ok(count)
}

#[test]
fn extension_headers_are_bounded() {
    let many = |kind| archive(&[attributes(kind, 0, 35_000, b""), file("f", b"")]);
    let global = "global headers give more than 16 extended attributes or 4096 bytes of them";
    let local = "an entry has more than 1024 extended attributes or 1048576 bytes of them";
    let grown = archive(&[attributes(b'g', 0, 9, b"1"), attributes(b'g', 9, 9, b"1"), file("f", b"")]);
    let large = archive(&[attributes(b'g', 0, 1, &[b'x'; 4096]), file("f", b"")]);
    let cases = [
        (many(b'g'), format!("tar at byte 512: {global}")),
        (many(b'x'), format!("tar at byte 512: {local}")),
        (grown, format!("tar at byte 1536: {global}")),
        (large, format!("tar at byte 512: {global}")),
        (
            archive(&vec![entry("g", b'g', "", b""); 70_000]),
            format!("tar at byte {}: more than 65536 global headers", 512 * 65_537),
        ),
    ];
    for (bytes, want) in cases {
        assert_eq!(failure(read(&bytes)), (Kind::Limit, want));
    }
    let allowed = archive(&[attributes(b'g', 0, 16, b"1"), attributes(b'x', 16, 1008, b"1"), file("f", b"")]);
    assert_eq!(read(&allowed).unwrap(), 1);
}

#[test]
fn what_was_promised_is_checked() {
    let text = archive(&[file("a", &[b'x'; 5000])]);
    let blob = gzip(&text);
    let other = Digest::of(Algorithm::Sha256, b"other");
    let (digest, diff_id) = (Digest::of(Algorithm::Sha256, &blob), Digest::of(Algorithm::Sha256, &text));
    let good = Expected {
        media_type: media_type::LAYER_GZIP,
        size: blob.len() as u64,
        digest: &digest,
        diff_id: &diff_id,
    };
    let target = tempfile::tempdir().unwrap();
    let fd = rustix::fs::openat(CWD, target.path(), OFlags::RDONLY | OFlags::DIRECTORY, Permissions::empty())
        .unwrap();
    let check = |blob: &[u8], expected: Expected<'_>| {
        failure(layer::apply(blob, &expected, fd.as_fd(), Mode::Plain, &Limits::DEFAULT, &|_| Ok(())))
    };
    assert!(layer::apply(&blob[..], &good, fd.as_fd(), Mode::Plain, &Limits::DEFAULT, &|_| Ok(())).is_ok());
    let cases = [
        (
            check(&blob[..blob.len() - 9], good),
            Kind::Size,
            format!("got {} bytes, want {}", blob.len() - 9, blob.len()),
        ),
        (check(&[&blob[..], b"x"].concat(), good), Kind::Size, format!("got more than {} bytes", blob.len())),
        (
            check(&blob, Expected { digest: &other, ..good }),
            Kind::Digest,
            format!("got {digest}, want {other}"),
        ),
        (
            check(&blob, Expected { diff_id: &other, ..good }),
            Kind::Digest,
            format!("got {diff_id}, want {other}"),
        ),
        (
            check(&blob, Expected { media_type: media_type::LAYER, ..good }),
            Kind::MediaType,
            "the blob is gzip, its media type says not compressed".into(),
        ),
        (
            check(&blob, Expected { media_type: "text/plain", ..good }),
            Kind::MediaType,
            "\"text/plain\" is no layer".into(),
        ),
    ];
    for ((kind, text), want_kind, want) in cases {
        assert_eq!(kind, want_kind, "{text}");
        assert!(text.contains(&want), "{text}");
    }
    // A flipped bit is the blob's fault, wherever it shows first.
    for at in [0, 20, blob.len() / 2, blob.len() - 2] {
        let mut damaged = blob.clone();
        damaged[at] ^= 1;
        let (kind, text) = check(&damaged, good);
        assert_eq!(kind, Kind::Digest, "byte {at}: {text}");
    }
}

#[test]
fn an_interrupted_archive_is_told() {
    let text = archive(&[file("a", &[b'x'; 5000])]);
    let target = tempfile::tempdir().unwrap();
    for cut in [100, 700, 5000] {
        let (kind, said) = failure(plain(&text[..cut], target.path()));
        assert_eq!(kind, Kind::Archive, "{said}");
        assert!(said.contains("cut short"), "{said}");
    }
}

#[test]
fn times_of_directories_that_are_only_passed_stay() {
    let target = tempfile::tempdir().unwrap();
    plain(&archive(&[directory("d"), file("d/a", b"")]), target.path()).unwrap();
    let before = described(&target.path().join("d"));
    plain(&archive(&[file("d/b", b""), file("d/.wh.a", b"")]), target.path()).unwrap();
    assert_eq!(described(&target.path().join("d")), before);
    symlink("d", target.path().join("l")).unwrap();
    plain(&archive(&[file("l/c", b"")]), target.path()).unwrap();
    assert_eq!(described(&target.path().join("d")), before);
}

proptest! {
    /// Errors are fine, panics are bugs.
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..4096), kind in any::<u8>(), size in 0u32..9000) {
        // A right checksum lets the header through.
        if bytes.len() >= 512 {
            bytes[156] = kind;
            bytes[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
            bytes[148..156].fill(b' ');
            let sum: u32 = bytes[..512].iter().map(|&byte| u32::from(byte)).sum();
            bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let mut reader = tar::Reader::new(&bytes[..]);
        let mut entry = tar::Entry::default();
        for _ in 0..100 {
            if !matches!(reader.read_entry(&mut entry), Ok(true)) {
                break;
            }
        }
    }
}
