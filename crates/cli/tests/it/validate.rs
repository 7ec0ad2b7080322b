//! `validate` and the judges of images and digests, by the command line.

use std::process::{Command, Output};

use plimsoll_test_support::{Need, have};

use crate::busybox_layout;

fn plimsoll(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_layout_is_valid_until_something_is_broken() {
    if !have(&[Need::Root, Need::Program("busybox"), Need::Program("umoci")]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    let path = layout.to_str().unwrap();
    let copied = Command::new("cp").arg("-a").args([busybox_layout(), &layout]).status().unwrap();
    assert!(copied.success());
    let output = plimsoll(&["validate", path]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains(": 0 errors, "));
    // It says no platform, which is a recommendation.
    assert_eq!(plimsoll(&["validate", "--strict", path]).status.code(), Some(1));
    let results = dir.path().join("results.json");
    let output = plimsoll(&["conformance", "image", path, "-o", results.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(std::fs::read(&results).unwrap().starts_with(b"{\"cases\":"));

    std::fs::write(layout.join("oci-layout"), "[]").unwrap();
    let output = plimsoll(&["validate", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains(
        "error IMG-L04 (MUST): oci-layout is no JSON object\n  oci-layout\n  write an object into oci-layout"
    ));
    assert!(!text(&output.stdout).contains('\x1b'), "colour is for terminals");
    let json: serde_json::Value =
        serde_json::from_slice(&plimsoll(&["validate", "--format", "json", path]).stdout).unwrap();
    assert_eq!(json["findings"][0]["id"], "IMG-L04");
    let sarif: serde_json::Value =
        serde_json::from_slice(&plimsoll(&["validate", "--to", "sarif", path]).stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "IMG-L04");
    let output = plimsoll(&["validate", dir.path().join("none").to_str().unwrap()]);
    assert_eq!((output.status.code(), text(&output.stderr).starts_with("plimsoll: read ")), (Some(2), true));
}

#[test]
fn our_own_digests_and_unpacker_conform() {
    let program = env!("CARGO_BIN_EXE_plimsoll");
    let output =
        plimsoll(&["conformance", "digest", "--command", &format!("{program} conformance digest-adapter")]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    if !have(&[Need::Root]) {
        return;
    }
    let unpack = format!("{program} --root {{scratch}} unpack oci:{{layout}}:{{ref}} {{target}}");
    let output = plimsoll(&["conformance", "unpacker", "--command", &unpack]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let bundle = format!("{program} --root {{scratch}} bundle oci:{{layout}}:{{ref}} {{target}}");
    let output = plimsoll(&["conformance", "converter", "--rootfs", "rootfs", "--command", &bundle]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let said = |args: &[&str]| {
        let output = plimsoll(args);
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(
        said(&["conformance", "unpacker", "nobody"]),
        (Some(2), "plimsoll: no unpacker is known as \"nobody\"; there are umoci, oci-image-tool, skopeo+tar, plimsoll\n".to_owned())
    );
    assert_eq!(
        said(&["conformance", "converter", "--command", "x {layout}"]),
        (Some(2), "plimsoll: the command \"x {layout}\" has no {target}\n".to_owned())
    );
    let explained = text(&plimsoll(&["conformance", "explain", "IMG-Y12"]).stdout);
    assert!(explained.contains("tested by whiteout/opaque, "), "{explained}");
}
