//! Converters that are wrong in one way each.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::image::consumer::{Fault, Mutant, mutant};

use super::{PREFIX, layout, name_of};

/// Every mutant of converters.
pub fn mutants() -> Vec<Mutant> {
    [verbatim(), users(), implied(), annotations(), optional()].into_iter().flatten().collect()
}

/// One that writes another configuration.
fn writes(
    name: &str,
    breaks: &'static str,
    rows: &'static [&'static str],
    cases: &'static [&'static str],
    edit: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Mutant {
    mutant(format!("converter/{name}"), breaks, rows, cases, Fault::Writes(Arc::new(edit)))
}

/// The list of variables, to be changed.
fn variables(config: &mut Value, edit: impl FnOnce(&mut Vec<Value>)) {
    if let Some(list) = config.pointer_mut("/process/env").and_then(Value::as_array_mut) {
        edit(list);
    }
}

fn verbatim() -> Vec<Mutant> {
    vec![
        writes(
            "image-ignored",
            "It starts from a configuration of its own.",
            &["IMG-C12", "IMG-V01", "IMG-V02", "IMG-V03", "IMG-V04", "IMG-V05"],
            &["convert/full"],
            |v| {
                v["process"]["args"] = json!(["sh"]);
                v["process"]["cwd"] = json!("/");
                v["process"]["env"] = json!([]);
            },
        ),
        writes(
            "directory-ignored",
            "It begins in the root.",
            &["IMG-C12", "IMG-V03"],
            &["convert/full"],
            |v| v["process"]["cwd"] = json!("/"),
        ),
        writes(
            "arguments-first",
            "It puts Cmd in front of Entrypoint.",
            &["IMG-V01", "IMG-V05"],
            &["convert/full"],
            |v| {
                if let Some(args) = v["process"]["args"].as_array_mut() {
                    args.rotate_left(2);
                }
            },
        ),
        writes(
            "own-path",
            "Its own PATH takes the place of the image's.",
            &["IMG-V02", "IMG-V03"],
            &["convert/full"],
            |v| {
                variables(v, |list| {
                    let path = list.iter_mut().find(|one| one.as_str().map(name_of) == Some("PATH"));
                    path.into_iter().for_each(|path| *path = json!("PATH=/usr/bin"));
                });
            },
        ),
        writes(
            "variable-again",
            "It adds a variable that the image has, with the same value.",
            &["IMG-V04"],
            &["convert/full"],
            |v| variables(v, |list| list.push(json!("PATH=/bin:/sbin"))),
        ),
        writes(
            "variables-sorted",
            "It sorts variables.",
            &["IMG-V03"],
            &["convert/full", "convert/repeated-variable"],
            |v| variables(v, |list| list.sort_by(|left, right| left.as_str().cmp(&right.as_str()))),
        ),
        writes(
            "through-a-shell",
            "It has a shell between.",
            &["IMG-C13", "IMG-V03"],
            &["convert/entrypoint-alone", "convert/cmd-alone", "convert/nulls"],
            |v| {
                if let Some(args) = v["process"]["args"].as_array_mut() {
                    args.splice(0..0, [json!("/bin/sh"), json!("-c")]);
                }
            },
        ),
    ]
}

fn users() -> Vec<Mutant> {
    vec![
        writes(
            "user-ignored",
            "Everything runs as root.",
            &["IMG-V15", "IMG-V16", "IMG-V17"],
            &[
                "convert/user-numbers",
                "convert/user-number",
                "convert/user-name",
                "convert/user-name-and-",
                "convert/user-number-and-",
            ],
            |v| {
                v["process"]["user"]["uid"] = json!(0);
                v["process"]["user"]["gid"] = json!(0);
            },
        ),
        writes(
            "no-groups",
            "It does not look for further groups.",
            &["IMG-V18"],
            &["convert/user-name"],
            |v| v["process"]["user"]["additionalGids"] = json!([]),
        ),
        writes(
            "groups-always",
            "It adds groups to users that are numbers, and beside a group that is given.",
            &["IMG-V19"],
            &["convert/user-numbers", "convert/user-name-and-group", "convert/user-name-and-number"],
            |v| v["process"]["user"]["additionalGids"] = json!([2001, 2002]),
        ),
        mutant(
            "converter/unknown-user-is-root",
            "It takes a user that there is not for root.",
            &["IMG-V20"],
            &["convert/user-unknown"],
            Fault::Reads(|| layout(|_| {})),
        ),
    ]
}

/// What each field of an image implies, left out.
fn implied() -> Vec<Mutant> {
    let fields: [(&str, &'static [&'static str]); 8] = [
        ("os", &["IMG-V07"]),
        ("architecture", &["IMG-V08"]),
        ("variant", &["IMG-V09"]),
        ("os.version", &["IMG-V10"]),
        ("os.features", &["IMG-V11"]),
        ("author", &["IMG-V12"]),
        ("created", &["IMG-V13"]),
        ("stopSignal", &["IMG-V14"]),
    ];
    let mutant = |(field, rows): (&'static str, _)| {
        let breaks = "It leaves out the annotation that the field implies.";
        writes(&format!("no-annotation-{field}"), breaks, rows, &["convert/annotations"], move |v| {
            let annotations = v["annotations"].as_object_mut();
            drop(annotations.map(|all| all.remove(&format!("{PREFIX}{field}"))));
        })
    };
    fields.into_iter().map(mutant).collect()
}

fn annotations() -> Vec<Mutant> {
    vec![
        writes(
            "annotations-of-manifests",
            "It takes annotations from the manifest too.",
            &["IMG-V27", "IMG-V28"],
            &["convert/annotations", "convert/labels"],
            |v| v["annotations"]["com.example.manifest"] = json!("m"),
        ),
        writes(
            "fields-before-labels",
            "What a field implies wins over a label.",
            &["IMG-V06", "IMG-V28"],
            &["convert/labels"],
            |v| {
                for (name, value) in [("author", "the field"), ("os", "linux"), ("stopSignal", "SIGTERM")] {
                    v["annotations"][format!("{PREFIX}{name}")] = json!(value);
                }
            },
        ),
        writes(
            "labels-trimmed",
            "It takes white space off labels.",
            &["IMG-V29"],
            &["convert/labels"],
            |v| v["annotations"]["com.example.label"] = json!("as it is"),
        ),
        writes(
            "empty-labels-dropped",
            "It leaves empty labels out.",
            &["IMG-V29"],
            &["convert/labels"],
            |v| drop(v["annotations"].as_object_mut().map(|all| all.remove("com.example.empty"))),
        ),
        writes(
            "ports-before-labels",
            "ExposedPorts wins over a label.",
            &["IMG-V26"],
            &["convert/labels"],
            |v| v["annotations"][format!("{PREFIX}exposedPorts")] = json!("80/tcp"),
        ),
    ]
}

fn optional() -> Vec<Mutant> {
    vec![
        writes(
            "one-port",
            "It names the first port only.",
            &["IMG-V21", "IMG-V22", "IMG-V26"],
            &["convert/ports"],
            |v| v["annotations"][format!("{PREFIX}exposedPorts")] = json!("443/tcp"),
        ),
        writes(
            "no-volumes",
            "It mounts no volumes.",
            &["IMG-V21", "IMG-V23", "IMG-V24"],
            &["convert/volumes"],
            |v| {
                if let Some(mounts) = v["mounts"].as_array_mut() {
                    mounts.retain(|mount| mount["destination"] != "/data");
                }
            },
        ),
    ]
}
