//! The suite of runtimes, a family a file.
//!
//! A case does something on its [`Stage`] and judges nothing; its rules look at the evidence. What a case
//! needs of the machine it checks itself, and gives an [`Obstacle`](crate::Obstacle) where it is missing. A
//! rule must be able to fail, and must not demand more than the sentence it stands for: a wrong FAIL is the
//! worst that this suite can do. Where the specification leaves a choice, every choice passes.

mod bundle;
mod control;
mod descriptors;
mod devices;
mod edit;
mod extensibility;
mod idmap;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_judges_rows_that_are_there() {
        let registry = crate::Registry::load().unwrap();
        let mut names = BTreeSet::new();
        for case in suite() {
            assert!(names.insert(case.name.clone()), "{} is there twice", case.name);
            assert!(!case.rules.is_empty(), "{} judges nothing", case.name);
            for rule in &case.rules {
                assert!(registry.row(rule.requirement).is_ok(), "{}: no row {}", case.name, rule.requirement);
            }
        }
    }
}
