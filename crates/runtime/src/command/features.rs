//! `features`: what this runtime supports, for engines that ask.
//!
//! # References
//! - [features.md](https://github.com/opencontainers/runtime-spec/blob/v1.3.0/features.md)

use std::process::ExitCode;

use plimsoll_spec::runtime::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MountExtensions, NamespaceKind,
    SeccompAction, SeccompArch, SeccompFeatures, SeccompFlag, SeccompOperator, VERSION,
};

use plimsoll_sys::seccomp::flags_are_available;

use crate::args::Parsed;
use crate::error::Result;
use crate::plan::OPTIONS;
use crate::security::seccomp::{architectures, flag_bits};

use super::Context;

/// Any 1.x is accepted, so the oldest is the first.
const OLDEST: &str = "1.0.0";

const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

pub(super) fn run(_: &Context, _: &Parsed) -> Result<ExitCode> {
    super::print_json(&features())
}

fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<Vec<String>> {
    let mut texts: Vec<_> = values.into_iter().map(str::to_owned).collect();
    texts.sort();
    Some(texts)
}

fn features() -> Features {
    Features {
        oci_version_min: OLDEST.to_owned(),
        oci_version_max: VERSION.to_owned(),
        hooks: Some(HOOKS.map(str::to_owned).to_vec()),
        mount_options: texts(OPTIONS.iter().map(|(name, _)| *name)),
        linux: Some(linux()),
        annotations: [("org.plimsoll.runtime.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]
            .into(),
        potentially_unsafe_config_annotations: Some(Vec::new()),
        ..Features::default()
    }
}

fn linux() -> LinuxFeatures {
    let last = usize::from(plimsoll_sys::capability::last().unwrap_or(40));
    let absent = || Some(Enabled { enabled: Some(false), ..Enabled::default() });
    LinuxFeatures {
        namespaces: texts(NamespaceKind::ALL.iter().map(|kind| kind.as_str())),
        capabilities: texts(plimsoll_sys::capability::NAMES.into_iter().take(last + 1)),
        cgroup: Some(CgroupFeatures {
            v1: Some(true),
            v2: Some(true),
            systemd: Some(false),
            systemd_user: Some(false),
            rdma: Some(true),
            ..CgroupFeatures::default()
        }),
        seccomp: Some(seccomp()),
        apparmor: Some(Enabled { enabled: Some(true), ..Enabled::default() }),
        selinux: absent(),
        intel_rdt: Some(IntelRdtFeatures { enabled: Some(false), ..IntelRdtFeatures::default() }),
        mount_extensions: Some(MountExtensions { idmap: absent(), ..MountExtensions::default() }),
        net_devices: absent(),
        ..LinuxFeatures::default()
    }
}

fn seccomp() -> SeccompFeatures {
    let actions = SeccompAction::ALL.iter().filter(|action| **action != SeccompAction::Notify);
    let known = SeccompFlag::ALL.iter().filter(|flag| **flag != SeccompFlag::WaitKillableRecv);
    let supported = known.clone().filter(|flag| flags_are_available(flag_bits(**flag)));
    SeccompFeatures {
        enabled: Some(true),
        actions: texts(actions.map(|action| action.as_str())),
        operators: texts(SeccompOperator::ALL.iter().map(|operator| operator.as_str())),
        archs: texts(architectures().map(SeccompArch::as_str)),
        known_flags: texts(known.map(|flag| flag.as_str())),
        supported_flags: texts(supported.map(|flag| flag.as_str())),
        ..SeccompFeatures::default()
    }
}
