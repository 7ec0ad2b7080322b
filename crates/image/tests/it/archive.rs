//! Images in archives: of other tools, written by hand, compressed, on a pipe, and damaged.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_digest::{Algorithm, Digest};
use plimsoll_image::source::{Imported, Source, import};
use plimsoll_image::{Image, Kind, Result};
use plimsoll_spec::image::media_type;
use plimsoll_spec::json;

use crate::sample::{failure, store};
use crate::source::{Layout, linux, named, take, tool, umoci};

/// One entry of a tar archive: a file, or with `link` a link of type `kind`.
pub(crate) fn entry(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

pub(crate) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name, b'0', "", content)
}

/// The archive of `entries` with its end mark.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = entries.concat();
    archive.resize(archive.len() + 1024, 0);
    archive
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// The archive of the files below `folder`.
fn archive_of(folder: &Path) -> Vec<u8> {
    fn walk(folder: &Path, prefix: &str, entries: &mut Vec<Vec<u8>>) {
        for found in fs::read_dir(folder).unwrap() {
            let found = found.unwrap();
            let name = format!("{prefix}{}", found.file_name().to_str().unwrap());
            if found.file_type().unwrap().is_dir() {
                walk(&found.path(), &format!("{name}/"), entries);
            } else {
                entries.push(file(&name, &fs::read(found.path()).unwrap()));
            }
        }
    }
    let mut entries = Vec::new();
    walk(folder, "./", &mut entries);
    archive(&entries)
}

/// Imports the image `reference` of `bytes` as `transport`.
fn take_bytes(transport: &str, bytes: &[u8], reference: &str) -> Result<Imported> {
    let (folder, store) = store();
    let path = folder.path().join("archive.tar");
    fs::write(&path, bytes).unwrap();
    let taken = take(&format!("{transport}:{}{reference}", path.display()), &store);
    assert!(fs::read_dir(store.path().join("ingest")).unwrap().next().is_none());
    if let Ok(imported) = &taken {
        assert_eq!(store.image(&imported.image.descriptor).unwrap(), imported.image);
    }
    taken
}

/// The failure without the name of the archive, which is another each time.
fn cause<T: std::fmt::Debug>(result: Result<T>) -> (Kind, String) {
    let (kind, text) = failure(result);
    (kind, text.split_once("archive.tar: ").map_or(text.clone(), |(_, cause)| cause.to_owned()))
}

#[test]
fn a_layout_is_one_in_an_archive_too() {
    let layout = Layout::new();
    let (one, two) = (layout.image("amd64", b"1"), layout.image("amd64", b"2"));
    layout.index(&[named(&one, "one"), named(&two, "two")]);
    let bytes = archive_of(layout.path());
    let (_folder, other) = store();
    let want = take(&format!("oci:{}:two", layout.path().display()), &other).unwrap();
    assert_eq!(take_bytes("oci-archive", &bytes, ":two").unwrap(), want);
    assert_eq!(take_bytes("oci-archive", &gzip(&bytes), ":two").unwrap(), want);
    let needed = (Kind::Invalid, r#"a reference is needed, one of "one", "two""#.to_owned());
    assert_eq!(failure(take_bytes("oci-archive", &bytes, "")), needed);
    let embedded =
        Source::Embedded { archive: Box::leak(bytes.into_boxed_slice()), reference: Some("two".into()) };
    let (_folder, store) = store();
    assert_eq!(import(&embedded, &store, &linux(), &mut |_| {}).unwrap(), want);
}

#[test]
fn an_archive_on_a_pipe_is_copied_first() {
    let layout = Layout::new();
    let image = layout.image("amd64", &[7; 300_000]);
    layout.index(&[named(&image, "x")]);
    let bytes = archive_of(layout.path());
    let (folder, store) = store();
    let pipe = folder.path().join("pipe");
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, fifo, mode, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| fs::write(&pipe, &bytes).unwrap());
        let imported = take(&format!("oci-archive:{}", pipe.display()), &store).unwrap();
        assert_eq!(imported.image.descriptor.digest, image.digest);
    });
    assert!(fs::read_dir(store.path().join("ingest")).unwrap().next().is_none());
}

