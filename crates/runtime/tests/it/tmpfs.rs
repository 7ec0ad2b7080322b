//! What a tmpfs takes over from the directory that it covers.

use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode};
use serde_json::json;

use crate::Sandbox;

/// A container that covers `/full`, a tree of every kind of file, by a tmpfs with `options`.
fn covered(name: &str, options: &[&str], script: &str) -> Option<Sandbox> {
    let mut sandbox = Sandbox::new(name, script)?;
    let full = sandbox.bundle.path().join("rootfs/full");
    std::fs::create_dir_all(full.join("inner/most")).unwrap();
    std::fs::write(full.join("inner/most/file"), "deep\n").unwrap();
    std::fs::write(full.join("set"), "").unwrap();
    std::fs::set_permissions(full.join("set"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::os::unix::fs::chown(full.join("inner"), Some(7), Some(8)).unwrap();
    std::os::unix::fs::chown(full.join("inner/most/file"), Some(1000), Some(1001)).unwrap();
    symlink("../../../../etc/passwd", full.join("link")).unwrap();
    rustix::fs::mknodat(CWD, full.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    std::fs::write(full.join("large"), vec![b'x'; 300_000]).unwrap();
    std::fs::set_permissions(&full, PermissionsExt::from_mode(0o750)).unwrap();
    let mount = json!({"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": options});
    sandbox.bundle.config["mounts"].as_array_mut().unwrap().push(mount);
    Some(sandbox)
}

const LIST: &str = "cd /full; stat -c '%n %a %u:%g %F' . inner inner/most/file set pipe link; readlink link; \
                    cat inner/most/file; stat -c %s large; grep -c ' /full tmpfs ' /proc/mounts; touch new && echo writable";

#[test]
fn tmpcopyup_copies_the_tree() {
    let Some(sandbox) = covered("copyup", &["nosuid", "nodev", "tmpcopyup"], LIST) else { return };
    let want = ". 750 0:0 directory\ninner 755 7:8 directory\ninner/most/file 644 1000:1001 regular file\n\
                set 4751 0:0 regular empty file\npipe 640 0:0 fifo\nlink 777 0:0 symbolic link\n\
                ../../../../etc/passwd\ndeep\n300000\n1\nwritable\n";
    assert_eq!(sandbox.run(), want);
    assert!(!sandbox.bundle.path().join("rootfs/full/new").exists());
}

#[test]
fn a_copy_can_be_read_only() {
    let script = "cat /full/inner/most/file; touch /full/new 2>&1 | grep -c 'Read-only'";
    let Some(sandbox) = covered("copyro", &["ro", "tmpcopyup"], script) else { return };
    assert_eq!(sandbox.run(), "deep\n1\n");
}

#[test]
fn a_copy_that_does_not_fit_is_told() {
    let Some(sandbox) = covered("copyfull", &["tmpcopyup", "size=64k"], "true") else { return };
    let said = sandbox.must_fail(&["run", "ID"], 1);
    assert_eq!(
        said,
        "unable to start container process: mount \"tmpfs\" to \"/full\": no space left on device"
    );
}

#[test]
fn a_tmpfs_without_a_mode_has_that_of_what_it_covers() {
    let script = "stat -c %a /full; ls -A /full";
    let Some(sandbox) = covered("tmpmode", &["nosuid"], script) else { return };
    assert_eq!(sandbox.run(), "750\n");
    let Some(sandbox) = covered("tmpownmode", &["nosuid", "mode=711"], script) else { return };
    assert_eq!(sandbox.run(), "711\n");
}

#[test]
fn a_copy_is_made_in_a_user_namespace_too() {
    let Some(mut sandbox) =
        covered("copyuser", &["tmpcopyup"], "cd /full; stat -c '%a %u:%g' . inner inner/most/file")
    else {
        return;
    };
    let map = json!([{"containerID": 0, "hostID": 0, "size": 500}]);
    sandbox.bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    sandbox.bundle.config["linux"]["uidMappings"] = map.clone();
    sandbox.bundle.config["linux"]["gidMappings"] = map;
    // An owner that has no number here cannot be given to the copy.
    assert_eq!(sandbox.run(), "750 0:0\n755 7:8\n644 0:0\n");
}
