//! What was left by a `run` that was killed. Whoever runs a container holds its snapshot as long as it lives;
//! what nobody holds, and was to be removed at its end or never got as far as a container, is removed here.

use anyhow::{Context as _, Result};
use plimsoll_image::Kind;
use plimsoll_image::snapshot::Snapshot;
use plimsoll_spec::json::Value;

use crate::container::Container;
use crate::context::Context;

use super::must;

/// Removes what the killed have left. What cannot be removed stays, is listed as dead, and is in nobody's way.
pub(super) fn of_the_killed(context: &Context) -> Result<()> {
    for snapshot in context.store.abandoned()? {
        if is_to_be_removed(&snapshot) {
            // The next call tries again.
            let _ = remove(context, snapshot);
        }
    }
    Ok(())
}

/// Whether nobody wants the container any more: it was to be removed at its end, or never came about.
fn is_to_be_removed(snapshot: &Snapshot<'_>) -> bool {
    let bundle = snapshot.bundle();
    Container::is_absent(&bundle) || Container::read(&bundle).is_ok_and(|container| container.remove)
}

/// Removes a container with all that the runtime knows of it, which is nothing unless that was killed.
pub(super) fn remove(context: &Context, snapshot: Snapshot<'_>) -> Result<()> {
    let name = snapshot.id().to_owned();
    let state = context.store.path().join("runtime").join(&name);
    // Every runtime keeps a container's state under its name; to ask for it would cost every run a process.
    if state.try_exists().with_context(|| format!("look for {}", state.display()))? {
        must(context.runtime()?.args(["delete", "--force", &name]), &format!("remove container {name}"))?;
    }
    context.remove_trees(|| match snapshot.remove() {
        // `rm` was faster.
        Err(e) if e.kind() == Kind::NotFound => Ok(Value::Null),
        removed => Ok(removed.map(|()| Value::Null)?),
    })?;
    Ok(())
}
