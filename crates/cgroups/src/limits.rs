//! From runtime-spec's resources to lines for files, one function per controller and both versions.
//! Refuses what a version has no file for, naming the field.

use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Resources};

use crate::devices;
use crate::error::{Error, Kind};

/// A line for a file of a controller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) controller: &'static str,
    pub(crate) file: String,
    pub(crate) value: String,
    /// File and value for a kernel that lacks `file`.
    pub(crate) instead: Option<(String, String)>,
}

struct Lines {
    controller: &'static str,
    writes: Vec<Write>,
}

impl Lines {
    fn put(&mut self, file: impl Into<String>, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.writes.push(Write {
                controller: self.controller,
                file: file.into(),
                value: value.to_string(),
                instead: None,
            });
        }
    }

    /// A weight of transfers; the scheduler BFQ counts to 1000 in a file of its own.
    fn put_weight(&mut self, device: &str, weight: u16) {
        let weight = u64::from(weight);
        self.writes.push(Write {
            controller: self.controller,
            file: "io.weight".to_owned(),
            value: format!("{device} {}", 1 + (weight.max(10) - 10) * 9999 / 990),
            instead: Some(("io.bfq.weight".to_owned(), format!("{device} {weight}"))),
        });
    }
}

/// What `resources` really asks for: engines write 0 where they mean nothing, and runc reads it so. A limit of
/// no processes is the exception that the specification makes.
fn meant(resources: &Resources) -> Resources {
    fn set<T: Default + PartialEq>(value: &mut Option<T>) {
        if *value == Some(T::default()) {
            *value = None;
        }
    }
    let mut resources = resources.clone();
    if let Some(memory) = &mut resources.memory {
        let Memory { limit, reservation, swap, kernel, kernel_tcp, .. } = memory;
        [limit, reservation, swap, kernel, kernel_tcp].into_iter().for_each(set);
    }
    if let Some(cpu) = &mut resources.cpu {
        set(&mut cpu.shares);
        set(&mut cpu.quota);
        set(&mut cpu.period);
        set(&mut cpu.realtime_period);
        set(&mut cpu.realtime_runtime);
    }
    if let Some(block) = &mut resources.block_io {
        set(&mut block.weight);
        set(&mut block.leaf_weight);
    }
    resources
}

/// Every line that `resources` asks for; `v2` tells whether a controller is on the v2 tree.
pub(crate) fn lines(resources: &Resources, v2: &dyn Fn(&str) -> bool) -> Result<Vec<Write>, Error> {
    let resources = &meant(resources);
    let mut out = Lines { controller: "memory", writes: Vec::new() };
    if let Some(memory) = &resources.memory {
        memory_lines(&mut out, memory, v2("memory"))?;
    }
    if let Some(cpu) = &resources.cpu {
        out.controller = "cpu";
        cpu_lines(&mut out, cpu, v2("cpu"))?;
        out.controller = "cpuset";
        out.put("cpuset.cpus", cpu.cpus.as_deref().filter(|text| !text.is_empty()));
        out.put("cpuset.mems", cpu.mems.as_deref().filter(|text| !text.is_empty()));
    }
    out.controller = "pids";
    out.put("pids.max", resources.pids.as_ref().and_then(|pids| pids.limit).map(maximum));
    if let Some(block) = &resources.block_io {
        block_lines(&mut out, block, v2("blkio"))?;
    }
    out.controller = "hugetlb";
    for huge in &resources.hugepage_limits {
        let size = plain("hugepageLimits", &huge.page_size)?;
        let file = if v2("hugetlb") { "max" } else { "limit_in_bytes" };
        // Reservations are what a program fails at cleanly; faults beyond the limit kill it.
        out.put(format!("hugetlb.{size}.rsvd.{file}"), Some(huge.limit));
        out.put(format!("hugetlb.{size}.{file}"), Some(huge.limit));
    }
    out.controller = "rdma";
    for (device, rdma) in &resources.rdma {
        let count = |n: Option<u32>| n.map_or_else(|| "max".to_owned(), |n| n.to_string());
        let (handles, objects) = (count(rdma.hca_handles), count(rdma.hca_objects));
        out.put("rdma.max", Some(format!("{device} hca_handle={handles} hca_object={objects}")));
    }
    if let Some(network) = &resources.network {
        if v2("net_cls") {
            return Err(unsupported("network", "needs cgroup v1"));
        }
        out.controller = "net_cls";
        out.put("net_cls.classid", network.class_id);
        out.controller = "net_prio";
        for priority in &network.priorities {
            out.put("net_prio.ifpriomap", Some(format!("{} {}", priority.name, priority.priority)));
        }
    }
    if !resources.devices.is_empty() && !v2("devices") {
        out.controller = "devices";
        out.put("devices.deny", Some("a"));
        for rule in devices::parse(&resources.devices)? {
            let (file, line) = devices::v1_line(&rule)?;
            out.put(file, Some(line));
        }
    }
    out.controller = "";
    for (file, value) in &resources.unified {
        out.put(plain("unified", file)?, Some(value));
    }
    Ok(out.writes)
}

