//! What a converter makes of image configurations: rows of conversion.md.
//!
//! Only what the text fixes is asked for; where config.md and conversion.md differ, either will do.

mod mutants;

use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::{Evidence, Judge};
use crate::verdict::Judgement;

use super::consumer::Stage;
use super::descriptor::{CONFIG, MANIFEST};
use super::golden::pack::{Item, archive};
use super::golden::{self, Golden, LAYER, Maker, index, manifest, platform, with};
use super::want::{refused, unless_refused};

pub use mutants::mutants;

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    [verbatim(), users(), annotations(), optional()].into_iter().flatten().collect()
}

const PREFIX: &str = "org.opencontainers.image.";

/// A layout of one image whose configuration `change` changes.
fn layout(change: impl Fn(&mut Value)) -> Golden {
    let mut maker = Maker::new(&|_, _| {});
    let files = [
        Item::directory("etc"),
        Item::file(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\n\
             alice:x:1001:1002:Alice:/home/alice:/bin/sh\n\
             bob:x:1003:1003::/:/bin/sh\n",
        ),
        Item::file(
            "etc/group",
            "root:x:0:\nalice:x:1002:\nstaff:x:2000:alice,bob\naudio:x:2001:alice\nother:x:2002:bob\n",
        ),
        Item::directory("work"),
        Item::directory("data"),
        Item::file("bin", "x").mode(0o755),
    ];
    let (layer, id) = maker.layer("0", &format!("{LAYER}+gzip"), archive(&files));
    let base = json!({
        "created": "2020-01-02T03:04:05Z",
        "config": {"Cmd": ["/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [id]},
    });
    let mut config = with(base, &platform());
    change(&mut config);
    let config = maker.document("config", CONFIG, &config);
    let annotated = with(manifest(&config, &[layer]), &json!({"annotations": {"com.example.manifest": "m"}}));
    let image = maker.document("manifest", MANIFEST, &annotated);
    maker.finish(&with(
        index(&[golden::named(image, "v1")]),
        &json!({"annotations": {"com.example.index": "i"}}),
    ))
}

fn case(name: &str, change: impl Fn(&mut Value) + Send + Sync + Copy + 'static) -> Case<Stage> {
    Case::new(format!("convert/{name}"), move |stage: &mut Stage| stage.consume("out", &layout(change)))
}

/// The configuration that was written has, at `pointer`, what `test` wants.
fn configuration(
    pointer: &str,
    expected: &str,
    test: impl Fn(&Value) -> bool + Send + Sync + 'static,
) -> Judge {
    let (pointer, expected) = (pointer.to_owned(), expected.to_owned());
    Box::new(move |evidence: &Evidence| {
        if evidence.at("/out/ok") != Some(&Value::Bool(true)) {
            let ran = evidence.at("/out/run").map_or("it was not run".to_owned(), crate::evidence::describe);
            return Judgement::of(false, "the image is converted", ran);
        }
        if !evidence.at("/out/config").is_some_and(Value::is_object) {
            return Judgement::of(false, "there is a config.json", "there is none, or it is no JSON object");
        }
        let value = evidence.at(&format!("/out/config{pointer}")).cloned().unwrap_or_default();
        Judgement::of(test(&value), format!("{pointer} {expected}"), value.to_string())
    })
}

fn equals(pointer: &str, want: impl Into<Value>) -> Judge {
    let want = want.into();
    configuration(pointer, &format!("is {want}"), move |value| *value == want)
}

fn annotation(name: &str, want: &str) -> Judge {
    equals(&format!("/annotations/{PREFIX}{name}"), want)
}

/// The strings of `wanted` stand in the list, in their order.
fn in_order(list: &Value, wanted: &[&str]) -> bool {
    let mut found = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    wanted.iter().all(|want| found.any(|one| one == *want))
}

/// What stands before the sign of equality.
fn name_of(variable: &str) -> &str {
    variable.split('=').next().unwrap_or_default()
}

/// The entries of the list that have the names of `wanted`.
fn of_names<'a>(list: &'a Value, wanted: &[&str]) -> Vec<&'a str> {
    let names: Vec<&str> = wanted.iter().map(|one| name_of(one)).collect();
    let found = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    found.filter(|one| names.contains(&name_of(one))).collect()
}

const ENV: [&str; 4] = ["PATH=/bin:/sbin", "EMPTY=", "EQUALS=a=b", "HOME=/somewhere"];
const REPEATED: [&str; 3] = ["A=1", "B=2", "A=3"];

