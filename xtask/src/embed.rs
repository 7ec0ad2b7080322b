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

const OS_RELEASE: &str = "ID=plimsoll-hello\nPRETTY_NAME=\"Plimsoll's embedded image\"\n";

/// Writes an OCI archive to `target` whose only layer has `program` as `/hello`.
pub(crate) fn pack(program: &Path, target: &Path) -> Result<()> {
    let program = std::fs::read(program).with_context(|| format!("read {}", program.display()))?;
    let mut layer = Vec::new();
    for directory in ["dev/", "etc/", "proc/", "sys/", "tmp/"] {
        entry(&mut layer, directory, if directory == "tmp/" { 0o1777 } else { 0o755 }, b'5', &[]);
    }
    entry(&mut layer, "etc/os-release", 0o644, b'0', OS_RELEASE.as_bytes());
    entry(&mut layer, "etc/passwd", 0o644, b'0', b"root:x:0:0::/:/hello\n");
    entry(&mut layer, "hello", 0o755, b'0', &program);
    finish(&mut layer);
    let diff_id = Digest::of(Algorithm::Sha256, &layer);
    // Without a time and a name, so that equal content gives equal bytes.
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    encoder.write_all(&layer)?;
    let layer = encoder.finish()?;

    let mut archive = Vec::new();
    entry(
        &mut archive,
        "oci-layout",
        0o644,
        b'0',
        &to_vec(&Layout { image_layout_version: "1.0.0".into(), ..Layout::default() }),
    );
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
    entry(&mut archive, "index.json", 0o644, b'0', &to_vec(&index));
    finish(&mut archive);
    std::fs::write(target, archive).with_context(|| format!("write {}", target.display()))
}

/// Go's name of this machine's architecture.
fn architecture() -> &'static str {
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

fn blob(archive: &mut Vec<u8>, media_type: &str, content: &[u8]) -> Descriptor {
    let digest = Digest::of(Algorithm::Sha256, content);
    entry(archive, &format!("blobs/sha256/{}", digest.encoded()), 0o644, b'0', content);
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

/// Appends one entry in the ustar form, of root and of the year 1970.
fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, kind: u8, content: &[u8]) {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{:011o}", content.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(257, "ustar\x0000");
    header[156] = kind;
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn finish(archive: &mut Vec<u8>) {
    archive.resize(archive.len() + 1024, 0);
}
