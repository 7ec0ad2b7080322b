//! Edits of a document that may be anything: what is not there is not changed, and nothing panics.

use serde_json::Value;

/// Takes away what stands at `pointer`.
pub(super) fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(name)),
        Some(Value::Array(values)) => {
            if let Some(at) = name.parse().ok().filter(|at: &usize| *at < values.len()) {
                values.remove(at);
            }
        }
        _ => {}
    }
}

/// Puts `value` at `pointer`, where the object that holds it is there.
pub(super) fn put(document: &mut Value, pointer: &str, value: impl Into<Value>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    if let Some(members) = document.pointer_mut(parent).and_then(Value::as_object_mut) {
        members.insert(name.to_owned(), value.into());
    }
}

/// Puts `value` at `pointer` in place of what is there; nothing where nothing is.
pub(super) fn replace(document: &mut Value, pointer: &str, value: impl Into<Value>) {
    if let Some(place) = document.pointer_mut(pointer) {
        *place = value.into();
    }
}

/// Keeps of the list at `pointer` what `wanted` wants.
pub(super) fn keep(document: &mut Value, pointer: &str, wanted: impl Fn(&Value) -> bool) {
    if let Some(values) = document.pointer_mut(pointer).and_then(Value::as_array_mut) {
        values.retain(wanted);
    }
}

/// Changes every entry of the list at `pointer`.
pub(super) fn each(document: &mut Value, pointer: &str, change: impl FnMut(&mut Value)) {
    if let Some(values) = document.pointer_mut(pointer).and_then(Value::as_array_mut) {
        values.iter_mut().for_each(change);
    }
}

/// Appends `value` to the list at `pointer`.
pub(super) fn push(document: &mut Value, pointer: &str, value: impl Into<Value>) {
    if let Some(values) = document.pointer_mut(pointer).and_then(Value::as_array_mut) {
        values.push(value.into());
    }
}

/// Turns the list at `pointer` round.
pub(super) fn reverse(document: &mut Value, pointer: &str) {
    if let Some(values) = document.pointer_mut(pointer).and_then(Value::as_array_mut) {
        values.reverse();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_there_is_not_changed() {
        for document in [json!(null), json!([1]), json!({"a": 3}), json!("text")] {
            let mut changed = document.clone();
            remove(&mut changed, "/a/b");
            remove(&mut changed, "/7");
            put(&mut changed, "/x/y", 1);
            replace(&mut changed, "/x", 1);
            keep(&mut changed, "/a", |_| false);
            each(&mut changed, "/a", |value| *value = json!(0));
            push(&mut changed, "/a", 1);
            reverse(&mut changed, "/a");
            assert_eq!(changed, document);
        }
    }

    #[test]
    fn what_is_there_is() {
        let mut document = json!({"a": [1, 2, 3], "b": {"c": 1}});
        keep(&mut document, "/a", |value| *value != 2);
        reverse(&mut document, "/a");
        push(&mut document, "/a", 9);
        remove(&mut document, "/a/0");
        replace(&mut document, "/b/c", 2);
        put(&mut document, "/b/d", "new");
        assert_eq!(document, json!({"a": [1, 9], "b": {"c": 2, "d": "new"}}));
    }
}
