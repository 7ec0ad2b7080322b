//! `linux.netDevices`.
//!
//! Every case gives its worker a network namespace, which takes the place of the host's: whatever happens to
//! the devices there is over with the worker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use plimsoll_sys::process::{CloneFlags, setns, unshare};
use rustix::io::Errno;
use serde_json::{Value, json};

use crate::case::{Case, Obstacle};
use crate::error::{Context as _, Error, Kind, Result};
use crate::evidence::Judge;
use crate::evidence::judge::{all, equals, or_refused, provided, refused, satisfies, where_supported};
use crate::netlink::{Change, Netlink};
use crate::runtime::Stage;
use crate::runtime::holder::Holder;
use crate::verdict::Reason;

use super::edit::{drop_namespace, set_namespace};

pub(super) fn cases() -> Vec<Case<Stage>> {
    let cases = [moved(), impossible(), taken(), template(), kept(), unmanaged()];
    // What came with a later version than is asked about binds nobody.
    cases.into_iter().map(Case::where_it_applies).collect()
}

/// The device that is moved; the other end of its cable stays.
const DEVICE: &str = "plimsoll0";
const PEER: &str = "plimsoll1";
const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));
const HARDWARE: [u8; 6] = [0x02, 0x50, 0x4c, 0x49, 0x4d, 0x01];
const HARDWARE_TEXT: &str = "02:50:4c:49:4d:01";
const ALIAS: &str = "a plimsoll mark";

/// A network namespace for the worker, with a cable in it.
fn own_network(stage: &mut Stage) -> Result<(), Obstacle> {
    stage.wants_version(3, "netDevices")?;
    unshare(CloneFlags::NEWNET).map_err(|errno| Obstacle::of("make a network namespace", errno))?;
    stage.note_own("net");
    cable(stage)
}

/// Makes the cable, in place of what an earlier container may have left of one.
fn cable(stage: &mut Stage) -> Result<(), Obstacle> {
    let mut netlink = open()?;
    match netlink.remove(PEER) {
        // The kernel ends namespaces, and what is in them, when it finds the time.
        Ok(()) | Err(Errno::NODEV) => {}
        Err(e) => return Err(Error::because(Kind::Environment, "remove a network device", e).into()),
    }
    match netlink.add_pair(DEVICE, PEER) {
        Err(Errno::OPNOTSUPP) => {
            Err(Obstacle::Skip(Reason::Kernel, "the kernel has no virtual cables".to_owned()))
        }
        made => {
            made.context(|| "make a pair of network devices")?;
            stage.note_command(&["sh", "-c", &format!("ip link delete {PEER} 2>/dev/null")]);
            note_ip(stage, &format!("link add {DEVICE} type veth peer name {PEER}"));
            Ok(())
        }
    }
}

/// Writes down that what `ip(8)` does with `arguments` was done.
fn note_ip(stage: &mut Stage, arguments: &str) {
    let words: Vec<&str> = std::iter::once("ip").chain(arguments.split(' ')).collect();
    stage.note_command(&words);
}

/// As [`note_ip`], in the network namespace of `holder`.
fn note_ip_inside(stage: &mut Stage, holder: &Holder, arguments: &str) {
    let namespace = format!("--net={}", holder.path("net").display());
    let words: Vec<&str> = ["nsenter", &namespace, "ip"].into_iter().chain(arguments.split(' ')).collect();
    stage.note_command(&words);
}

fn open() -> Result<Netlink> {
    Netlink::open().context(|| "ask for network devices")
}

/// The devices of the worker's namespace.
fn devices() -> Result<Value> {
    Ok(json!(open()?.describe().context(|| "list network devices")?))
}

/// Does something in the network namespace of `holder`, on a thread that ends with it.
fn inside<T: Send>(holder: &Holder, act: impl FnOnce(Netlink) -> rustix::io::Result<T> + Send) -> Result<T> {
    let context = || "enter a network namespace";
    let namespace = std::fs::File::open(holder.path("net")).context(context)?;
    let enter = || {
        setns(std::os::fd::AsFd::as_fd(&namespace), CloneFlags::NEWNET)?;
        act(Netlink::open()?)
    };
    let done = std::thread::scope(|scope| scope.spawn(enter).join());
    done.map_err(|_| Error::new(Kind::Environment, context()))?.context(context)
}

fn with_device(stage: &Stage, name: &str, device: &Value) -> Value {
    let mut config = stage.config(&["exit:0"]);
    config["linux"]["netDevices"] = json!({name: device});
    config
}

