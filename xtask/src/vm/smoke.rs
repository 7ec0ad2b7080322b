//! The short form for every change: a machine boots, a few cases are judged, and a limit of memory holds.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use plimsoll_conformance::{Results, Verdict, seen};

use super::machine::{Carrier, NotBooted};
use super::{Lane, Options, binaries};
use crate::shell::find_program;

/// What runs inside. One container asks for more memory than it may have, and is killed for it.
const SCRIPT: &str = r#"
set -e
cat /sys/fs/cgroup/cgroup.controllers
plimsoll conformance run plimsoll-runtime --only lifecycle/ --only cgroups/ --jobs 2 --patience 600 \
    --operation-patience 100 --output /vm/out/smoke.json || code=$?
# 1 says that a requirement is not met: which, is looked at outside.
[ "${code:-0}" -le 1 ]
mkdir -p bundle/rootfs/bin bundle/rootfs/proc bundle/rootfs/dev bundle/rootfs/sys
cp /bin/busybox bundle/rootfs/bin/
cd bundle
plimsoll-runtime spec
jq '.process.terminal = false | .process.args = ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]
    | .linux.resources.memory = {limit: 16777216, swap: 16777216}' config.json > limited
mv limited config.json
plimsoll-runtime run limited || code=$?
[ "$code" = 137 ]
echo "a limit of 16 MiB has ended a process that wanted 64"
"#;

/// Why no machine can be made here, if so.
pub(super) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let lacks =
        ["debootstrap", "mke2fs", "unshare"].into_iter().find(|name| find_program(name, &[]).is_none());
    if let Some(name) = lacks {
        return Some(format!("{name} is not on PATH"));
    }
    let carriers = [Carrier::Uml, Carrier::Tcg];
    carriers
        .iter()
        .all(|carrier| carrier.program().is_err())
        .then(|| "neither linux.uml nor qemu-system-x86_64 is on PATH".to_owned())
}

pub(super) fn run(options: &Options) -> Result<()> {
    let mut lane = match Lane::new(options, &[Carrier::Uml, Carrier::Kvm, Carrier::Tcg]) {
        Ok(lane) => lane,
        Err(e) => {
            // Packages that cannot be had are no fault of the change.
            println!("skipped: vm: {e:#}");
            return Ok(());
        }
    };
    let payload = binaries()?.finish(SCRIPT)?;
    match lane.run(&payload, &mut |line| println!("{line}")) {
        // Nor is a host on which no machine boots.
        Err(e) if e.is::<NotBooted>() => println!("skipped: vm: {e:#}"),
        Err(e) => return Err(e),
        Ok(outcome) if outcome.code != 0 => {
            bail!("the smoke run in the machine has failed with {}", outcome.code);
        }
        Ok(_) => only_known_failures(&lane.results.join("smoke.json"))?,
    }
    Ok(())
}

/// Refuses results in which a row fails that the published ones do not know to fail.
fn only_known_failures(file: &Path) -> Result<()> {
    let results = Results::read(file).map_err(|e| anyhow!(e.chain()))?;
    let is_known = |id: &str| {
        let seen = seen(id).into_iter().filter(|(verdict, _)| *verdict == Verdict::Fail);
        seen.flat_map(|(_, subjects)| subjects).any(|subject| subject.starts_with("plimsoll-runtime"))
    };
    let failing = results.rows.iter().filter(|row| row.verdict == Verdict::Fail).map(|row| row.id.as_str());
    let new: Vec<&str> = failing.filter(|id| !is_known(id)).collect();
    if !new.is_empty() {
        bail!("rows fail in the machine that are not published as failing: {}", new.join(", "));
    }
    Ok(())
}
