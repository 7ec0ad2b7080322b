//! The runtime subject: any OCI runtime, driven by its command line.
//!
//! Every case runs in a worker process of its own, which is the reaper of everything the subject starts,
//! has a mount namespace of its own, and is killed with all that descends from it when its time is over.
//! Judging happens outside of containers; inside, a probe reports facts.

mod agent;
mod bundle_record;
mod caller;
mod cases;
mod claims;
mod holder;
mod host;
mod keeper;
pub mod mutants;
mod place;
mod ran;
mod run;
mod seen;
mod settings;
mod stage;
mod subject;
mod worker;

pub(crate) use agent::{Agent, bound};
pub use cases::suite;
pub(crate) use claims::Claims;
pub(crate) use holder::{Holder, KINDS};
pub use keeper::Keeper;
pub use ran::Ran;
pub(crate) use ran::{Bounds, Streams, execute, execute_with};
pub(crate) use run::{CONTROL, control_failure};
pub use run::{Progress, Request, run};
pub use settings::{CgroupDriver, Settings};
pub use stage::{ConsoleSocket, Container, Stage, Terminal};
pub use subject::{Dialect, Subject};
pub(crate) use subject::{digest_of, give_environment};
pub use worker::work;
