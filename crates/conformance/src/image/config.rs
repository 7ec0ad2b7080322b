//! Image configurations: rows of config.md that one document shows.

use super::descriptor::{Scope, annotations, digest_text};
use super::doc::{Cursor, Doc, Type};
use super::grammar;
use super::json::Value;
use super::manifest::values;

/// What a configuration says of layers.
#[derive(Debug, Default)]
pub(super) struct Config {
    /// The diff ids, those that are well formed; `None` for others.
    pub diff_ids: Option<Vec<Option<String>>>,
    /// Entries of the history that are not empty, where there is a history.
    pub history: Option<usize>,
}

const MEMBERS: [(&str, Type); 7] = [
    ("created", Type::Text),
    ("author", Type::Text),
    ("os.version", Type::Text),
    ("os.features", Type::Texts),
    ("variant", Type::Text),
    ("config", Type::Object),
    ("history", Type::Array),
];
const EXECUTION: [(&str, Type); 14] = [
    ("User", Type::Text),
    ("ExposedPorts", Type::Set),
    ("Env", Type::Texts),
    ("Entrypoint", Type::Texts),
    ("Cmd", Type::Texts),
    ("Volumes", Type::Set),
    ("WorkingDir", Type::Text),
    ("Labels", Type::Object),
    ("StopSignal", Type::Text),
    ("ArgsEscaped", Type::Boolean),
    ("Memory", Type::Integer),
    ("MemorySwap", Type::Integer),
    ("CpuShares", Type::Integer),
    ("Healthcheck", Type::Object),
];
const HISTORY: [(&str, Type); 5] = [
    ("created", Type::Text),
    ("author", Type::Text),
    ("created_by", Type::Text),
    ("comment", Type::Text),
    ("empty_layer", Type::Boolean),
];

/// Judges a configuration.
pub(super) fn config(doc: &mut Doc<'_>, root: &Cursor<'_>) -> Config {
    doc.types("IMG-N10", root, &[("architecture", Type::Text), ("os", Type::Text), ("rootfs", Type::Object)]);
    doc.nullable_types("IMG-N10", root, &MEMBERS);
    doc.required("IMG-C02", root, "architecture");
    doc.required("IMG-C05", root, "os");
    values(doc, root, ["IMG-C03", "IMG-C06", "IMG-C08", "IMG-C10"]);
    date(doc, root);
    if let Some(execution) = root.some("config") {
        execution_parameters(doc, &execution);
    }
    Config { diff_ids: rootfs(doc, root), history: history(doc, root) }
}

fn date(doc: &mut Doc<'_>, cursor: &Cursor<'_>) {
    if let (Some(text), Some(at)) = (cursor.text("created"), cursor.get("created")) {
        doc.check("IMG-N08", grammar::is_date_time(text), &at, || format!("{text:?} is no date of RFC 3339"));
    }
}

fn execution_parameters(doc: &mut Doc<'_>, cursor: &Cursor<'_>) {
    doc.nullable_types("IMG-N10", cursor, &EXECUTION);
    for entry in cursor.get("Env").map(|list| list.elements()).unwrap_or_default() {
        let text = entry.node.text().unwrap_or_default();
        doc.check("IMG-N09", is_variable(text), &entry, || format!("{text:?} is not NAME=VALUE"));
    }
    for (key, value) in cursor.get("ExposedPorts").map(|set| set.members()).unwrap_or_default() {
        doc.check("IMG-N11", grammar::is_port(key), &value, || format!("{key:?} is no port"));
    }
    if let Some(whole) = annotations(doc, cursor, "Labels", Scope::Labels) {
        doc.check("IMG-C14", whole, cursor, || "the labels break the rules for annotations".to_owned());
    }
}

/// Whether `text` is NAME=VALUE; on Windows names may begin with `=`.
fn is_variable(text: &str) -> bool {
    text.char_indices().skip(1).any(|(_, c)| c == '=')
}

fn rootfs(doc: &mut Doc<'_>, root: &Cursor<'_>) -> Option<Vec<Option<String>>> {
    let rootfs = doc.required("IMG-C15", root, "rootfs")?;
    if let Some(kind) = doc.required("IMG-C16", &rootfs, "type") {
        doc.check("IMG-C17", kind.node.text() == Some("layers"), &kind, || {
            "the type is not layers".to_owned()
        });
    }
    let Some(list) = rootfs.get("diff_ids") else {
        doc.check("IMG-C19", false, &rootfs, || "diff_ids is missing".to_owned());
        return None;
    };
    let array = list.node.elements().is_some();
    doc.check("IMG-C19", array, &list, || format!("diff_ids is {}, not an array", list.node.kind()));
    let elements = list.elements();
    let ids = elements.iter().map(|entry| {
        let text = entry.node.text().unwrap_or_default();
        let whole = digest_text(doc, entry, text);
        doc.check("IMG-C19", whole, entry, || format!("{text:?} is no well-formed digest"));
        whole.then(|| text.to_owned())
    });
    let ids: Vec<_> = ids.collect();
    array.then_some(ids)
}

fn history(doc: &mut Doc<'_>, root: &Cursor<'_>) -> Option<usize> {
    let history = root.some("history")?;
    let entries = history.elements();
    if history.node.elements().is_some_and(<[_]>::is_empty) {
        // Some builders write an empty history where they have none.
        return None;
    }
    for entry in &entries {
        doc.check("IMG-N10", entry.node.members().is_some(), entry, || {
            "an entry of the history is no object".to_owned()
        });
        doc.nullable_types("IMG-N10", entry, &HISTORY);
        date(doc, entry);
    }
    let empty = |entry: &&Cursor<'_>| {
        entry.node.get("empty_layer").is_some_and(|flag| flag.value == Value::Bool(true))
    };
    Some(entries.len() - entries.iter().filter(empty).count())
}
