//! What tests of several crates share: bundles of Debian's busybox, a look at the host before and after,
//! trees entry by entry, and the reasons why a test cannot run here. Used by tests only.

mod bundle;
mod host;
mod tree;

pub use bundle::Bundle;
pub use host::{Host, have_controller};
pub use tree::{Difference, Tree};

/// What a test may need of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// User id 0 with the capabilities to mount and to make namespaces.
    Root,
    /// A program on PATH.
    Program(&'static str),
}

/// Whether every need is met; prints the reason and returns false where one is not.
#[must_use]
pub fn have(needs: &[Need]) -> bool {
    let missing = needs.iter().find_map(|need| match need {
        Need::Root if !rustix::process::geteuid().is_root() => Some("needs root".to_owned()),
        Need::Program(name) if find_program(name).is_none() => Some(format!("{name} is not on PATH")),
        _ => None,
    });
    if let Some(reason) = &missing {
        skipped(reason);
    }
    missing.is_none()
}

/// Says that a test is skipped and why, in the form that the test command collects.
pub fn skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    // Straight to the descriptor: what is printed otherwise is shown for failing tests only.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("skipped: {name}: {reason}\n").as_bytes());
}

/// The file that `name` means on PATH.
pub fn find_program(name: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}
