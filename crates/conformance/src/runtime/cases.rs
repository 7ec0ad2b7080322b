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
mod lifecycle;
mod material;
mod mount_options;
mod mounts;
mod paths;
mod propagation;
mod recursive;
mod root;

use crate::case::Case;

use super::stage::Stage;

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    let families = [
        control::cases(),
        lifecycle::cases(),
        hooks::cases(),
        cgroups::cases(),
        features::cases(),
        document::cases(),
        bundle::cases(),
        root::cases(),
        mounts::cases(),
        mount_options::cases(),
        recursive::cases(),
        idmap::cases(),
        propagation::cases(),
        extensibility::cases(),
        devices::cases(),
        paths::cases(),
        descriptors::cases(),
    ];
    families.into_iter().flatten().collect()
}
