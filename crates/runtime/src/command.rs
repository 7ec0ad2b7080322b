//! The commands, one file each, and what is common to them: global flags, the log, exit codes.

mod create;
mod delete;
mod exec;
mod features;
mod kill;
mod list;
mod log;
mod pause;
mod ps;
mod run;
mod socket;
mod spec;
mod start;
mod state;
mod terminal;
mod update;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::{Flag, Order, Parsed, parse, switch, usage, value};
use crate::error::{Error, Kind, Result};

/// What global flags say.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Where the state of containers is kept.
    pub root: PathBuf,
    log: log::Log,
}

impl Context {
    /// Says what goes wrong without stopping the command, at once: in the foreground the end may be far away.
    pub(crate) fn warn(&self, warnings: &[Error]) {
        for warning in warnings {
            let line = warning.chain();
            self.tell(self.log.warning(&line), &format!("warning: {line}"));
        }
    }

    /// Says `line` on standard error, but not to who reads the log where it is `logged`.
    fn tell(&self, logged: bool, line: &str) {
        if !(logged && std::env::var_os(LOG_ONLY).is_some()) {
            // Nobody can be told when standard error is closed.
            let _ = writeln!(std::io::stderr(), "plimsoll-runtime: {line}");
        }
    }
}

/// One command.
struct Command {
    name: &'static str,
    /// Operands as help shows them.
    operands: &'static str,
    about: &'static str,
    flags: &'static [Flag],
    order: Order,
    /// Whether it makes processes, and so must run from a copy that containers cannot write.
    seals: bool,
    /// The exit code of its own failure.
    failure: u8,
    run: fn(&Context, &Parsed) -> Result<ExitCode>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "create",
        operands: "ID",
        about: "make a container from a bundle; its process waits for start",
        flags: create::FLAGS,
        order: Order::Mixed,
        seals: true,
        failure: 1,
        run: create::run,
    },
    Command {
        name: "start",
        operands: "ID",
        about: "execute the program of a created container",
        flags: &[],
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: start::run,
    },
    Command {
        name: "run",
        operands: "ID",
        about: "create and start a container, and wait for it",
        flags: run::FLAGS,
        order: Order::Mixed,
        seals: true,
        failure: 1,
        run: run::run,
    },
    Command {
        name: "exec",
        operands: "ID [COMMAND [ARG...]]",
        about: "run another process in a container",
        flags: exec::FLAGS,
        order: Order::FlagsFirst,
        seals: true,
        failure: 255,
        run: exec::run,
    },
    Command {
        name: "state",
        operands: "ID",
        about: "print the state of a container as JSON",
        flags: &[],
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: state::run,
    },
    Command {
        name: "kill",
        operands: "ID [SIGNAL]",
        about: "send a signal, TERM if none is named, to the container's first process",
        flags: kill::FLAGS,
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: kill::run,
    },
    Command {
        name: "delete",
        operands: "ID",
        about: "remove what is left of a container",
        flags: delete::FLAGS,
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: delete::run,
    },
    Command {
        name: "list",
        operands: "",
        about: "list containers",
        flags: list::FLAGS,
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: list::run,
    },
    Command {
        name: "ps",
        operands: "ID [PS-OPTION...]",
        about: "list the processes of a container",
        flags: ps::FLAGS,
        order: Order::FlagsFirst,
        seals: false,
        failure: 1,
        run: ps::run,
    },
    Command {
        name: "pause",
        operands: "ID",
        about: "freeze every process of a container",
        flags: &[],
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: pause::pause,
    },
    Command {
        name: "resume",
        operands: "ID",
        about: "let a paused container run again",
        flags: &[],
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: pause::resume,
    },
    Command {
        name: "update",
        operands: "ID",
        about: "change the limits of a container",
        flags: update::FLAGS,
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: update::run,
    },
    Command {
        name: "spec",
        operands: "",
        about: "write a config.json to start from",
        flags: spec::FLAGS,
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: spec::run,
    },
    Command {
        name: "features",
        operands: "",
        about: "print what this runtime supports as JSON",
        flags: &[],
        order: Order::Mixed,
        seals: false,
        failure: 1,
        run: features::run,
    },
];

const GLOBAL: &[Flag] = &[
    value(&["root"], "DIR", "where the state of containers is kept"),
    value(&["log"], "FILE", "append errors to FILE as well"),
    value(&["log-format"], "text|json", "the form of the log"),
    value(&["rootless"], "auto|true|false", "accepted; what the user may do decides"),
    switch(&["debug"], "accepted; there is nothing more to say"),
    switch(&["systemd-cgroup"], "not supported yet"),
    switch(&["help", "h"], "show this help"),
    switch(&["version", "v"], "show the version"),
];

const HELP: Flag = switch(&["help", "h"], "show this help");

