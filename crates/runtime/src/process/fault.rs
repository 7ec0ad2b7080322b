//! The words for a step that failed in the child, whose report is three numbers.

use rustix::io::Errno;

use crate::error::{Error, Kind, errno_text};
use crate::plan::{Plan, ProcessPlan};

use super::hooks;

/// A plan that can name the entries of its lists.
pub(crate) trait Named {
    /// The process that is executed.
    fn process(&self) -> &ProcessPlan;
    /// What the entry `index` of the list that `step` works on is called.
    fn entry(&self, step: &str, index: usize) -> Option<String>;
}

impl Named for ProcessPlan {
    fn process(&self) -> &ProcessPlan {
        self
    }

    fn entry(&self, step: &str, index: usize) -> Option<String> {
        match step {
            "set resource limit" => self.rlimits.get(index).map(|(resource, _)| format!("{resource:?}")),
            "drop from the bounding set" => {
                plimsoll_sys::capability::NAMES.get(index).map(|name| (*name).to_owned())
            }
            "ask for the AppArmor profile" => {
                self.apparmor.as_deref().map(|change| change.trim_start_matches("exec ").to_owned())
            }
            "change the working directory" | "enter the working directory" => {
                Some(self.cwd.to_string_lossy().into_owned())
            }
            _ => None,
        }
    }
}

impl Named for Plan {
    fn process(&self) -> &ProcessPlan {
        &self.process
    }

    fn entry(&self, step: &str, index: usize) -> Option<String> {
        let text = |path: &std::ffi::CString| path.to_string_lossy().into_owned();
        match step {
            "join namespaces" => self.joins.get(index).map(|join| join.path.clone()),
            "make the root file system a mount" => Some(text(&self.rootfs)),
            "mount" => self.mounts.get(index).map(|mount| mount.label.clone()),
            "create device" => self.devices.get(index).map(|device| format!("/{}", text(&device.path))),
            "make path read-only" => self.readonly.get(index).map(|path| format!("/{}", text(path))),
            "mask path" => self.masked.get(index).map(|path| format!("/{}", text(path))),
            "write kernel parameter" => self.sysctl.get(index).map(|(path, _)| text(path)),
            "run hooks before the root changes" => {
                self.create_container.get(index).map(|hook| text(&hook.path))
            }
            "run startContainer hook" => self.start_container.get(index).map(|hook| text(&hook.path)),
            other => self.process.entry(other, index),
        }
    }
}

/// The error that the child's report means.
pub(crate) fn explain(plan: &impl Named, steps: &[&'static str], step: u8, index: u16, errno: i32) -> Error {
    let errno = Errno::from_raw_os_error(errno);
    let step = steps.get(usize::from(step)).copied().unwrap_or("unknown step");
    let start = "unable to start container process";
    if matches!(step, "find the program" | "execute") {
        return Error::because(Kind::Exec, start, program(plan.process(), errno));
    }
    let object = plan.entry(step, index.into()).map(|name| format!(" {name}")).unwrap_or_default();
    let why = match step.contains("hook") {
        true => hooks::explain(errno).map_or_else(|| errno_text(errno), str::to_owned),
        false => errno_text(errno),
    };
    Error::because(Kind::Environment, format!("{start}: {step}{object}"), why)
}

/// What clients of runc look for when a program cannot be executed.
fn program(plan: &ProcessPlan, errno: Errno) -> String {
    let name =
        plan.args.strings().first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match errno {
        Errno::NOENT if !name.contains('/') => format!("exec: {name:?}: executable file not found in $PATH"),
        Errno::NOENT => format!("exec: {name:?}: stat {name}: no such file or directory"),
        errno => format!("exec: {name:?}: {}", errno_text(errno)),
    }
}
