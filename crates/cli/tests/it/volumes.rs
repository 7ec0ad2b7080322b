//! Volumes of images: places for data, which the root file system has no part in.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use plimsoll_test_support::{Need, Tree, have};

use crate::{Sandbox, busybox_layout, shell};

/// Two layers that have content in `/srv/data`, where `/data` leads.
const MAKE: &str = r#"
    cp -r "$BUSYBOX" with && umoci unpack --image with:busybox b >/dev/null && cd b/rootfs
    mkdir -p srv/data/closed/inner etc/app && ln -s /srv/data data
    cd srv/data && echo first > kept && echo first > changed && echo gone > gone && ln kept closed/inner/same
    ln -s ../../etc/passwd link && mkfifo pipe && mknod null c 1 3 && truncate -s 5M sparse && echo end >> sparse
    echo secret > closed/inner/secret && chown 1000:1000 closed/inner/secret kept && chmod 0 closed/inner/secret
    chmod 4755 changed && chmod 1731 . && chown 999:998 . && chmod 0 closed && touch -d @1500000000.123456789 kept link closed .
    cd ../../../.. && umoci repack --image with:busybox b >/dev/null && cd b/rootfs/srv/data && rm gone
    echo second > changed && echo new > closed/new && touch -d @1600000000.5 changed closed/new closed . && cd ../../../..
    umoci repack --image with:busybox b >/dev/null && rm -r b
    umoci config --image with:busybox --config.volume /data --config.volume /new/place --config.volume /proc/x
    chmod -R a+rX with
"#;

/// A layout in `place` whose image has volumes with content and without.
pub(crate) fn layout_with_volumes(place: &Path) -> String {
    let script = format!("BUSYBOX={}\n{MAKE}", busybox_layout().display());
    shell(place, &script);
    format!("oci:{}/with:busybox", place.display())
}

/// A store whose image `with` has volumes.
fn sandbox() -> Option<Sandbox> {
    let sandbox = Sandbox::empty()?;
    import(&sandbox);
    Some(sandbox)
}

/// Brings the image `with` into the store.
pub(crate) fn import(sandbox: &Sandbox) {
    sandbox.must(&["import", &layout_with_volumes(sandbox.path()), "with"]);
}

fn run(sandbox: &Sandbox, options: &[&str], script: &str) -> String {
    sandbox.must(&[&["run"], options, &["with", "sh", "-c", script]].concat())
}

/// A container's name that no other test has at the same time: its cgroup is called so.
fn unique(name: &str) -> String {
    format!("volumes-{name}-{}", std::process::id())
}

fn container(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.path().join("store/snapshots/containers").join(name)
}

#[test]
fn what_is_written_there_is_not_written_to_the_root() {
    let Some(sandbox) = sandbox() else { return };
    let name = unique("written");
    let script = "cat /data/kept /data/changed; echo x > /data/mine; echo y > /new/place/mine; stat -c '%a %u %g' /new/place /data/; \
        grep -E ' (/srv/data|/new/place) ' /proc/self/mountinfo | while read a b c d e f g; do echo $e $f; done";
    let want = "first\nsecond\n755 0 0\n1731 999 998\n/srv/data rw,nosuid,nodev,relatime\n/new/place rw,nosuid,nodev,relatime\n";
    assert_eq!(run(&sandbox, &["--name", &name], script), want);
    let of = container(&sandbox, &name);
    assert_eq!(
        shell(&of, "cat volumes/0/mine volumes/1/mine; ls volumes; ls upper/new/place"),
        "x\ny\n0\n1\n"
    );
    assert!(!of.join("upper/srv").exists(), "the root file system has changed");
    let json: serde_json::Value = serde_json::from_str(&sandbox.must(&["inspect", &name])).unwrap();
    let mounts = json["config"]["mounts"].as_array().unwrap().iter();
    let own: Vec<_> =
        mounts.filter(|mount| mount["source"].as_str().unwrap().starts_with("volumes/")).collect();
    let options = serde_json::json!(["rbind", "rprivate", "rw", "nosuid", "nodev"]);
    assert_eq!(
        (own.len(), &own[0]["destination"], &own[0]["options"]),
        (2, &serde_json::json!("/data"), &options)
    );
    // Each container has its own, and they go with it.
    assert_eq!(run(&sandbox, &["--rm"], "ls /data /new/place | grep -c mine || true"), "0\n");
    sandbox.must(&["rm", &name]);
    assert!(!of.exists());
}

