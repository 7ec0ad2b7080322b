//! containerd with `ctr`, its own client.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::client::{Client, Said};
use super::daemon::Daemon;
use super::image::IMAGE;
use super::journey::{SIZE, eventually, namespace};
use super::{Engine, Place, Runtime, Started, Step, Subject};
use crate::shell::find_program;

pub(super) const ENGINE: Engine =
    Engine { name: "containerd", programs: &["containerd", "ctr"], start, journey: &[STEPS], leaves: &[] };

const ID: &str = "subject";

/// Starts a containerd in `dir`; it and the address of its socket.
pub(super) fn serve(place: &Place, dir: &Path) -> Result<(Daemon, String)> {
    std::fs::create_dir_all(dir)?;
    let shown = dir.display();
    let address = format!("{shown}/containerd.sock");
    let config = dir.join("config.toml");
    let text = format!(
        "version = 2\nroot = \"{shown}/root\"\nstate = \"{shown}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = \"{address}\"\n"
    );
    std::fs::write(&config, text)?;
    let program = find_program("containerd", &place.peers).context("containerd is not on PATH")?;
    let client = client(place, &address)?;
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    Ok((Daemon::start(&mut command, dir, &client, &["version"])?, address))
}

fn client(place: &Place, address: &str) -> Result<Client> {
    let program = find_program("ctr", &place.peers).context("ctr is not on PATH")?;
    let program = program.display().to_string();
    let words = [&program, "--address", address, "--namespace", &place.mark].map(str::to_owned);
    Ok(Client { words: words.to_vec(), env: Vec::new() })
}

fn start(place: &Place) -> Result<Started> {
    let dir = place.dir.join("containerd");
    let (daemon, address) = serve(place, &dir)?;
    let client = client(place, &address)?;
    client.call(&["images", "import", &place.image.display().to_string()])?.done()?;
    let mark = place.mark.clone();
    let subject = move |runtime: &Runtime| Subject {
        client: client.clone(),
        run: ["run", "--runc-binary", &runtime.path.display().to_string()].map(str::to_owned).to_vec(),
        data: dir.join("data"),
        mark: mark.clone(),
    };
    Ok(Started { daemons: vec![daemon], subject: Box::new(subject), sweep })
}

fn sweep(s: &Subject) -> Result<()> {
    for task in s.client.call(&["tasks", "list", "--quiet"])?.done()?.lines() {
        s.client.call(&["tasks", "delete", "--force", task])?.done()?;
    }
    for container in s.client.call(&["containers", "list", "--quiet"])?.done()?.lines() {
        s.client.call(&["containers", "delete", container])?.done()?;
    }
    Ok(())
}

/// What `ctr run --rm` of a shell with `script` came to.
fn sh(s: &Subject, flags: &[&str], script: &str) -> Result<Said> {
    s.client.call(&words(s, &[&["--rm"], flags].concat(), &["sh", "-c", script]))
}

/// The words that make a container of `args`.
fn words<'a>(s: &'a Subject, flags: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    let run = s.run.iter().map(String::as_str);
    run.chain(flags.iter().copied()).chain([IMAGE, ID]).chain(args.iter().copied()).collect()
}

/// Starts a shell with `script` in the background.
fn background(s: &Subject, flags: &[&str], script: &str) -> Result<()> {
    s.client.call(&words(s, &[&["--detach"], flags].concat(), &["sh", "-c", script]))?.done().map(drop)
}

fn exec(s: &Subject, flags: &[&str], script: &str) -> Result<Said> {
    let words = [&["tasks", "exec", "--exec-id", "second"], flags, &[ID, "sh", "-c", script]].concat();
    s.client.call(&words)
}

fn status(s: &Subject) -> Result<String> {
    let list = s.client.call(&["tasks", "list"])?.done()?;
    let line = list.lines().find(|line| line.starts_with(ID)).unwrap_or_default();
    Ok(line.split_whitespace().nth(2).unwrap_or("none").to_owned())
}

