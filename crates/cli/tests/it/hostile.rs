//! Images that mean harm, from the outside: exit code 125 with a message, nothing unpacked, nothing outside
//! changed, little memory used. What is legal in them is unpacked, and stays inside.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_digest::{Algorithm, Digest};
use plimsoll_test_support::{Need, Tree, have};
use serde_json::{Value, json};

use crate::{Sandbox, shell};

/// One entry of an archive with its data.
fn entry(path: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let size = format!("{:011o}\0", data.len());
    let checksum = b"        ";
    for (at, field) in [
        (0, path.as_bytes()),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size.as_bytes()),
        (136, b"00000000001\0"),
        (148, checksum),
        (156, &[kind]),
        (157, link.as_bytes()),
        (257, b"ustar\x0000"),
    ] {
        header[at..at + field.len()].copy_from_slice(field);
    }
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

/// A pax header that says `key` of the entry behind it.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits).unwrap() + rest;
    entry("pax", b'x', "", format!("{length} {key}={value}\n").as_bytes())
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [&entries.concat()[..], &[0; 1024]].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// So many zeros, as small as gzip has them.
fn gzip_of_zeros(length: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; length]).unwrap();
    encoder.finish().unwrap()
}

/// A layout in the making, of one image that is called `it`.
struct Layout {
    dir: PathBuf,
    layers: Vec<Value>,
    diff_ids: Vec<String>,
}

impl Layout {
    fn new(sandbox: &Sandbox) -> Layout {
        let dir = sandbox.path().join("layout");
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout { dir, layers: Vec::new(), diff_ids: Vec::new() }
    }

    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        std::fs::write(self.dir.join("blobs/sha256").join(digest.encoded()), bytes).unwrap();
        let media_type = format!("application/vnd.oci.image.{kind}");
        json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
    }

    /// Adds a layer; `archive` is what is claimed to be in `blob`.
    fn layer(&mut self, kind: &str, blob: &[u8], archive: &[u8]) {
        self.layers.push(self.blob(kind, blob));
        self.diff_ids.push(Digest::of(Algorithm::Sha256, archive).to_string());
    }

    fn config(&self) -> Value {
        let rootfs = json!({"type": "layers", "diff_ids": self.diff_ids});
        json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs, "config": {"Cmd": ["/x"]}})
    }

    /// Writes the rest around `config`; `change` may spoil the text of the manifest.
    fn finish(&self, config: &[u8], change: impl Fn(String) -> String) -> String {
        let config = self.blob("config.v1+json", config);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": self.layers});
        let mut manifest = self.blob("manifest.v1+json", change(manifest.to_string()).as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "it"});
        let index = json!({"schemaVersion": 2, "manifests": [manifest]});
        std::fs::write(self.dir.join("index.json"), index.to_string()).unwrap();
        format!("oci:{}:it", self.dir.display())
    }
}

/// An image of plain layers.
fn image(sandbox: &Sandbox, layers: &[&[Vec<u8>]]) -> String {
    let mut layout = Layout::new(sandbox);
    for entries in layers {
        let archive = archive(entries);
        layout.layer("layer.v1.tar", &archive, &archive);
    }
    layout.finish(layout.config().to_string().as_bytes(), |manifest| manifest)
}

/// What is done with every image, and must say `want` where that is given.
fn refused(sandbox: &Sandbox, name: &str, source: &str, want: Option<&str>) {
    let target = sandbox.path().join("target");
    let path = target.to_str().unwrap();
    for args in [&["unpack", source, path][..], &["bundle", source, path], &["run", "--rm", source]] {
        // A runtime that is none: what reaches it was unpacked.
        let args = [&["--runtime", "/bin/true"], args].concat();
        match want {
            Some(want) => {
                let said = sandbox.fails(&args, 125);
                assert!(said.contains(want), "{name}: {args:?}: {said}");
                assert!(!target.exists(), "{name}: {args:?}: half a tree is left");
            }
            None => {
                sandbox.must(&args);
                drop(std::fs::remove_dir_all(&target));
            }
        }
        for half in ["ingest", "snapshots/staging", "snapshots/containers"] {
            let left = std::fs::read_dir(sandbox.path().join("store").join(half)).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{name}: {args:?}: something is left in {half}");
        }
    }
}

