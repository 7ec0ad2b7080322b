//! Changes of a configuration that several families make.

use std::path::Path;

use serde_json::{Value, json};

/// Takes `member` away from the object at `pointer`.
pub(super) fn remove(config: &mut Value, pointer: &str, member: &str) {
    if let Some(Value::Object(members)) = config.pointer_mut(pointer) {
        members.remove(member);
    }
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
