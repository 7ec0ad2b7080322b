//! Bad input: exit code 125, a message that names what failed, and nothing left; the sandbox checks the latter.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use plimsoll_test_support::{Need, have};

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
        (
            &["run", "--rm", "absent", "true"],
            "plimsoll: there is no image \"absent\"; `plimsoll images` lists what there is, `plimsoll import` brings more",
        ),
        (&["run", "--rm", "oci:/nonexistent:x", "true"], "/nonexistent"),
        (&["import", "busybox"], "is no source"),
        (
            &["exec", "absent", "true"],
            "plimsoll: there is no container \"absent\"; `plimsoll ps --all` lists what there is",
        ),
        (
            &["kill", "absent"],
            "plimsoll: there is no container \"absent\"; `plimsoll ps --all` lists what there is",
        ),
        (
            &["rm", "absent"],
            "plimsoll: there is no container \"absent\"; `plimsoll ps --all` lists what there is",
        ),
        (
            &["rmi", "absent"],
            "plimsoll: there is no image \"absent\"; `plimsoll images` lists what there is, `plimsoll import` brings more",
        ),
        (
            &["inspect", "absent"],
            "plimsoll: there is no container and no image \"absent\"; `plimsoll ps --all` and `plimsoll images` list what there is",
        ),
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

/// A small disk, what is done on it first, the command that fills it, what it says, and what is on the disk then.
struct Full {
    options: &'static str,
    before: &'static str,
    command: &'static str,
    want: &'static str,
    left: &'static str,
}

/// The image's blobs need 1.1 MiB, its tree 2.1.
const FULL: [Full; 7] = [
    Full {
        options: "size=1m",
        before: "",
        command: "--root small/store import oci:LAYOUT:busybox busybox",
        want: "import the image: make room for ",
        left: "find small/store/ingest small/store/blobs -type f -size +8k",
    },
    Full {
        options: "size=1m",
        before: "$plimsoll --root store import oci:LAYOUT:busybox busybox",
        command: "--root store unpack busybox small/target",
        want: "unpack \"bin/busybox\": write it: No space left on device",
        left: "find small -mindepth 1",
    },
    Full {
        options: "size=1m",
        before: "$plimsoll --root store import oci:LAYOUT:busybox busybox",
        command: "--root store bundle busybox small/target",
        want: "unpack \"bin/busybox\": write it: No space left on device",
        left: "find small -mindepth 1",
    },
    Full {
        options: "size=8m,nr_inodes=12",
        before: "$plimsoll --root store import oci:LAYOUT:busybox busybox",
        command: "--root store unpack busybox small/target",
        want: ": make it: No space left on device",
        left: "find small -mindepth 1",
    },
    Full {
        options: "size=2m",
        before: "$plimsoll --root small/store import oci:LAYOUT:busybox busybox",
        command: "--root small/store run --rm busybox true",
        want: "unpack \"bin/busybox\": write it: No space left on device",
        left: "find small/store/snapshots -mindepth 2 -not -name sha256",
    },
    Full {
        options: "size=8m",
        before: "$plimsoll --root small/store run --rm oci:LAYOUT:busybox true; cat /dev/zero > small/zeros || true",
        command: "--root small/store run --rm oci:LAYOUT:busybox true",
        want: "write snapshot.json: No space left on device",
        left: "find small/store/snapshots/staging small/store/snapshots/containers small/store/runtime -mindepth 1",
    },
    Full {
        options: "size=8m",
        before: "$plimsoll --root small/store import oci:LAYOUT:busybox busybox; cat /dev/zero > small/zeros || true",
        command: "--root small/store import oci:LAYOUT:busybox other",
        want: "write the names of images: No space left on device",
        left: "find small/store/ingest -mindepth 1",
    },
];

#[test]
fn a_full_disk() {
    let program = env!("CARGO_BIN_EXE_plimsoll");
    for Full { options, before, command, want, left } in FULL {
        let Some(sandbox) = Sandbox::empty() else { return };
        // A file system of its own, in a mount namespace that goes with the shell.
        let script = format!(
            "mkdir small && mount -t tmpfs -o {options} none small && plimsoll={program} && {{ true; {before}
            }} >/dev/null 2>&1; $plimsoll {command} 2>err; echo $?; {left}"
        );
        let script = script.replace("LAYOUT", &busybox_layout().display().to_string());
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .current_dir(sandbox.path())
            .output()
            .unwrap();
        let said = std::fs::read_to_string(sandbox.path().join("err")).unwrap();
        let unexpected = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "125\n", "{command}: {said} {unexpected}");
        assert!(said.contains(want) && said.contains("No space left on device"), "{command}: {said}");
    }
}

#[test]
fn a_user_who_may_do_nothing() {
    let Some(sandbox) = Sandbox::empty() else { return };
    if !have(&[Need::Program("setpriv"), Need::Program("unshare")]) {
        return;
    }
    let place = sandbox.path();
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_plimsoll"));
    shell(
        place,
        &format!(
            "chmod 755 . && mkdir home bin && chown 54321:54321 home && cp -r {} layout && chmod -R a+rX layout && cp {} {} bin",
            busybox_layout().display(),
            beside.display(),
            beside.with_file_name("plimsoll-runtime").display(),
        ),
    );
    // In a user namespace whose root forbids to make more; the shell waits until it is mapped.
    let inner = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --reuid 54321 --regid 54321 --clear-groups \
        bin/plimsoll --root home/store run --rm oci:layout:busybox true";
    let mut child = std::process::Command::new("unshare")
        .args(["-U", "sh", "-c", &format!("echo up; read line; exec sh -c '{inner}'")])
        .current_dir(place)
        .env("HOME", place.join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    let said = said.lines().last().unwrap();
    assert_eq!(
        said,
        "plimsoll-runtime: clone the container's process: no space left on device: \
         the limit of namespaces is reached; see /proc/sys/user/max_*_namespaces"
    );
    let left =
        "find home/store/snapshots/staging home/store/snapshots/containers home/store/runtime -mindepth 1";
    assert_eq!(shell(place, left), "");
}
