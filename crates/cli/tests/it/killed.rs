//! Verbs killed at their system calls, whichever of their processes makes them: nothing of it runs on, nothing
//! half made has a name, and the next call removes what the killed one could not.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use plimsoll_test_support::{Host, Need, Tree, have};

use crate::volumes::import as import_with_volumes;
use crate::{Sandbox, busybox_layout, shell};

/// So many runs of a verb are killed, spread evenly over its system calls.
const RUNS: usize = 100;

/// `plimsoll ARGS...` under strace with `options`; strace ends when all that it traces has.
fn traced(sandbox: &Sandbox, options: &[&str], args: &[&str]) -> ExitStatus {
    let plain = sandbox.command(args);
    let mut traced = Command::new("strace");
    traced.args(options).arg(plain.get_program()).args(plain.get_args()).env_remove("PLIMSOLL_RUNTIME");
    traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// The system calls of the whole of `plimsoll ARGS...`, each with how often its thread had made it.
fn calls(sandbox: &Sandbox, args: &[&str]) -> Vec<(String, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("trace");
    let status = traced(sandbox, &["-ff", "-qq", "-o", log.to_str().unwrap()], args);
    assert!(status.success(), "{args:?}: {status}");
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut calls = Vec::new();
    for file in files {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
                && !name.starts_with("exit")
            {
                let count = seen.entry(name.to_owned()).or_default();
                *count += 1;
                calls.push((name.to_owned(), *count));
            }
        }
    }
    calls
}

/// Kills `plimsoll ARGS...` again and again; before each `reset` undoes what the last has done, after it `check`
/// is told where it was killed.
fn kill_everywhere(sandbox: &Sandbox, args: &[&str], reset: impl Fn(), check: impl Fn(&str)) {
    reset();
    let calls = calls(sandbox, args);
    let step = calls.len().div_ceil(RUNS);
    let (mut runs, mut killed) = (0, 0);
    for (name, count) in calls.iter().step_by(step) {
        reset();
        let inject = format!("inject={name}:signal=KILL:when={count}");
        let status = traced(sandbox, &["-f", "-qq", "-o", "/dev/null", "-e", &inject], args);
        check(&format!("{name} {count}"));
        runs += 1;
        killed += usize::from(status.signal().is_some() || !status.success());
    }
    assert!(runs * 2 > RUNS.min(calls.len()), "{runs} runs of {} calls", calls.len());
    // Threads race, so that some are over before their call comes.
    assert!(killed * 5 > runs * 4, "{killed} of {runs} runs were killed: this shows little");
}

