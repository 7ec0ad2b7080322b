//! `ps`: containers, with what the runtime says of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use plimsoll_spec::json::{self, Value};

use crate::args::{Format, Ps};
use crate::container::Container;
use crate::context::Context;
use crate::output::{object, print_json, print_names, print_table, text};

use super::{must, remains};

pub(super) fn ps(context: &Context, verb: &Ps) -> Result<ExitCode> {
    remains::of_the_killed(context)?;
    let statuses = statuses(context)?;
    let mut shown = Vec::new();
    for name in context.store.snapshots()? {
        // One that is being made has no file yet, and one that is being removed none any more.
        let Ok(container) = Container::read(&context.store.snapshot(&name)?.bundle()) else { continue };
        let running = statuses.get(&name).is_some_and(|status| status != "stopped");
        if running || verb.all {
            let status =
                if running { statuses.get(&name).cloned().unwrap_or_default() } else { ended(&container) };
            shown.push((container, status));
        }
    }
    if verb.listing.quiet {
        return print_names(context.format, shown.iter().map(|(container, _)| &container.name));
    }
    match context.format {
        Format::Json => {
            print_json(&Value::Array(shown.iter().map(|(c, status)| as_json(c, status)).collect()))
        }
        Format::Table => {
            let row = |(c, status): &(Container, String)| {
                vec![c.name.clone(), c.image.clone(), c.command.join(" "), status.clone()]
            };
            print_table(&["NAME", "IMAGE", "COMMAND", "STATUS"], shown.iter().map(row).collect())
        }
    }
}

fn ended(container: &Container) -> String {
    match container.exit_code {
        Some(code) => format!("exited ({code})"),
        // Whoever waited for it was killed.
        None => "dead".to_owned(),
    }
}

pub(super) fn as_json(container: &Container, status: &str) -> Value {
    object([
        ("name", text(&container.name)),
        ("image", text(&container.image)),
        ("digest", text(&container.digest)),
        ("command", Value::Array(container.command.iter().map(text).collect())),
        ("created", Value::Unsigned(container.created)),
        ("status", text(status)),
    ])
}

/// What the runtime says of each container.
pub(super) fn statuses(context: &Context) -> Result<BTreeMap<String, String>> {
    let printed = must(context.runtime()?.args(["list", "--format", "json"]), "list containers")?;
    // Other runtimes print `null` for none.
    let states: Option<Vec<plimsoll_spec::runtime::State>> =
        json::from_slice(&printed).context("read the runtime's list of containers")?;
    let states = states.unwrap_or_default();
    Ok(states.into_iter().map(|state| (state.id, state.status.as_str().to_owned())).collect())
}
