//! What confines the process beyond its namespaces.

pub mod seccomp;
