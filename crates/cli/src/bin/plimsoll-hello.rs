//! The program of the embedded image: says what it finds around itself, so that anyone can compare.

use std::io::{self, Write as _};

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    writeln!(out, "Hello from a container of {}", pretty_name(&read("/etc/os-release")))?;
    writeln!(out, "  process {} of its pid namespace", std::process::id())?;
    writeln!(out, "  host name {}", read("/proc/sys/kernel/hostname").trim())?;
    for name in NAMESPACES {
        if let Ok(inode) = std::fs::read_link(format!("/proc/self/ns/{name}")) {
            writeln!(out, "  {name}: {}", inode.display())?;
        }
    }
    let status = read("/proc/self/status");
    for field in ["CapEff", "NoNewPrivs", "Seccomp"] {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"));
        writeln!(out, "  {field} {}", value.unwrap_or("unknown"))?;
    }
    Ok(())
}

fn pretty_name(os_release: &str) -> &str {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("an image without a name", |name| name.trim_matches('"'))
}
