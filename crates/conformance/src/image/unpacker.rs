//! What an unpacker makes of golden layouts: rows that bind consumers of layers, manifests and indexes.

mod documents;
mod escapes;
mod mutants;
mod pairs;
mod trees;

use serde_json::{Value, json};

use crate::case::Case;

use super::consumer::Stage;
use super::descriptor::{CONFIG, MANIFEST};
use super::golden::pack::{Item, archive};
use super::golden::{Golden, LAYER, Maker, index, manifest, named, platform, with};

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    [trees::cases(), pairs::cases(), documents::cases(), escapes::cases()].into_iter().flatten().collect()
}

pub use mutants::mutants;

/// The type of gzip layers.
fn gzip_type() -> String {
    format!("{LAYER}+gzip")
}

/// An image's configuration and manifest, made from what cases change about them.
struct Recipe<'a> {
    layers: Vec<(String, Vec<Item>)>,
    config: &'a dyn Fn(&mut Value),
    manifest: &'a dyn Fn(&mut Value),
    index: &'a dyn Fn(&mut Value),
}

impl<'a> Recipe<'a> {
    /// Of gzip layers.
    fn new(layers: Vec<Vec<Item>>) -> Recipe<'a> {
        let layers = layers.into_iter().map(|items| (gzip_type(), items)).collect();
        Recipe { layers, config: &|_| {}, manifest: &|_| {}, index: &|_| {} }
    }

    fn build(&self) -> Golden {
        self.build_with(&|_, _| {})
    }

    fn build_with(&self, edit: super::golden::Edit<'_>) -> Golden {
        let mut maker = Maker::new(edit);
        let (manifest, _) = self.image(&mut maker);
        let mut index = index(&[named(manifest, "v1")]);
        (self.index)(&mut index);
        maker.finish(&index)
    }

    /// The image in `maker`: its manifest's descriptor.
    fn image(&self, maker: &mut Maker<'_>) -> (Value, Vec<String>) {
        let (mut layers, mut ids) = (Vec::new(), Vec::new());
        for (at, (media_type, items)) in self.layers.iter().enumerate() {
            let (layer, id) = maker.layer(&at.to_string(), media_type, archive(items));
            layers.push(layer);
            ids.push(id);
        }
        let mut config = with(
            json!({"created": "2020-01-02T03:04:05Z", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}}),
            &platform(),
        );
        (self.config)(&mut config);
        let config = maker.document("config", CONFIG, &config);
        let mut document = manifest(&config, &layers);
        (self.manifest)(&mut document);
        (maker.document("manifest", MANIFEST, &document), ids)
    }
}

/// A case that gives one layout to the subject, under the name `out`.
fn case(name: impl Into<String>, golden: impl Fn() -> Golden + Send + Sync + 'static) -> Case<Stage> {
    Case::new(name, move |stage: &mut Stage| stage.consume("out", &golden()))
}