#[test]
fn a_volume_starts_as_the_image_has_it() {
    let Some(sandbox) = sandbox() else { return };
    let name = unique("starts");
    let place = sandbox.path();
    sandbox.must(&["unpack", "with", place.join("tree").to_str().unwrap()]);
    let whole = Tree::list(&place.join("tree/srv/data"));
    assert_eq!(whole.fact("closed/inner/same", "names"), Some("closed/inner/same kept"));
    run(&sandbox, &["--name", &name], "true");
    assert_eq!(whole.differences(&Tree::list(&container(&sandbox, &name).join("volumes/0"))), []);
    sandbox.must(&["bundle", "with", place.join("bundle").to_str().unwrap(), "true"]);
    for copy in ["bundle/rootfs/srv/data", "bundle/volumes/0"] {
        assert_eq!(whole.differences(&Tree::list(&place.join(copy))), [], "{copy}");
    }
}

#[test]
fn a_bundle_runs_from_anywhere() {
    let Some(sandbox) = sandbox() else { return };
    let bundle = sandbox.path().join("bundle");
    // A file of its own: some kernels keep others from writing to one that is not theirs in a directory for all.
    let script = "echo x >> /data/more && cat /data/kept /data/more && ls -d /new/place";
    sandbox.must(&["bundle", "--read-only", "with", bundle.to_str().unwrap(), "sh", "-c", script]);
    let own = Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("plimsoll-runtime");
    let others = have(&[Need::Program("runc")]).then(|| PathBuf::from("runc"));
    let mut want = "first\n".to_owned();
    for runtime in [own].into_iter().chain(others) {
        want.push_str("x\n");
        let name = format!("plimsoll-cli-volumes-{}", std::process::id());
        let mut command = Command::new(&runtime);
        command
            .arg("--root")
            .arg(sandbox.path().join("state"))
            .args(["run", "--bundle"])
            .arg(&bundle)
            .arg(name);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{want}/new/place\n"), "{said}");
    }
    assert_eq!(shell(&bundle, "cat rootfs/srv/data/kept"), "first\n");
}

#[test]
fn a_read_only_container_can_write_there() {
    let Some(sandbox) = sandbox() else { return };
    let script = "touch /data/x /new/place/x && echo done; touch /srv/x 2>/dev/null || echo refused";
    assert_eq!(run(&sandbox, &["--rm", "--read-only"], script), "done\nrefused\n");
}

#[test]
fn the_users_own_come_first() {
    let Some(sandbox) = sandbox() else { return };
    let name = unique("own");
    let place = sandbox.path();
    shell(place, "mkdir -p mine/data && echo mine > mine/file && echo mine > mine/data/file");
    let volume = |destination: &str| format!("{}/mine:{destination}", place.display());
    let with = |destination: &str, script: &str| {
        run(&sandbox, &["--rm", "--name", &name, "-v", &volume(destination)], script)
    };
    // In the same place, by whichever way.
    for destination in ["/data", "/srv/data", "/data/"] {
        assert_eq!(with(destination, "cat /data/file; ls /srv/data"), "mine\ndata\nfile\n", "{destination}");
    }
    assert_eq!(with("/data/closed/below", "cat /data/closed/below/file /data/kept"), "mine\nfirst\n");
    assert_eq!(
        with("/srv", "cat /srv/file /data/kept; ls /srv/data/file 2>/dev/null || echo hidden"),
        "mine\nfirst\nhidden\n"
    );
    let list = "find mine | sort";
    assert_eq!(shell(place, list), "mine\nmine/data\nmine/data/file\nmine/file\n");
}

#[test]
fn who_is_executed_later_sees_them() {
    let Some(sandbox) = sandbox() else { return };
    let name = unique("executed");
    let args =
        ["run", "--rm", "--name", &name, "with", "sh", "-c", "echo x > /data/mine; echo up; exec sleep 1000"];
    let mut running = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    assert_eq!(sandbox.must(&["exec", &name, "cat", "/data/mine", "/data/kept"]), "x\nfirst\n");
    sandbox.must(&["kill", &name]);
    assert_eq!(running.wait().unwrap().code(), Some(137));
    assert!(!container(&sandbox, &name).exists());
}

#[test]
fn a_place_that_is_none_is_named() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let place = sandbox.path();
    let rows = [
        ("/", "is the root file system itself"),
        ("/a/../../b", "leads through a parent directory"),
        ("/etc/passwd", "leads to what is no directory"),
    ];
    for (volume, why) in rows {
        let busybox = busybox_layout().display();
        shell(
            place,
            &format!(
                "rm -rf odd && cp -r {busybox} odd && umoci config --image odd:busybox --config.volume {volume}"
            ),
        );
        let source = format!("oci:{}/odd:busybox", place.display());
        let want = format!("plimsoll: make the bundle: the image's volume {volume:?} {why}");
        assert_eq!(sandbox.fails(&["run", "--rm", &source, "true"], 125), want);
        assert_eq!(
            sandbox.fails(&["bundle", &source, place.join("none").to_str().unwrap(), "true"], 125),
            want
        );
        assert!(!place.join("none").exists());
    }
}
