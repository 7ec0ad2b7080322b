//! Layouts that are made in code: the same bytes each time, and every feature of the specification in one.
//!
//! Everything that is made passes an editor on its way, by name, before it is hashed; so one thing can be
//! broken and everything that names it stays right.

pub mod pack;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use plimsoll_digest::{Algorithm, Digest};
use serde_json::{Value, json};

use crate::error::{Context as _, Result};

use super::descriptor::{CONFIG, EMPTY, INDEX, MANIFEST};
use pack::{Item, archive};

/// The type of plain layers; others add a suffix.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";

/// Changes a part, which it is told the name of.
pub type Edit<'a> = &'a dyn Fn(&str, &mut Vec<u8>);

/// A layout in memory: files by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Golden {
    /// Every file.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Golden {
    /// Writes the layout as a directory, which must not exist.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let failed = || format!("write a layout to {}", directory.display());
        std::fs::create_dir(directory).context(failed)?;
        for (name, bytes) in &self.files {
            let path = directory.join(name);
            if name.ends_with('/') {
                std::fs::create_dir_all(&path).context(failed)?;
                continue;
            }
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).context(failed)?;
            }
            std::fs::write(&path, bytes).context(failed)?;
        }
        Ok(())
    }

    /// The layout as an archive.
    pub fn archive(&self) -> Vec<u8> {
        let item = |(name, bytes): (&String, &Vec<u8>)| match name.ends_with('/') {
            true => Item::directory(name.as_str()),
            false => Item::file(name.as_str(), bytes.as_slice()),
        };
        archive(&self.files.iter().map(item).collect::<Vec<_>>())
    }
}

/// Makes blobs and remembers them.
pub struct Maker<'a> {
    edit: Edit<'a>,
    golden: Golden,
}

impl std::fmt::Debug for Maker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maker").field("golden", &self.golden).finish_non_exhaustive()
    }
}

impl<'a> Maker<'a> {
    /// Begins an empty layout.
    pub fn new(edit: Edit<'a>) -> Maker<'a> {
        let mut maker = Maker { edit, golden: Golden::default() };
        maker.file("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string().into_bytes());
        maker
    }

    fn edited(&self, name: &str, mut bytes: Vec<u8>) -> Vec<u8> {
        (self.edit)(name, &mut bytes);
        bytes
    }

    fn file(&mut self, name: &str, bytes: Vec<u8>) {
        let bytes = self.edited(name, bytes);
        self.golden.files.insert(name.to_owned(), bytes);
    }

    /// A blob called `name`; gives its descriptor.
    pub fn blob(&mut self, name: &str, media_type: &str, bytes: Vec<u8>, algorithm: Algorithm) -> Value {
        let bytes = self.edited(name, bytes);
        let digest = Digest::of(algorithm, &bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()});
        let path = format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded());
        self.golden.files.insert(path, bytes);
        descriptor
    }

    /// A document called `name`.
    pub fn document(&mut self, name: &str, media_type: &str, value: &Value) -> Value {
        self.blob(name, media_type, value.to_string().into_bytes(), Algorithm::Sha256)
    }

    /// A layer called `name` of the tar archive `tar`; gives its descriptor and its diff id.
    pub fn layer(&mut self, name: &str, media_type: &str, tar: Vec<u8>) -> (Value, String) {
        let tar = self.edited(&format!("layer/{name}"), tar);
        let diff_id = Digest::of(Algorithm::Sha256, &tar).to_string();
        let bytes = match media_type.rsplit_once('+').map(|(_, suffix)| suffix) {
            Some("gzip") => gzip(&tar),
            // Level 3 is what every tool has; the bytes only have to be the same each time.
            Some("zstd") => zstd::encode_all(tar.as_slice(), 3).unwrap_or_default(),
            _ => tar,
        };
        (self.blob(&format!("blob/{name}"), media_type, bytes, Algorithm::Sha256), diff_id)
    }

    /// Ends the layout with its index.
    pub fn finish(mut self, index: &Value) -> Golden {
        self.file("index.json", index.to_string().into_bytes());
        self.golden
    }
}