/// Set by a caller that reads the log and words failures itself, where the container shares its standard error.
const LOG_ONLY: &str = "PLIMSOLL_LOG_ONLY";

/// Runs the whole command line.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let mut context = Context::default();
    match dispatch(args, &mut context) {
        Ok(code) => code,
        Err((error, code)) => {
            let line = error.chain();
            context.tell(context.log.error(&line), &line);
            ExitCode::from(code)
        }
    }
}

type Failure = (Error, u8);

fn dispatch(raw: &[OsString], context: &mut Context) -> std::result::Result<ExitCode, Failure> {
    let plain = |error| (error, 1);
    let args = raw.iter().map(|arg| arg.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
    let args = args.ok_or_else(|| plain(usage("an argument is not UTF-8")))?;
    let (program, args) =
        args.split_first().map_or(("", [].as_slice()), |(program, rest)| (program.as_str(), rest));
    let global = parse(args, GLOBAL, Order::FlagsFirst).map_err(plain)?;
    context.log.configure(global.value("log"), global.value("log-format")).map_err(plain)?;
    if global.is_on("version") {
        return print(&version(program)).map_err(plain);
    }
    let Some((name, rest)) = global.operands.split_first().filter(|_| !global.is_on("help")) else {
        return print(&help()).map_err(plain);
    };
    if name == "help" {
        return print(&help()).map_err(plain);
    }
    let command = COMMANDS.iter().find(|command| command.name == name);
    let command = command.ok_or_else(|| plain(usage(format!("unknown command {name:?}; see --help"))))?;
    let own = |error| (error, command.failure);
    let flags: Vec<Flag> = command.flags.iter().copied().chain([HELP]).collect();
    let parsed = parse(rest, &flags, command.order).map_err(own)?;
    if parsed.is_on("help") {
        return print(&help_of(command)).map_err(own);
    }
    if global.is_on("systemd-cgroup") {
        let why = "--systemd-cgroup is not supported yet: the systemd driver needs D-Bus, use cgroupfs";
        return Err(own(Error::new(Kind::Unsupported, why)));
    }
    if command.seals {
        crate::sealed::ensure(raw).map_err(own)?;
    }
    context.root = global.value("root").map_or_else(default_root, PathBuf::from);
    (command.run)(context, &parsed).map_err(own)
}

fn default_root() -> PathBuf {
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime_dir {
        Some(dir) if !rustix::process::geteuid().is_root() => PathBuf::from(dir).join("plimsoll"),
        _ => PathBuf::from("/run/plimsoll"),
    }
}

/// Prints `text` on standard output.
fn print(text: &str) -> Result<ExitCode> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough is no failure.
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(crate::error::Error::because(Kind::Environment, "write to standard output", e))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Prints `value` as JSON for people.
fn print_json<T: plimsoll_spec::json::Wire>(value: &T) -> Result<ExitCode> {
    print(&String::from_utf8_lossy(&plimsoll_spec::json::to_vec_pretty(value)))
}

/// Called as `runc`, the first line has the form that clients of runc parse.
fn version(program: &str) -> String {
    let as_runc = std::path::Path::new(program).file_name().is_some_and(|name| name == "runc");
    let name = if as_runc { "runc" } else { "plimsoll-runtime" };
    format!("{name} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), plimsoll_spec::runtime::VERSION)
}

fn help() -> String {
    let mut text = "plimsoll-runtime: run containers as the OCI runtime specification says\n\n\
        Usage: plimsoll-runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n"
        .to_owned();
    for command in COMMANDS {
        text.push_str(&format!("  {:<10} {}\n", command.name, command.about));
    }
    text.push_str("\nGlobal options:\n");
    text.push_str(&flags_help(GLOBAL));
    text.push_str("\nplimsoll-runtime COMMAND --help shows the options of a command.\n");
    text
}

fn help_of(command: &Command) -> String {
    let options = if command.flags.is_empty() { "" } else { " [OPTIONS]" };
    let mut text = format!(
        "{}\n\nUsage: plimsoll-runtime {}{options} {}\n\nOptions:\n",
        command.about, command.name, command.operands
    );
    text.push_str(&flags_help(command.flags));
    text.push_str(&flags_help(&[HELP]));
    text
}

fn flags_help(flags: &[Flag]) -> String {
    let line = |flag: &Flag| {
        let dashes = |name: &&str| if name.len() == 1 { format!("-{name}") } else { format!("--{name}") };
        let names: Vec<_> = flag.names.iter().map(dashes).collect();
        let value = flag.value.map(|value| format!(" {value}")).unwrap_or_default();
        format!("  {:<34} {}\n", format!("{}{value}", names.join(", ")), flag.help)
    };
    flags.iter().map(line).collect()
}
