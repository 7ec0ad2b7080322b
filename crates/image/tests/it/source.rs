//! Images on their way into the store: from layouts of other tools, and from hostile ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_image::platform::PlatformSpec;
use plimsoll_image::source::{Imported, Progress, Source, import};
use plimsoll_image::{Kind, Result, Store};
use plimsoll_spec::image::{Descriptor, media_type};
use plimsoll_test_support::skipped;

use crate::sample::{describe, failure, json, manifest, store};

pub(crate) fn linux() -> PlatformSpec {
    PlatformSpec::parse("linux/amd64").unwrap()
}

pub(crate) fn take(text: &str, store: &Store) -> Result<Imported> {
    import(&Source::parse(text)?, store, &linux(), &mut |_| {})
}

/// A layout written by hand.
pub(crate) struct Layout(tempfile::TempDir);

impl Layout {
    pub(crate) fn new() -> Layout {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Layout(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn blob(&self, descriptor: &Descriptor) -> PathBuf {
        self.path().join("blobs/sha256").join(descriptor.digest.encoded())
    }

    fn put(&self, media_type: &str, content: &[u8]) -> Descriptor {
        let descriptor = describe(media_type, content);
        fs::write(self.blob(&descriptor), content).unwrap();
        descriptor
    }

    /// An image of one layer for `architecture`.
    pub(crate) fn image(&self, architecture: &str, layer: &[u8]) -> Descriptor {
        let layer = self.put(media_type::LAYER, layer);
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.digest
        );
        let config = self.put(media_type::CONFIG, config.as_bytes());
        self.put(media_type::MANIFEST, manifest(&config, &[layer]).as_bytes())
    }

    pub(crate) fn index(&self, manifests: &[String]) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.join(","));
        fs::write(self.path().join("index.json"), text).unwrap();
    }

    fn nested(&self, manifests: &[String]) -> Descriptor {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, manifests.join(","));
        self.put(media_type::INDEX, text.as_bytes())
    }

    fn take(&self, reference: &str) -> Result<Imported> {
        let (_folder, store) = store();
        let taken = take(&format!("oci:{}{reference}", self.path().display()), &store);
        assert!(fs::read_dir(store.path().join("ingest")).unwrap().next().is_none());
        taken
    }
}

/// `descriptor` with the name `name`.
pub(crate) fn named(descriptor: &Descriptor, name: &str) -> String {
    let mut descriptor = descriptor.clone();
    descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), name.into());
    json(&descriptor)
}

/// `descriptor` for `os` and `architecture`.
fn on(descriptor: &Descriptor, os: &str, architecture: &str) -> String {
    let text = json(descriptor);
    let platform = format!(r#""platform":{{"os":"{os}","architecture":"{architecture}"}},"#);
    text.replacen('{', &format!("{{{platform}"), 1)
}

#[test]
fn reads_where_an_image_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let colon = folder.path().join("a:b");
    fs::create_dir(&colon).unwrap();
    let colon = colon.display();
    let layout = |directory: &str, reference: Option<&str>| Source::Layout {
        directory: directory.into(),
        reference: reference.map(str::to_owned),
    };
    let cases = [
        ("oci:/no/dir".to_owned(), layout("/no/dir", None)),
        ("oci:/no/dir:name:tag".to_owned(), layout("/no/dir", Some("name:tag"))),
        (format!("oci:{colon}"), layout(&colon.to_string(), None)),
        (format!("oci:{colon}:c:d"), layout(&colon.to_string(), Some("c:d"))),
    ];
    for (text, want) in cases {
        assert_eq!(Source::parse(&text).unwrap(), want, "{text}");
    }
    for text in ["", "oci", "oci:", "oci::x", "oci:/no/dir:", "docker://debian"] {
        assert_eq!(failure(Source::parse(text)).0, Kind::Invalid, "{text}");
    }
}

