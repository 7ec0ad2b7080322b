//! A bundle as evidence: its `config.json` and what its root file system has beyond the usual, so that
//! anybody can make it again. Links are recorded and never followed, and what is mounted there is not entered.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::{Value, json};

/// Most bytes of a configuration that are kept.
const CONFIG: u64 = 1 << 20;
/// Most bytes of another file that are kept.
const TEXT: u64 = 4 << 10;
/// Most files that are recorded, and how deep they may lie.
const FILES: usize = 100;
const DEPTH: usize = 6;

/// The directories that every root file system has; only what is in them is told.
pub(super) const USUAL: [&str; 7] = ["dev", "etc", "proc", "sys", "tmp", "bin", "mnt"];

/// What makes `bundle` again: `path`, `config` (or `text`, where it is no JSON) and `files`.
pub(super) fn record(bundle: &Path) -> Value {
    let mut seen = json!({"path": bundle});
    let text = contents(&bundle.join("config.json"), CONFIG).unwrap_or_default();
    let (name, config) = match serde_json::from_slice::<Value>(&text) {
        Ok(config) => ("config", config),
        Err(_) => ("text", String::from_utf8_lossy(&text).into_owned().into()),
    };
    let root = bundle.join("rootfs");
    let probe = root.join("probe").symlink_metadata().ok().map(|probe| (probe.dev(), probe.ino()));
    let mut files = Vec::new();
    if let Ok(metadata) = root.symlink_metadata() {
        let tree = Tree { device: metadata.dev(), probe };
        tree.walk(&root, "", DEPTH, &mut files);
    }
    if let Some(members) = seen.as_object_mut() {
        members.insert(name.to_owned(), config);
        members.insert("files".to_owned(), files.into());
    }
    seen
}

/// One root file system.
struct Tree {
    /// The file system that it lies on.
    device: u64,
    /// Device and inode of the probe in it.
    probe: Option<(u64, u64)>,
}

impl Tree {
    fn walk(&self, folder: &Path, name: &str, depth: usize, files: &mut Vec<Value>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            if files.len() >= FILES {
                return;
            }
            let path = format!("{name}/{}", entry.file_name().to_string_lossy());
            let usual = name.is_empty() && USUAL.iter().any(|usual| entry.file_name() == *usual);
            if !(usual && metadata.is_dir() || path == "/probe" && self.is_probe(&metadata)) {
                let mut file = json!({"path": path, "mode": metadata.permissions().mode() & 0o7777});
                let (kind, value) = self.describe(&entry.path(), &metadata);
                file[kind] = value;
                files.push(file);
            }
            if metadata.is_dir() && metadata.dev() == self.device && depth > 0 {
                self.walk(&entry.path(), &path, depth - 1, files);
            }
        }
    }

    fn is_probe(&self, metadata: &std::fs::Metadata) -> bool {
        metadata.is_file() && self.probe == Some((metadata.dev(), metadata.ino()))
    }

    fn describe(&self, path: &Path, metadata: &std::fs::Metadata) -> (&'static str, Value) {
        let kind = metadata.file_type();
        if metadata.dev() != self.device {
            ("mounted", true.into())
        } else if self.is_probe(metadata) {
            ("probe", true.into())
        } else if kind.is_dir() {
            ("directory", true.into())
        } else if kind.is_symlink() {
            let target = std::fs::read_link(path).unwrap_or_default();
            ("link", target.to_string_lossy().into_owned().into())
        } else if kind.is_file() && metadata.len() <= TEXT {
            let text = contents(path, TEXT).unwrap_or_default();
            ("text", String::from_utf8_lossy(&text).into_owned().into())
        } else {
            ("size", metadata.len().into())
        }
    }
}

fn contents(path: &Path, most: u64) -> Option<Vec<u8>> {
    use std::io::Read as _;
    let mut text = Vec::new();
    std::fs::File::open(path).ok()?.take(most).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_unusual_is_told() {
        let bundle = tempfile::tempdir().unwrap();
        let root = bundle.path().join("rootfs");
        std::fs::create_dir_all(root.join("etc/deep")).unwrap();
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::write(root.join("probe"), "program").unwrap();
        std::fs::hard_link(root.join("probe"), root.join("bin/hook")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("etc/link")).unwrap();
        std::fs::write(root.join("etc/deep/note"), "hello").unwrap();
        std::fs::write(bundle.path().join("config.json"), r#"{"ociVersion": "1.3.0"}"#).unwrap();
        let seen = record(bundle.path());
        assert_eq!(seen["config"], json!({"ociVersion": "1.3.0"}));
        let told: Vec<_> = seen["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
        assert_eq!(told, ["/bin/hook", "/etc/deep", "/etc/deep/note", "/etc/link"]);
        assert_eq!(seen["files"][0]["probe"], true);
        assert_eq!(seen["files"][2]["text"], "hello");
        assert_eq!(seen["files"][3]["link"], "/nowhere");
    }

    #[test]
    fn what_is_no_json_is_kept_as_text() {
        let bundle = tempfile::tempdir().unwrap();
        std::fs::write(bundle.path().join("config.json"), "{").unwrap();
        let seen = record(bundle.path());
        assert_eq!((&seen["text"], seen.get("config")), (&json!("{"), None));
    }
}
