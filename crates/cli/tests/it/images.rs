//! `import`, `images`, `inspect`, `unpack`, `bundle`, `rmi`, with images of other tools.

use plimsoll_test_support::{Need, at_terminal, have};

use crate::{Sandbox, busybox_layout, shell};

#[test]
fn archives_of_skopeo_are_imported_and_run() {
    let Some(sandbox) = Sandbox::empty() else { return };
    if !have(&[Need::Program("skopeo")]) {
        return;
    }
    let layout = busybox_layout().display();
    shell(
        sandbox.path(),
        &format!(
            "skopeo copy -q --insecure-policy oci:{layout}:busybox oci-archive:a.tar:one && \
         skopeo copy -q --insecure-policy oci:{layout}:busybox docker-archive:d.tar:example/two:tag && \
         skopeo copy -q --insecure-policy oci:{layout}:busybox oci:copy:three"
        ),
    );
    for (source, name) in
        [("oci-archive:a.tar", "one"), ("docker-archive:d.tar", "two"), ("oci:copy:three", "three")]
    {
        let (transport, file) = source.split_once(':').unwrap();
        let source = format!("{transport}:{}/{file}", sandbox.path().display());
        sandbox.must(&["import", &source, name]);
        assert_eq!(sandbox.must(&["run", "--rm", name, "sh", "-c", "echo $FROM"]), "image\n", "{source}");
    }
    assert_eq!(sandbox.must(&["images", "-q"]), "one\nthree\ntwo\n");
    for name in ["one", "two", "three"] {
        sandbox.must(&["rmi", name]);
    }
    assert_eq!(std::fs::read_dir(sandbox.path().join("store/blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn an_image_of_buildah_is_run() {
    let Some(sandbox) = Sandbox::empty() else { return };
    if !have(&[Need::Program("buildah")]) {
        return;
    }
    let busybox = plimsoll_test_support::find_program("busybox").unwrap();
    let place = sandbox.path().display();
    shell(
        sandbox.path(),
        &format!(
            "export STORAGE_DRIVER=vfs; b=\"buildah --root {place}/storage --runroot {place}/runroot\"; \
         c=$($b from scratch); $b copy -q $c {} /bin/sh >/dev/null; $b config --cmd '[\"/bin/sh\",\"-c\",\"echo from buildah\"]' $c; \
         $b commit -q $c oci:{place}/built:it >/dev/null; $b rm $c >/dev/null; rm -rf {place}/storage {place}/runroot",
            busybox.display(),
        ),
    );
    assert_eq!(sandbox.must(&["run", "--rm", &format!("oci:{place}/built:it")]), "from buildah\n");
}

#[test]
fn an_unpacked_tree_is_umocis() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let place = sandbox.path();
    sandbox.must(&["unpack", "busybox", place.join("ours").to_str().unwrap()]);
    shell(place, &format!("umoci raw unpack --image {}:busybox theirs", busybox_layout().display()));
    let listing = "find . -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort";
    let (ours, theirs) = (shell(&place.join("ours"), listing), shell(&place.join("theirs"), listing));
    assert_eq!(ours, theirs);
    shell(place, "diff -r --no-dereference ours theirs");
    let said = sandbox.fails(&["unpack", "busybox", place.join("ours").to_str().unwrap()], 125);
    assert!(said.contains("File exists"), "{said}");
}

#[test]
fn a_bundle_runs_under_other_runtimes() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    if !have(&[Need::Program("runc")]) {
        return;
    }
    let bundle = sandbox.path().join("bundle");
    let path = bundle.to_str().unwrap();
    sandbox.must(&["bundle", "-e", "A=b", "busybox", path, "sh", "-c", "echo $A $FROM; exit 9"]);
    let id = format!("plimsoll-cli-bundle-{}", std::process::id());
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("plimsoll-runtime");
    for program in ["runc", own.to_str().unwrap()] {
        let output = std::process::Command::new(program)
            .arg("--root")
            .arg(sandbox.path().join("state"))
            .args(["run", "--bundle", path, &id])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "b image\n", "{program}: {said}");
        assert_eq!(output.status.code(), Some(9), "{program}: {said}");
    }
    let said = sandbox.fails(&["bundle", "busybox", path], 125);
    assert!(said.contains("File exists"), "{said}");
}

#[test]
fn lists_are_for_people_and_for_programs() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let table = sandbox.must(&["images"]);
    let header: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "DIGEST", "PLATFORM", "SIZE"]);
    let list: serde_json::Value =
        serde_json::from_str(&sandbox.must(&["images", "--format", "json"])).unwrap();
    assert_eq!(list[0]["name"], "busybox");
    let shown: serde_json::Value = serde_json::from_str(&sandbox.must(&["inspect", "busybox"])).unwrap();
    assert_eq!(shown["manifest"]["layers"].as_array().unwrap().len(), 1);
    assert_eq!(shown["image"]["digest"], list[0]["digest"]);
}

#[test]
fn progress_is_a_bar_at_a_terminal_and_lines_elsewhere() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let place = sandbox.path();
    shell(
        place,
        "umoci init --layout oci && umoci new --image oci:big && umoci unpack --image oci:big b >/dev/null && \
         head -c 3000000 /dev/urandom > b/rootfs/file && umoci repack --image oci:big b >/dev/null",
    );
    // The layer is by far the largest blob.
    let layer = shell(place, "ls -S oci/blobs/sha256 | head -n 1 | cut -c 1-12");
    let layer = layer.trim();
    let source = format!("oci:{}/oci:big", place.display());
    let out = |name: &str| place.join(name).display().to_string();
    let said = |args: &[&str]| {
        let output = sandbox.call(args);
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(said(&["import", &source, "big"]), format!("import {layer} (2.86 MiB)\n"));
    assert_eq!(said(&["unpack", "big", &out("lines")]), "unpack (2.86 MiB)\n");
    // What is there already is not read again.
    assert_eq!(said(&["import", &source, "big"]), "");
    sandbox.must(&["rmi", "big"]);
    assert_eq!(said(&["--format", "json", "import", &source, "big"]), "");
    assert_eq!(said(&["--format", "json", "unpack", "big", &out("json")]), "");
    sandbox.must(&["rmi", "big"]);
    for (verb, name) in [
        (format!("import {source} big"), format!("import {layer}")),
        (format!("unpack big {}", out("bar")), "unpack".to_owned()),
    ] {
        let mut command = sandbox.command(&verb.split(' ').collect::<Vec<_>>());
        command.env("TERM", "xterm");
        let (drawn, status) = at_terminal(command, 24, 80);
        assert!(status.success(), "{drawn}");
        assert!(
            drawn.contains(&name) && drawn.contains('\u{2588}') && drawn.contains("/2.86 MiB"),
            "{drawn}"
        );
        assert!(!drawn.contains("(2.86 MiB)"), "{drawn}");
    }
}