#[test]
fn damaged_archives_are_refused() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[named(&image, "x")]);
    let bytes = archive_of(layout.path());
    let mut wrong = bytes.clone();
    wrong[0] ^= 1;
    let mut base256 = file("a", b"");
    base256[124] = 0xff;
    let sum: u32 = base256[..512]
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
        .sum();
    base256[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let path = "a".repeat(1_100_000);
    let pax = entry("x", b'x', "", format!("{} path={path}\n", path.len() + 14).as_bytes());
    let cases: [(Vec<u8>, Kind, &str); 8] = [
        (Vec::new(), Kind::Archive, "the archive has a header cut short at byte 0"),
        (vec![b'x'; 700], Kind::Archive, "the archive has a header with a wrong checksum at byte 0"),
        (wrong, Kind::Archive, "the archive has a header with a wrong checksum at byte 0"),
        (bytes[..1124].to_vec(), Kind::Archive, "the archive has a header cut short at byte 1024"),
        (base256, Kind::Archive, "the archive has a size that is no number at byte 0"),
        (pax, Kind::Limit, "an extension header of the archive has 1100014 bytes"),
        (
            entry("x", b'x', "", b"9 path\n"),
            Kind::Archive,
            "the archive has a malformed extension header at byte 512",
        ),
        (archive(&[file("a", b"")]), Kind::NotFound, "the archive has no file \"oci-layout\""),
    ];
    for (bytes, kind, text) in cases {
        assert_eq!(cause(take_bytes("oci-archive", &bytes, "")), (kind, text.to_owned()));
    }
    let mut cut = gzip(&bytes);
    cut.truncate(cut.len() - 20);
    assert_eq!(failure(take_bytes("oci-archive", &cut, "")).0, Kind::Compression);
    // Cut within the data of the last entry.
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    let (kind, text) = failure(take_bytes("oci-archive", &bytes[..end], ""));
    assert!(text.contains("cut short"), "{kind:?} {text}");
}

/// The gzip of `start` and then `zeros` times 1 MiB of zeros.
fn bomb(start: &[u8], zeros: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(start).unwrap();
    (0..zeros).for_each(|_| encoder.write_all(&vec![0; 1 << 20]).unwrap());
    encoder.finish().unwrap()
}

#[test]
fn archive_bombs_are_refused() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[named(&image, "x")]);
    let bytes = archive_of(layout.path());
    let want = (Kind::Limit, format!("the archive has more than {} bytes", 128 << 20));
    for transport in ["oci-archive", "docker-archive"] {
        assert_eq!(failure(take_bytes(transport, &bomb(&bytes, 128), "")), want);
    }
    assert!(take_bytes("oci-archive", &bomb(&bytes, 100), "").is_ok());
}

#[test]
fn tables_of_contents_are_bounded() {
    let long = |at: usize| {
        let name = format!("{at}{}", "n".repeat(1 << 19));
        [entry("x", b'L', "", name.as_bytes()), file("x", b"")].concat()
    };
    let names: Vec<_> = (0..40).map(long).collect();
    let links: Vec<_> = (0..40)
        .map(|at| [entry("x", b'K', "", &[b'n'; 1 << 19]), entry(&format!("l{at}"), b'1', "", b"")].concat())
        .collect();
    let headers = vec![entry("d", b'5', "", b""); 500_001];
    let cases = [
        (names, "the archive has names of more than 16777216 bytes"),
        (links, "the archive has names of more than 16777216 bytes"),
        (headers, "the archive has more than 500000 headers"),
    ];
    for (entries, want) in cases {
        assert_eq!(cause(take_bytes("oci-archive", &archive(&entries), "")), (Kind::Limit, want.to_owned()));
    }
}

#[test]
fn what_fills_an_archive_behind_gzip_means_nothing() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[named(&image, "x")]);
    let bytes = archive_of(layout.path());
    let filled = |end: &[u8]| take_bytes("oci-archive", &[&gzip(&bytes), end].concat(), "");
    assert!(filled(&[0; 100_000]).is_ok());
    for end in [&b"x"[..], b"\0x"] {
        assert_eq!(failure(filled(end)).0, Kind::Compression);
    }
}

/// An archive of Docker with one layer, named in the way of `layer`.
fn docker(layer: &[u8], config: &str, manifest: &str) -> Vec<u8> {
    archive(&[
        file("aa/layer.tar", layer),
        entry("bb/layer.tar", b'2', "../aa/layer.tar", b""),
        file("config.json", config.as_bytes()),
        file("manifest.json", manifest.as_bytes()),
    ])
}