/// A place outside the trees with everything that an image might want to reach.
fn canary(sandbox: &Sandbox) -> PathBuf {
    shell(
        sandbox.path(),
        "mkdir outside && cd outside && echo victim:x:7:7::/:/bin/sh > passwd && echo secret > secret && chmod 640 secret && \
         mkdir -m 750 directory && echo x > directory/file && ln -s secret link && touch -d @1000 secret directory .",
    );
    sandbox.path().join("outside")
}

#[test]
fn no_path_leads_outside() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let outside = canary(&sandbox);
    let before = Tree::list(&outside);
    let absolute = outside.to_str().unwrap();
    // Long paths do not fit the header's field.
    let file = |path: &str| [pax("path", path), entry("-", b'0', "", b"changed")].concat();
    let directory = |path: &str| [pax("path", path), entry("-", b'5', "", b"")].concat();
    let link = |path: &str, kind, to: &str| [pax("linkpath", to), entry(path, kind, "-", b"")].concat();
    let below = |path: &str| format!("{absolute}/{path}");
    // From the tree of `unpack` up to the canary, and from those of a container.
    let up = "../../../../../../../../../../../../../../../../..";
    let up_out = format!("{up}{absolute}");
    const PARENT: Option<&str> = Some("leads through a parent directory");
    const ABSENT: Option<&str> = Some("No such file or directory");
    const NOTHING: Option<&str> = Some("names nothing");
    type Row<'a> = (&'a str, Vec<Vec<u8>>, Option<&'a str>);
    let rows: Vec<Row<'_>> = vec![
        ("up", vec![file("../outside/new")], PARENT),
        ("up from the root", vec![file(&format!("{up_out}/new"))], PARENT),
        ("up from inside", vec![directory("a"), file("a/../../outside/new")], PARENT),
        ("up at the end", vec![directory("a/..")], PARENT),
        ("absolute", vec![file(&below("secret"))], None),
        ("through a link up", vec![link("l", b'2', &up_out), file("l/new")], ABSENT),
        ("through an absolute link", vec![link("l", b'2', absolute), file("l/new")], ABSENT),
        ("through two links", vec![link("k", b'2', absolute), link("l", b'2', "k"), file("l/new")], ABSENT),
        ("through a link to itself", vec![link("l", b'2', "l"), file("l/new")], Some("symbolic links")),
        ("through a magic link", vec![link("l", b'2', "/proc/self/cwd"), file("l/new")], ABSENT),
        ("a file over a link", vec![link("l", b'2', &below("secret")), file("l")], None),
        (
            "a directory over a link",
            vec![link("l", b'2', &below("directory")), directory("l"), file("l/file")],
            None,
        ),
        (
            "the root is a link",
            vec![link("./", b'2', absolute), file("new")],
            Some("the root of a layer is no directory"),
        ),
        ("a hard link up", vec![link("h", b'1', "../outside/secret"), file("h")], PARENT),
        (
            "an absolute hard link",
            vec![link("h", b'1', &below("secret")), file("h")],
            Some("which is not there"),
        ),
        (
            "a hard link through a link",
            vec![link("l", b'2', absolute), link("h", b'1', "l/secret"), file("h")],
            Some("which is not there"),
        ),
        (
            "a hard link to a link",
            vec![link("l", b'2', &below("secret")), link("h", b'1', "l"), file("h")],
            None,
        ),
        (
            "a hard link to a directory",
            vec![directory("d"), link("h", b'1', "d")],
            Some("it is a hard link to \"d\", a directory"),
        ),
        ("a whiteout up", vec![file("../outside/.wh.secret")], PARENT),
        ("an opaque directory up", vec![file("../outside/.wh..wh..opq")], PARENT),
        ("a whiteout of nothing", vec![file(".wh.")], NOTHING),
        ("a whiteout of itself", vec![file("a/.wh..")], NOTHING),
        ("a whiteout of its parent", vec![file("a/.wh...")], NOTHING),
        (
            "an attribute of overlayfs",
            // In a stack it is one of the tree and not of its layer.
            vec![pax("SCHILY.xattr.trusted.overlay.redirect", absolute), entry("d", b'5', "", b"")],
            None,
        ),
    ];
    for (name, entries, want) in &rows {
        refused(&sandbox, name, &image(&sandbox, &[entries]), *want);
        assert_eq!(Tree::list(&outside).differences(&before), [], "{name}");
    }
    // What a lower layer prepares; the stack has its own directory there, the copy follows the link inside.
    let lower = [link("l", b'2', absolute), link("e", b'2', &below("directory"))];
    let upper: [(&str, &[Vec<u8>]); 4] = [
        ("a directory over a lower link", &[directory("l"), file("l/secret")]),
        ("a whiteout over a lower link", &[file(".wh.l")]),
        ("a whiteout through a lower link", &[directory("e"), file("e/.wh.file")]),
        ("an opaque directory over a lower link", &[directory("e"), file("e/.wh..wh..opq")]),
    ];
    for (name, entries) in upper {
        refused(&sandbox, name, &image(&sandbox, &[&lower, entries]), None);
        assert_eq!(Tree::list(&outside).differences(&before), [], "{name}");
    }
}

