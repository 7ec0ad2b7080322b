//! The probe as a hook: it writes down what it was given and where it stood.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{actions, facts};

/// Appends one line to `log` and does `actions`.
pub(super) fn run(log: &str, name: &str, tried: &[&str]) -> ExitCode {
    let mut stdin = Vec::new();
    // The state is small; what is larger is no state.
    let _ = std::io::stdin().take(1 << 20).read_to_end(&mut stdin);
    let text = String::from_utf8_lossy(&stdin).into_owned();
    let state: Value = serde_json::from_str(&text).unwrap_or_default();
    let container =
        state.get("pid").and_then(Value::as_i64).filter(|pid| *pid > 0).map(|pid| pid.to_string());
    let results: Vec<Value> = tried
        .iter()
        .filter(|action| !actions::is_ending(action))
        .map(|action| actions::run(action))
        .collect();
    let line = json!({
        "hook": name,
        "argv": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "cwd": std::env::current_dir().ok(),
        "pid": rustix::process::getpid().as_raw_nonzero().get(),
        "stdin": text,
        "state": state,
        "namespaces": facts::namespaces("self"),
        "mounts": facts::mounts("self"),
        "container": container.as_deref().map(|pid| json!({
            "namespaces": facts::namespaces(pid),
            "mounts": facts::mounts(pid),
            "hidden": facts::is_hidden(pid),
            "program": std::fs::read_link(format!("/proc/{pid}/exe")).ok(),
            "root": std::fs::read_link(format!("/proc/{pid}/root")).ok(),
        })),
        "results": results,
    });
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o666).open(log);
    let written = file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    match (written, tried.iter().find(|action| actions::is_ending(action))) {
        (Err(_), _) => ExitCode::from(74),
        (Ok(()), Some(ending)) => actions::end(ending),
        (Ok(()), None) => ExitCode::SUCCESS,
    }
}
