//! Bad input: exit code 125, a message that names what failed, and nothing left; the sandbox checks the latter.

use std::os::unix::fs::PermissionsExt as _;

use crate::{Sandbox, busybox_layout, shell};

/// A copy of the layout that may be broken.
fn copy(sandbox: &Sandbox) -> String {
    shell(sandbox.path(), &format!("cp -r {} copy", busybox_layout().display()));
    format!("oci:{}/copy:busybox", sandbox.path().display())
}

/// The largest blob of the copy, which is the layer.
fn layer(sandbox: &Sandbox) -> std::path::PathBuf {
    let blobs = std::fs::read_dir(sandbox.path().join("copy/blobs/sha256")).unwrap();
    blobs.map(|blob| blob.unwrap().path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn damaged_blobs() {
    type Damage = fn(&mut Vec<u8>);
    let rows: [(&str, Damage, &str); 3] = [
        ("corrupt", |bytes| bytes[1000] ^= 1, "digest mismatch"),
        ("truncated", |bytes| bytes.truncate(1000), "has 1000 bytes, its descriptor says"),
        ("oversized", |bytes| bytes.push(0), "bytes, its descriptor says"),
    ];
    for (name, damage, want) in rows {
        let Some(sandbox) = Sandbox::empty() else { return };
        let source = copy(&sandbox);
        let path = layer(&sandbox);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let said = sandbox.fails(&["run", "--rm", &source, "true"], 125);
        assert!(said.contains(want), "{name}: {said}");
        let blob = sandbox.path().join("store/blobs/sha256").join(path.file_name().unwrap());
        assert!(!blob.exists(), "{name}: the blob is visible");
        let ingest = std::fs::read_dir(sandbox.path().join("store/ingest")).unwrap().count();
        assert_eq!(ingest, 0, "{name}: half a blob is left");
    }
}

#[test]
fn a_blob_that_rots_in_the_store() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let blobs = std::fs::read_dir(sandbox.path().join("store/blobs/sha256")).unwrap();
    let layer =
        blobs.map(|blob| blob.unwrap().path()).max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&layer).unwrap();
    bytes[1000] ^= 1;
    std::fs::set_permissions(&layer, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&layer, bytes).unwrap();
    let said = sandbox.fails(&["run", "--rm", "busybox", "true"], 125);
    assert!(said.contains("digest mismatch"), "{said}");
    let target = sandbox.path().join("target");
    sandbox.fails(&["unpack", "busybox", target.to_str().unwrap()], 125);
    assert!(!target.exists());
    let bundle = sandbox.path().join("bundle");
    sandbox.fails(&["bundle", "busybox", bundle.to_str().unwrap()], 125);
    assert!(!bundle.exists());
}

#[test]
fn what_is_not_there() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let rows: [(&[&str], &str); 8] = [
        (&["run", "--rm", "absent", "true"], "find image \"absent\""),
        (&["run", "--rm", "oci:/nonexistent:x", "true"], "/nonexistent"),
        (&["import", "busybox"], "is no source"),
        (&["exec", "absent", "true"], "container \"absent\" has no snapshot"),
        (&["kill", "absent"], "container \"absent\" has no snapshot"),
        (&["rm", "absent"], "container \"absent\" has no snapshot"),
        (&["rmi", "absent"], "no image is called \"absent\""),
        (&["inspect", "absent"], "find a container or an image called \"absent\""),
    ];
    for (args, want) in rows {
        let said = sandbox.fails(args, 125);
        assert!(said.contains(want), "{args:?}: {said}");
    }
    let source = format!("oci:{}:unknown", busybox_layout().display());
    let said = sandbox.fails(&["run", "--rm", &source, "true"], 125);
    assert!(said.contains("unknown"), "{said}");
    let said = sandbox.fails(&["--runtime", "/nonexistent/runtime", "run", "--rm", "busybox", "true"], 125);
    assert!(said.contains("/nonexistent/runtime"), "{said}");
    let said = sandbox.fails(
        &["run", "--rm", "--platform", "linux/s390x", &source.replace(":unknown", ":busybox"), "true"],
        125,
    );
    assert!(said.contains("the image is for linux/amd64, not linux/s390x"), "{said}");
}

#[test]
fn a_full_disk() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let program = env!("CARGO_BIN_EXE_plimsoll");
    // A file system of its own, in a mount namespace that goes with the shell.
    let script = format!(
        "mkdir small && mount -t tmpfs -o size=1m none small && \
         {program} --root small/store run --rm oci:{}:busybox true 2>err; echo $?; cat err; ls small/store/ingest small/store/blobs/sha256",
        busybox_layout().display()
    );
    let output = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .current_dir(sandbox.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("125\n"), "{printed}");
    assert!(printed.contains("No space left on device"), "{printed}");
}