#[test]
fn users_are_those_of_the_image() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let passwd = canary(&sandbox).join("passwd");
    let up = format!("../../../../../../../../../../..{}", passwd.display());
    let rows = [
        (vec![entry("etc", b'5', "", b"")], "the container's /etc/passwd has no user \"victim\""),
        (
            vec![pax("linkpath", passwd.to_str().unwrap()), entry("etc/passwd", b'2', "-", b"")],
            "the container's /etc/passwd has no user \"victim\"",
        ),
        (
            vec![pax("linkpath", &up), entry("etc/passwd", b'2', "-", b"")],
            "the container's /etc/passwd has no user \"victim\"",
        ),
        (vec![entry("etc/passwd", b'6', "", b"")], "/etc/passwd of the image is no regular file"),
        (vec![entry("etc/passwd", b'5', "", b"")], "/etc/passwd of the image is no regular file"),
    ];
    for (entries, want) in rows {
        let source = image(&sandbox, &[&entries]);
        let said = sandbox.fails(&["run", "--rm", "-u", "victim", &source, "true"], 125);
        assert!(said.contains(want), "{want}: {said}");
    }
}

/// Runs `plimsoll unpack` with so little address space that nothing can be taken in whole; what it said.
fn within_memory(sandbox: &Sandbox, source: &str) -> String {
    let plain = sandbox.command(&["unpack", source, sandbox.path().join("target").to_str().unwrap()]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -v 400000; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    let output = limited.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert!(!sandbox.path().join("target").exists());
    said.lines().last().unwrap().to_owned()
}

fn layer_of(sandbox: &Sandbox, kind: &str, blob: &[u8]) -> String {
    let mut layout = Layout::new(sandbox);
    layout.layer(kind, blob, b"never read to its end");
    layout.finish(layout.config().to_string().as_bytes(), |manifest| manifest)
}

#[test]
fn bombs_are_refused() {
    if !have(&[Need::Program("zstd")]) {
        return;
    }
    let Some(sandbox) = Sandbox::empty() else { return };
    // A file of 8 GiB, as the header can say it, of which a member with 16 MiB comes often enough.
    let mut header = entry("zeros", b'0', "", b"");
    header[124..136].copy_from_slice(b"77777777777\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let zeros = gzip_of_zeros(16 << 20);
    let blob = [&gzip(&header)[..], &zeros.repeat(16)].concat();
    let said = within_memory(&sandbox, &layer_of(&sandbox, "layer.v1.tar+gzip", &blob));
    assert!(
        said.ends_with(&format!("the archive of the layer has more than {} bytes", limit(blob.len()))),
        "{said}"
    );
    let blob = zstd_of_zeros(&sandbox, &header);
    let said = within_memory(&sandbox, &layer_of(&sandbox, "layer.v1.tar+zstd", &blob));
    assert!(
        said.ends_with(&format!("the archive of the layer has more than {} bytes", limit(blob.len()))),
        "{said}"
    );

    // Entries that cost nothing but their number, with enough noise between them to be no bomb by their ratio.
    let noise: Vec<u8> =
        (0..1u32 << 16).flat_map(|i| i.wrapping_mul(2_654_435_761).wrapping_mul(i).to_le_bytes()).collect();
    let member =
        [entry("noise", b'0', "", &noise), entry(".wh..wh.plnk", b'0', "", b"").repeat(131_072)].concat();
    let blob = gzip(&member).repeat(65);
    let said = within_memory(&sandbox, &layer_of(&sandbox, "layer.v1.tar+gzip", &blob));
    assert!(said.ends_with("the layer has more than 8388608 entries"), "{said}");

    let deep = "d/".repeat(300);
    let long = "n".repeat(256);
    let rows = [
        (
            vec![pax("path", &deep), entry("-", b'5', "", b"")],
            "an entry is nested deeper than 256 directories",
        ),
        (vec![pax("path", &long), entry("-", b'0', "", b"")], "File name too long"),
        (vec![pax("comment", &"c".repeat(2 << 20)), entry("a", b'0', "", b"")], "1048576"),
        (
            vec![pax("GNU.sparse.map", "0,1,0,1"), entry("a", b'0', "", b"xy")],
            "the map of a sparse file overlaps",
        ),
    ];
    for (entries, want) in rows {
        refused(&sandbox, want, &image(&sandbox, &[&entries]), Some(want));
    }
}

/// What may come of a blob of `size` bytes.
fn limit(size: usize) -> usize {
    (size * 500).max(128 << 20)
}

/// `header` and 256 MiB of zeros, by Debian's zstd.
fn zstd_of_zeros(sandbox: &Sandbox, header: &[u8]) -> Vec<u8> {
    std::fs::write(sandbox.path().join("header"), header).unwrap();
    shell(sandbox.path(), "(cat header; head -c 256M /dev/zero) | zstd -q -o zeros.zst");
    std::fs::read(sandbox.path().join("zeros.zst")).unwrap()
}

#[test]
fn documents_are_refused_that_are_too_deep_or_too_large() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let with = |text: String, value: &str| text.replacen('{', &format!("{{\"x\":{value},"), 1);
    let large = format!("\"{}\"", "x".repeat(5 << 20));
    let rows = [
        (nested(100), "nested deeper than the limit"),
        (nested(1 << 20), "nested deeper than the limit"),
        (large, "over the limit of 4194304"),
        ("1,\"x\":2".to_owned(), "twice"),
        ("[".to_owned(), "expected value at line 1"),
    ];
    for (value, want) in rows {
        let mut layout = Layout::new(&sandbox);
        let archive = archive(&[entry("a", b'0', "", b"")]);
        layout.layer("layer.v1.tar", &archive, &archive);
        let config = layout.config().to_string();
        let source = layout.finish(config.as_bytes(), |manifest| with(manifest, &value));
        refused(&sandbox, "manifest", &source, Some(want));
        let source = layout.finish(with(config, &value).as_bytes(), |manifest| manifest);
        refused(&sandbox, "configuration", &source, Some(want));
        let index = std::fs::read_to_string(layout.dir.join("index.json")).unwrap();
        std::fs::write(layout.dir.join("index.json"), with(index, &value)).unwrap();
        refused(&sandbox, "index", &source, Some(want));
    }
}