fn verbatim() -> Vec<Case<Stage>> {
    let args = |want: &[&str]| equals("/process/args", json!(want));
    let env = |expected: &str, test: fn(&Value) -> bool| configuration("/process/env", expected, test);
    let full = case("full", |v| {
        v["config"] = json!({
            "WorkingDir": "/work",
            "Env": ENV,
            "Entrypoint": ["/bin", "-e"],
            "Cmd": ["c d", ""],
        });
    });
    let full = full
        .rule("IMG-V01", args(&["/bin", "-e", "c d", ""]))
        .rule("IMG-V03", equals("/process/cwd", "/work"))
        .rule("IMG-V03", env("has the image's variables in their order", |v| in_order(v, &ENV)))
        .rule(
            "IMG-V02",
            env("neither lacks nor changes a variable of the image", |v| {
                ENV.iter().all(|one| of_names(v, &ENV).contains(one))
                    && of_names(v, &ENV).iter().all(|one| ENV.contains(one))
            }),
        )
        .rule("IMG-V04", env("has each variable of the image once", |v| of_names(v, &ENV).len() == ENV.len()))
        .rule("IMG-V05", args(&["/bin", "-e", "c d", ""]))
        .rule("IMG-C12", equals("/process/cwd", "/work"));
    let repeated = case("repeated-variable", |v| v["config"]["Env"] = json!(REPEATED))
        .rule("IMG-V03", env("has the image's variables in their order", |v| in_order(v, &REPEATED)));
    let entrypoint = case("entrypoint-alone", |v| v["config"] = json!({"Entrypoint": ["/bin", "x"]}))
        .rule("IMG-V03", args(&["/bin", "x"]));
    let cmd = case("cmd-alone", |v| v["config"] = json!({"Cmd": ["/bin", "y"]}))
        .rule("IMG-V03", args(&["/bin", "y"]))
        .rule("IMG-C13", equals("/process/args/0", "/bin"));
    let nulls = case("nulls", |v| {
        v["config"] = json!({
            "Cmd": ["/bin"],
            "Entrypoint": null,
            "Env": null,
            "Labels": null,
            "Volumes": null,
            "ExposedPorts": null,
        });
    });
    vec![full, repeated, entrypoint, cmd, nulls.rule("IMG-V03", args(&["/bin"]))]
}

fn users() -> Vec<Case<Stage>> {
    let user = |name: &'static str, value: &'static str| {
        Case::new(format!("convert/user-{name}"), move |stage: &mut Stage| {
            stage.consume("out", &layout(|v| v["config"]["User"] = json!(value)))
        })
    };
    let named = |judge| {
        unless_refused("out", "names of users and groups are looked up by recommendation only", judge)
    };
    let groups = |want: &'static [u64]| {
        configuration("/process/user/additionalGids", &format!("has the groups {want:?}"), move |value| {
            // The user's own group may stand among them: it makes no difference to anybody.
            let found: Vec<u64> = value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let own = [1002, 1003];
            want.iter().all(|gid| found.contains(gid))
                && found.iter().all(|gid| want.contains(gid) || own.contains(gid))
        })
    };
    let untouched = || {
        configuration("/process/user/additionalGids", "is absent or empty", |value| {
            // The group that was given may stand among them: it makes no difference to anybody.
            let own = [json!(2000), json!(1234)];
            value.is_null() || value.as_array().is_some_and(|list| list.iter().all(|gid| own.contains(gid)))
        })
    };
    vec![
        user("numbers", "1234:2345")
            .rule("IMG-V16", equals("/process/user/uid", 1234))
            .rule("IMG-V16", equals("/process/user/gid", 2345))
            .rule("IMG-V15", equals("/process/user/uid", 1234))
            .rule(
                "IMG-V19",
                configuration("/process/user/additionalGids", "is absent or empty", |v| {
                    v.is_null() || *v == json!([]) || *v == json!([2345])
                }),
            ),
        user("number", "1234").rule("IMG-V16", equals("/process/user/uid", 1234)),
        user("name", "alice")
            .rule("IMG-V17", equals("/process/user/uid", 1001))
            .rule("IMG-V17", equals("/process/user/gid", 1002))
            .rule("IMG-V18", named(groups(&[2000, 2001]))),
        user("name-and-group", "alice:staff")
            .rule("IMG-V17", equals("/process/user/uid", 1001))
            .rule("IMG-V17", equals("/process/user/gid", 2000))
            .rule("IMG-V19", named(untouched())),
        user("name-and-number", "bob:1234")
            .rule("IMG-V16", named(equals("/process/user/gid", 1234)))
            .rule("IMG-V19", named(untouched())),
        user("number-and-group", "77:audio")
            .rule("IMG-V16", named(equals("/process/user/uid", 77)))
            .rule("IMG-V17", equals("/process/user/gid", 2001)),
        user("unknown", "nobody-here").rule("IMG-V20", refused("out")),
    ]
}