fn plain<'a>(field: &str, name: &'a str) -> Result<&'a str, Error> {
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(Error::new(
            Kind::Invalid,
            format!("linux.resources.{field}: {name:?} is no file of a cgroup"),
        ));
    }
    Ok(name)
}

fn unsupported(field: &str, why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("linux.resources.{field}: {why}"))
}

fn maximum(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory_lines(out: &mut Lines, memory: &Memory, v2: bool) -> Result<(), Error> {
    if v2 {
        out.put("memory.max", memory.limit.map(maximum));
        out.put("memory.low", memory.reservation.map(maximum));
        out.put("memory.swap.max", swap(memory)?);
        let only_of_v1 = [
            (memory.swappiness.is_some(), "memory.swappiness"),
            (memory.disable_oom_killer == Some(true), "memory.disableOOMKiller"),
            (memory.kernel.is_some(), "memory.kernel"),
            (memory.kernel_tcp.is_some(), "memory.kernelTCP"),
        ];
        return match only_of_v1.iter().find(|(set, _)| *set) {
            Some((_, field)) => Err(unsupported(field, "needs cgroup v1")),
            None => Ok(()),
        };
    }
    out.put("memory.limit_in_bytes", memory.limit);
    out.put("memory.memsw.limit_in_bytes", memory.swap);
    out.put("memory.soft_limit_in_bytes", memory.reservation);
    out.put("memory.kmem.limit_in_bytes", memory.kernel);
    out.put("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp);
    out.put("memory.swappiness", memory.swappiness);
    out.put("memory.oom_control", memory.disable_oom_killer.map(u8::from));
    Ok(())
}

/// runtime-spec's swap is memory and swap together; v2 counts swap alone.
fn swap(memory: &Memory) -> Result<Option<String>, Error> {
    match (memory.swap, memory.limit) {
        (None, _) => Ok(None),
        (Some(swap), _) if swap < 0 => Ok(Some("max".to_owned())),
        (Some(swap), Some(limit)) if (0..=swap).contains(&limit) => Ok(Some((swap - limit).to_string())),
        _ => Err(Error::new(Kind::Invalid, "linux.resources.memory.swap: needs a memory limit not above it")),
    }
}

fn cpu_lines(out: &mut Lines, cpu: &Cpu, v2: bool) -> Result<(), Error> {
    if !v2 {
        out.put("cpu.shares", cpu.shares);
        out.put("cpu.cfs_period_us", cpu.period);
        out.put("cpu.cfs_quota_us", cpu.quota);
        out.put("cpu.cfs_burst_us", cpu.burst);
        out.put("cpu.rt_period_us", cpu.realtime_period);
        out.put("cpu.rt_runtime_us", cpu.realtime_runtime);
        out.put("cpu.idle", cpu.idle);
        return Ok(());
    }
    if cpu.realtime_period.or(cpu.realtime_runtime.map(i64::cast_unsigned)).is_some_and(|value| value != 0) {
        return Err(unsupported("cpu.realtimeRuntime", "needs cgroup v1"));
    }
    out.put("cpu.weight", cpu.shares.filter(|shares| *shares != 0).map(weight));
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota = cpu.quota.filter(|quota| *quota > 0).unwrap_or(-1);
        out.put("cpu.max", Some(format!("{} {}", maximum(quota), cpu.period.unwrap_or(100_000))));
    }
    out.put("cpu.max.burst", cpu.burst);
    out.put("cpu.idle", cpu.idle);
    Ok(())
}

/// Shares 2..=262144 to weight 1..=10000, with 1024 at 100: 10^((l² + 125 l) / 612 - 7/34), l = log2(shares).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn weight(shares: u64) -> u64 {
    let l = (shares.clamp(2, 262_144) as f64).log2();
    (10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil() as u64).clamp(1, 10_000)
}

