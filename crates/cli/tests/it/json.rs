//! `--format json`: one document on standard output for what was done, one object on standard error for what failed.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::{Sandbox, busybox_layout};

/// What a command that must succeed printed; standard error stays empty.
fn done(sandbox: &Sandbox, args: &[&str]) -> Value {
    let output = sandbox.call(&[args, &["--format", "json"]].concat());
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
        (Some(0), ""),
        "{args:?}"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command that must fail printed to either stream; the exit code is the one that it names.
fn failed(sandbox: &Sandbox, args: &[&str]) -> (String, Value) {
    let output = sandbox.call(&[&["--format", "json"], args].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    let failure: Value = serde_json::from_str(&said).unwrap_or_else(|e| panic!("{args:?}: {e}: {said}"));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(output.status.code().map(Value::from), Some(failure["code"].clone()), "{said}");
    (String::from_utf8(output.stdout).unwrap(), failure)
}

fn failure(error: &str, code: u8) -> Value {
    json!({"error": error, "code": code})
}

#[test]
fn verbs_about_images_say_what_they_did() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let source = format!("oci:{}:busybox", busybox_layout().display());
    let image = done(&sandbox, &["import", &source, "one"]);
    assert_eq!(image["name"], "one");
    assert_eq!(
        image.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["digest", "id", "name", "platform", "size"]
    );
    assert_eq!(done(&sandbox, &["images"]), json!([image]));
    assert_eq!(done(&sandbox, &["images", "-q"]), json!(["one"]));
    assert_eq!(done(&sandbox, &["inspect", "one"])["image"], image);
    for verb in ["unpack", "bundle"] {
        let directory = sandbox.path().join(verb);
        let directory = directory.to_str().unwrap();
        let made = json!({"image": "one", "digest": image["digest"], "directory": directory});
        assert_eq!(done(&sandbox, &[verb, "one", directory]), made);
    }
    done(&sandbox, &["import", &source, "two"]);
    let (printed, said) = failed(&sandbox, &["rmi", "two", "absent", "one"]);
    let two = json!([{"name": "two", "blobs": 0, "bytes": 0, "layers": 0}]);
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), two);
    let hint = "`plimsoll images` lists what there is, `plimsoll import` brings more";
    assert_eq!(said, failure(&format!("there is no image \"absent\"; {hint}"), 125));
    let one = json!([{"name": "one", "blobs": 3, "bytes": image["size"], "layers": 0}]);
    assert_eq!(done(&sandbox, &["rmi", "one"]), one);
    assert_eq!(done(&sandbox, &["images"]), json!([]));
}

#[test]
fn verbs_about_containers_say_what_they_did() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let args =
        ["run", "--format", "json", "--name", "box", "busybox", "sh", "-c", "echo up; exec sleep 1000"];
    let mut running = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // What the container prints is handed on as it is.
    assert_eq!(line, "up\n");
    let list = done(&sandbox, &["ps"]);
    assert_eq!((&list[0]["name"], &list[0]["status"]), (&json!("box"), &json!("running")));
    assert_eq!(done(&sandbox, &["ps", "-q"]), json!(["box"]));
    assert_eq!(done(&sandbox, &["inspect", "box"])["container"], list[0]);
    let (printed, said) = failed(&sandbox, &["rm", "box"]);
    assert_eq!(printed, "[]\n");
    assert_eq!(said, failure("container box is running; kill it first, or use --force", 125));
    assert_eq!(done(&sandbox, &["kill", "box"]), json!([{"name": "box", "signal": "KILL"}]));
    assert_eq!(running.wait().unwrap().code(), Some(137));
    assert_eq!(done(&sandbox, &["rm", "box"]), json!([{"name": "box"}]));
    assert_eq!(done(&sandbox, &["ps", "--all"]), json!([]));
}

#[test]
fn failures_are_one_object() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let start = "unable to start container process: exec: ";
    let rows: [(&[&str], &str, u8); 9] = [
        (
            &["run", "--rm", "busybox", "nope"],
            &format!("{start}\"nope\": executable file not found in $PATH"),
            127,
        ),
        (
            &["run", "--rm", "busybox", "/etc/plain"],
            &format!("{start}\"/etc/plain\": permission denied"),
            126,
        ),
        (&["run", "--frob"], "unexpected argument '--frob' found", 125),
        (
            &["run", "--memory", "12q", "busybox"],
            "invalid value '12q' for '--memory <BYTES>': unknown suffix \"q\"; use k, m or g",
            125,
        ),
        (
            &["run", "-v", "data:/data", "busybox"],
            "volume \"data:/data\": the source is no path that starts with / or ., and volumes with names are not kept here",
            125,
        ),
        (
            &["--runtime", "/nonexistent", "run", "busybox"],
            "there is no runtime /nonexistent; --runtime or PLIMSOLL_RUNTIME names it",
            125,
        ),
        (
            &["exec", "box", "true"],
            "there is no container \"box\"; `plimsoll ps --all` lists what there is",
            125,
        ),
        (&["nope"], "unrecognized subcommand 'nope'", 125),
        (
            &["run", "--name", "a/b", "busybox"],
            "unpack the image: invalid container id \"a/b\"; it takes letters, digits and _.+-, the first no dot",
            125,
        ),
    ];
    for (args, error, code) in rows {
        assert_eq!(failed(&sandbox, args), (String::new(), failure(error, code)), "{args:?}");
    }
    // A container's own exit code is no failure of ours.
    let output =
        sandbox.call(&["--format", "json", "run", "--rm", "busybox", "sh", "-c", "echo own >&2; exit 3"]);
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(3), b"own\n".as_slice()));
    assert_eq!(sandbox.must(&["ps", "-aq"]), "");
}

#[test]
fn people_read_lines() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    for verb in ["unpack", "bundle"] {
        let directory = sandbox.path().join(verb);
        assert_eq!(sandbox.must(&[verb, "busybox", directory.to_str().unwrap()]), "");
    }
    for name in ["one", "two"] {
        sandbox.must(&["run", "--name", name, "busybox", "true"]);
    }
    assert_eq!(sandbox.must(&["rm", "one", "two"]), "one\ntwo\n");
    let help = sandbox.must(&["--help"]);
    assert!(help.contains(r#"{"error": "...", "code": 125}"#), "{help}");
}
