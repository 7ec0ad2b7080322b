//! A bundle as evidence: its `config.json` and what its root file system has beyond the usual, so that
//! anybody can make it again. Links are recorded and never followed, and of what is mounted there only a tmpfs is entered.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
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

/// What makes `bundle` again: `path`, `config` (or `text`, where it is no JSON), `files` of the root file
/// system, and where there are any those `beside` it, and other owners than the usual.
pub(super) fn record(bundle: &Path, probe: &Path) -> Value {
    let mut seen = json!({"path": bundle});
    let text = contents(&bundle.join("config.json"), CONFIG).unwrap_or_default();
    let (name, config) = match serde_json::from_slice::<Value>(&text) {
        Ok(config) => ("config", config),
        Err(_) => ("text", String::from_utf8_lossy(&text).into_owned().into()),
    };
    let root = bundle.join("rootfs");
    let place = bundle.parent().unwrap_or(bundle);
    let tree = Tree::at(place, probe, &USUAL, Vec::new());
    seen[name] = config;
    seen["files"] = tree.as_ref().map_or(Vec::new(), |tree| tree.files(&root)).into();
    let known = ["rootfs", "config.json", "pid"].map(str::to_owned).to_vec();
    let beside = Tree::at(place, probe, &[], known).map_or(Vec::new(), |tree| tree.files(bundle));
    if !beside.is_empty() {
        seen["beside"] = beside.into();
    }
    for (name, path) in [("owner", bundle), ("rootOwner", root.as_path())] {
        let owner = path.symlink_metadata().ok().map(|found| (found.uid(), found.gid()));
        if let Some((uid, gid)) = owner.filter(|owner| tree.as_ref().is_some_and(|tree| tree.owner != *owner))
        {
            seen[name] = json!([uid, gid]);
        }
    }
    seen
}

/// What lies in the folder `place` of a case, but for `known` and what operations have printed.
pub(super) fn beside(place: &Path, probe: &Path, known: &[String]) -> Vec<Value> {
    let names = std::fs::read_dir(place).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let printed = |name: &String| name.ends_with(".out") || name.ends_with(".err");
    let skipped = names.filter(|name| printed(name) || known.contains(name)).collect();
    Tree::at(place, probe, &[], skipped).map_or(Vec::new(), |tree| tree.files(place))
}

/// A root file system, or what lies beside some.
struct Tree<'a> {
    /// The file system that it lies on.
    device: u64,
    /// Whose the folder of the case is; only what belongs to others has an owner worth telling.
    owner: (u32, u32),
    /// The probe.
    probe: Option<std::fs::Metadata>,
    /// Directories at the top that are entered and not told.
    usual: &'a [&'a str],
    /// Names at the top that are neither.
    skipped: Vec<String>,
}

impl<'a> Tree<'a> {
    fn at(place: &Path, probe: &Path, usual: &'a [&'a str], skipped: Vec<String>) -> Option<Tree<'a>> {
        let metadata = place.symlink_metadata().ok()?;
        let probe = probe.symlink_metadata().ok();
        let owner = (metadata.uid(), metadata.gid());
        Some(Tree { device: metadata.dev(), owner, probe, usual, skipped })
    }

    fn files(&self, root: &Path) -> Vec<Value> {
        let mut files = Vec::new();
        self.walk(root, "", DEPTH, &mut files);
        files
    }

    fn walk(&self, folder: &Path, name: &str, depth: usize, files: &mut Vec<Value>) {
        let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let Ok(metadata) = entry.path().symlink_metadata() else { continue };
            if files.len() >= FILES {
                return;
            }
            let own = entry.file_name().to_string_lossy().into_owned();
            let at_top = name.is_empty();
            if at_top && self.skipped.contains(&own) {
                continue;
            }
            let path = format!("{name}/{own}");
            let usual = at_top && metadata.is_dir() && self.usual.contains(&own.as_str());
            if !(usual || path == "/probe" && self.is_probe(&metadata)) {
                files.push(self.describe(&entry.path(), &path, &metadata));
            }
            if metadata.is_dir() && depth > 0 && self.is_within(&entry.path(), &metadata) {
                self.walk(&entry.path(), &path, depth - 1, files);
            }
        }
    }

    /// Whether it lies on the same file system, or on a tmpfs that a case has mounted. What the kernel makes
    /// up, as in proc, is not read.
    fn is_within(&self, path: &Path, metadata: &std::fs::Metadata) -> bool {
        const TMPFS: rustix::fs::FsWord = 0x0102_1994;
        // Of a link or a fifo the file system is not asked for: that would follow or open it.
        let plain = metadata.is_dir() || metadata.is_file();
        metadata.dev() == self.device || plain && rustix::fs::statfs(path).is_ok_and(|fs| fs.f_type == TMPFS)
    }

    /// Whether it is a link to the probe, or a copy: no other file is as large to the byte.
    fn is_probe(&self, metadata: &std::fs::Metadata) -> bool {
        let same = |probe: &std::fs::Metadata| {
            (probe.dev(), probe.ino()) == (metadata.dev(), metadata.ino())
                || (probe.len() == metadata.len() && probe.len() > TEXT)
        };
        metadata.is_file() && self.probe.as_ref().is_some_and(same)
    }

    fn describe(&self, file: &Path, path: &str, metadata: &std::fs::Metadata) -> Value {
        let mut seen = json!({"path": path, "mode": metadata.permissions().mode() & 0o7777});
        let (kind, value) = self.content(file, metadata);
        seen[kind] = value;
        if (metadata.uid(), metadata.gid()) != self.owner {
            seen["owner"] = json!([metadata.uid(), metadata.gid()]);
        }
        seen
    }

    fn content(&self, path: &Path, metadata: &std::fs::Metadata) -> (&'static str, Value) {
        let kind = metadata.file_type();
        if !self.is_within(path, metadata) {
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
        } else if kind.is_file() {
            ("size", metadata.len().into())
        } else {
            ("node", node(metadata).into())
        }
    }
}

