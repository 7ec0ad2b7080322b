//! What was left by a `run` that was killed. Whoever runs a container holds its snapshot as long as it lives;
//! what nobody holds, and was to be removed at its end or never got as far as a container, is removed here.

use anyhow::{Context as _, Result};
use plimsoll_image::Kind;
use plimsoll_image::snapshot::Snapshot;

use crate::container::Container;
use crate::context::Context;

use super::must;

/// Removes what the killed have left. What cannot be removed stays, is listed as dead, and is in nobody's way.
pub(super) fn of_the_killed(context: &Context) -> Result<()> {
    for name in context.store.snapshots()? {
        // The next call tries again.
        let _ = remove_if_abandoned(context, &name);
    }
    Ok(())
}

fn remove_if_abandoned(context: &Context, name: &str) -> Result<()> {
    let Some(snapshot) = context.store.take_over(name)? else { return Ok(()) };
    let bundle = snapshot.bundle();
    if !Container::is_absent(&bundle) && !Container::read(&bundle)?.remove {
        return Ok(());
    }
    remove(context, name, snapshot)
}

/// Removes container `name` with all that the runtime knows of it, which is nothing unless that was killed.
pub(super) fn remove(context: &Context, name: &str, snapshot: Snapshot<'_>) -> Result<()> {
    let state = context.store.path().join("runtime").join(name);
    // Every runtime keeps a container's state under its name; to ask for it would cost every run a process.
    if state.try_exists().with_context(|| format!("look for {}", state.display()))? {
        must(context.runtime()?.args(["delete", "--force", name]), &format!("remove container {name}"))?;
    }
    match snapshot.remove() {
        // `rm` was faster.
        Err(e) if e.kind() == Kind::NotFound => Ok(()),
        removed => Ok(removed?),
    }
}
