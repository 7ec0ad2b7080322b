//! Runtimes that do not behave: each gets a verdict by name, the judge goes on, and nothing of them stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use plimsoll_conformance::{Results, Verdict, rejudge, seen};
use plimsoll_test_support::{Host, Need, have, skipped, write_program};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a runtime in it, which notes how it is called.
struct Desk {
    dir: TempDir,
}

impl Desk {
    /// `body` is what the runtime does, as a shell does it.
    fn new(body: &str) -> Desk {
        let dir = tempfile::Builder::new().prefix("plimsoll-subject-").tempdir().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), mode).unwrap();
        let desk = Desk { dir };
        let script = format!("#!/bin/sh\nplace=${{0%/*}}\necho \"$@\" >> \"$place/said\"\n{body}\n");
        write_program(&desk.path("subject"), script.as_bytes()).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, subject: &Path, only: &str) -> Command {
        self.patient_command("1", subject, only)
    }

    /// `patience` in seconds is that for one operation.
    fn patient_command(&self, patience: &str, subject: &Path, only: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.args(["conformance", "run", "--only", only, "-o", "results.json"]);
        command.args(["--operation-patience", patience, "--patience", "20", "--only-cgroup2"]).arg(subject);
        command.current_dir(self.dir.path()).env("TMPDIR", self.dir.path());
        command
    }

    /// The judge of programs that are no runtimes.
    fn other(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        let arguments = if verb == "digest" { "" } else { " {layout} {target}" };
        let subject = format!("{}{arguments}", self.path("subject").display());
        command.args(["conformance", verb, "--command"]).arg(subject);
        command.current_dir(self.dir.path()).env("TMPDIR", self.dir.path());
        command
    }

    /// What the judge says of the control; `None` where it was built without a probe.
    fn judge(&self) -> Option<Judged> {
        self.judge_on("control")
    }

    fn judge_on(&self, only: &str) -> Option<Judged> {
        self.judge_by(self.command(&self.path("subject"), only))
    }

    fn judge_by(&self, mut judge: Command) -> Option<Judged> {
        let before = self.look();
        let output = judge.output().unwrap();
        let after = self.look();
        let Output { status, stdout, stderr } = output;
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        if said.contains("built without a probe") {
            skipped("plimsoll was built without a probe");
            return None;
        }
        assert_eq!(after, before, "{said}");
        assert!(!said.contains('\x1b'), "{said:?}");
        let results = std::fs::read(self.path("results.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
        let results = serde_json::from_slice(&results).unwrap();
        Some(Judged { code: status.code().unwrap(), results, said })
    }

    /// Mounts and processes of this folder, cgroups of the runs in it, and what lies in it.
    fn look(&self) -> (Vec<Host>, Vec<String>) {
        let said = std::fs::read_to_string(self.path("said")).unwrap_or_default();
        let runs = said.split("/plimsoll-conformance-").skip(1).filter_map(|rest| rest.split('/').next());
        let marks = runs.map(|run| format!("plimsoll-judge-{run}")).chain(["plimsoll-subject".to_owned()]);
        let mut hosts: Vec<Host> = marks.map(|mark| Host::look(self.dir.path(), &mark)).collect();
        hosts.dedup();
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let own = ["subject", "said", "results.json", "killed", "once"];
        (hosts, names.filter(|name| !own.contains(&name.as_str())).collect())
    }
}

struct Judged {
    code: i32,
    results: Value,
    said: String,
}

impl Judged {
    /// Every row has the verdict, and its judgements say why.
    fn all_are(&self, verdict: &str, why: &str) {
        let rows = self.results["rows"].as_array().unwrap();
        assert!(!rows.is_empty());
        for row in rows {
            assert_eq!(row["verdict"], verdict, "{row}");
            let observed = row["judgements"][0]["observed"].as_str().unwrap();
            assert!(observed.contains(why), "{observed}");
        }
    }
}

fn own_runtime() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_plimsoll")).with_file_name("plimsoll-runtime")
}