/// A device or fifo as `mknod` is told of it; a socket, which it cannot make, is told as a fifo.
fn node(metadata: &std::fs::Metadata) -> String {
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return "p".to_owned(),
    };
    let device = metadata.rdev();
    format!("{kind} {} {}", rustix::fs::major(device), rustix::fs::minor(device))
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
        let probe = root.join("probe");
        std::fs::write(&probe, "program").unwrap();
        std::fs::hard_link(&probe, root.join("bin/hook")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("etc/link")).unwrap();
        std::fs::write(root.join("etc/deep/note"), "hello").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("mnt"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        std::fs::write(bundle.path().join("config.json"), r#"{"ociVersion": "1.3.0"}"#).unwrap();
        let seen = record(bundle.path(), &probe);
        assert_eq!(seen["config"], json!({"ociVersion": "1.3.0"}));
        let told: Vec<_> = seen["files"].as_array().unwrap().iter().map(|file| &file["path"]).collect();
        assert_eq!(told, ["/bin/hook", "/etc/deep", "/etc/deep/note", "/etc/link", "/mnt"]);
        assert_eq!(seen["files"][4]["node"], "p");
        assert_eq!(seen["files"][0]["probe"], true);
        assert_eq!(seen["files"][2]["text"], "hello");
        assert_eq!(seen["files"][3]["link"], "/nowhere");
        assert_eq!((seen.get("beside"), seen.get("owner")), (None, None));
        std::fs::write(bundle.path().join("note"), "beside").unwrap();
        assert_eq!(record(bundle.path(), &probe)["beside"][0]["path"], "/note");
    }

    #[test]
    fn what_lies_beside_bundles_is_told() {
        let place = tempfile::tempdir().unwrap();
        for name in ["bundle-1/rootfs", "state", "source/deep"] {
            std::fs::create_dir_all(place.path().join(name)).unwrap();
        }
        for name in ["bundle-1.out", "call-2.err", "source/witness"] {
            std::fs::write(place.path().join(name), "w").unwrap();
        }
        let seen =
            beside(place.path(), Path::new("/nonexistent"), &["bundle-1".to_owned(), "state".to_owned()]);
        let told: Vec<_> = seen.iter().map(|file| &file["path"]).collect();
        assert_eq!(told, ["/source", "/source/deep", "/source/witness"]);
        assert_eq!((&seen[2]["text"], seen[2].get("owner")), (&json!("w"), None));
    }

    #[test]
    fn what_is_no_json_is_kept_as_text() {
        let bundle = tempfile::tempdir().unwrap();
        std::fs::write(bundle.path().join("config.json"), "{").unwrap();
        let seen = record(bundle.path(), Path::new("/nonexistent"));
        assert_eq!((&seen["text"], seen.get("config")), (&json!("{"), None));
    }
}
