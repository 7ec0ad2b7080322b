//! Descriptor, index, manifest, configuration and layout.
//!
//! # References
//! - [descriptor.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md), [image-index.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md), [manifest.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md),
//!   [config.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md), [image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md)

use std::collections::BTreeMap;

use plimsoll_digest::Digest;

use super::Data;
use crate::json::{Value, wire_object};

wire_object! {
    /// The file `oci-layout`.
    #[derive(Default)]
    pub struct Layout {
        /// `1.0.0`.
        pub image_layout_version: String = "imageLayoutVersion" required,
    }

    /// A reference to content.
    pub struct Descriptor {
        /// What the content is, by RFC 6838.
        pub media_type: String = "mediaType" required,
        /// Its hash.
        pub digest: Digest = "digest" required,
        /// Its length in bytes, at most `i64::MAX`.
        pub size: u64 = "size" required,
        /// Places where it can be had.
        pub urls: Vec<String> = "urls",
        /// Arbitrary metadata.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// The content itself, when small.
        pub data: Option<Data> = "data",
        /// The type of an artifact's manifest.
        pub artifact_type: Option<String> = "artifactType",
        /// What the content runs on.
        pub platform: Option<Platform> = "platform",
    }

    /// What an image runs on.
    #[derive(Default)]
    pub struct Platform {
        /// As Go's GOARCH.
        pub architecture: String = "architecture" required,
        /// As Go's GOOS.
        pub os: String = "os" required,
        /// Version of the operating system.
        pub os_version: Option<String> = "os.version",
        /// Required features of the operating system.
        pub os_features: Vec<String> = "os.features",
        /// Variant of the architecture.
        pub variant: Option<String> = "variant",
    }

    /// A list of manifests.
    #[derive(Default)]
    pub struct Index {
        /// 2.
        pub schema_version: u32 = "schemaVersion" required,
        /// The index's own type.
        pub media_type: Option<String> = "mediaType",
        /// The type of an artifact.
        pub artifact_type: Option<String> = "artifactType",
        /// The manifests.
        pub manifests: Vec<Descriptor> = "manifests" required,
        /// What this refers to.
        pub subject: Option<Box<Descriptor>> = "subject",
        /// Arbitrary metadata.
        pub annotations: BTreeMap<String, String> = "annotations",
    }

    /// One image or artifact.
    pub struct Manifest {
        /// 2.
        pub schema_version: u32 = "schemaVersion" required,
        /// The manifest's own type.
        pub media_type: Option<String> = "mediaType",
        /// The type of an artifact.
        pub artifact_type: Option<String> = "artifactType",
        /// The configuration.
        pub config: Descriptor = "config" required,
        /// The layers, lowest first.
        pub layers: Vec<Descriptor> = "layers" required,
        /// What this refers to.
        pub subject: Option<Box<Descriptor>> = "subject",
        /// Arbitrary metadata.
        pub annotations: BTreeMap<String, String> = "annotations",
    }

    /// An image's configuration.
    #[derive(Default)]
    pub struct ImageConfig {
        /// When it was made, by RFC 3339.
        pub created: Option<String> = "created",
        /// Who made it.
        pub author: Option<String> = "author",
        /// As Go's GOARCH.
        pub architecture: String = "architecture" required,
        /// As Go's GOOS.
        pub os: String = "os" required,
        /// Version of the operating system.
        pub os_version: Option<String> = "os.version",
        /// Required features of the operating system.
        pub os_features: Vec<String> = "os.features",
        /// Variant of the architecture.
        pub variant: Option<String> = "variant",
        /// Base of the container's configuration.
        pub config: Option<ExecutionConfig> = "config",
        /// The layers' digests.
        pub rootfs: RootFs = "rootfs" required,
        /// How each layer came about.
        pub history: Vec<History> = "history",
    }

    /// The base of a container's configuration.
    #[derive(Default)]
    pub struct ExecutionConfig {
        /// `user`, `uid`, `user:group`, `uid:gid` and mixtures.
        pub user: Option<String> = "User",
        /// Ports as `80/tcp`.
        pub exposed_ports: BTreeMap<String, Value> = "ExposedPorts",
        /// `NAME=value` each.
        pub env: Vec<String> = "Env",
        /// Start of the command line.
        pub entrypoint: Vec<String> = "Entrypoint",
        /// Default arguments of the entrypoint.
        pub cmd: Vec<String> = "Cmd",
        /// Directories that hold data of their own.
        pub volumes: BTreeMap<String, Value> = "Volumes",
        /// The working directory.
        pub working_dir: Option<String> = "WorkingDir",
        /// Arbitrary metadata.
        pub labels: BTreeMap<String, String> = "Labels",
        /// The signal that asks the container to stop.
        pub stop_signal: Option<String> = "StopSignal",
    }

    /// The layers of an image by content.
    #[derive(Default)]
    pub struct RootFs {
        /// `layers`.
        pub kind: String = "type" required,
        /// Hashes of the uncompressed layers, lowest first.
        pub diff_ids: Vec<Digest> = "diff_ids" required,
    }

    /// One step of the build.
    #[derive(Default)]
    pub struct History {
        /// When, by RFC 3339.
        pub created: Option<String> = "created",
        /// Who.
        pub author: Option<String> = "author",
        /// The command.
        pub created_by: Option<String> = "created_by",
        /// A remark.
        pub comment: Option<String> = "comment",
        /// Whether the step made no layer.
        pub empty_layer: bool = "empty_layer",
    }
}