/// What fails here and is not published as failing is a fault of the runtime, or of the judge.
#[test]
fn the_whole_suite_finds_nothing_new_in_our_own_runtime() {
    let runtime = own_runtime();
    if !have(&[Need::Root]) {
        return;
    }
    if !runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    let desk = Desk::new(&format!("exec {} \"$@\"", runtime.display()));
    let before = desk.look();
    let mut judge = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    judge.args(["conformance", "run", "--patience", "120", "-o", "results.json"]).arg(desk.path("subject"));
    let output = judge.current_dir(desk.dir.path()).env("TMPDIR", desk.dir.path()).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if said.contains("built without a probe") {
        return skipped("plimsoll was built without a probe");
    }
    assert_eq!(desk.look(), before, "{said}");
    let results = Results::read(&desk.path("results.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert_eq!(results.cases.len(), rejudge::case_names("runtime").unwrap().len());
    let is_known = |id: &str| {
        let failing = seen(id).remove(&Verdict::Fail).unwrap_or_default();
        failing.iter().any(|subject| subject.starts_with("plimsoll-runtime"))
    };
    for row in results.rows.iter().filter(|row| matches!(row.verdict, Verdict::Fail | Verdict::Error)) {
        assert!(row.verdict == Verdict::Fail && is_known(&row.id), "{row:#?}");
    }
    // Of what the host has, nothing is left out.
    assert!(results.counts()[&Verdict::Pass] > 200, "{said}");
}

#[test]
fn one_that_is_not_there_is_an_error() {
    let desk = Desk::new("");
    let output = desk.command(&desk.path("nothing"), "control").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8(output.stderr).unwrap();
    let want = format!("find the runtime {}: there is no such program", desk.path("nothing").display());
    assert!(said.contains(&want), "{said}");
    assert!(!desk.path("results.json").exists());
}

#[test]
fn one_that_never_ends_is_ended() {
    let Some(judged) = Desk::new("exec sleep 1000").judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: create");
}

#[test]
fn one_that_prints_garbage_says_nothing() {
    let body = "printf '\\033[2J\\000\\377{'; head -c 100000 /dev/urandom";
    let Some(judged) = Desk::new(body).judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: its program reported nothing");
}

#[test]
fn one_that_prints_without_end_is_ended() {
    let Some(judged) = Desk::new("exec yes").judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: create");
    let record = judged.results["cases"][0].to_string();
    assert!(record.len() < 1 << 20, "{}", record.len());
}

#[test]
fn one_that_leaves_something_printing_is_ended() {
    let body = "case \" $* \" in *' create '*) yes & yes & exit 0;; esac\nsleep 0.9";
    let Some(judged) = Desk::new(body).judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the subject printed more than 536870912 bytes");
}

#[test]
fn a_subject_that_says_too_much_has_results_that_can_be_read() {
    // Every byte of it takes six in a string of JSON.
    let Some(judged) = Desk::new("head -c 60000 /dev/zero | tr '\\000' '\\001' | tee /dev/stderr").judge()
    else {
        return;
    };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "what was seen takes more than 524288 bytes");
}

#[test]
fn a_version_that_there_is_not_is_refused() {
    let desk = Desk::new("exit 1");
    let said = |mut judge: Command| {
        let output = judge.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
        said.trim_end().to_owned()
    };
    let mut run = desk.command(&desk.path("subject"), "control");
    run.args(["--spec", "v1.3"]);
    let why =
        "plimsoll: there is no version \"v1.3\" of the runtime specification; there are 1.0, 1.1, 1.2, 1.3";
    assert_eq!(said(run), why);
    let mut run = desk.command(&desk.path("subject"), "LNX-NET-01");
    run.args(["--spec", "1.2"]);
    assert_eq!(said(run), "plimsoll: what is selected tells nothing about version 1.2");
    let why = "plimsoll: there is no version \"latest\" of the image specification; there are 1.0, 1.1, main";
    for verb in ["unpacker", "converter", "copier"] {
        let mut judge = desk.other(verb);
        judge.args(["--spec", "latest"]);
        assert_eq!(said(judge), why, "{verb}");
    }
    for verb in [&["validate"][..], &["conformance", "image"]] {
        let mut judge = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        judge.args(verb).arg(desk.path("")).args(["--spec", "latest"]);
        assert_eq!(said(judge), why, "{verb:?}");
    }
    assert!(!desk.path("said").exists() && !desk.path("results.json").exists());
}

#[test]
fn what_forks_and_escapes_is_found() {
    let body = "setsid sh -c 'sleep 1000 & setsid sleep 1000' > /dev/null 2>&1 &\nexit 1";
    let Some(judged) = Desk::new(body).judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: create exited with 1");
}

#[test]
fn a_chain_of_processes_that_each_make_the_next_is_ended() {
    let body = "setsid perl -e 'open F, q(>), shift; while (1) { fork and exit }' \"$place/killed\" > /dev/null 2>&1 &\n\
                until [ -e \"$place/killed\" ]; do :; done\nexit 1";
    let desk = Desk::new(body);
    let Some(judged) = desk.judge() else { return };
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: create exited with 1");
    let before = desk.look();
    desk.other("digest").output().unwrap();
    assert_eq!(desk.look(), before);
}

#[test]
fn one_that_freezes_what_it_leaves_is_ended() {
    let freezer = Path::new("/sys/fs/cgroup/freezer");
    if !have(&[Need::Root]) {
        return;
    }
    if !freezer.join("cgroup.procs").exists() {
        return skipped("this host has no freezer of cgroup version 1, in which nobody can be killed");
    }
    let body = "case \" $* \" in *' create '*) ;; *) exit 1;; esac\n\
                bundle=$(echo \"$*\" | sed 's/.*--bundle \\([^ ]*\\).*/\\1/')\n\
                cgroup=/sys/fs/cgroup/freezer$(sed 's/.*\"cgroupsPath\": *\"\\([^\"]*\\)\".*/\\1/' \"$bundle/config.json\")\n\
                mkdir \"$cgroup\"; setsid sleep 1000 > /dev/null 2>&1 &\n\
                echo $! > \"$cgroup/cgroup.procs\"; echo FROZEN > \"$cgroup/freezer.state\"; exit 1";
    let desk = Desk::new(body);
    let mut judge = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    judge.args(["conformance", "run", "--only", "control", "--patience", "20", "-o", "results.json"]);
    judge.arg(desk.path("subject")).current_dir(desk.dir.path()).env("TMPDIR", desk.dir.path());
    let Some(judged) = desk.judge_by(judge) else { return };
    judged.all_are("INCONCLUSIVE", "the minimal container does not run: create exited with 1");
}

#[test]
fn one_that_kills_the_process_that_calls_it_is_survived() {
    let Some(judged) = Desk::new("kill -9 $PPID").judge() else { return };
    assert_eq!(judged.code, 4, "{}", judged.said);
    judged.all_are("INCONCLUSIVE", "the minimal container could not be tried: a worker ended by signal: 9");
}

#[test]
fn what_is_seen_once_is_no_failure() {
    let runtime = own_runtime();
    if !have(&[Need::Root]) {
        return;
    }
    if !runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    // One state that is asked for after a kill is wrong, and none after it.
    let wrong = "cd \"$place\"; case \" $* \" in *' kill '*) touch killed;; *' state '*) \
                 [ -e killed ] && [ ! -e once ] && { touch once; echo '{}'; exit 0; };; esac; cd - > /dev/null";
    let body = format!("{wrong}\nexec {} \"$@\"", runtime.display());
    let Some(judged) = Desk::new(&body).judge_on("lifecycle/journey") else { return };
    let verdict = |judged: &Judged, id: &str| {
        let rows = judged.results["rows"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["id"] == id).map(|row| row["verdict"].clone())
    };
    assert_eq!(verdict(&judged, "RUN-STATE-02"), Some("INCONCLUSIVE".into()), "{}", judged.said);
    assert!(judged.said.contains("; once more it was PASS"), "{}", judged.said);
    // The same at all times is a failure.
    let Some(judged) = Desk::new(&body.replace("touch once;", "")).judge_on("lifecycle/journey") else {
        return;
    };
    assert_eq!(verdict(&judged, "RUN-STATE-02"), Some("FAIL".into()), "{}", judged.said);
    assert_eq!(judged.code, 1);
}

#[test]
fn what_escapes_from_other_subjects_is_ended_too() {
    let desk = Desk::new("setsid sh -c 'sleep 1000 & setsid sleep 1000' > /dev/null 2>&1 &\nexit 1");
    let before = desk.look();
    for verb in ["unpacker", "digest"] {
        let output = desk.other(verb).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(" rows: ") && desk.path("said").exists(), "{verb}: {said}");
        assert_eq!(desk.look(), before, "{verb}");
        std::fs::remove_file(desk.path("said")).unwrap();
    }
}

