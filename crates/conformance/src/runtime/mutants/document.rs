//! Mutants that take what is no configuration, or refuse what is one.

use serde_json::{Value, json};

use super::Mutant;
use super::call::Call;
use super::edit::{put, remove};
use crate::error::Result;

pub(super) fn mutants() -> Vec<Mutant> {
    let mut all: Vec<Mutant> =
        CONFIGS.map(|(name, breaks, rows, edit)| Mutant::config(name, breaks, rows, edit)).into();
    all.extend(CALLS.map(|(name, breaks, rows, act)| Mutant::call(name, breaks, rows, act)));
    all
}

type ConfigEntry = (&'static str, &'static str, &'static [&'static str], fn(&mut Value));

const CONFIGS: [ConfigEntry; 3] = [
    ("any-version", "every version is taken", &["CFG-VER-01", "CFG-VER-03"], |config| {
        put(config, "/ociVersion", "1.0.2");
    }),
    (
        "annotations-of-any-type",
        "annotations that are no object are passed over",
        &["CFG-ANN-01"],
        |config| {
            if !config.get("annotations").is_none_or(Value::is_object) {
                remove(config, "/annotations");
            }
        },
    ),
    (
        "annotations-of-any-value",
        "annotations that are no strings are passed over",
        &["CFG-ANN-12"],
        |config| {
            if let Some(members) = config.pointer_mut("/annotations").and_then(Value::as_object_mut) {
                members.retain(|_, value| value.is_string());
            }
        },
    ),
];

type CallEntry = (&'static str, &'static str, &'static [&'static str], fn(&Call) -> Result<i32>);

const CALLS: [CallEntry; 4] = [
    (
        "one-version-only",
        "a configuration of an older version is refused",
        &["CFG-VER-02", "FEA-VER-01"],
        |call| refuse(call, |config| config.get("ociVersion").is_some_and(|version| *version == "1.0.0")),
    ),
    ("no-empty-annotations", "an empty object of annotations is refused", &["CFG-ANN-02"], |call| {
        refuse(call, |config| config.get("annotations") == Some(&json!({})))
    }),
    (
        "no-unknown-annotations",
        "annotations that it does not know are refused",
        &["CFG-ANN-11", "CFG-ANN-13"],
        |call| refuse(call, |config| config.pointer("/annotations/com.example.unknown").is_some()),
    ),
    (
        "order-of-members",
        "what stands behind the root in the document is passed over",
        &["GLO-JSON-03"],
        |call| {
            let text = std::fs::read_to_string(call.bundle().join("config.json")).unwrap_or_default();
            match (text.find("\"root\""), text.find("\"hostname\"")) {
                (Some(root), Some(hostname)) if call.creates() && root > hostname => call.pass(),
                _ => call.with_config(&|config| remove(config, "/hostname")),
            }
        },
    ),
];

/// Refuses to make a container of a configuration that is `unwanted`.
pub(super) fn refuse(call: &Call, unwanted: impl Fn(&Value) -> bool) -> Result<i32> {
    match call.config().is_some_and(|config| unwanted(&config)) {
        true => Ok(1),
        false => call.pass(),
    }
}
