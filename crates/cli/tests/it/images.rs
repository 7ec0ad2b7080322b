//! `import`, `images`, `inspect`, `unpack`, `bundle`, `rmi`, with images of other tools.

use plimsoll_test_support::{Need, have};

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
