//! Copiers that are wrong in one way each.

use std::io;

use serde_json::Value;

use crate::image::consumer::{Fault, Mutant, Tree, mutant};

/// Every mutant of copiers.
pub fn mutants() -> Vec<Mutant> {
    vec![
        mutant(
            "copier/documents-written-anew",
            "It parses documents and writes them in a form of its own.",
            &["IMG-X01"],
            &["copy/unusual-form"],
            Fault::Leaves(|tree| rewrite(tree, |_| {})),
        ),
        mutant(
            "copier/a-byte-of-a-layer",
            "It changes a byte of the layer.",
            &["IMG-X01"],
            &["copy/image"],
            Fault::Leaves(|tree| {
                let mut blobs = tree.blobs()?.into_iter();
                let layer = blobs.find(|(_, bytes)| bytes.starts_with(&[0x1f, 0x8b]));
                let (path, mut bytes) = layer.ok_or(io::ErrorKind::NotFound)?;
                if let Some(byte) = bytes.get_mut(4) {
                    *byte ^= 1;
                }
                std::fs::write(path, bytes)
            }),
        ),
        mutant(
            "copier/unknown-types-refused",
            "It refuses what has types that it does not know.",
            &["IMG-M07", "IMG-M10", "IMG-M23"],
            &["copy/unknown-artifact-type", "copy/unknown-config-type", "copy/unknown-layer-type"],
            Fault::Refuses("application/vnd.example."),
        ),
        mutant(
            "copier/unknown-content-left-out",
            "It copies documents, and no content that it cannot read.",
            &["IMG-M07", "IMG-M10", "IMG-M23"],
            &["copy/unknown-artifact-type", "copy/unknown-config-type", "copy/unknown-layer-type"],
            Fault::Leaves(|tree| {
                let blobs = tree.blobs()?.into_iter();
                let mut unread = blobs.filter(|(_, bytes)| serde_json::from_slice::<Value>(bytes).is_err());
                unread.try_for_each(|(path, _)| std::fs::remove_file(path))
            }),
        ),
        mutant(
            "copier/unknown-annotations-refused",
            "It refuses annotations that it does not know.",
            &["IMG-A09"],
            &["copy/unknown-annotation"],
            Fault::Refuses("com.example.unknown"),
        ),
        mutant(
            "copier/unknown-annotations-dropped",
            "It leaves annotations out.",
            &["IMG-A09"],
            &["copy/unknown-annotation"],
            Fault::Leaves(|tree| {
                rewrite(tree, |document| drop(document.as_object_mut().map(|all| all.remove("annotations"))))
            }),
        ),
    ]
}

/// Every document, edited and written in its shortest form.
fn rewrite(tree: &Tree<'_>, edit: fn(&mut Value)) -> io::Result<()> {
    for (path, bytes) in tree.blobs()? {
        if let Ok(mut document) = serde_json::from_slice(&bytes) {
            edit(&mut document);
            std::fs::write(path, document.to_string())?;
        }
    }
    Ok(())
}
