//! What tests of several crates share: bundles of Debian's busybox, a look at the host before and after,
//! trees entry by entry, programs that are made and programs at a terminal, and the reasons why a test cannot
//! run here. Used by tests, and by `xtask` where it tests.

mod bundle;
mod host;
mod program;
mod terminal;
mod tree;

pub use bundle::{Bundle, output};
use host::have_cgroup2;
pub use host::{Host, have_controller};
pub use program::{copy_program, while_others_fork, write_program};
pub use terminal::at_terminal;
pub use tree::{Difference, Tree};

/// What a test may need of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// User id 0 with the capabilities to mount and to make namespaces.
    Root,
    /// A program on PATH.
    Program(&'static str),
    /// The capability of this number and name among the effective ones.
    Capability(u32, &'static str),
    /// Namespaces of this kind, as `/proc/self/ns` calls them.
    Namespace(&'static str),
    /// Cgroup v2 alone, with this controller.
    Cgroup2(&'static str),
}

/// Whether every need is met; prints the reason and returns false where one is not.
#[must_use]
pub fn have(needs: &[Need]) -> bool {
    let missing = needs.iter().find_map(|need| match need {
        Need::Root if !rustix::process::geteuid().is_root() => Some("needs root".to_owned()),
        Need::Program(name) if find_program(name).is_none() => Some(format!("{name} is not on PATH")),
        Need::Capability(number, name) if !has_capability(*number) => Some(format!("needs {name}")),
        Need::Namespace(kind) if !std::path::Path::new("/proc/self/ns").join(kind).exists() => {
            Some(format!("this kernel has no {kind} namespaces"))
        }
        Need::Cgroup2(controller) if !have_cgroup2(controller) => {
            Some(format!("needs cgroup v2 with {controller}; `cargo xtask vm test` has it"))
        }
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

fn has_capability(number: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> number & 1 == 1)
}
