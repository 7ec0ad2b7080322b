//! Layers: archives of changes to a tree (image-spec, layer.md).