#[test]
fn copies_an_image_once() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[named(&image, "v1")]);
    let (_folder, store) = store();
    let source = Source::parse(&format!("oci:{}", layout.path().display())).unwrap();
    let mut told = Vec::new();
    let mut progress = |event: Progress<'_>| match event {
        Progress::Begin(blob) => told.push(format!("begin {}", blob.media_type)),
        Progress::Present(blob) => told.push(format!("present {}", blob.media_type)),
        Progress::Bytes(count) => told.push(count.to_string()),
        _ => {}
    };
    let imported = import(&source, &store, &linux(), &mut progress).unwrap();
    assert_eq!(
        (imported.image.descriptor.digest.clone(), imported.name.as_deref()),
        (image.digest, Some("v1"))
    );
    assert_eq!(store.image(&imported.image.descriptor).unwrap(), imported.image);
    import(&source, &store, &linux(), &mut progress).unwrap();
    let sizes = [imported.image.manifest.config.size.to_string(), imported.image.descriptor.size.to_string()];
    let types = [media_type::LAYER, media_type::CONFIG, media_type::MANIFEST];
    let mut want = Vec::new();
    for (media_type, size) in types.iter().zip(["5", &sizes[0], &sizes[1]]) {
        want.extend([format!("begin {media_type}"), size.to_owned()]);
    }
    want.extend(types.iter().map(|media_type| format!("present {media_type}")));
    assert_eq!(told, want);
}

#[test]
fn what_rotted_is_copied_again() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[json(&image)]);
    let (_folder, store) = store();
    let text = format!("oci:{}", layout.path().display());
    let first = take(&text, &store).unwrap().image;
    for blob in [&first.descriptor, &first.manifest.config, &first.layers[0].descriptor] {
        let file = store.path().join("blobs/sha256").join(blob.digest.encoded());
        let good = fs::read(&file).unwrap();
        let mut rotten = good.clone();
        rotten[0] ^= 1;
        fs::write(&file, rotten).unwrap();
        assert_eq!(take(&text, &store).unwrap().image, first);
        assert_eq!(fs::read(&file).unwrap(), good);
        assert_eq!(store.image(&first.descriptor).unwrap(), first);
    }
}

#[test]
fn names_tell_images_apart() {
    let layout = Layout::new();
    let (one, two) = (layout.image("amd64", b"1"), layout.image("amd64", b"2"));
    layout.index(&[named(&one, "one"), named(&two, "two")]);
    assert_eq!(layout.take(":two").unwrap().image.descriptor.digest, two.digest);
    assert_eq!(
        failure(layout.take("")),
        (Kind::Invalid, r#"a reference is needed, one of "one", "two""#.into())
    );
    assert_eq!(
        failure(layout.take(":three")),
        (Kind::NotFound, r#"no image is called "three" among "one", "two""#.into())
    );
    layout.index(&[]);
    assert_eq!(failure(layout.take("")), (Kind::NotFound, "there is no image in the index".into()));
}

#[test]
fn platforms_are_chosen_through_nested_indexes() {
    let layout = Layout::new();
    let (amd64, arm64) = (layout.image("amd64", b"1"), layout.image("arm64", b"2"));
    let other = layout.put("application/vnd.future+json", b"[");
    let inner = layout.nested(&[on(&arm64, "linux", "arm64"), on(&amd64, "linux", "amd64")]);
    let outer = layout.nested(&[json(&other), on(&arm64, "unknown", "unknown"), json(&inner)]);
    layout.index(&[named(&outer, "all")]);
    assert_eq!(layout.take(":all").unwrap().image.descriptor.digest, amd64.digest);
    // Without a platform in the index the configuration tells.
    layout.index(&[named(&arm64, "all"), named(&amd64, "all")]);
    assert_eq!(layout.take("").unwrap().image.descriptor.digest, amd64.digest);
    let only = layout.nested(&[on(&arm64, "linux", "arm64")]);
    layout.index(&[json(&only)]);
    assert_eq!(
        failure(layout.take("")),
        (Kind::NotFound, "no image for linux/amd64, only for [linux/arm64]".into())
    );
}

#[test]
fn one_digest_may_stand_for_several_platforms() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"1");
    layout.index(&[on(&image, "linux", "arm64"), on(&image, "linux", "amd64")]);
    assert_eq!(layout.take("").unwrap().image.descriptor.digest, image.digest);
    let inner = layout.nested(&[json(&image)]);
    layout.index(&[on(&inner, "linux", "arm64"), on(&inner, "linux", "amd64")]);
    assert_eq!(layout.take("").unwrap().image.descriptor.digest, image.digest);
    layout.index(&vec![on(&image, "linux", "arm64"); 10_001]);
    assert_eq!(failure(layout.take("")), (Kind::Limit, "more than 10000 images to choose from".into()));
}

