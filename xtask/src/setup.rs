//! What a fresh Debian machine lacks: the programs that tests compare with and take their images from,
//! the emulators of `vm`, and, where there is a nightly compiler, cargo-fuzz.

use std::process::Command;

use anyhow::{Result, bail};

use crate::fuzz;
use crate::shell::{find_program, must};

/// Packages of Debian 12.
const PACKAGES: [&str; 23] = [
    "buildah",
    "busybox-static",
    "conmon",
    "containerd",
    "crun",
    "debootstrap",
    "docker.io",
    "e2fsprogs",
    "gcc",
    "jq",
    "libseccomp-dev",
    "podman",
    "procps",
    "python3",
    "qemu-system-x86",
    "runc",
    "skopeo",
    "strace",
    "time",
    "uidmap",
    "umoci",
    "user-mode-linux",
    "zstd",
];

/// Installs them, where this is Debian and the user is root.
pub(crate) fn run() -> Result<()> {
    if find_program("apt-get", &[]).is_none() {
        bail!("apt-get is not there; install by hand what corresponds to {}", PACKAGES.join(" "));
    }
    if !rustix::process::geteuid().is_root() {
        bail!("installing packages needs root; run: apt-get install {}", PACKAGES.join(" "));
    }
    must(Command::new("apt-get").args(["update", "-qq"]))?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    must(Command::new("apt-get").args(install).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive"))?;
    fuzz::setup();
    Ok(())
}