fn docker_config(diff_ids: &[&[u8]]) -> String {
    let ids: Vec<String> =
        diff_ids.iter().map(|layer| format!("\"{}\"", Digest::of(Algorithm::Sha256, layer))).collect();
    format!(
        r#"{{"architecture":"amd64","os":"linux","docker_version":"20","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    )
}

#[test]
fn docker_archives_become_manifests() {
    let layer = b"not compressed";
    let config = docker_config(&[layer, layer]);
    let entry = |tags: &str| {
        format!(r#"{{"Config":"config.json","RepoTags":{tags},"Layers":["aa/layer.tar","bb/layer.tar"]}}"#)
    };
    let manifest = format!("[{}]", entry(r#"["debian:12"]"#));
    let imported = take_bytes("docker-archive", &docker(layer, &config, &manifest), "").unwrap();
    let Imported { image, name } = imported;
    assert_eq!(name.as_deref(), Some("debian:12"));
    assert_eq!(*image.id(), Digest::of(Algorithm::Sha256, config.as_bytes()));
    let layer_digest = Digest::of(Algorithm::Sha256, layer);
    let want = format!(
        r#"{{"config":{{"digest":"{}","mediaType":"{}","size":{}}},"layers":[{layer},{layer}],"mediaType":"{}","schemaVersion":2}}"#,
        image.id(),
        media_type::CONFIG,
        config.len(),
        media_type::MANIFEST,
        layer =
            format_args!(r#"{{"digest":"{layer_digest}","mediaType":"{}","size":14}}"#, media_type::LAYER)
    );
    assert_eq!(String::from_utf8(json::to_vec(&image.manifest)).unwrap(), want);
    assert_eq!(image.descriptor.digest, Digest::of(Algorithm::Sha256, want.as_bytes()));
    // In gzip the layer has another digest, and the same meaning.
    let packed = gzip(layer);
    let other = take_bytes("docker-archive", &gzip(&docker(&packed, &config, &manifest)), "").unwrap().image;
    let stored = &other.layers[0].descriptor;
    assert_eq!(stored.digest, Digest::of(Algorithm::Sha256, &packed));
    assert_eq!((stored.media_type.as_str(), stored.size), (media_type::LAYER_GZIP, packed.len() as u64));
    assert_eq!(other.layers[1].diff_id, layer_digest);
    // Names are compared as Docker writes them out.
    let two = format!("[{},{}]", entry(r#"["a:1","x/y"]"#), entry("null"));
    let two = docker(layer, &config, &two);
    for (reference, found) in
        [(":a:1", "a:1"), (":registry.example/library/a:1", "a:1"), (":x/y:latest", "x/y"), (":x/y", "x/y")]
    {
        assert_eq!(take_bytes("docker-archive", &two, reference).unwrap().name.as_deref(), Some(found));
    }
    let needed = (Kind::Invalid, r#"a reference is needed, one of "a:1", "x/y""#.to_owned());
    assert_eq!(failure(take_bytes("docker-archive", &two, "")), needed);
    let absent = (Kind::NotFound, r#"no image is called "a" among "a:1", "x/y""#.to_owned());
    assert_eq!(failure(take_bytes("docker-archive", &two, ":a")), absent);
}

#[test]
fn hostile_docker_archives_are_refused() {
    let layer = b"layer";
    let config = docker_config(&[layer]);
    let id = Digest::of(Algorithm::Sha256, config.as_bytes());
    let manifest = |config: &str, layers: &str| format!(r#"[{{"Config":{config},"Layers":[{layers}]}}]"#);
    let (good, other) = (r#""config.json""#, Digest::of(Algorithm::Sha256, b"other"));
    let layer_digest = Digest::of(Algorithm::Sha256, layer);
    let named = format!("{}.json", other.encoded());
    let cases = [
        (layer.as_slice(), "{".to_owned(), Kind::Invalid, "read manifest.json: ".to_owned()),
        (layer, "[]".to_owned(), Kind::NotFound, "there is no image in the archive".to_owned()),
        (
            layer,
            manifest("null", ""),
            Kind::Invalid,
            "read manifest.json: /0/Config: expected a string, found null".to_owned(),
        ),
        (layer, manifest("\"none\"", ""), Kind::NotFound, "the archive has no file \"none\"".to_owned()),
        (layer, manifest(good, ""), Kind::Invalid, format!("configuration {id} has 1 diff_ids for 0 layers")),
        (layer, manifest(good, "\"none\""), Kind::NotFound, "the archive has no layer \"none\"".to_owned()),
        (layer, manifest(good, "\"loop\""), Kind::NotFound, "the archive has no layer \"loop\"".to_owned()),
        (
            layer,
            manifest(&format!("{named:?}"), "\"aa/layer.tar\""),
            Kind::Digest,
            format!("configuration {named:?} of the archive is {id}"),
        ),
        (
            b"LAYER",
            manifest(good, "\"aa/layer.tar\""),
            Kind::Digest,
            format!(
                "verify {layer_digest}: digest mismatch: got {}, want {layer_digest}",
                Digest::of(Algorithm::Sha256, b"LAYER")
            ),
        ),
    ];
    for (layer, manifest, kind, text) in cases {
        let mut bytes = entry("loop", b'2', "loop", b"");
        bytes.extend(file(&named, config.as_bytes()));
        bytes.extend(docker(layer, &config, &manifest));
        let (found, cause) = failure(take_bytes("docker-archive", &bytes, ""));
        assert!(found == kind && cause.starts_with(&text), "{cause} instead of {text}");
    }
}

fn execution(image: &Image) -> &plimsoll_spec::image::ExecutionConfig {
    image.config.config.as_ref().unwrap()
}

#[test]
fn takes_archives_that_skopeo_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Some(layout) = umoci(folder.path()) else { return };
    let from = format!("oci:{}:latest", layout.display());
    let (_folder, store) = store();
    let original = take(&from, &store).unwrap().image;
    let oci = format!("oci-archive:{}:v1", folder.path().join("oci.tar").display());
    let docker = format!("docker-archive:{}:name:tag", folder.path().join("docker.tar").display());
    for to in [&oci, &docker] {
        let Some(()) = tool("skopeo", &["copy", "--quiet", &from, to]) else { return };
    }
    let copied = take(&oci, &store).unwrap();
    assert_eq!((&copied.image, copied.name.as_deref()), (&original, Some("v1")));
    let saved = take(&docker, &store).unwrap();
    assert!(saved.name.unwrap().ends_with("/library/name:tag"));
    assert_eq!(saved.image.layers[0].descriptor.media_type, media_type::LAYER);
    assert_eq!(saved.image.layers[0].diff_id, original.layers[0].diff_id);
    assert_eq!(execution(&saved.image).cmd, execution(&original).cmd);
}

#[test]
fn takes_archives_that_buildah_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (root, run) = (at("root"), at("run"));
    let buildah = |arguments: &[&str]| {
        let mut all = vec!["--root", &root, "--runroot", &run, "--storage-driver", "vfs"];
        all.extend(arguments);
        tool("buildah", &all)
    };
    let hello = folder.path().join("hello");
    fs::write(&hello, "hello\n").unwrap();
    let Some(()) = buildah(&["from", "--name", "work", "scratch"]) else { return };
    buildah(&["copy", "--quiet", "work", hello.to_str().unwrap(), "/hello"]).unwrap();
    buildah(&["config", "--entrypoint", r#"["/hello"]"#, "work"]).unwrap();
    let (oci, docker) =
        (format!("oci-archive:{}", at("o.tar")), format!("docker-archive:{}:n:t", at("d.tar")));
    buildah(&["commit", "--quiet", "--format", "oci", "work", &oci]).unwrap();
    buildah(&["commit", "--quiet", "--format", "docker", "work", &docker]).unwrap();
    let (_folder, store) = store();
    for source in [&oci, &docker] {
        let imported = take(source, &store).unwrap();
        assert_eq!(execution(&imported.image).entrypoint, ["/hello"], "{source}");
        assert_eq!(imported.image.layers.len(), 1, "{source}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Errors are fine, panics are bugs, and nothing but the original is taken for it.
    #[test]
    fn altered_archives_never_panic(
        at in 0_usize..6000, byte: u8, cut in 0_usize..6000, transport in "oci-archive|docker-archive"
    ) {
        let layer = b"not compressed";
        let manifest = r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":["bb/layer.tar"]}]"#;
        let mut bytes = docker(layer, &docker_config(&[layer]), manifest);
        let original = bytes.clone();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(length - cut % 512);
        if let Ok(imported) = take_bytes(&transport, &bytes, "") {
            let want = take_bytes("docker-archive", &original, "").unwrap();
            if imported.name == want.name && imported.image.id() == want.image.id() {
                assert_eq!(imported.image.layers, want.image.layers);
            }
        }
    }

    #[test]
    fn noise_is_no_archive(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        assert!(take_bytes("oci-archive", &bytes, "").is_err());
        assert!(take_bytes("docker-archive", &bytes, "").is_err());
    }
}