/// Two members: a reader that stops behind the first one sees half of an archive.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let member = |bytes: &[u8]| {
        let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        // Writing to memory does not fail.
        let _ = encoder.write_all(bytes);
        encoder.finish().unwrap_or_default()
    };
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [member(first), member(second)].concat()
}

/// A manifest of an image.
pub fn manifest(config: &Value, layers: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
}

/// An index of `manifests`.
pub fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
}

/// `descriptor` with more members.
pub fn with(mut descriptor: Value, members: &Value) -> Value {
    if let (Some(members), Some(object)) = (members.as_object(), descriptor.as_object_mut()) {
        object.extend(members.clone());
    }
    descriptor
}

/// `descriptor` under the reference `name`, for the platform of this machine.
pub fn named(descriptor: Value, name: &str) -> Value {
    let members = json!({"annotations": {"org.opencontainers.image.ref.name": name}, "platform": platform()});
    with(descriptor, &members)
}

/// The platform of this machine, as Go names it.
pub fn platform() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({"architecture": architecture, "os": "linux"})
}

const LONG: &str = "usr/share/a-directory-with-a-long-name/another-directory-with-a-long-name/and-a-file-whose-path-does-not-fit-the-header";

/// The layers of the first image, from the base.
fn layers() -> [Vec<u8>; 3] {
    let base = [
        Item::directory("./"),
        Item::directory("etc/"),
        Item::file("etc/config", "one\n").owner(1, 2),
        Item::directory("bin/"),
        Item::file("bin/tool", "#!\n").mode(0o4755).xattr("user.note", b"a=b\n\0c"),
        Item::hard_link("bin/alias", "bin/tool"),
        Item::symlink("bin/sh", "tool"),
        Item::symlink("abs", "/etc/config"),
        Item::directory("dev/"),
        Item::character("dev/null", 1, 3).mode(0o666),
        Item::block("dev/loop0", 7, 0),
        Item::fifo("dev/pipe"),
        Item::directory("tmp/").mode(0o1777),
        Item::directory("usr/"),
        Item::file(LONG, "long\n").time(-5, 500_000_000),
        Item::symlink("long", LONG),
        Item::file("caf\u{e9}", "x").owner(3_000_000_000, 7).time(super::golden::pack::TIME, 123_456_789),
        Item::directory("old/"),
        Item::file("old/a", "a"),
        Item::file("old/b", "b"),
    ];
    let upper = [
        Item::directory("etc/").mode(0o750),
        Item::file("etc/.wh.config", ""),
        Item::file("etc/new", "two\n"),
        Item::file("bin/.wh.sh", ""),
        Item::file("bin/tool", "#!2\n"),
    ];
    let third =
        [Item::file("old/.wh..wh..opq", ""), Item::file("old/c", "c"), Item::file("etc/new", "three\n")];
    [archive(&base), archive(&upper), archive(&third)]
}

