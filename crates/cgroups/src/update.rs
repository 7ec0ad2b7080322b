//! Changing the limits of a cgroup in use: what is not asked for stays, and limits that bound each other are
//! written in whichever order the kernel takes them. Refuses to touch device rules.

use plimsoll_spec::runtime::Resources;
use rustix::io::Errno;

use crate::cgroup::Cgroup;
use crate::error::{Error, Kind};
use crate::hierarchy::{Hierarchy, Version};
use crate::limits;

impl Cgroup {
    /// Applies the limits in `resources`, but no device rules: those are of the container's making.
    ///
    /// # Errors
    /// A limit that cannot be held, or a memory limit below what is in use where `checkBeforeUpdate` is set.
    /// What was written before the failure stays.
    pub fn update(&self, resources: &Resources) -> Result<(), Error> {
        let mut resources = resources.clone();
        resources.devices.clear();
        self.refuse_low_memory(&resources)?;
        self.complete(&mut resources)?;
        let hierarchy = Hierarchy::detect()?;
        if hierarchy.version() != Version::V1 {
            self.enable(&hierarchy, &resources)?;
        }
        // Memory is at most memory with swap, and a burst at most the quota. On the way up one must be first, on
        // the way down the other; what is refused gets a second try behind the rest.
        let mut refused = Vec::new();
        for line in limits::lines(&resources, &|controller| self.is_v2(controller))? {
            match self.write(&line) {
                Err(e) if e.errno() == Some(Errno::INVAL) || e.errno() == Some(Errno::BUSY) => {
                    refused.push(line);
                }
                other => other?,
            }
        }
        refused.iter().try_for_each(|line| self.write(line))
    }

    /// Fills in, from what is in force, the other half of values that are written together.
    fn complete(&self, resources: &mut Resources) -> Result<(), Error> {
        if let Some(memory) = &mut resources.memory {
            // Without a limit of memory there is none of memory and swap.
            if memory.limit == Some(-1) && memory.swap.is_none() {
                memory.swap = Some(-1);
            }
            if self.is_v2("memory") && memory.limit.is_none() && memory.swap.is_some_and(|swap| swap > 0) {
                memory.limit = self.number("memory", "memory.max", 0)?;
            }
        }
        if let Some(cpu) = &mut resources.cpu
            && self.is_v2("cpu")
        {
            if cpu.quota.is_some_and(|quota| quota != 0) && cpu.period.is_none() {
                cpu.period = self.number("cpu", "cpu.max", 1)?.map(i64::unsigned_abs);
            } else if cpu.quota.is_none() && cpu.period.is_some_and(|period| period != 0) {
                cpu.quota = self.number("cpu", "cpu.max", 0)?;
            }
        }
        Ok(())
    }

    fn refuse_low_memory(&self, resources: &Resources) -> Result<(), Error> {
        let Some(memory) = resources.memory.as_ref().filter(|memory| memory.check_before_update) else {
            return Ok(());
        };
        let file = if self.is_v2("memory") { "memory.current" } else { "memory.usage_in_bytes" };
        match (memory.limit, self.number("memory", file, 0)?) {
            (Some(limit), Some(used)) if limit > 0 && limit < used => {
                let why = format!("rejecting memory limit {limit}: {used} bytes are in use");
                Err(Error::new(Kind::Invalid, why))
            }
            _ => Ok(()),
        }
    }

    /// The word at `index` of a file of `controller`; `None` where it is no number, as `max`.
    fn number(&self, controller: &str, file: &str, index: usize) -> Result<Option<i64>, Error> {
        let text = self.read(controller, file)?;
        Ok(text.split_whitespace().nth(index).and_then(|word| word.parse().ok()))
    }
}
