//! The machine's disk: a Debian 12 with systemd, made once for each recipe and then only read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use plimsoll_digest::{Algorithm, Digest};

use super::namespace;
use crate::shell::{find_program, must, output, root};

/// How the disk is made.
const RECIPE: &str = include_str!("make.sh");
/// What runs in it.
const GUEST: &str = include_str!("guest.sh");

/// Packages of Debian 12 that are in it beside the essential ones.
const PACKAGES: [&str; 29] = [
    "apparmor",
    "bats",
    "buildah",
    "busybox-static",
    "conmon",
    "crun",
    "dbus",
    "dbus-user-session",
    "e2fsprogs",
    "fuse-overlayfs",
    "initramfs-tools",
    "iproute2",
    "jq",
    "kmod",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    // Podman wants one of several network stacks, and debootstrap does not choose.
    "netavark",
    "podman",
    "procps",
    "runc",
    "skopeo",
    "slirp4netns",
    "strace",
    "systemd",
    "systemd-sysv",
    "udev",
    "uidmap",
    "umoci",
    "zstd",
];

/// A disk that is ready.
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// The disk of the present recipe; made where it is not there.
    pub(crate) fn ready() -> Result<Disk> {
        let dir = place()?.join(key()?);
        if !dir.join("disk.img").is_file() {
            make(&dir)?;
        }
        Ok(Disk { dir })
    }

    /// Removes what [`Disk::ready`] would find.
    pub(crate) fn forget() -> Result<()> {
        let dir = place()?.join(key()?);
        match std::fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("remove {}", dir.display()))
            }
            _ => Ok(()),
        }
    }

    /// The file `name` that belongs to it: `disk.img`, `vmlinuz`, `initrd`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Where everything about machines is kept.
pub(crate) fn place() -> Result<PathBuf> {
    let place = root().join("target/vm");
    std::fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
    Ok(place)
}

/// An empty folder that a process mounts on in a mount namespace of its own; it stays empty for all others.
pub(crate) fn mount_point() -> Result<PathBuf> {
    let point = place()?.join("mnt");
    std::fs::create_dir_all(&point).with_context(|| format!("make {}", point.display()))?;
    Ok(point)
}

/// Equal for equal disks, as far as the project is concerned: packages may have got newer.
fn key() -> Result<String> {
    // Its modules are in the disk.
    let uml = match find_program("linux.uml", &[]) {
        Some(program) => output(Command::new(program).arg("--version"))?,
        None => String::new(),
    };
    let recipe = [RECIPE, GUEST, &PACKAGES.join(" "), uml.trim()].join("\n");
    let digest = Digest::of(Algorithm::Sha256, recipe.as_bytes());
    Ok(digest.encoded().chars().take(12).collect())
}

fn make(dir: &Path) -> Result<()> {
    for program in ["debootstrap", "mke2fs", "unshare"] {
        if find_program(program, &[]).is_none() {
            bail!("{program} is not on PATH; `cargo xtask setup` installs what machines need");
        }
    }
    let place = place()?;
    // Disks of older recipes are of no use any more, nor is what an interrupted making has left.
    for entry in std::fs::read_dir(&place)?.flatten() {
        let name = entry.file_name();
        let old = name.len() == 12 || name == "making";
        if old && entry.path().is_dir() {
            std::fs::remove_dir_all(entry.path())
                .with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    let making = place.join("making");
    let debs = place.join("debs");
    for folder in [&making, &debs] {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let (recipe, guest, log) = (making.join("make.sh"), making.join("guest.sh"), place.join("make.log"));
    std::fs::write(&recipe, RECIPE)?;
    std::fs::write(&guest, GUEST)?;
    eprintln!("making the machine's disk, which takes minutes; see {}", log.display());
    let mut command = namespace();
    command.arg("sh").arg(&recipe).arg(mount_point()?).args([&making, &debs, &guest]).args(PACKAGES);
    let file = std::fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file);
    must(&mut command)
        .with_context(|| format!("make the machine's disk; {} has the reason", log.display()))?;
    std::fs::rename(&making, dir).with_context(|| format!("make {}", dir.display()))
}