fn configuration(platform: &Value, diff_ids: &[String]) -> Value {
    let layer = |created_by: &str| json!({"created": "2020-01-02T03:04:05.5Z", "created_by": created_by});
    let mut history: Vec<Value> = diff_ids.iter().map(|_| layer("add")).collect();
    history.push(json!({"created_by": "env", "empty_layer": true, "author": null, "comment": ""}));
    let config = json!({
        "created": "2020-01-02T03:04:05+01:00",
        "author": "Somebody <somebody@example.com>",
        "os.version": null,
        "config": {
            "User": "1:2", "ExposedPorts": {"80": {}, "443/tcp": {}, "53/udp": {}}, "Env": ["PATH=/bin", "EMPTY="],
            "Entrypoint": ["/bin/tool"], "Cmd": ["--flag"], "Volumes": {"/data": {}}, "WorkingDir": "/etc",
            "Labels": {"com.example.label": ""}, "StopSignal": "SIGRTMIN+3", "ArgsEscaped": false, "Memory": null,
            "Healthcheck": {"Test": ["NONE"]}, "OnBuild": null,
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
        "com.example.extra": {"anything": 1.5},
    });
    with(config, platform)
}

/// The layout that holds everything, each part passed through `edit`.
pub fn everything(edit: Edit<'_>) -> Golden {
    let mut maker = Maker::new(edit);
    let [base, upper, third] = layers();
    let (base_layer, base_id) = maker.layer("base", LAYER, base);
    let (upper_layer, upper_id) = maker.layer("upper", &format!("{LAYER}+gzip"), upper);
    let (third_layer, third_id) = maker.layer("third", &format!("{LAYER}+zstd"), third);
    let amd64 = json!({"architecture": "amd64", "os": "linux", "variant": "v1"});
    let config = configuration(&amd64, &[base_id.clone(), upper_id, third_id]);
    let config = maker.document("config/app", CONFIG, &config);
    let annotations = json!({"annotations": {
        "org.opencontainers.image.created": "2020-01-02T03:04:05Z", "com.example.empty": "",
        "org.opencontainers.image.base.name": "registry.example.com/base:1",
    }});
    let app = with(manifest(&config, &[base_layer.clone(), upper_layer, third_layer]), &annotations);
    let app = maker.document("manifest/app", MANIFEST, &app);
    let arm = arm(&mut maker, &base_layer, &base_id);
    let (artifact, bundle) = artifacts(&mut maker, &app);
    let windows = json!({"platform": {"architecture": "amd64", "os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]}});
    let nested = index(&[
        with(app.clone(), &json!({"platform": amd64})),
        with(arm, &json!({"platform": {"architecture": "arm64", "os": "linux", "variant": "v8"}})),
        with(app.clone(), &windows),
    ]);
    let nested = with(
        nested,
        &json!({
            "artifactType": "application/vnd.example.set", "subject": app, "annotations": {"com.example.nested": "yes"},
        }),
    );
    let nested = maker.document("index/nested", INDEX, &nested);
    let note = maker.blob("blob/note", "text/plain", b"no image\n".to_vec(), Algorithm::Sha256);
    maker.blob("blob/unreferenced", "", b"nobody names this\n".to_vec(), Algorithm::Sha256);
    let top = index(&[
        with(app, &json!({"annotations": {"org.opencontainers.image.ref.name": "v1.0"}, "platform": amd64})),
        with(nested, &json!({"annotations": {"org.opencontainers.image.ref.name": "all/things"}})),
        with(artifact, &json!({"artifactType": "application/vnd.example.sbom"})),
        with(bundle, &json!({"artifactType": "application/vnd.example.bundle"})),
        note,
    ]);
    maker.finish(&with(top, &json!({"annotations": {}})))
}

/// An image for another platform: a configuration under SHA-512, and a layer to be had elsewhere.
fn arm(maker: &mut Maker<'_>, base: &Value, base_id: &str) -> Value {
    let config = json!({
        "architecture": "arm64", "os": "linux", "variant": "v8",
        "rootfs": {"type": "layers", "diff_ids": [base_id, format!("sha256:{}", "0".repeat(64))]},
        "history": null,
        "config": null,
    });
    let config = maker.blob("config/arm", CONFIG, config.to_string().into_bytes(), Algorithm::Sha512);
    let elsewhere = json!({
        "mediaType": NONDISTRIBUTABLE, "digest": format!("sha256:{}", "1".repeat(64)), "size": 10,
        "urls": ["https://example.com/layer?a=b#c", "HTTP://example.com/layer"],
    });
    maker.document("manifest/arm", MANIFEST, &manifest(&config, &[base.clone(), elsewhere]))
}

/// Two artifacts: one of the empty config with a subject, one of a config of its own.
fn artifacts(maker: &mut Maker<'_>, subject: &Value) -> (Value, Value) {
    let empty = maker.blob("blob/empty", EMPTY, b"{}".to_vec(), Algorithm::Sha256);
    let empty = with(empty, &json!({"data": "e30="}));
    let sbom =
        maker.blob("blob/sbom", "application/spdx+json", b"[\"anything\"]".to_vec(), Algorithm::Blake3);
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.sbom", "config": empty,
        "layers": [with(sbom, &json!({"annotations": {"org.opencontainers.image.title": "sbom.json"}}))],
        "subject": subject,
    });
    let artifact = maker.document("manifest/artifact", MANIFEST, &artifact);
    let own =
        maker.blob("config/own", "application/vnd.example.config", b"not json".to_vec(), Algorithm::Sha256);
    let bundle = maker.document("manifest/bundle", MANIFEST, &manifest(&own, &[empty]));
    (artifact, bundle)
}