fn moved() -> Case<Stage> {
    Case::new("network/moved", |stage: &mut Stage| {
        own_network(stage)?;
        let config = with_device(stage, DEVICE, &json!({}));
        // Seen while the container lives, for its end is the device's.
        let mut container = stage.bundle(&config)?;
        stage.evidence.record("before", devices()?);
        let created = stage.create(&mut container)?;
        stage.evidence.record("after", devices()?);
        if created.ok() {
            stage.clean(&container)?;
        }
        cable(stage)?;
        stage.observe("same", &config)?;
        cable(stage)?;
        let config = with_device(stage, DEVICE, &json!({"name": "inner7"}));
        stage.observe("renamed", &config)
    })
    .rule(
        "LNX-NET-01",
        where_supported(
            "/same",
            all(vec![
                has("/before", DEVICE),
                lacks("/after", DEVICE),
                has("/same/report/interfaces", DEVICE),
                has("/renamed/report/interfaces", "inner7"),
            ]),
        ),
    )
    .rule(
        "LNX-NET-02",
        where_supported(
            "/same",
            all(vec![
                has("/same/report/interfaces", DEVICE),
                has("/renamed/report/interfaces", "inner7"),
                lacks("/renamed/report/interfaces", DEVICE),
            ]),
        ),
    )
    .rule(
        "LNX-NET-07",
        where_supported(
            "/same",
            all(vec![
                equals(&format!("/before/{DEVICE}/up"), false),
                equals(&format!("/same/report/interfaces/{DEVICE}/up"), true),
                equals("/renamed/report/interfaces/inner7/up", true),
            ]),
        ),
    )
}

fn has(pointer: &str, name: &'static str) -> Judge {
    satisfies(pointer, &format!("has {name}"), move |devices| devices.get(name).is_some())
}

fn lacks(pointer: &str, name: &'static str) -> Judge {
    satisfies(pointer, &format!("does not have {name}"), move |devices| {
        devices.is_object() && devices.get(name).is_none()
    })
}

/// Devices that cannot be moved: one that is not there, one that never leaves its namespace, and one where
/// there is no other namespace.
fn impossible() -> Case<Stage> {
    Case::new("network/impossible", |stage: &mut Stage| {
        own_network(stage)?;
        let control = with_device(stage, DEVICE, &json!({}));
        stage.observe("control", &control)?;
        cable(stage)?;
        for (name, device) in [("absent", "plimsoll9"), ("loopback", "lo")] {
            let config = with_device(stage, device, &json!({}));
            stage.attempt(name, &config)?;
        }
        let mut config = with_device(stage, DEVICE, &json!({}));
        drop_namespace(&mut config, "network");
        stage.observe("no-namespace", &config)?;
        stage.evidence.record("after", devices()?);
        Ok(())
    })
    .rule("LNX-NET-03", where_supported("/control", refused("/absent")))
    .rule("LNX-NET-03", where_supported("/control", refused("/loopback")))
    // Where there is no other namespace the device is at hand already, which may be taken for enough.
    .rule(
        "LNX-NET-03",
        where_supported(
            "/control",
            all(vec![
                or_refused("/no-namespace", has("/no-namespace/report/interfaces", DEVICE)),
                has("/after", DEVICE),
            ]),
        ),
    )
}

/// The namespace that is joined has a device of the name already.
fn taken() -> Case<Stage> {
    Case::new("network/name-taken", |stage: &mut Stage| {
        own_network(stage)?;
        let holder = stage.hold(CloneFlags::NEWNET)?;
        let mut config = with_device(stage, DEVICE, &json!({"name": "free0"}));
        set_namespace(&mut config, "network", Some(&holder.path("net")));
        stage.observe("control", &config)?;
        drop(holder);
        let holder = stage.hold(CloneFlags::NEWNET)?;
        cable(stage)?;
        inside(&holder, |mut netlink| netlink.add_pair("taken0", "taken1"))?;
        note_ip_inside(stage, &holder, "link add taken0 type veth peer name taken1");
        set_namespace(&mut config, "network", Some(&holder.path("net")));
        config["linux"]["netDevices"] = json!({DEVICE: {"name": "taken0"}});
        stage.attempt("attempt", &config)?;
        stage.evidence.record("after", devices()?);
        let inner = inside(&holder, |mut netlink| netlink.describe())?;
        stage.evidence.record("inner", json!(inner));
        Ok(())
    })
    .rule("LNX-NET-04", where_supported("/control", refused("/attempt")))
    .rule("RUN-ERR-01", or_refused("/control", all(vec![has("/after", DEVICE), lacks("/inner", DEVICE)])))
}

fn template() -> Case<Stage> {
    Case::new("network/template", |stage: &mut Stage| {
        own_network(stage)?;
        let control = with_device(stage, DEVICE, &json!({}));
        stage.observe("control", &control)?;
        cable(stage)?;
        let holder = stage.hold(CloneFlags::NEWNET)?;
        inside(&holder, |mut netlink| netlink.add_pair("eth0", "other0"))?;
        note_ip_inside(stage, &holder, "link add eth0 type veth peer name other0");
        let mut config = with_device(stage, DEVICE, &json!({"name": "eth%d"}));
        set_namespace(&mut config, "network", Some(&holder.path("net")));
        stage.observe("life", &config)
    })
    .rule(
        "LNX-NET-05",
        where_supported(
            "/control",
            all(vec![has("/life/report/interfaces", "eth0"), has("/life/report/interfaces", "eth1")]),
        ),
    )
}

