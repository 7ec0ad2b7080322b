//! What Docker and Podman offer alike.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::client::Said;
use super::image::IMAGE;
use super::{Step, Subject};

/// The name of the container that a step leaves in the background.
pub(super) const ID: &str = "subject";

/// How long what must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Removes every container.
pub(super) fn sweep(s: &Subject) -> Result<()> {
    for id in s.client.call(&["ps", "--all", "--quiet", "--no-trunc"])?.done()?.lines() {
        s.client.call(&["rm", "--force", id])?.done()?;
    }
    Ok(())
}

/// The words that make a container, by default one without a network.
fn words<'a>(s: &'a Subject, flags: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    let network: &[&str] = if flags.contains(&"--network") { &[] } else { &["--network", "none"] };
    let run = s.run.iter().map(String::as_str);
    run.chain(network.iter().chain(flags).copied()).chain([IMAGE]).chain(args.iter().copied()).collect()
}

/// What `run --rm` of a shell with `script` came to.
pub(super) fn sh(s: &Subject, flags: &[&str], script: &str) -> Result<Said> {
    s.client.call(&words(s, &[&["--rm"], flags].concat(), &["sh", "-c", script]))
}

/// Starts a shell with `script` in the background.
pub(super) fn background(s: &Subject, flags: &[&str], script: &str) -> Result<()> {
    let flags = [&["--detach", "--name", ID], flags].concat();
    s.client.call(&words(s, &flags, &["sh", "-c", script]))?.done().map(drop)
}

/// Another shell in the container of [`background`].
pub(super) fn exec(s: &Subject, flags: &[&str], script: &str) -> Result<Said> {
    s.client.call(&[&["exec"], flags, &[ID, "sh", "-c", script]].concat())
}