const STEPS: &[Step] = &[
    Step {
        name: "output and exit code",
        run: |s| {
            let said = sh(s, &[], "echo out; echo err >&2; exit 3")?.ended(3)?;
            ensure!((said.out.as_str(), said.err.as_str()) == ("out\n", "err\n"), "{said}");
            sh(s, &["--env", "A=b c", "--cwd", "/full"], "echo $A; pwd; hostname | grep -c .")?
                .printed("b c\n/full\n1\n")
        },
    },
    Step {
        name: "terminal",
        run: |s| {
            let script = format!("tty; {SIZE}; test -c /dev/console && echo console; exit 4");
            let said =
                s.client.on_terminal(&words(s, &["--rm", "--tty"], &["sh", "-c", &script]), "")?.ended(4)?;
            ensure!(said.out == "/dev/pts/0\n33 77\nconsole\n", "{said}");
            Ok(())
        },
    },
    Step {
        name: "exec",
        run: |s| {
            background(s, &["--env", "A=b"], "exec sleep 1000")?;
            let said = exec(s, &["--cwd", "/full"], "pwd; echo $A; cat /proc/1/comm; exit 7")?.ended(7)?;
            ensure!(said.out == "/full\nb\nsleep\n", "{said}");
            let user = exec(s, &["--user", "1000"], "id -u")?;
            user.printed("1000\n")?;
            let words =
                ["tasks", "exec", "--exec-id", "third", "--tty", ID, "sh", "-c", &format!("tty; {SIZE}")];
            s.client.on_terminal(&words, "")?.printed("/dev/pts/0\n33 77\n")?;
            let said = s.client.call(&["tasks", "exec", "--exec-id", "no", ID, "nope"])?;
            said.refused(1, "exec: \"nope\": executable file not found in $PATH")
        },
    },
    Step {
        name: "probes in a loop",
        run: |s| {
            background(s, &[], "exec sleep 1000")?;
            for n in 0..20 {
                exec(s, &[], &format!("exit {n}"))?.ended(n)?;
            }
            let list = s.client.call(&["tasks", "ps", ID])?.done()?;
            ensure!(list.lines().count() == 2, "probes are left: {list}");
            Ok(())
        },
    },
    Step {
        name: "signals",
        run: |s| {
            let file = s.data.join("said");
            let mount = bind(s, "rbind:rw");
            let script = "trap 'echo usr1 >>/data/said' USR1; trap 'exit 5' TERM; echo ready >/data/said; \
                          while :; do sleep 1000 & wait; done";
            background(s, &["--mount", &mount], script)?;
            let said = || Ok(std::fs::read_to_string(&file).unwrap_or_default());
            eventually("ready\n", said)?;
            s.client.call(&["tasks", "kill", "--signal", "SIGUSR1", ID])?.done()?;
            eventually("ready\nusr1\n", said)?;
            s.client.call(&["tasks", "kill", ID])?.done()?;
            eventually("STOPPED", || status(s))?;
            s.client.call(&["tasks", "delete", ID])?.refused(0, "exit code 5")
        },
    },
    Step {
        name: "kill",
        run: |s| {
            background(s, &[], "trap '' TERM; sleep 1000 & sleep 1000")?;
            s.client.call(&["tasks", "kill", "--all", "--signal", "KILL", ID])?.done()?;
            eventually("STOPPED", || status(s))?;
            s.client.call(&["tasks", "delete", ID])?.refused(0, "exit code 137")
        },
    },
    Step {
        name: "memory limit",
        run: |s| {
            sh(
                s,
                &["--memory-limit", "16777216"],
                "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?",
            )?
            .printed("137\n")
        },
    },
    Step {
        name: "cpu limit",
        run: |s| {
            let script = "cd /sys/fs/cgroup; cat cpu.max 2>/dev/null || cat cpu/cpu.cfs_quota_us";
            let cgroup = ["--mount", "type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro"];
            let said = sh(s, &[&["--cpus", "0.5"], cgroup.as_slice()].concat(), script)?.done()?;
            ensure!(["50000\n", "50000 100000\n"].contains(&said.as_str()), "{said}");
            Ok(())
        },
    },
    Step {
        name: "volume",
        run: |s| {
            std::fs::write(s.data.join("in"), "in\n")?;
            sh(s, &["--mount", &bind(s, "rbind:rw")], "cat /data/in; echo out >/data/out")?
                .printed("in\n")?;
            ensure!(std::fs::read_to_string(s.data.join("out"))? == "out\n", "nothing was written");
            let script = "echo no 2>/dev/null >/data/no || echo refused";
            sh(s, &["--mount", &bind(s, "rbind:ro")], script)?.printed("refused\n")
        },
    },
    Step {
        name: "read-only root",
        run: |s| {
            sh(s, &["--no-pivot"], "echo moved")?.printed("moved\n")?;
            let tmpfs = "type=tmpfs,src=tmpfs,dst=/tmp,options=size=64k";
            let script = "echo x >/tmp/x && cat /tmp/x; echo no 2>/dev/null >/no || echo refused";
            sh(s, &["--read-only", "--mount", tmpfs], script)?.printed("x\nrefused\n")
        },
    },
    Step {
        name: "pause",
        run: |s| {
            background(s, &[], "exec sleep 1000")?;
            s.client.call(&["tasks", "pause", ID])?.done()?;
            ensure!(status(s)? == "PAUSED", "the status is {}", status(s)?);
            exec(s, &[], "true")?.ended(1)?;
            s.client.call(&["tasks", "resume", ID])?.done()?;
            ensure!(status(s)? == "RUNNING", "the status is {}", status(s)?);
            exec(s, &[], "exit 3")?.ended(3).map(drop)
        },
    },
    Step {
        name: "processes and metrics",
        run: |s| {
            background(s, &[], "sleep 1000 & sleep 1000")?;
            eventually("3", || Ok(s.client.call(&["tasks", "ps", ID])?.done()?.lines().count().to_string()))?;
            let metrics = s.client.call(&["tasks", "metrics", ID])?.done()?;
            ensure!(metrics.contains("memory"), "no memory in {metrics:?}");
            Ok(())
        },
    },
    Step {
        name: "missing command",
        run: |s| {
            let said = s.client.call(&words(s, &["--rm"], &["nope"]))?;
            said.refused(1, "exec: \"nope\": executable file not found in $PATH")?;
            let said = s.client.call(&words(s, &["--rm"], &["/nope"]))?;
            said.refused(1, "exec: \"/nope\": stat /nope: no such file or directory")?;
            let said = s.client.call(&words(s, &["--rm"], &["/etc/plain"]))?;
            said.refused(1, "exec: \"/etc/plain\": permission denied")
        },
    },
    Step {
        name: "namespaces of the host",
        run: |s| {
            sh(s, &["--net-host"], "readlink /proc/self/ns/net")?.printed(&namespace("net")?)?;
            let own = sh(
                s,
                &[],
                "readlink /proc/self/ns/net; ip -o link | grep -c .; ip link show lo | grep -c UP",
            )?
            .done()?;
            ensure!(!own.starts_with(namespace("net")?.trim()) && own.ends_with("\n1\n1\n"), "{own}");
            sh(s, &["--with-ns", "ipc:/proc/thread-self/ns/ipc"], "readlink /proc/self/ns/ipc")?
                .printed(&namespace("ipc")?)
        },
    },
    Step {
        name: "privileges",
        run: |s| {
            let caps = "grep CapEff /proc/self/status | cut -f2";
            sh(s, &[], caps)?.printed("00000000a80425fb\n")?;
            sh(s, &["--cap-drop", "CAP_MKNOD", "--cap-add", "CAP_SYS_TIME"], caps)?
                .printed("00000000a20425fb\n")?;
            sh(s, &[], "grep NoNewPrivs /proc/self/status | cut -f2")?.printed("1\n")?;
            sh(s, &["--allow-new-privs"], "grep NoNewPrivs /proc/self/status | cut -f2")?.printed("0\n")?;
            sh(s, &["--privileged"], "mount -t tmpfs none /tmp && echo mounted")?.printed("mounted\n")
        },
    },
    Step {
        name: "filter",
        run: |s| {
            sh(
                s,
                &["--seccomp"],
                "grep Seccomp: /proc/self/status | cut -f2; unshare -U true 2>/dev/null || echo refused",
            )?
            .printed("2\nrefused\n")
        },
    },
    Step {
        name: "device",
        run: |s| {
            sh(
                s,
                &["--device", "/dev/loop-control"],
                "test -c /dev/loop-control && echo there; id 2>/dev/full | grep -c .",
            )?
            .printed("there\n1\n")
        },
    },
    Step {
        name: "pid file",
        run: |s| {
            let file = s.data.join("pid").display().to_string();
            background(s, &["--pid-file", &file], "exec sleep 1000")?;
            let pid = std::fs::read_to_string(&file)?;
            ensure!(
                s.client.call(&["tasks", "list"])?.done()?.contains(&format!(" {pid} ")),
                "not the task's: {pid}"
            );
            Ok(())
        },
    },
    Step {
        name: "user namespace",
        run: |s| {
            let said = sh(
                s,
                &["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"],
                "cat /proc/self/uid_map; touch /tmp/x && stat -c %u /tmp/x",
            )?
            .done()?;
            let words: Vec<&str> = said.split_whitespace().collect();
            if words == ["0", "100000", "65536", "0"] { Ok(()) } else { bail!("{said}") }
        },
    },
];

fn bind(s: &Subject, options: &str) -> String {
    format!("type=bind,src={},dst=/data,options={options}", s.data.display())
}