fn block_lines(out: &mut Lines, block: &BlockIo, v2: bool) -> Result<(), Error> {
    out.controller = if v2 { "io" } else { "blkio" };
    let leaf =
        block.leaf_weight.is_some() || block.weight_device.iter().any(|device| device.leaf_weight.is_some());
    if leaf {
        return Err(unsupported("blockIO.leafWeight", "the kernel has dropped it"));
    }
    let devices = block.weight_device.iter().filter_map(|device| {
        device.weight.map(|weight| (format!("{}:{}", device.major, device.minor), weight))
    });
    if v2 {
        let all = block.weight.map(|weight| ("default".to_owned(), weight));
        all.into_iter().chain(devices).for_each(|(device, weight)| out.put_weight(&device, weight));
    } else {
        out.put("blkio.bfq.weight", block.weight);
        devices.for_each(|(device, weight)| {
            out.put("blkio.bfq.weight_device", Some(format!("{device} {weight}")));
        });
    }
    let tables = [
        (&block.throttle_read_bps_device, "blkio.throttle.read_bps_device", "rbps="),
        (&block.throttle_write_bps_device, "blkio.throttle.write_bps_device", "wbps="),
        (&block.throttle_read_iops_device, "blkio.throttle.read_iops_device", "riops="),
        (&block.throttle_write_iops_device, "blkio.throttle.write_iops_device", "wiops="),
    ];
    for (devices, v1_file, key) in tables {
        let (file, key) = if v2 { ("io.max", key) } else { (v1_file, "") };
        for device in devices {
            out.put(file, Some(format!("{}:{} {key}{}", device.major, device.minor, device.rate)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_means_nothing() {
        // What Docker writes for a container without limits.
        let text = br#"{"memory":{"limit":0,"swap":0},"cpu":{"shares":0,"quota":0},"blockIO":{"weight":0}}"#;
        let resources: Resources = plimsoll_spec::json::from_slice(text).unwrap();
        for v2 in [false, true] {
            assert_eq!(lines(&resources, &|_| v2).unwrap(), []);
        }
    }

    #[test]
    fn no_processes_are_a_limit() {
        let resources: Resources = plimsoll_spec::json::from_slice(br#"{"pids":{"limit":0}}"#).unwrap();
        for v2 in [false, true] {
            let lines = lines(&resources, &|_| v2).unwrap();
            let [line] = lines.as_slice() else { panic!("{lines:?}") };
            assert_eq!((line.file.as_str(), line.value.as_str()), ("pids.max", "0"));
        }
    }

    #[test]
    fn what_has_no_file_in_v2_is_refused_by_name() {
        for field in ["swappiness", "kernel", "kernelTCP"] {
            let text = format!("{{\"memory\":{{\"{field}\":7}}}}");
            let resources: Resources = plimsoll_spec::json::from_slice(text.as_bytes()).unwrap();
            let want = format!("linux.resources.memory.{field}: needs cgroup v1");
            assert_eq!(lines(&resources, &|_| true).unwrap_err().to_string(), want);
            assert!(lines(&resources, &|_| false).is_ok());
        }
    }

    #[test]
    fn huge_pages_are_limited_when_they_are_reserved() {
        let text = br#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#;
        let resources: Resources = plimsoll_spec::json::from_slice(text).unwrap();
        let files =
            |v2| lines(&resources, &|_| v2).unwrap().into_iter().map(|line| line.file).collect::<Vec<_>>();
        assert_eq!(files(true), ["hugetlb.2MB.rsvd.max", "hugetlb.2MB.max"]);
        assert_eq!(files(false), ["hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.limit_in_bytes"]);
    }

    #[test]
    fn weights_of_transfers_are_told_to_either_scheduler() {
        let text = br#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#;
        let resources: Resources = plimsoll_spec::json::from_slice(text).unwrap();
        let lines = |v2| {
            let text =
                |line: Write| (line.file, line.value, line.instead.map(|(file, value)| file + " " + &value));
            lines(&resources, &|_| v2).unwrap().into_iter().map(text).collect::<Vec<_>>()
        };
        let line = |file: &str, value: &str, instead: Option<&str>| {
            (file.to_owned(), value.to_owned(), instead.map(str::to_owned))
        };
        let want = [
            line("io.weight", "default 4950", Some("io.bfq.weight default 500")),
            line("io.weight", "8:0 1", Some("io.bfq.weight 8:0 10")),
        ];
        assert_eq!(lines(true), want);
        let want = [line("blkio.bfq.weight", "500", None), line("blkio.bfq.weight_device", "8:0 10", None)];
        assert_eq!(lines(false), want);
    }

    #[test]
    fn shares_become_weights() {
        for (shares, expected) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn swap_of_v2_excludes_memory() {
        let of = |limit, swap| super::swap(&Memory { limit, swap, ..Memory::default() });
        assert_eq!(of(Some(100), Some(150)).unwrap(), Some("50".to_owned()));
        assert_eq!(of(None, Some(-1)).unwrap(), Some("max".to_owned()));
        let message = "linux.resources.memory.swap: needs a memory limit not above it";
        assert_eq!(of(Some(200), Some(150)).unwrap_err().to_string(), message);
    }
}