#[test]
fn index_bombs_are_cheap() {
    let layout = Layout::new();
    // Each level names the one below twelve times: 12^6 paths, 8 documents.
    let mut level = layout.image("amd64", b"1");
    for _ in 0..6 {
        level = layout.nested(&vec![json(&level); 12]);
    }
    layout.index(&[json(&level)]);
    layout.take("").unwrap();
    for _ in 0..2 {
        level = layout.nested(&[json(&level)]);
    }
    layout.index(&[json(&level)]);
    assert_eq!(failure(layout.take("")), (Kind::Limit, "documents are nested deeper than 8".into()));
}

#[test]
fn damaged_and_missing_blobs_are_named() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[json(&image)]);
    let layer = describe(media_type::LAYER, b"layer");
    let (file, digest) = (layout.blob(&layer), &layer.digest);
    let other = describe(media_type::LAYER, b"LAYER").digest;
    let path = layout.path().display();
    let cases: [(Option<&[u8]>, Kind, String); 4] = [
        (
            Some(b"LAYER"),
            Kind::Digest,
            format!("verify {digest}: digest mismatch: got {other}, want {digest}"),
        ),
        (Some(b"laye"), Kind::Size, format!("blob {digest} has 4 bytes, its descriptor says 5")),
        (Some(b"layers"), Kind::Size, format!("blob {digest} has 6 bytes, its descriptor says 5")),
        (
            None,
            Kind::NotFound,
            format!("open blob {digest} of image layout {path}: No such file or directory (os error 2)"),
        ),
    ];
    for (content, kind, text) in cases {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert_eq!(failure(layout.take("")), (kind, text));
    }
}

#[test]
fn nothing_outside_a_layout_is_read() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    layout.index(&[json(&image)]);
    let file = layout.blob(&describe(media_type::LAYER, b"layer"));
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), b"layer").unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(outside.path(), &file).unwrap();
    let (kind, text) = failure(layout.take(""));
    assert_eq!(kind, Kind::Io);
    assert!(text.ends_with("Invalid cross-device link (os error 18)"), "{text}");
    // A link that stays inside is somebody's way to share blobs.
    fs::remove_file(&file).unwrap();
    fs::write(layout.path().join("elsewhere"), b"layer").unwrap();
    std::os::unix::fs::symlink("../../elsewhere", &file).unwrap();
    layout.take("").unwrap();
    // A pipe would be waited for, a device read without end.
    fs::remove_file(&file).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let (kind, text) = failure(layout.take(""));
    assert_eq!(kind, Kind::Invalid);
    assert!(text.ends_with(": no regular file"), "{text}");
}

