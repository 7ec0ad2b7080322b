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
pub(super) use kernel::resctrl;

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::requirement::Area;
    use crate::{Level, Registry};

    #[test]
    fn every_binding_row_has_a_rule_or_a_reason_and_every_rule_a_row() {
        let registry = Registry::load().unwrap();
        let suite = super::suite();
        let mut names = BTreeSet::new();
        let mut tested = BTreeSet::new();
        for case in &suite {
            assert!(names.insert(&case.name), "{} stands twice", case.name);
            assert!(!case.rules.is_empty(), "{} judges nothing", case.name);
            for rule in &case.rules {
                let row = registry.row(rule.requirement).unwrap();
                assert_eq!(row.area, Area::Runtime, "{}", row.id);
                tested.insert(row.id);
            }
        }
        let rows = registry.rows().iter().filter(|row| row.area == Area::Runtime);
        for row in rows.clone() {
            let covered = tested.contains(row.id) || registry.reason(row.id).is_some();
            assert!(covered || row.level == Level::May, "{} has neither a rule nor a reason", row.id);
            assert!(!tested.contains(row.id) || registry.reason(row.id).is_none(), "{} has both", row.id);
        }
        let binding = rows.filter(|row| row.level.is_binding() && row.applies != "config");
        let (yes, no): (Vec<_>, Vec<_>) = binding.partition(|row| tested.contains(row.id));
        // What was promised: 85 of 100 rows that bind a runtime are really tested.
        assert!(yes.len() * 100 >= (yes.len() + no.len()) * 85, "{} of {}", yes.len(), yes.len() + no.len());
    }
}
