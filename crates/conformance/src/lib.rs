//! The judge: what the OCI specifications require, as a registry of rows with stable ids, and suites that
//! tell for any implementation which rows hold.
//!
//! A case drives a subject and yields [`Evidence`], nothing else; rules judge evidence and yield a
//! [`Verdict`] for a row, so what was recorded once can be judged again by better rules. Verdicts rest on
//! bytes, exit codes and what the host shows, never on another part of this project: the crate imports no
//! implementation, and knows no subject better than another.

mod case;
pub mod certificate;
mod coverage;
mod day;
pub mod digest;
mod error;
mod evidence;
pub mod image;
mod netlink;
pub mod probe;
pub mod rejudge;
pub mod report;
pub mod requirement;
pub mod results;
mod rlimits;
pub mod runtime;
mod seen;
pub mod submission;
mod verdict;
mod version;

pub use case::{Case, Obstacle, Rule, Run};
pub use coverage::{Covered, coverage};
pub use day::Day;
pub use error::{Error, Kind, Result};
pub use evidence::{Evidence, Judge, judge};
pub use requirement::{Level, Registry, Requirement};
pub use results::Results;
pub use seen::seen;
pub use verdict::{Judgement, Reason, Verdict};
pub use version::Version;
