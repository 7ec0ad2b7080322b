//! The image that is built into `plimsoll`: one static program, packed the same way every time.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use plimsoll_digest::{Algorithm, Digest};
use plimsoll_spec::image::{
    Descriptor, ExecutionConfig, ImageConfig, Index, Layout, Manifest, Platform, RootFs, media_type,
};
use plimsoll_spec::json::{Object, to_vec};

use crate::tar::Archive;

const OS_RELEASE: &str = "ID=plimsoll-hello\nPRETTY_NAME=\"Plimsoll's embedded image\"\n";

/// Writes an OCI archive to `target` whose only layer has `program` as `/hello`. One that is there already keeps its
/// time, by which cargo would build again what it is embedded in.
pub(crate) fn pack(program: &Path, target: &Path) -> Result<()> {
    let program = std::fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let mut layer = Archive::default();
    for directory in ["dev/", "etc/", "proc/", "sys/", "tmp/"] {
        layer.directory(directory, if directory == "tmp/" { 0o1777 } else { 0o755 });
    }
    layer.file("etc/os-release", 0o644, OS_RELEASE.as_bytes());
    layer.file("etc/passwd", 0o644, b"root:x:0:0::/:/hello\n");
    layer.file("hello", 0o755, &program);
    let layer = layer.finish();
    let diff_id = Digest::of(Algorithm::Sha256, &layer);
    // Without a time and a name, so that equal content gives equal bytes.
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    encoder.write_all(&layer)?;
    let layer = encoder.finish()?;

    let mut archive = Archive::default();
    let layout = Layout { image_layout_version: "1.0.0".into(), ..Layout::default() };
    archive.file("oci-layout", 0o644, &to_vec(&layout));
    let layer = blob(&mut archive, media_type::LAYER_GZIP, &layer);
    let config = blob(&mut archive, media_type::CONFIG, &to_vec(&config(diff_id)));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::MANIFEST.into()),
        artifact_type: None,
        config,
        layers: vec![layer],
        subject: None,
        annotations: Default::default(),
        extra: Object::new(),
    };
    let mut manifest = blob(&mut archive, media_type::MANIFEST, &to_vec(&manifest));
    manifest.annotations.insert("org.opencontainers.image.ref.name".into(), "embedded".into());
    manifest.platform =
        Some(Platform { architecture: architecture().into(), os: "linux".into(), ..Platform::default() });
    let index = Index {
        schema_version: 2,
        media_type: Some(media_type::INDEX.into()),
        manifests: vec![manifest],
        ..Index::default()
    };
    archive.file("index.json", 0o644, &to_vec(&index));
    let archive = archive.finish();
    if std::fs::read(target).is_ok_and(|present| present == archive) {
        return Ok(());
    }
    std::fs::write(target, archive).with_context(|| format!("write {}", target.display()))
}

/// Go's name of this machine's architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn config(diff_id: Digest) -> ImageConfig {
    let execution = ExecutionConfig {
        entrypoint: vec!["/hello".into()],
        env: vec!["PATH=/".into()],
        ..ExecutionConfig::default()
    };
    ImageConfig {
        architecture: architecture().into(),
        os: "linux".into(),
        config: Some(execution),
        rootfs: RootFs { kind: "layers".into(), diff_ids: vec![diff_id], ..RootFs::default() },
        ..ImageConfig::default()
    }
}

fn blob(archive: &mut Archive, media_type: &str, content: &[u8]) -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, content);
    archive.file(&format!("blobs/sha256/{}", digest.encoded()), 0o644, content);
    Descriptor {
        media_type: media_type.into(),
        digest,
        size: content.len() as u64,
        urls: Vec::new(),
        annotations: Default::default(),
        data: None,
        artifact_type: None,
        platform: None,
        extra: Object::new(),
    }
}