#[test]
fn documents_must_fit_each_other() {
    let layout = Layout::new();
    let layer = layout.put(media_type::LAYER, b"layer");
    let config = |rootfs: &str| {
        let text = format!(r#"{{"architecture":"amd64","os":"linux","rootfs":{rootfs}}}"#);
        layout.put(media_type::CONFIG, text.as_bytes())
    };
    let ids = |ids: &str| config(&format!(r#"{{"type":"layers","diff_ids":[{ids}]}}"#));
    let good = ids(&format!("\"{}\"", layer.digest));
    let image = |text: &str| layout.put(media_type::MANIFEST, text.as_bytes());
    let with = |config: &Descriptor| image(&manifest(config, std::slice::from_ref(&layer)));
    let text = manifest(&good, std::slice::from_ref(&layer));
    let none = ids("");
    let typeless = config(r#"{"type":"other","diff_ids":[]}"#);
    let bad_id = ids(r#""sha256:0""#);
    let both = image(&text.replacen('{', r#"{"manifests":[],"#, 1));
    let other = image(&text.replacen('{', &format!("{{\"mediaType\":\"{}\",", media_type::INDEX), 1));
    let schema = image(&text.replace("\"schemaVersion\":2", "\"schemaVersion\":1"));
    let artifact = with(&layout.put("application/vnd.oci.empty.v1+json", b"{}"));
    let (manifest_type, index_type) = (media_type::MANIFEST, media_type::INDEX);
    let cases = [
        (with(&none), Kind::Invalid, format!("configuration {} has 0 diff_ids for 1 layers", none.digest)),
        (
            with(&typeless),
            Kind::Invalid,
            format!("configuration {} has a rootfs of type \"other\", not \"layers\"", typeless.digest),
        ),
        (
            with(&bad_id),
            Kind::Invalid,
            format!(
                "read document {}: /rootfs/diff_ids/0: not a digest: \"sha256:0\": invalid digest length",
                bad_id.digest
            ),
        ),
        (
            both.clone(),
            Kind::Invalid,
            format!("document {} of type {manifest_type:?} has \"manifests\"", both.digest),
        ),
        (
            other.clone(),
            Kind::Invalid,
            format!("document {} says it is {index_type:?}, its descriptor {manifest_type:?}", other.digest),
        ),
        (schema.clone(), Kind::Invalid, format!("document {} is of schema version 1, not 2", schema.digest)),
        (
            artifact.clone(),
            Kind::MediaType,
            format!(
                "{} is an artifact with a configuration of type \"application/vnd.oci.empty.v1+json\", not an image",
                artifact.digest
            ),
        ),
    ];
    for (image, kind, text) in cases {
        layout.index(&[json(&image)]);
        assert_eq!(failure(layout.take("")), (kind, text));
    }
}

#[test]
fn embedded_content_must_be_what_it_stands_for() {
    let layout = Layout::new();
    let image = layout.image("amd64", b"layer");
    let embed = |data: &str| json(&image).replacen('{', &format!("{{\"data\":\"{data}\","), 1);
    layout.index(&[embed("e30=")]);
    let want = format!("verify {}: size mismatch: got 2 bytes, want {}", image.digest, image.size);
    assert_eq!(failure(layout.take("")), (Kind::Size, want));
}

#[test]
fn other_layouts_are_refused() {
    let layout = Layout::new();
    let path = layout.path().display().to_string();
    let missing = format!("read index.json of image layout {path}: No such file or directory (os error 2)");
    assert_eq!(failure(layout.take("")), (Kind::NotFound, missing));
    fs::write(layout.path().join("index.json"), "{\"schemaVersion\":2,\"manifests\":null}").unwrap();
    let null = "read index.json: /manifests: expected an array, found null".to_owned();
    assert_eq!(failure(layout.take("")), (Kind::Invalid, null));
    fs::write(layout.path().join("index.json"), "[".repeat(1000)).unwrap();
    assert_eq!(failure(layout.take("")).0, Kind::Invalid);
    fs::write(layout.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    let version = r#"image layout of version "2.0.0", not "1.0.0""#.to_owned();
    assert_eq!(failure(layout.take("")), (Kind::Unsupported, version));
}

/// Runs a tool of others; `None` where it is not installed.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<()> {
    match Command::new(name).args(arguments).output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} {arguments:?}: {errors}");
            Some(())
        }
        Err(e) => {
            skipped(&format!("{name}: {e}"));
            None
        }
    }
}

/// A layout that umoci made, with one layer and the tag `latest`.
pub(crate) fn umoci(folder: &Path) -> Option<PathBuf> {
    let layout = folder.join("umoci");
    let (path, image) = (layout.display().to_string(), format!("{}:latest", layout.display()));
    let file = folder.join("hello");
    fs::write(&file, "hello\n").unwrap();
    tool("umoci", &["init", "--layout", &path])?;
    tool("umoci", &["new", "--image", &image])?;
    tool("umoci", &["insert", "--image", &image, file.to_str().unwrap(), "/etc/hello"])?;
    tool("umoci", &["config", "--image", &image, "--config.cmd", "/bin/hello"])?;
    Some(layout)
}

#[test]
fn takes_what_umoci_and_skopeo_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let Some(layout) = umoci(folder.path()) else { return };
    let (_folder, store) = store();
    let imported = take(&format!("oci:{}:latest", layout.display()), &store).unwrap();
    assert_eq!(imported.image.layers.len(), 1);
    assert_eq!(imported.image.layers[0].descriptor.media_type, media_type::LAYER_GZIP);
    assert_eq!(imported.image.config.config.as_ref().unwrap().cmd, ["/bin/hello"]);
    let copied = folder.path().join("skopeo");
    let (from, to) = (format!("oci:{}:latest", layout.display()), format!("oci:{}:copy", copied.display()));
    let Some(()) = tool("skopeo", &["copy", "--quiet", &from, &to]) else { return };
    let again = take(&to, &store).unwrap();
    assert_eq!((&again.image, again.name.as_deref()), (&imported.image, Some("copy")));
}
