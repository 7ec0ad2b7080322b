//! What is refused: values the specification forbids, and fields that are not there yet, by name.

use plimsoll_spec::runtime::{Config, Process};

use crate::error::{Error, Kind, Result};

use super::invalid;

/// Refuses a configuration that this runtime cannot honour in full.
pub(super) fn check(config: &Config) -> Result<()> {
    version(&config.oci_version)?;
    hooks(config)?;
    if let Some(one) = &config.process {
        process(one, "config.json: /process")?;
    }
    for (pointer, set) in absent(config) {
        if set {
            return Err(Error::new(
                Kind::Unsupported,
                format!("config.json: {pointer} is not supported yet"),
            ));
        }
    }
    Ok(())
}

/// Refuses a process that this runtime cannot honour in full; `place` is where it is written.
pub(crate) fn process(process: &Process, place: &str) -> Result<()> {
    let absent = [
        ("selinuxLabel", filled(&process.selinux_label)),
        ("scheduler", process.scheduler.is_some()),
        ("ioPriority", process.io_priority.is_some()),
        ("execCPUAffinity", process.exec_cpu_affinity.is_some()),
    ];
    match absent.iter().find(|(_, set)| *set) {
        Some((name, _)) => Err(Error::new(Kind::Unsupported, format!("{place}/{name} is not supported yet"))),
        None => Ok(()),
    }
}

/// Engines write empty labels where they mean none.
fn filled(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

fn absent(config: &Config) -> Vec<(&'static str, bool)> {
    let mut fields = Vec::with_capacity(16);
    if let Some(linux) = &config.linux {
        fields.extend([
            ("/linux/netDevices", !linux.net_devices.is_empty()),
            ("/linux/intelRdt", linux.intel_rdt.is_some()),
            ("/linux/memoryPolicy", linux.memory_policy.is_some()),
            ("/linux/mountLabel", filled(&linux.mount_label)),
        ]);
    }
    fields
}

/// Accepts any 1.x version: later minors are compatible, and engines write what their library says.
fn version(version: &str) -> Result<()> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<_> = numbers.split('.').map(str::parse::<u32>).collect();
    match parts.as_slice() {
        [Ok(1), Ok(_), Ok(_)] => Ok(()),
        [Ok(_), Ok(_), Ok(_)] => {
            Err(invalid("/ociVersion", format!("is not supported: {version:?}, need 1.x")))
        }
        _ => Err(invalid("/ociVersion", format!("is not a semantic version: {version:?}"))),
    }
}

fn hooks(config: &Config) -> Result<()> {
    let Some(hooks) = &config.hooks else { return Ok(()) };
    let kinds = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (name, list) in kinds {
        for (i, hook) in list.iter().enumerate() {
            if !hook.path.starts_with('/') {
                return Err(invalid(&format!("/hooks/{name}/{i}/path"), "is not an absolute path"));
            }
            if hook.timeout.is_some_and(|seconds| seconds <= 0) {
                return Err(invalid(&format!("/hooks/{name}/{i}/timeout"), "is not greater than zero"));
            }
        }
    }
    Ok(())
}
