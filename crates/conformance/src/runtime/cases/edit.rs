//! Small changes to a configuration that many cases make.

use std::path::Path;

use serde_json::{Value, json};

use crate::case::Case;
use crate::evidence::judge::{refused, unchanged};
use crate::runtime::Stage;

/// The ordinary user as whom programs run that root would be allowed too much.
pub(super) const USER: u32 = 1000;

/// Appends to the list at `pointer`, which is made where it is missing.
pub(super) fn append(config: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let Some(parent) = config.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    if let Some(list) = parent.entry(member).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value);
    }
}

/// Appends a mount.
pub(super) fn add_mount(config: &mut Value, mount: Value) {
    append(config, "/mounts", mount);
}

/// A bind mount of `source` on `target` with `options` more.
pub(super) fn bind(source: &std::path::Path, target: &str, options: &[&str]) -> Value {
    json!({"destination": target, "type": "none", "source": source, "options": options})
}

/// Sets the member at `pointer`, whose parent must be there.
pub(super) fn set(config: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    if let Some(parent) = config.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.insert(member.to_owned(), value);
    }
}

/// Takes the member at `pointer` away.
pub(super) fn remove(config: &mut Value, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    if let Some(parent) = config.pointer_mut(parent).and_then(Value::as_object_mut) {
        parent.remove(member);
    }
}

/// Gives the program one capability more.
pub(super) fn allow(config: &mut Value, capability: &str) {
    for set in ["bounding", "effective", "permitted"] {
        append(config, &format!("/process/capabilities/{set}"), json!(capability));
    }
}

/// A case that wants a configuration refused, and nothing left of the attempt: `change` makes it wrong.
pub(super) fn refusal(
    name: &str,
    row: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Case<Stage> {
    Case::new(name, move |stage: &mut Stage| {
        let mut config = stage.config(&["exit:0"]);
        change(&mut config);
        stage.attempt("attempt", &config)
    })
    .rule(row, refused("/attempt"))
    .rule("RUN-ERR-01", unchanged("/attempt"))
}

/// Takes the namespace of `kind` out of the list, and what only makes sense with it.
pub(super) fn drop_namespace(config: &mut Value, kind: &str) {
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.retain(|entry| entry["type"] != kind);
    }
}

/// Puts the namespace of `kind` on the list, in place of one that is there.
pub(super) fn set_namespace(config: &mut Value, kind: &str, path: Option<&Path>) {
    drop_namespace(config, kind);
    let mut entry = json!({"type": kind});
    if let Some(path) = path {
        entry["path"] = json!(path);
    }
    if let Some(list) = config["linux"]["namespaces"].as_array_mut() {
        list.push(entry);
    }
}