/// Row, name of the annotation, value.
const IMPLIED: [(&str, &str, &str); 5] = [
    ("IMG-V09", "variant", "v1"),
    ("IMG-V10", "os.version", "1.2.3"),
    ("IMG-V12", "author", "Somebody <s@example.com>"),
    ("IMG-V13", "created", "2020-01-02T03:04:05.123456789Z"),
    ("IMG-V14", "stopSignal", "SIGRTMIN+3"),
];

fn annotations() -> Vec<Case<Stage>> {
    let implied = case("annotations", |v| {
        for (_, name, value) in IMPLIED {
            match name {
                "stopSignal" => v["config"]["StopSignal"] = json!(value),
                _ => v[name] = json!(value),
            }
        }
        v["os.features"] = json!(["feature-one"]);
    });
    let machine = platform()["architecture"].as_str().unwrap_or_default().to_owned();
    let implied =
        IMPLIED.into_iter().fold(implied, |case, (row, name, value)| case.rule(row, annotation(name, value)));
    let implied = implied
        .rule("IMG-V07", annotation("os", "linux"))
        .rule("IMG-V08", annotation("architecture", &machine))
        // How a list becomes a string is not said; of one feature all forms have its name.
        .rule(
            "IMG-V11",
            configuration(&format!("/annotations/{PREFIX}os.features"), "names feature-one", |value| {
                value.as_str().is_some_and(|text| ["feature-one", "[\"feature-one\"]"].contains(&text))
            }),
        )
        .rule(
            "IMG-V27",
            configuration("/annotations", "has none of the manifest or index", |value| {
                ["com.example.manifest", "com.example.index"].iter().all(|key| value.get(key).is_none())
            }),
        );
    let labels = case("labels", |v| {
        v["author"] = json!("the field");
        v["config"]["StopSignal"] = json!("SIGTERM");
        v["config"]["Labels"] = json!({
            "com.example.label": " as it is\n",
            "com.example.empty": "",
            "com.example.manifest": "label",
            "org.opencontainers.image.author": "the label",
            "org.opencontainers.image.os": "label-os",
            "org.opencontainers.image.stopSignal": "SIGUSR1",
            "org.opencontainers.image.exposedPorts": "label-ports",
        });
        v["config"]["ExposedPorts"] = json!({"80/tcp": {}});
    });
    let mut labels = labels
        .rule("IMG-V29", equals("/annotations/com.example.label", " as it is\n"))
        .rule("IMG-V29", equals("/annotations/com.example.empty", ""))
        .rule("IMG-V28", equals("/annotations/com.example.manifest", "label"));
    for (name, value) in [("author", "the label"), ("os", "label-os"), ("stopSignal", "SIGUSR1")] {
        labels = labels.rule("IMG-V06", annotation(name, value)).rule("IMG-V28", annotation(name, value));
    }
    vec![implied, labels.rule("IMG-V26", annotation("exposedPorts", "label-ports"))]
}

fn optional() -> Vec<Case<Stage>> {
    let ports = || {
        configuration(&format!("/annotations/{PREFIX}exposedPorts"), "lists the ports with commas", |value| {
            let mut ports: Vec<&str> = value.as_str().unwrap_or_default().split(',').collect();
            ports.sort_unstable();
            ports == ["443/tcp", "53/udp", "80"]
        })
    };
    let mounts = || {
        configuration("/mounts", "has a mount at /data", |value| {
            let mounts = value.as_array().into_iter().flatten();
            mounts.filter_map(|mount| mount.get("destination")).any(|destination| destination == "/data")
        })
    };
    vec![
        case("ports", |v| v["config"]["ExposedPorts"] = json!({"80": {}, "443/tcp": {}, "53/udp": {}}))
            .rule("IMG-V22", ports())
            .rule("IMG-V26", ports())
            .rule("IMG-V21", ports()),
        case("volumes", |v| v["config"]["Volumes"] = json!({"/data": {}}))
            .rule("IMG-V23", mounts())
            .rule("IMG-V24", mounts())
            .rule("IMG-V21", mounts()),
    ]
}
