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
