//! The configuration as a document: its version, and its annotations.

use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::judge::{all, equals, refused, satisfies, unchanged};
use crate::runtime::Stage;

pub(super) fn cases() -> Vec<Case<Stage>> {
    let mut cases = vec![older(), annotations(), key_order()];
    cases.extend(VERSIONS.iter().map(version));
    cases.extend(ANNOTATIONS.iter().map(annotation));
    cases
}

/// Changes a good configuration.
type Change = fn(&mut Value);

/// Versions that no runtime can take for one of its own.
const VERSIONS: [(&str, &str, Change); 5] = [
    ("word", "CFG-VER-01", |config| config["ociVersion"] = json!("invalid")),
    ("empty", "CFG-VER-01", |config| config["ociVersion"] = json!("")),
    ("two-numbers", "CFG-VER-01", |config| config["ociVersion"] = json!("1.0")),
    ("missing", "CFG-VER-01", |config| {
        if let Some(members) = config.as_object_mut() {
            members.remove("ociVersion");
        }
    }),
    ("next-major", "CFG-VER-03", |config| config["ociVersion"] = json!("2.0.0")),
];

fn version((name, row, change): &'static (&str, &str, Change)) -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        change(&mut config);
        stage.attempt("attempt", &config)
    };
    Case::new(format!("document/version-{name}"), run)
        .rule(row, refused("/attempt"))
        .rule("RUN-ERR-01", unchanged("/attempt"))
}

/// Every released version up to that by which is judged.
fn older() -> Case<Stage> {
    const RELEASED: [&str; 8] = ["1.0.0", "1.0.1", "1.0.2", "1.1.0", "1.2.0", "1.2.1", "1.2.2", "1.3.0"];
    let run = |stage: &mut Stage| {
        let judged = stage.settings.version.clone();
        let upto: Vec<&str> = RELEASED.into_iter().filter(|version| *version <= judged.as_str()).collect();
        let mut started = Vec::new();
        for version in &upto {
            let mut config = stage.config(&["exit:0"]);
            config["ociVersion"] = json!(version);
            stage.observe("last", &config)?;
            if stage.evidence.at("/last/start/exit") == Some(&json!(0)) {
                started.push(*version);
            }
        }
        stage.evidence.record("wanted", json!(upto));
        stage.evidence.record("started", json!(started));
        Ok(())
    };
    Case::new("document/older-versions", run)
        .rule("CFG-VER-02", crate::evidence::judge::same("/wanted", "/started"))
}

/// Annotations that are none.
const ANNOTATIONS: [(&str, &str, Change); 3] = [
    ("list", "CFG-ANN-01", |config| config["annotations"] = json!([])),
    ("number", "CFG-ANN-12", |config| config["annotations"] = json!({"com.example.key": 1})),
    ("object", "CFG-ANN-12", |config| config["annotations"] = json!({"com.example.key": {}})),
];

fn annotation((name, row, change): &'static (&str, &str, Change)) -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        change(&mut config);
        stage.attempt("attempt", &config)
    };
    Case::new(format!("document/annotations-{name}"), run)
        .rule(row, refused("/attempt"))
        .rule("RUN-ERR-01", unchanged("/attempt"))
}

fn annotations() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        config["annotations"] = json!({});
        stage.observe("none", &config)?;
        config["annotations"] = json!({"com.example.unknown": "", "org.opencontainers.unknown": "kept"});
        stage.observe("unknown", &config)
    };
    let starts = |name: &str| equals(&format!("/{name}/start/exit"), 0);
    Case::new("document/annotations", run)
        .rule("CFG-ANN-02", starts("none"))
        .rule("CFG-ANN-11", starts("unknown"))
        .rule(
            "CFG-ANN-13",
            all(vec![starts("unknown"), equals("/unknown/state/annotations/com.example.unknown", "")]),
        )
}

/// Members in another order are the same document.
fn key_order() -> Case<Stage> {
    let run = |stage: &mut Stage| {
        let config = stage.config(&["exit:0"]);
        for (name, text) in [("sorted", config.to_string()), ("reversed", reversed(&config))] {
            let container = stage.bundle(&Value::Null)?;
            stage.write_config(&container, text.as_bytes())?;
            stage.observe_in(name, container)?;
        }
        Ok(())
    };
    let same = |member: &str| {
        crate::evidence::judge::same(
            &format!("/sorted/report/{member}"),
            &format!("/reversed/report/{member}"),
        )
    };
    Case::new("document/key-order", run).rule(
        "GLO-JSON-03",
        all(vec![
            satisfies("/sorted/report/pid", "is there", Value::is_number),
            same("env"),
            same("capabilities"),
            same("hostname"),
            same("uids"),
        ]),
    )
}

/// `value` with the members of every object from last to first.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), reversed(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(reversed).collect();
            format!("[{}]", values.join(","))
        }
        other => other.to_string(),
    }
}