/// Interrupts the judge while it waits for its subject; what it says then.
fn interrupt(desk: &Desk, judge: Command) -> Output {
    interrupt_when(judge, || desk.path("said").exists())
}

fn interrupt_when(mut judge: Command, ready: impl Fn() -> bool) -> Output {
    let mut child = judge.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() && child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::yield_now();
    }
    // It may have ended already, without a probe.
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let end = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() && Instant::now() < end {
        std::thread::yield_now();
    }
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let desk = Desk::new("setsid sleep 1000 &\nsleep 1000");
    let before = desk.look();
    let output = interrupt(&desk, desk.command(&desk.path("subject"), "control"));
    let said = String::from_utf8(output.stderr).unwrap();
    if said.contains("built without a probe") {
        return skipped("plimsoll was built without a probe");
    }
    assert!(said.contains("interrupted; what was running is ended and removed"), "{said}");
    assert_eq!(output.status.code(), Some(125), "{said}");
    assert_eq!(desk.look(), before);
    assert!(!desk.path("results.json").exists());
}

#[test]
fn of_all_workers_nothing_is_left_when_a_run_is_interrupted() {
    let runtime = own_runtime();
    if !have(&[Need::Root]) {
        return;
    }
    if !runtime.is_file() {
        return skipped("plimsoll-runtime is not built beside plimsoll");
    }
    // After the control, whoever is created hangs once it is there.
    let runtime = runtime.display();
    let body = format!(
        "{runtime} \"$@\" || exit\ncase \" $* \" in *' create '*) [ -e \"$place/once\" ] && {{ \
         echo >> \"$place/killed\"; exec sleep 1000; }}; touch \"$place/once\";; esac"
    );
    let desk = Desk::new(&body);
    let before = desk.look();
    let mut judge = desk.patient_command("20", &desk.path("subject"), "lifecycle");
    judge.args(["--jobs", "2"]);
    let both = || std::fs::read(desk.path("killed")).is_ok_and(|text| text.len() == 2);
    let output = interrupt_when(judge, both);
    let said = String::from_utf8(output.stderr).unwrap();
    if said.contains("built without a probe") {
        return skipped("plimsoll was built without a probe");
    }
    assert!(both(), "{said}");
    assert!(said.contains("interrupted; what was running is ended and removed"), "{said}");
    assert_eq!(desk.look(), before);
}

