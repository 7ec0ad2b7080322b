//! `plimsoll` on real images, made by Debian's own tools, with the runtime beside it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod debian;
mod faults;
mod hostile;
mod image_mutants;
mod images;
mod json;
mod killed;
mod mutants;
mod reproducers;
mod rootless;
mod run;
mod subjects;
mod trees;
mod validate;
mod volumes;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use plimsoll_test_support::{Host, Need, find_program, have};
use tempfile::TempDir;

/// An image of Debian's busybox, made by umoci once for all tests, in the folder that cargo has for such things.
fn busybox_layout() -> &'static Path {
    static LAYOUT: OnceLock<(File, PathBuf)> = OnceLock::new();
    let (_held, layout) = LAYOUT.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busybox");
        let lock = File::create(dir.with_extension("lock")).unwrap();
        // What an earlier run has left may be half of it; another run at the same time has made it.
        if lock.try_lock().is_ok() {
            drop(std::fs::remove_dir_all(&dir));
            std::fs::create_dir_all(&dir).unwrap();
            make_busybox(&dir);
        }
        lock.lock_shared().unwrap();
        (lock, dir.join("oci"))
    });
    layout
}

fn make_busybox(dir: &Path) {
    let busybox = find_program("busybox").unwrap();
    shell(
        dir,
        &format!(
            "umoci init --layout oci && umoci new --image oci:busybox && umoci unpack --image oci:busybox b >/dev/null && cd b/rootfs && \
             mkdir -p bin etc home/me tmp proc dev sys && chmod 1777 tmp && chown 1000:1000 home/me && cp {} bin/busybox && \
             for a in sh true false cat id env sleep echo touch ls grep pwd kill hostname ip head dd tty stat chmod; do ln -s busybox bin/$a; done && \
             printf 'root:x:0:0::/:/bin/sh\\nme:x:1000:1000::/home/me:/bin/sh\\n' > etc/passwd && \
             printf 'root:x:0:\\nme:x:1000:\\nextra:x:77:me\\n' > etc/group && echo '#!/nonexistent' > bin/broken && : > etc/plain && chmod 755 bin/broken && cd ../.. && \
             umoci repack --image oci:busybox b >/dev/null && rm -r b && \
             umoci config --image oci:busybox --config.cmd /bin/sh --config.cmd -c --config.cmd 'echo default' --config.env FROM=image --config.workingdir /tmp",
            busybox.display(),
        ),
    );
}

/// Runs `script` in `dir`, which must succeed; what it printed.
fn shell(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A store of one test; checks in the end that nothing of it is left on the host.
struct Sandbox {
    dir: TempDir,
    before: Host,
}

impl Sandbox {
    /// An empty store, or `None` with a printed reason where the machine lacks something.
    fn empty() -> Option<Sandbox> {
        if !have(&[Need::Root, Need::Program("busybox"), Need::Program("umoci")]) {
            return None;
        }
        let dir = tempfile::Builder::new().prefix("plimsoll-cli-").tempdir().unwrap();
        let before = Host::look(dir.path(), "plimsoll-cli-");
        Some(Sandbox { dir, before })
    }

    /// A store with the image `busybox`.
    fn busybox() -> Option<Sandbox> {
        let sandbox = Sandbox::empty()?;
        sandbox.must(&["import", &format!("oci:{}:busybox", busybox_layout().display()), "busybox"]);
        Some(sandbox)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command
            .arg("--root")
            .arg(self.path().join("store"))
            .args(args)
            .stdin(Stdio::null())
            .env_remove("PLIMSOLL_RUNTIME");
        command
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; what it printed.
    fn must(&self, args: &[&str]) -> String {
        let output = self.call(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must end with `code`; what it said, without progress.
    fn fails(&self, args: &[&str], code: i32) -> String {
        let output = self.call(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        let lines = said.lines().filter(|line| line.starts_with("plimsoll"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// `run --rm` of the image `busybox` with `options` before it and `script` for its shell.
    fn run(&self, options: &[&str], script: &str) -> String {
        let args = [&["run", "--rm"], options, &["busybox", "sh", "-c", script]].concat();
        self.must(&args)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let names = self.call(&["ps", "--all", "--quiet"]);
        for name in String::from_utf8(names.stdout).unwrap().lines() {
            self.call(&["rm", "--force", name]);
        }
        if !std::thread::panicking() {
            let staged =
                std::fs::read_dir(self.path().join("store/snapshots/staging")).map_or(0, Iterator::count);
            let runtime = std::fs::read_dir(self.path().join("store/runtime")).map_or(0, Iterator::count);
            assert_eq!((staged, runtime), (0, 0), "half a tree or a container's state is left");
            assert_eq!(Host::look(self.path(), "plimsoll-cli-"), self.before, "the host has changed");
        }
    }
}