fn kept() -> Case<Stage> {
    Case::new("network/kept", |stage: &mut Stage| {
        own_network(stage)?;
        let mut netlink = open()?;
        let change = Change { mtu: Some(1400), alias: Some(ALIAS), hardware: Some(HARDWARE), up: Some(true) };
        netlink.change(DEVICE, change).context(|| "change a network device")?;
        stage.note_command(&["ip", "link", "set", DEVICE, "alias", ALIAS]);
        note_ip(stage, &format!("link set {DEVICE} mtu 1400 address {HARDWARE_TEXT} up"));
        netlink.add_address(DEVICE, V4, 24).context(|| "add an address")?;
        note_ip(stage, &format!("address add {V4}/24 dev {DEVICE}"));
        // A kernel may have been started without.
        let v6 = netlink.add_address(DEVICE, V6, 64).is_ok();
        let mut addresses = vec![json!({"address": V4.to_string(), "prefix": 24, "scope": 0})];
        if v6 {
            note_ip(stage, &format!("address add {V6}/64 dev {DEVICE} nodad"));
            addresses.push(json!({"address": V6.to_string(), "prefix": 64, "scope": 0}));
        }
        stage.evidence.record("addresses", addresses);
        let config = with_device(stage, DEVICE, &json!({"name": "inner7"}));
        stage.observe("life", &config)
    })
    .rule(
        "LNX-NET-06",
        where_supported(
            "/life",
            all(vec![
                equals("/life/report/interfaces/inner7/mtu", 1400),
                equals("/life/report/interfaces/inner7/hardware", HARDWARE_TEXT),
                equals("/life/report/interfaces/inner7/alias", ALIAS),
                global_addresses("/life/report/interfaces/inner7/addresses"),
            ]),
        ),
    )
}

/// Every address that was given is there; what the kernel adds for the link is of another scope.
fn global_addresses(pointer: &str) -> Judge {
    let pointer = pointer.to_owned();
    Box::new(move |evidence| {
        let wanted = evidence.at("/addresses").and_then(Value::as_array).cloned().unwrap_or_default();
        let found = evidence.at(&pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        let holds = !wanted.is_empty() && wanted.iter().all(|address| found.contains(address));
        let expected = format!("{pointer} has {}", Value::from(wanted));
        crate::verdict::Judgement::of(holds, expected, evidence.show(&pointer))
    })
}

/// Whatever becomes of the device in a namespace that outlives the container is none of the runtime's business.
fn unmanaged() -> Case<Stage> {
    Case::new("network/unmanaged", |stage: &mut Stage| {
        own_network(stage)?;
        let mut netlink = open()?;
        netlink.add_address(DEVICE, V4, 24).context(|| "add an address")?;
        note_ip(stage, &format!("address add {V4}/24 dev {DEVICE}"));
        let holder = stage.hold(CloneFlags::NEWNET)?;
        let mut config = stage.config(&["wait"]);
        config["linux"]["netDevices"] = json!({DEVICE: {}});
        set_namespace(&mut config, "network", Some(&holder.path("net")));
        let mut container = stage.bundle(&config)?;
        let created = stage.create(&mut container)?;
        stage.evidence.record("life", json!({"create": crate::runtime::stage::brief(&created)}));
        if !created.ok() {
            return Ok(());
        }
        let there = inside(&holder, |mut netlink| netlink.describe())?;
        if !there.contains_key(DEVICE) {
            return Err(Obstacle::Inconclusive("the device has not been moved".to_owned()));
        }
        stage.start(&container)?;
        inside(&holder, |mut netlink| {
            netlink.remove_address(DEVICE, V4, 24)?;
            netlink.change(DEVICE, Change { up: Some(false), mtu: Some(1300), ..Change::default() })?;
            netlink.add_address(DEVICE, OTHER, 24)
        })?;
        note_ip_inside(stage, &holder, &format!("address delete {V4}/24 dev {DEVICE}"));
        note_ip_inside(stage, &holder, &format!("link set {DEVICE} mtu 1300 down"));
        note_ip_inside(stage, &holder, &format!("address add {OTHER}/24 dev {DEVICE}"));
        stage.kill(&container, "KILL")?;
        stage.wait(&container);
        stage.delete(&container)?;
        let inner = inside(&holder, |mut netlink| netlink.describe())?;
        stage.evidence.record("inner", json!(inner));
        stage.evidence.record("outer", devices()?);
        stage.clean(&container)
    })
    .rule(
        "LNX-NET-08",
        where_supported(
            "/life",
            all(vec![
                equals(&format!("/inner/{DEVICE}/up"), false),
                equals(&format!("/inner/{DEVICE}/mtu"), 1300),
                equals(
                    &format!("/inner/{DEVICE}/addresses"),
                    json!([{"address": "198.51.100.9", "prefix": 24, "scope": 0}]),
                ),
            ]),
        ),
    )
    .rule(
        "LNX-NET-09",
        where_supported(
            "/life",
            provided(
                equals("/life/create/exit", 0),
                all(vec![has("/inner", DEVICE), lacks("/outer", DEVICE)]),
            ),
        ),
    )
}
