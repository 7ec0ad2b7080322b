//! The suite of runtimes, a family a file.
//!
//! A case does something on its [`Stage`] and judges nothing; its rules look at the evidence. What a case
//! needs of the machine it checks itself, and gives an [`Obstacle`](crate::Obstacle) where it is missing. A
//! rule must be able to fail, and must not demand more than the sentence it stands for: a wrong FAIL is the
//! worst that this suite can do. Where the specification leaves a choice, every choice passes.

mod bundle;
mod cgroups;
mod control;
mod descriptors;
mod devices;
mod document;
mod edit;
mod extensibility;
mod features;
mod hooks;
mod idmap;
mod kernel;
mod lifecycle;
mod limits;
mod material;
mod mount_options;
mod mounts;
mod namespaces;
mod network;
mod paths;
mod privileges;
mod process;
mod propagation;
mod recursive;
mod root;
mod scheduling;
mod seccomp;
mod seccomp_agent;
mod values;

use crate::case::Case;

use super::stage::Stage;

const FAMILIES: &[fn() -> Vec<Case<Stage>>] = &[
    control::cases,
    lifecycle::cases,
    hooks::cases,
    document::cases,
    bundle::cases,
    extensibility::cases,
    features::cases,
    root::cases,
    mounts::cases,
    mount_options::cases,
    recursive::cases,
    idmap::cases,
    propagation::cases,
    devices::cases,
    paths::cases,
    descriptors::cases,
    process::cases,
    limits::cases,
    privileges::cases,
    scheduling::cases,
    namespaces::cases,
    network::cases,
    kernel::cases,
    seccomp::cases,
    seccomp_agent::cases,
    cgroups::cases,
    values::cases,
];

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    FAMILIES.iter().flat_map(|cases| cases()).collect()
}
