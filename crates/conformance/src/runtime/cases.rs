//! The suite of runtimes, a family a file.
//!
//! A case does something on its [`Stage`] and judges nothing; its rules look at the evidence. What a case
//! needs of the machine it checks itself, and gives an [`Obstacle`](crate::Obstacle) where it is missing. A
//! rule must be able to fail, and must not demand more than the sentence it stands for: a wrong FAIL is the
//! worst that this suite can do. Where the specification leaves a choice, every choice passes.

mod control;
mod edit;
mod kernel;
mod limits;
mod namespaces;
mod network;
mod privileges;
mod process;
mod scheduling;
mod seccomp;
mod seccomp_agent;
mod values;

use crate::case::Case;

use super::stage::Stage;

const FAMILIES: &[fn() -> Vec<Case<Stage>>] = &[
    control::cases,
    process::cases,
    limits::cases,
    privileges::cases,
    scheduling::cases,
    namespaces::cases,
    network::cases,
    kernel::cases,
    seccomp::cases,
    seccomp_agent::cases,
    values::cases,
];

/// Every case.
pub fn suite() -> Vec<Case<Stage>> {
    FAMILIES.iter().flat_map(|cases| cases()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::suite;
    use crate::Registry;

    #[test]
    fn cases_have_names_of_their_own_and_rules_have_rows() {
        let registry = Registry::load().unwrap();
        let mut names = BTreeSet::new();
        for case in suite() {
            assert!(names.insert(case.name.clone()), "{} stands twice", case.name);
            assert!(!case.rules.is_empty(), "{} judges nothing", case.name);
            for rule in &case.rules {
                assert!(registry.row(rule.requirement).is_ok(), "{} in {}", rule.requirement, case.name);
                assert_eq!(
                    registry.reason(rule.requirement),
                    None,
                    "{} is tested all the same",
                    rule.requirement
                );
            }
        }
    }
}