#[test]
fn other_judgements_leave_nothing_either_when_they_are_interrupted() {
    for verb in ["unpacker", "converter", "copier", "digest"] {
        let desk = Desk::new("setsid sleep 1000 &\nsleep 1000");
        let before = desk.look();
        let output = interrupt(&desk, desk.other(verb));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("interrupted; what was running is ended and removed"), "{verb}: {said}");
        assert_eq!(output.status.code(), Some(125), "{verb}: {said}");
        assert_eq!(desk.look(), before, "{verb}");
    }
}

#[test]
fn one_that_has_left_its_group_is_ended_too() {
    for verb in ["copier", "digest"] {
        let desk = Desk::new("exec perl -e 'setpgrp(0, getpgrp(getppid())); sleep 1000'");
        let before = desk.look();
        let output = interrupt(&desk, desk.other(verb));
        assert_eq!(output.status.code(), Some(125), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(desk.look(), before, "{verb}");
    }
}

#[test]
fn subjects_begin_with_no_signal_blocked_and_an_environment_that_changes_nothing() {
    for verb in ["unpacker", "digest", "run"] {
        let body =
            "{ grep SigBlk /proc/self/status; env | grep RUST_BACKTRACE; } >> \"$place/killed\"; exit 1";
        let desk = Desk::new(body);
        let mut judge = match verb {
            "run" => desk.command(&desk.path("subject"), "control"),
            _ => desk.other(verb),
        };
        judge.env("RUST_BACKTRACE", "1").output().unwrap();
        let seen = std::fs::read_to_string(desk.path("killed")).unwrap_or_default();
        if seen.is_empty() && verb == "run" {
            return skipped("plimsoll was built without a probe");
        }
        assert!(!seen.is_empty(), "{verb}");
        let other = seen.lines().find(|line| *line != "SigBlk:\t0000000000000000");
        assert_eq!(other, None, "{verb}");
    }
}