fn count(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

/// What stands in the store while nothing is done with it: content of the right digest, no half of anything.
fn check_store(sandbox: &Sandbox, at: &str) {
    let store = sandbox.path().join("store");
    for half in ["ingest", "snapshots/staging", "snapshots/containers", "runtime"] {
        assert_eq!(count(&store.join(half)), 0, "{at}: something is left in {half}");
    }
    check_blobs(sandbox, at);
}

fn check_blobs(sandbox: &Sandbox, at: &str) {
    let blobs = sandbox.path().join("store/blobs/sha256");
    if count(&blobs) > 0 {
        let wrong = shell(&blobs, "sha256sum * | awk '$1 != $2'");
        assert_eq!(wrong, "", "{at}: a blob has another's name");
    }
}

fn ready() -> Option<Sandbox> {
    if !have(&[Need::Program("strace")]) {
        return None;
    }
    Sandbox::busybox()
}

#[test]
fn an_import_that_is_killed_leaves_no_half_blob() {
    let Some(sandbox) = ready() else { return };
    let source = format!("oci:{}:busybox", busybox_layout().display());
    let args = ["import", &source, "again"];
    let reset = || {
        let store = sandbox.path().join("store");
        std::fs::remove_dir_all(store).unwrap();
        sandbox.must(&["images"]);
    };
    kill_everywhere(&sandbox, &args, reset, |at| {
        check_blobs(&sandbox, at);
        let names = sandbox.must(&["images", "-q"]);
        check_store(&sandbox, at);
        assert!(matches!(names.as_str(), "" | "again\n"), "{at}: {names}");
        sandbox.must(&args);
        assert_eq!(count(&sandbox.path().join("store/blobs/sha256")), 3, "{at}");
    });
}

#[test]
fn an_unpack_that_is_killed_leaves_no_half_tree() {
    let Some(sandbox) = ready() else { return };
    let place = sandbox.path().join("place");
    let target = place.join("target");
    let args = ["unpack", "busybox", target.to_str().unwrap()];
    std::fs::create_dir(&place).unwrap();
    sandbox.must(&args);
    let whole = Tree::list(&target);
    let empty = || {
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::create_dir(&place).unwrap();
    };
    kill_everywhere(&sandbox, &args, empty, |at| {
        if target.exists() {
            assert_eq!(Tree::list(&target).differences(&whole), [], "{at}");
            std::fs::remove_dir_all(&target).unwrap();
        }
        sandbox.must(&args);
        assert_eq!(Tree::list(&target).differences(&whole), [], "{at}");
        assert_eq!(count(&place), 1, "{at}: what the killed one made is left beside the target");
        check_store(&sandbox, at);
    });
}

#[test]
fn a_bundle_that_is_killed_is_whole_or_absent() {
    let Some(sandbox) = ready() else { return };
    let place = sandbox.path().join("place");
    let target = place.join("target");
    import_with_volumes(&sandbox);
    let args = ["bundle", "with", target.to_str().unwrap(), "true"];
    std::fs::create_dir(&place).unwrap();
    sandbox.must(&args);
    let whole = Tree::list(&target.join("rootfs"));
    let volumes = Tree::list(&target.join("volumes"));
    assert!(volumes.paths().len() > 10);
    let same = |fact: &plimsoll_test_support::Difference| fact.fact != "mtime";
    let config = std::fs::read(target.join("config.json")).unwrap();
    let check = |at: &str| {
        assert_eq!(Tree::list(&target.join("rootfs")).differences(&whole), [], "{at}");
        let differences = Tree::list(&target.join("volumes")).differences(&volumes);
        assert!(!differences.iter().any(same), "{at}: {differences:?}");
        assert_eq!(std::fs::read(target.join("config.json")).unwrap(), config, "{at}");
        std::fs::remove_dir_all(&target).unwrap();
    };
    let empty = || {
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::create_dir(&place).unwrap();
    };
    kill_everywhere(&sandbox, &args, empty, |at| {
        if target.exists() {
            check(at);
        }
        sandbox.must(&args);
        check(at);
        assert_eq!(count(&place), 0, "{at}: what the killed one made is left beside the target");
        check_store(&sandbox, at);
    });
}

#[test]
fn a_run_that_is_killed_is_removed_by_the_next_call() {
    let Some(sandbox) = ready() else { return };
    import_with_volumes(&sandbox);
    let name = format!("plimsoll-kill-{}", std::process::id());
    let args = ["run", "--rm", "--name", &name, "with", "true"];
    let before = Host::look(sandbox.path(), &name);
    let next: [&[&str]; 3] = [&["ps", "-aq"], &["run", "--rm", "busybox", "true"], &["rm", "absent"]];
    let turn = std::cell::Cell::new(0);
    kill_everywhere(
        &sandbox,
        &args,
        || {},
        |at| {
            let args = next[turn.get() % next.len()];
            turn.set(turn.get() + 1);
            let output = sandbox.call(args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let code = if args[0] == "rm" { 125 } else { 0 };
            assert_eq!(
                (output.status.code(), output.stdout.as_slice()),
                (Some(code), &b""[..]),
                "{at}: {said}"
            );
            assert_eq!(Host::look(sandbox.path(), &name), before, "{at}: the host has changed");
            check_store(&sandbox, at);
        },
    );
}

#[test]
fn a_container_is_removed_when_it_is_dead_and_not_before() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let args = ["run", "--rm", "--name", "box", "busybox", "sh", "-c", "echo up; exec sleep 1000"];
    let mut running = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    // Each of these would remove it if it were dead.
    assert_eq!(sandbox.must(&["ps", "-q"]), "box\n");
    sandbox.run(&[], "true");
    sandbox.fails(&["rm", "absent"], 125);
    assert_eq!(sandbox.must(&["exec", "box", "echo", "alive"]), "alive\n");
    running.kill().unwrap();
    running.wait().unwrap();
    // The container holds the other end of the pipe: its end is the container's.
    line.clear();
    assert_eq!(output.read_line(&mut line).unwrap(), 0);
    assert_eq!(sandbox.must(&["ps", "-aq"]), "");
    check_store(&sandbox, "killed while it ran");
}

#[test]
fn a_container_is_removed_when_its_runtime_is_killed() {
    let Some(sandbox) = Sandbox::busybox() else { return };
    let args = ["run", "--rm", "--name", "box", "busybox", "sh", "-c", "echo up; exec sleep 1000"];
    let mut running = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", running.id());
    let runtime = std::fs::read_to_string(children).unwrap();
    shell(sandbox.path(), &format!("kill -9 {}", runtime.trim()));
    assert_eq!(running.wait().unwrap().code(), Some(137));
    check_store(&sandbox, "by the one who waited for it");
}

/// A layer that takes long enough to be interrupted in it.
fn large_image(sandbox: &Sandbox) {
    shell(
        sandbox.path(),
        "umoci init --layout large && umoci new --image large:it && head -c 256M /dev/zero > zeros && \
         tar -cf zeros.tar zeros && rm zeros && umoci raw add-layer --image large:it zeros.tar && rm zeros.tar",
    );
    sandbox.must(&["import", &format!("oci:{}/large:it", sandbox.path().display()), "large"]);
}

#[test]
fn a_signal_to_end_leaves_nothing() {
    let Some(sandbox) = Sandbox::empty() else { return };
    large_image(&sandbox);
    let place = sandbox.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let target = place.join("target");
    let target = target.to_str().unwrap();
    let staging = sandbox.path().join("store/snapshots/staging");
    let rows: [(&[&str], &Path); 3] = [
        (&["unpack", "large", target], &place),
        (&["bundle", "large", target, "true"], &place),
        (&["run", "--rm", "large", "true"], &staging),
    ];
    for (args, made_in) in rows {
        for signal in ["HUP", "INT", "QUIT", "TERM"] {
            // On a busy machine it may be over before the signal comes.
            let ended = (0..10).find_map(|_| interrupt(&sandbox, args, made_in, signal));
            let said = ended.unwrap();
            assert!(said.contains("ended by signal "), "{args:?} {signal}: {said}");
            assert_eq!(count(&place), 0, "{args:?} {signal}");
            check_store(&sandbox, signal);
        }
    }
}

/// Sends `signal` to `plimsoll ARGS...` once there is something in `made_in`; what it said with code 125, or
/// `None` where it was done already, which is undone.
fn interrupt(sandbox: &Sandbox, args: &[&str], made_in: &Path, signal: &str) -> Option<String> {
    let child = sandbox.command(args).stderr(Stdio::piped()).spawn().unwrap();
    let proc = PathBuf::from(format!("/proc/{}/stat", child.id()));
    let lives = || std::fs::read_to_string(&proc).is_ok_and(|stat| !stat.contains(") Z "));
    while count(made_in) == 0 && lives() {
        std::thread::yield_now();
    }
    shell(sandbox.path(), &format!("kill -{signal} {}", child.id()));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let target = sandbox.path().join("place/target");
    if output.status.code() == Some(125) {
        return Some(said);
    }
    let done = target.exists() || args[0] == "run";
    assert!(done, "{args:?} {signal}: {}: {said}", output.status);
    drop(std::fs::remove_dir_all(target));
    sandbox.must(&["rmi", "large"]);
    sandbox.must(&["import", &format!("oci:{}/large:it", sandbox.path().display()), "large"]);
    None
}
