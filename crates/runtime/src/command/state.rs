//! `state`: what is known about a container.

use std::process::ExitCode;

use plimsoll_spec::json::Value;
use plimsoll_spec::runtime::State;

use crate::args::Parsed;
use crate::error::Result;
use crate::state::Container;

use super::Context;

pub(super) fn run(context: &Context, parsed: &Parsed) -> Result<ExitCode> {
    super::print_json(&shown(&Container::open(&context.root, parsed.only("container ID")?)?))
}

/// The state as runc shows it: more than the specification asks for, and pid 0 for none.
pub(super) fn shown(container: &Container) -> State {
    let mut state = container.state(container.status());
    state.pid = state.pid.or(Some(0));
    let text = |text: &str| Value::String(text.to_owned());
    state.extra.insert("rootfs".to_owned(), text(&container.record.rootfs));
    state.extra.insert("created".to_owned(), text(&container.record.created));
    state.extra.insert("owner".to_owned(), text(&owner(container.record.owner)));
    state
}

/// The name of user `uid` by the host's own file: asking name services would cost more than all the rest.
pub(super) fn owner(uid: u32) -> String {
    let passwd = crate::plan::read_limited(std::path::Path::new("/etc/passwd"), 1 << 20).unwrap_or_default();
    let passwd = String::from_utf8_lossy(&passwd);
    let uid = uid.to_string();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or(uid)
}
