//! What an image says about itself, as annotations of the container.

use std::collections::BTreeMap;

use plimsoll_spec::image::{ExecutionConfig, ImageConfig};

/// The implicit annotations of `image`, and its labels, which win.
///
/// # References
/// - [conversion.md, annotation fields](https://github.com/opencontainers/image-spec/blob/v1.1.1/conversion.md#annotation-fields)
pub(super) fn of(image: &ImageConfig, execution: &ExecutionConfig) -> BTreeMap<String, String> {
    let list = |values: Vec<&str>| (!values.is_empty()).then(|| values.join(","));
    let implicit = [
        ("os", Some(image.os.clone())),
        ("architecture", Some(image.architecture.clone())),
        ("variant", image.variant.clone()),
        ("os.version", image.os_version.clone()),
        ("os.features", list(image.os_features.iter().map(String::as_str).collect())),
        ("author", image.author.clone()),
        ("created", image.created.clone()),
        ("stopSignal", execution.stop_signal.clone()),
        ("exposedPorts", list(execution.exposed_ports.keys().map(String::as_str).collect())),
    ];
    let mut annotations: BTreeMap<String, String> = implicit
        .into_iter()
        .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    annotations.extend(execution.labels.clone());
    annotations
}
