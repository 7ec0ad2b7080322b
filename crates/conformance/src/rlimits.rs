//! The types of `getrlimit(2)`: the probe reports each of them, and a case configures each of them.

use rustix::process::Resource;

/// One type, with limits that let a small program and a runtime live.
#[derive(Debug)]
pub(crate) struct Limit {
    /// As configurations call it.
    pub name: &'static str,
    /// As the kernel is asked for it.
    pub resource: Resource,
    pub soft: u64,
    pub hard: u64,
}

impl Limit {
    const fn new(name: &'static str, resource: Resource, soft: u64, hard: u64) -> Limit {
        Limit { name, resource, soft, hard }
    }
}

/// Every type.
pub(crate) const LIMITS: [Limit; 16] = [
    Limit::new("RLIMIT_AS", Resource::As, 1 << 42, 1 << 43),
    Limit::new("RLIMIT_CORE", Resource::Core, 0, 4096),
    Limit::new("RLIMIT_CPU", Resource::Cpu, 1000, 2000),
    Limit::new("RLIMIT_DATA", Resource::Data, 1 << 42, 1 << 43),
    Limit::new("RLIMIT_FSIZE", Resource::Fsize, 1 << 32, 1 << 33),
    Limit::new("RLIMIT_LOCKS", Resource::Locks, 10, 20),
    Limit::new("RLIMIT_MEMLOCK", Resource::Memlock, 32 << 10, 64 << 10),
    Limit::new("RLIMIT_MSGQUEUE", Resource::Msgqueue, 4000, 8000),
    Limit::new("RLIMIT_NICE", Resource::Nice, 5, 10),
    Limit::new("RLIMIT_NOFILE", Resource::Nofile, 300, 400),
    Limit::new("RLIMIT_NPROC", Resource::Nproc, 5000, 6000),
    Limit::new("RLIMIT_RSS", Resource::Rss, 1 << 42, 1 << 43),
    Limit::new("RLIMIT_RTPRIO", Resource::Rtprio, 3, 6),
    Limit::new("RLIMIT_RTTIME", Resource::Rttime, 3_000_000, 6_000_000),
    Limit::new("RLIMIT_SIGPENDING", Resource::Sigpending, 1000, 2000),
    Limit::new("RLIMIT_STACK", Resource::Stack, 8 << 20, 16 << 20),
];