/// Asks again until the answer is `want`.
pub(super) fn eventually(want: &str, ask: impl Fn() -> Result<String>) -> Result<()> {
    let begin = Instant::now();
    loop {
        let answer = ask()?;
        if answer == want {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("it does not become {want:?}, but is {answer:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The host's namespace of `kind` as `readlink` prints it.
pub(super) fn namespace(kind: &str) -> Result<String> {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).context("look at a namespace")?;
    Ok(format!("{}\n", link.display()))
}

fn logs(s: &Subject) -> Result<String> {
    s.client.call(&["logs", ID])?.done()
}

fn field(s: &Subject, name: &str) -> Result<String> {
    s.client.call(&["inspect", "--format", &format!("{{{{.{name}}}}}"), ID])?.done()
}

/// Reads `v2` of the container's cgroup, or `v1` where that is the version.
fn limit(v2: &str, v1: &str) -> String {
    format!("cd /sys/fs/cgroup; cat {v2} 2>/dev/null || cat {v1}")
}

/// Prints the size of the terminal as soon as the client has handed it on.
pub(super) const SIZE: &str = "until stty size 2>/dev/null | grep 33; do :; done";

const SLEEP: &str = "exec sleep 1000";

pub(super) const STEPS: &[Step] = &[
    Step {
        name: "output and exit code",
        run: |s| {
            let said = sh(s, &[], "echo out; echo err >&2; exit 3")?.ended(3)?;
            ensure!((said.out.as_str(), said.err.as_str()) == ("out\n", "err\n"), "{said}");
            let flags = ["--env", "A=b c", "--workdir", "/full", "--hostname", "hull"];
            sh(s, &flags, "echo $A; pwd; hostname")?.printed("b c\n/full\nhull\n")
        },
    },
    Step {
        name: "stdin",
        run: |s| {
            s.client.feed(&words(s, &["--rm", "--interactive"], &["cat"]), "typed\n")?.printed("typed\n")
        },
    },
    Step {
        name: "terminal",
        run: |s| {
            let script = format!(
                "tty; {SIZE}; read line; echo got $line; test -c /dev/console && echo console; exit 4"
            );
            let args = words(s, &["--rm", "--interactive", "--tty"], &["sh", "-c", &script]);
            let said = s.client.on_terminal(&args, "typed\n")?.ended(4)?;
            for wanted in ["/dev/pts/0\n", "33 77\n", "got typed\n", "console\n"] {
                ensure!(said.out.contains(wanted), "{said}: wanted {wanted:?}");
            }
            Ok(())
        },
    },
    Step {
        name: "exec",
        run: |s| {
            background(s, &["--env", "A=b"], SLEEP)?;
            let said = exec(
                s,
                &["--workdir", "/full", "--env", "C=d"],
                "pwd; echo $A $C; cat /proc/1/comm; exit 7",
            )?
            .ended(7)?;
            ensure!(said.out == "/full\nb d\nsleep\n", "{said}");
            exec(s, &["--user", "sailor"], "id -u; id -G; echo $HOME")?.printed("1000\n1000 2000\n/tmp\n")?;
            s.client.feed(&["exec", "--interactive", ID, "cat"], "typed\n")?.printed("typed\n")?;
            let script = format!("tty; {SIZE}; exit 2");
            let args = ["exec", "--interactive", "--tty", ID, "sh", "-c", &script];
            let said = s.client.on_terminal(&args, "")?.ended(2)?;
            ensure!(said.out.contains("/dev/pts/0\n33 77\n"), "{said}");
            s.client.call(&["exec", "--detach", ID, "touch", "/tmp/behind"])?.done()?;
            eventually("1\n", || exec(s, &[], "ls /tmp | grep -c behind").map(|said| said.out))?;
            let said = s.client.call(&["exec", ID, "nope"])?;
            ensure!([126, 127].contains(&said.code), "{said} with {}", said.code);
            let told = format!("{}{}", said.out, said.err);
            ensure!(told.contains("not found in $PATH"), "{said}");
            Ok(())
        },
    },
    Step {
        name: "probes in a loop",
        run: |s| {
            background(s, &[], SLEEP)?;
            for n in 0..20 {
                exec(s, &[], &format!("exit {n}"))?.ended(n)?;
            }
            exec(s, &[], "set -- /proc/[0-9]*; echo $#")?.printed("2\n")
        },
    },
    Step {
        name: "logs",
        run: |s| {
            background(s, &[], "echo one; echo two; exit 8")?;
            s.client.call(&["wait", ID])?.printed("8\n")?;
            s.client.call(&["logs", ID])?.printed("one\ntwo\n")?;
            s.client.call(&["rm", ID])?.done().map(drop)
        },
    },
    Step {
        name: "created, then started",
        run: |s| {
            let run = words(s, &["--name", ID], &["sh", "-c", "echo started; exit 6"]);
            let create: Vec<&str> = std::iter::once("create").chain(run.into_iter().skip(1)).collect();
            s.client.call(&create)?.done()?;
            eventually("created\n", || field(s, "State.Status"))?;
            let said = s.client.call(&["start", "--attach", ID])?.ended(6)?;
            ensure!(said.out == "started\n", "{said}");
            Ok(())
        },
    },
    Step {
        name: "signals",
        run: |s| {
            let script =
                "trap 'echo usr1' USR1; trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done";
            background(s, &[], script)?;
            eventually("ready\n", || logs(s))?;
            s.client.call(&["kill", "--signal", "USR1", ID])?.done()?;
            eventually("ready\nusr1\n", || logs(s))?;
            s.client.call(&["stop", "--time", "20", ID])?.done()?;
            ensure!(field(s, "State.ExitCode")? == "5\n", "it ended with {}", field(s, "State.ExitCode")?);
            Ok(())
        },
    },
    Step {
        name: "kill",
        run: |s| {
            background(s, &[], "trap '' TERM; echo ready; while :; do sleep 1000; done")?;
            eventually("ready\n", || logs(s))?;
            s.client.call(&["stop", "--time", "1", ID])?.done()?;
            ensure!(field(s, "State.ExitCode")? == "137\n", "it ended with {}", field(s, "State.ExitCode")?);
            s.client.call(&["start", ID])?.done()?;
            s.client.call(&["kill", ID])?.done()?;
            s.client.call(&["wait", ID])?.printed("137\n")?;
            s.client.call(&["start", ID])?.done()?;
            s.client.call(&["restart", "--time", "0", ID])?.done()?;
            s.client.call(&["rm", "--force", ID])?.done()?;
            s.client.call(&["ps", "--all", "--quiet"])?.printed("")
        },
    },
    Step {
        name: "memory limit",
        run: |s| {
            let flags = ["--memory", "16m", "--memory-swap", "16m"];
            background(s, &flags, "exec dd if=/dev/zero of=/dev/null bs=64M count=1")?;
            s.client.call(&["wait", ID])?.printed("137\n")?;
            Ok(())
        },
    },
    Step {
        name: "pids limit",
        run: |s| {
            let script = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo unlimited";
            let said = sh(s, &["--pids-limit", "4"], script)?;
            ensure!(said.code != 0 && said.err.contains("can't fork"), "{said}");
            Ok(())
        },
    },
    Step {
        name: "cpu limit",
        run: |s| {
            let script = limit("cpu.max", "cpu/cpu.cfs_quota_us")
                + "; cat cpuset.cpus 2>/dev/null || cat cpuset/cpuset.cpus";
            let said =
                sh(s, &["--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0"], &script)?.done()?;
            ensure!(["50000\n0\n", "50000 100000\n0\n"].contains(&said.as_str()), "{said}");
            Ok(())
        },
    },
    Step {
        name: "user",
        run: |s| {
            let script = "id -u; id -g; id -G; echo x >/dev/stdout; echo $HOME";
            sh(s, &["--user", "1000:1000", "--group-add", "2000"], script)?
                .printed("1000\n1000\n1000 2000\nx\n/tmp\n")?;
            sh(s, &["--user", "sailor"], script)?.printed("1000\n1000\n1000 2000\nx\n/tmp\n")
        },
    },
    Step {
        name: "volume",
        run: |s| {
            std::fs::write(s.data.join("in"), "in\n")?;
            let volume = format!("{}:/data", s.data.display());
            sh(s, &["--volume", &volume], "cat /data/in; echo out >/data/out")?.printed("in\n")?;
            ensure!(std::fs::read_to_string(s.data.join("out"))? == "out\n", "nothing was written");
            let script = "echo no 2>/dev/null >/data/no || echo refused";
            sh(s, &["--volume", &format!("{volume}:ro")], script)?.printed("refused\n")?;
            sh(s, &["--volume", "/full"], "cat /full/of")?.printed("something\n")
        },
    },
    Step {
        name: "read-only root",
        run: |s| {
            let script = "echo x >/tmp/x && cat /tmp/x; echo no 2>/dev/null >/no || echo refused; test -w /dev/shm && echo shm";
            sh(s, &["--read-only", "--tmpfs", "/tmp:size=64k,mode=1777"], script)?
                .printed("x\nrefused\nshm\n")
        },
    },
    Step {
        name: "init",
        run: |s| {
            let script = "grep -c init /proc/1/cmdline; sleep 0.1 & exit 3";
            let said = sh(s, &["--init"], script)?.ended(3)?;
            ensure!(said.out == "1\n", "{said}");
            Ok(())
        },
    },
    Step {
        name: "pause",
        run: |s| {
            background(s, &[], SLEEP)?;
            s.client.call(&["pause", ID])?.done()?;
            ensure!(field(s, "State.Status")? == "paused\n", "it is {}", field(s, "State.Status")?);
            ensure!(exec(s, &[], "true")?.code != 0, "exec in a paused container succeeds");
            s.client.call(&["unpause", ID])?.done()?;
            ensure!(field(s, "State.Status")? == "running\n", "it is {}", field(s, "State.Status")?);
            exec(s, &[], "exit 3")?.ended(3)?;
            s.client.call(&["pause", ID])?.done()?;
            s.client.call(&["rm", "--force", ID])?.done().map(drop)
        },
    },
    Step {
        name: "kill without pid namespace",
        run: |s| {
            background(s, &["--pid", "host"], "sleep 1000 & echo ready; exec sleep 1000")?;
            eventually("ready\n", || logs(s))?;
            s.client.call(&["kill", ID])?.done()?;
            s.client.call(&["wait", ID])?.printed("137\n")?;
            s.client.call(&["rm", ID])?.done().map(drop)
        },
    },
    Step {
        name: "cgroup namespace",
        run: |s| {
            let script = "cut -d : -f 3 /proc/self/cgroup | sort -u; test -w /sys/fs/cgroup || echo read-only; ls /sys/fs/cgroup | grep -c .";
            let said = sh(s, &["--cgroupns", "private", "--read-only"], script)?.done()?;
            ensure!(said.starts_with("/\n"), "{said}");
            Ok(())
        },
    },
    Step {
        name: "more of memory",
        run: |s| {
            let flags = ["--memory", "64m", "--memory-swap", "-1", "--memory-reservation", "32m"];
            let script = limit("memory.low", "memory/memory.soft_limit_in_bytes");
            sh(s, &flags, &script)?.printed("33554432\n")
        },
    },
    Step {
        name: "processes and metrics",
        run: |s| {
            background(s, &[], "sleep 1000 & sleep 1000")?;
            eventually("3", || Ok(s.client.call(&["top", ID])?.done()?.lines().count().to_string()))?;
            let stats = s.client.call(&["stats", "--no-stream", "--format", "{{.PIDs}}", ID])?.done()?;
            ensure!(stats.trim() == "2", "{stats:?} processes");
            Ok(())
        },
    },
    Step {
        name: "update",
        run: |s| {
            background(s, &["--memory", "64m", "--memory-swap", "64m"], SLEEP)?;
            s.client
                .call(&["update", "--memory", "32m", "--memory-swap", "32m", "--cpu-shares", "512", ID])?
                .done()?;
            exec(s, &[], &limit("memory.max", "memory/memory.limit_in_bytes"))?.printed("33554432\n")?;
            s.client
                .call(&["update", "--memory", "96m", "--memory-swap", "96m", "--cpu-quota", "30000", ID])?
                .done()?;
            exec(s, &[], &limit("memory.max", "memory/memory.limit_in_bytes"))?.printed("100663296\n")?;
            let quota = exec(s, &[], &limit("cpu.max", "cpu/cpu.cfs_quota_us"))?.done()?;
            ensure!(quota.starts_with("30000"), "{quota}");
            Ok(())
        },
    },
    Step {
        name: "missing command",
        run: |s| {
            s.client.call(&words(s, &["--rm"], &["nope"]))?.refused(127, "not found in $PATH")?;
            s.client.call(&words(s, &["--rm"], &["/nope"]))?.refused(127, "no such file or directory")?;
            s.client.call(&words(s, &["--rm"], &["/etc/plain"]))?.refused(126, "permission denied")?;
            s.client.call(&words(s, &["--rm"], &["/etc"]))?.refused(126, "")
        },
    },
    Step {
        name: "namespaces of the host",
        run: |s| {
            sh(s, &["--network", "host"], "readlink /proc/self/ns/net")?.printed(&namespace("net")?)?;
            let own = sh(
                s,
                &[],
                "readlink /proc/self/ns/net; ip -o link | grep -c .; ip link show lo | grep -c UP",
            )?
            .done()?;
            ensure!(!own.starts_with(namespace("net")?.trim()) && own.ends_with("\n1\n1\n"), "{own}");
            let script = "for kind in pid ipc uts; do readlink /proc/self/ns/$kind; done";
            let host: String = [namespace("pid")?, namespace("ipc")?, namespace("uts")?].concat();
            sh(s, &["--pid", "host", "--ipc", "host", "--uts", "host"], script)?.printed(&host)
        },
    },
    Step {
        name: "namespaces of another",
        run: |s| {
            background(s, &["--ipc", "shareable"], SLEEP)?;
            let script = "for kind in pid net ipc; do readlink /proc/self/ns/$kind; done";
            let theirs = exec(s, &[], script)?.done()?;
            let of = format!("container:{ID}");
            sh(s, &["--pid", &of, "--network", &of, "--ipc", &of], script)?.printed(&theirs)
        },
    },
    Step {
        name: "privileges",
        run: |s| {
            let caps = "grep CapEff /proc/self/status | cut -f2";
            sh(s, &["--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"], caps)?
                .printed("0000000000000400\n")?;
            sh(s, &["--user", "sailor"], caps)?.printed("0000000000000000\n")?;
            let script = "grep NoNewPrivs /proc/self/status | cut -f2";
            sh(s, &["--security-opt", "no-new-privileges"], script)?.printed("1\n")
        },
    },
    Step {
        name: "privileged",
        run: |s| {
            sh(
                s,
                &["--privileged"],
                "mount -t tmpfs none /tmp && echo mounted; test -e /dev/kmsg && echo all",
            )?
            .printed("mounted\nall\n")
        },
    },
    Step {
        name: "filter",
        run: |s| {
            let script = "grep Seccomp: /proc/self/status | cut -f2";
            sh(s, &[], script)?.printed("2\n")?;
            sh(s, &["--security-opt", "seccomp=unconfined"], script)?.printed("0\n")
        },
    },
    Step {
        name: "hidden paths",
        run: |s| {
            let script = "cat /proc/kcore 2>&1 | head -c 1 | grep -c .; ls /proc/acpi /sys/firmware 2>/dev/null | grep -vc :; \
                          echo 1 2>/dev/null >/proc/sys/kernel/panic || echo refused";
            sh(s, &[], script)?.ended(0).map(drop)
        },
    },
    Step {
        name: "device",
        run: |s| {
            let flags = ["--device", "/dev/loop-control:/dev/own:r"];
            let script = "test -c /dev/own && echo there; echo x 2>/dev/null >/dev/own || echo refused";
            sh(s, &flags, script)?.printed("there\nrefused\n")
        },
    },
    Step {
        name: "sysctl, ulimit, oom score",
        run: |s| {
            let flags = [
                "--sysctl",
                "net.ipv4.ip_unprivileged_port_start=80",
                "--sysctl",
                "kernel.msgmax=4096",
                "--ulimit",
                "nofile=100:200",
                "--ulimit",
                "nproc=1000:1000",
                "--oom-score-adj",
                "500",
                "--shm-size",
                "1m",
            ];
            let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; \
                          ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d ' ' -f 2";
            sh(s, &flags, script)?.printed("80\n4096\n100\n200\n500\n1024\n")
        },
    },
    Step {
        name: "copies",
        run: |s| {
            background(s, &[], SLEEP)?;
            let file = s.data.join("in");
            std::fs::write(&file, "carried\n")?;
            s.client.call(&["cp", &file.display().to_string(), &format!("{ID}:/tmp/in")])?.done()?;
            exec(s, &[], "cat /tmp/in")?.printed("carried\n")?;
            let out = s.data.join("out");
            s.client.call(&["cp", &format!("{ID}:/full/of"), &out.display().to_string()])?.done()?;
            ensure!(std::fs::read_to_string(out)? == "something\n", "another file came back");
            Ok(())
        },
    },
];
