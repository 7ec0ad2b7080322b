//! What becomes of an image's configuration.

use std::fs;
use std::os::fd::AsFd as _;

use plimsoll_image::bundle::{self, Network, Overrides, Rootless, Volume};
use plimsoll_image::{Kind, Result};
use plimsoll_spec::image::ImageConfig;
use plimsoll_spec::json;
use plimsoll_spec::runtime::{Config, IdMapping, Process, User};

use crate::sample::failure;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\nnowhere:x:1002:1002::rel:\nroot2:x:0:5::/other:\n";
const GROUP: &str = "root:x:0:\nbroken:\nwheel:x:10:root,alice\nalice:x:1001:\nstaff:x:50:bob,alice\n";

/// A root file system with users.
fn rootfs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("etc")).unwrap();
    fs::write(folder.path().join("etc/passwd"), PASSWD).unwrap();
    fs::write(folder.path().join("etc/group"), GROUP).unwrap();
    folder
}

/// An image with `execution` as its `config` member.
fn image(execution: &str) -> ImageConfig {
    let text = format!(
        r#"{{"architecture":"arm64","os":"linux","variant":"v8","os.version":"1","os.features":["a","b"],"author":"somebody","created":"2026-01-01T00:00:00Z","config":{execution},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#
    );
    json::from_slice(text.as_bytes()).unwrap()
}

fn config_in(rootfs: &tempfile::TempDir, execution: &str, overrides: &Overrides) -> Result<Config> {
    let opened = fs::File::open(rootfs.path()).unwrap();
    bundle::config(&image(execution), opened.as_fd(), overrides)
}

fn config(execution: &str, overrides: &Overrides) -> Config {
    config_in(&rootfs(), execution, overrides).unwrap()
}

fn process(execution: &str, overrides: &Overrides) -> Process {
    config(execution, overrides).process.unwrap()
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn the_command_is_entrypoint_and_arguments() {
    let execution = r#"{"Entrypoint":["/e","1"],"Cmd":["2"]}"#;
    let given = |entrypoint: Option<&[&str]>, args: &[&str]| {
        let entrypoint = entrypoint.map(owned);
        process(execution, &Overrides { entrypoint, args: owned(args), ..Overrides::default() }).args
    };
    assert_eq!(given(None, &[]), ["/e", "1", "2"]);
    assert_eq!(given(None, &["3", "4"]), ["/e", "1", "3", "4"]);
    assert_eq!(given(Some(&["/f"]), &[]), ["/f"]);
    assert_eq!(given(Some(&["/f"]), &["3"]), ["/f", "3"]);
    assert_eq!(given(Some(&[]), &["3"]), ["3"]);
    let none = (Kind::Invalid, "the image has no command and none was given".to_owned());
    assert_eq!(failure(config_in(&rootfs(), "{}", &Overrides::default())), none);
    assert_eq!(failure(config_in(&rootfs(), r#"{"Cmd":[""]}"#, &Overrides::default())), none);
}

#[test]
fn the_image_keeps_its_environment_and_place() {
    let execution = r#"{"Cmd":["a"],"Env":["A=1","HOME=/h","B=2","A=3"],"WorkingDir":"/w"}"#;
    let plain = process(execution, &Overrides::default());
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(plain.env, ["A=1", "HOME=/h", "B=2", "A=3", path]);
    assert_eq!((plain.cwd.as_str(), plain.terminal), ("/w", false));
    let overrides = Overrides {
        env: owned(&["B=4", "C=5", "HOME", "TERM=dumb"]),
        hostname: Some("h".into()),
        terminal: true,
        workdir: Some("x".into()),
        ..Overrides::default()
    };
    let other = process(execution, &overrides);
    assert_eq!(other.env, ["A=1", "B=4", "A=3", "C=5", "TERM=dumb", path, "HOSTNAME=h", "HOME=/root"]);
    assert_eq!((other.cwd.as_str(), other.terminal), ("/x", true));
    assert_eq!(process(r#"{"Cmd":["a"]}"#, &Overrides::default()).cwd, "/");
    let bad = Overrides { env: owned(&["=1"]), ..Overrides::default() };
    let want = (Kind::Invalid, r#"invalid environment variable "=1""#.to_owned());
    assert_eq!(failure(config_in(&rootfs(), execution, &bad)), want);
}

#[test]
fn users_are_those_of_the_root_file_system() {
    let user = |uid, gid, gids: &[u32]| User { uid, gid, additional_gids: gids.to_vec(), ..User::default() };
    let cases = [
        ("", user(0, 0, &[10]), "/root"),
        ("root", user(0, 0, &[10]), "/root"),
        ("alice", user(1000, 1001, &[10, 50]), "/home/alice"),
        ("alice:wheel", user(1000, 10, &[]), "/home/alice"),
        ("alice:77", user(1000, 77, &[]), "/home/alice"),
        // By number the supplementary groups stay empty, as conversion.md has it.
        ("1000", user(1000, 1001, &[]), "/home/alice"),
        ("1000:staff", user(1000, 50, &[]), "/home/alice"),
        ("4000", user(4000, 0, &[]), "/"),
        ("4000:4001", user(4000, 4001, &[]), "/"),
        ("nowhere", user(1002, 1002, &[]), "/"),
    ];
    for (wanted, user, home) in cases {
        let got = process(&format!(r#"{{"Cmd":["a"],"User":"{wanted}"}}"#), &Overrides::default());
        assert_eq!(got.user, user, "{wanted}");
        assert_eq!(got.env.last().unwrap(), &format!("HOME={home}"), "{wanted}");
        let overrides = Overrides { user: Some(wanted.into()), ..Overrides::default() };
        assert_eq!(process(r#"{"Cmd":["a"],"User":"alice"}"#, &overrides).user, user, "{wanted}");
    }
    let refused = [
        ("bob", Kind::NotFound, r#"the container's /etc/passwd has no user "bob""#),
        ("-1", Kind::NotFound, r#"the container's /etc/passwd has no user "-1""#),
        ("broken", Kind::NotFound, r#"the container's /etc/passwd has no user "broken""#),
        ("alice:none", Kind::NotFound, r#"the container's /etc/group has no group "none""#),
        ("4294967295", Kind::Invalid, "user id 4294967295 is out of range"),
        ("0:99999999999", Kind::Invalid, "group id 99999999999 is out of range"),
    ];
    for (wanted, kind, text) in refused {
        let overrides = Overrides { user: Some(wanted.into()), ..Overrides::default() };
        assert_eq!(failure(config_in(&rootfs(), r#"{"Cmd":["a"]}"#, &overrides)), (kind, text.to_owned()));
    }
}

#[test]
fn users_are_looked_up_within_the_root_alone() {
    let rootfs = rootfs();
    let passwd = rootfs.path().join("etc/passwd");
    let resolve = |user: &str| {
        let overrides = Overrides { user: Some(user.into()), ..Overrides::default() };
        config_in(&rootfs, r#"{"Cmd":["a"]}"#, &overrides)
    };
    // An absolute link starts at the container's root, and `..` ends there.
    fs::rename(&passwd, rootfs.path().join("users")).unwrap();
    std::os::unix::fs::symlink("/../../users", &passwd).unwrap();
    assert_eq!(resolve("alice").unwrap().process.unwrap().user.uid, 1000);
    fs::remove_file(&passwd).unwrap();
    std::os::unix::fs::symlink("/proc/self/root/etc/passwd", &passwd).unwrap();
    assert_eq!(failure(resolve("daemon")).0, Kind::NotFound);
    fs::remove_file(&passwd).unwrap();
    let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &passwd, fifo, mode, 0).unwrap();
    let want = (Kind::Invalid, "/etc/passwd of the image is no regular file".to_owned());
    assert_eq!(failure(resolve("alice")), want);
    fs::remove_file(&passwd).unwrap();
    fs::File::create(&passwd).unwrap().set_len((8 << 20) + 1).unwrap();
    let want = (Kind::Limit, "/etc/passwd of the image has 8388609 bytes, over 8388608".to_owned());
    assert_eq!(failure(resolve("alice")), want);
    fs::remove_dir_all(rootfs.path().join("etc")).unwrap();
    assert_eq!(resolve("").unwrap().process.unwrap().user, User::default());
}

#[test]
fn labels_win_over_what_the_image_implies() {
    let execution = r#"{"Cmd":["a"],"StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Labels":{"org.opencontainers.image.author":"label","x":"y"}}"#;
    let annotations = [("x".to_owned(), "z".to_owned())].to_vec();
    let got = config(execution, &Overrides { annotations, ..Overrides::default() }).annotations;
    let want = [
        ("org.opencontainers.image.architecture", "arm64"),
        ("org.opencontainers.image.author", "label"),
        ("org.opencontainers.image.created", "2026-01-01T00:00:00Z"),
        ("org.opencontainers.image.exposedPorts", "53/udp,80/tcp"),
        ("org.opencontainers.image.os", "linux"),
        ("org.opencontainers.image.os.features", "a,b"),
        ("org.opencontainers.image.os.version", "1"),
        ("org.opencontainers.image.stopSignal", "SIGINT"),
        ("org.opencontainers.image.variant", "v8"),
        ("x", "z"),
    ];
    let got: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(got, want);
}

#[test]
fn capabilities_are_docker_s_and_changed_by_name() {
    let bounding = |add: &[&str], drop: &[&str]| {
        let overrides = Overrides { cap_add: owned(add), cap_drop: owned(drop), ..Overrides::default() };
        let sets = process(r#"{"Cmd":["a"]}"#, &overrides).capabilities.unwrap();
        assert_eq!((&sets.bounding, &sets.bounding), (&sets.effective, &sets.permitted));
        sets.bounding
    };
    assert_eq!(bounding(&[], &[]).len(), 14);
    assert_eq!(bounding(&["sys_admin", "CAP_KILL"], &["Net_Raw"]).len(), 14);
    assert_eq!(bounding(&["NET_ADMIN"], &["all"]), ["CAP_NET_ADMIN"]);
    assert_eq!(bounding(&["ALL"], &["CAP_SYS_ADMIN"]).len(), 40);
    assert_eq!(bounding(&[], &["ALL"]), [""; 0]);
    let overrides = Overrides { cap_add: owned(&["FLY"]), ..Overrides::default() };
    let want = (Kind::Invalid, r#"there is no capability "FLY""#.to_owned());
    assert_eq!(failure(config_in(&rootfs(), r#"{"Cmd":["a"]}"#, &overrides)), want);
}

#[test]
fn volumes_are_bind_mounts_that_exist() {
    let source = tempfile::tempdir().unwrap();
    let path = source.path().to_str().unwrap();
    let parse = |rest: &str| Volume::parse(&format!("{path}{rest}"));
    let options = |rest: &str| {
        let overrides = Overrides { volumes: vec![parse(rest).unwrap()], ..Overrides::default() };
        let mounts = config(r#"{"Cmd":["a"]}"#, &overrides).mounts;
        let mount = mounts.into_iter().find(|mount| mount.destination == "/d").unwrap();
        assert_eq!(mount.source.as_deref(), Some(path));
        mount.options
    };
    assert_eq!(options(":/d"), ["rbind", "rprivate"]);
    assert_eq!(options(":/d:ro,Z"), ["rbind", "rprivate", "ro", "rro"]);
    assert_eq!(options(":/d:bind,rslave,noexec"), ["bind", "rslave", "noexec"]);
    let here = Volume::parse("./x:/d").unwrap().source;
    assert_eq!(here, std::env::current_dir().unwrap().join("x").to_str().unwrap());
    let refused = [
        ("a", "not SOURCE:DESTINATION[:OPTIONS]"),
        ("/a:b", "the destination is no absolute path"),
        (
            "name:/b",
            "the source is no path that starts with / or ., and volumes with names are not kept here",
        ),
        ("/a:/b:ro,fast", "unknown option \"fast\""),
    ];
    for (text, why) in refused {
        let want = (Kind::Invalid, format!("volume {text:?}: {why}"));
        assert_eq!(failure(Volume::parse(text)), want);
    }
    let overrides = Overrides { volumes: vec![parse("/none:/d").unwrap()], ..Overrides::default() };
    let want = (Kind::NotFound, format!("the volume's source {:?} does not exist", format!("{path}/none")));
    assert_eq!(failure(config_in(&rootfs(), r#"{"Cmd":["a"]}"#, &overrides)), want);
    let overrides = Overrides { volumes: vec![parse(":/dev/shm").unwrap()], ..Overrides::default() };
    let mounts = config(r#"{"Cmd":["a"]}"#, &overrides).mounts;
    assert_eq!(mounts.iter().filter(|mount| mount.destination == "/dev/shm").count(), 1);
}

#[test]
fn limits_and_namespaces_follow_the_request() {
    let kinds = |overrides: &Overrides| {
        let linux = config(r#"{"Cmd":["a"]}"#, overrides).linux.unwrap();
        linux.namespaces.iter().map(|namespace| namespace.kind.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&Overrides::default()), ["pid", "ipc", "uts", "mount"]);
    let none = Overrides { network: Network::None, cgroup_namespace: true, ..Overrides::default() };
    assert_eq!(kinds(&none), ["pid", "ipc", "uts", "mount", "network", "cgroup"]);
    let overrides = Overrides {
        memory: Some(64 << 20),
        memory_and_swap: Some(128 << 20),
        milli_cpus: Some(1500),
        pids: Some(100),
        cgroups_path: Some("/p".into()),
        ..Overrides::default()
    };
    let linux = config(r#"{"Cmd":["a"]}"#, &overrides).linux.unwrap();
    let resources = linux.resources.unwrap();
    let memory = resources.memory.unwrap();
    assert_eq!((memory.limit, memory.swap), (Some(64 << 20), Some(128 << 20)));
    let cpu = resources.cpu.unwrap();
    assert_eq!((cpu.quota, cpu.period), (Some(150_000), Some(100_000)));
    assert_eq!(resources.pids.unwrap().limit, Some(100));
    assert_eq!(linux.cgroups_path.as_deref(), Some("/p"));
    assert_eq!(resources.devices.len(), 1);
}

#[test]
fn a_user_namespace_maps_every_id_that_is_used() {
    let mapping = |size| vec![IdMapping { container_id: 0, host_id: 1000, size, ..IdMapping::default() }];
    let overrides = |user: &str, size| Overrides {
        user: Some(user.into()),
        rootless: Some(Rootless { uids: mapping(size), gids: mapping(size), joined: None }),
        ..Overrides::default()
    };
    let single = config(r#"{"Cmd":["a"]}"#, &overrides("", 1));
    let linux = single.linux.unwrap();
    assert_eq!((linux.uid_mappings, linux.resources), (mapping(1), None));
    assert_eq!(single.process.unwrap().user, User::default());
    let many = config(r#"{"Cmd":["a"]}"#, &overrides("alice", 2000));
    assert_eq!(many.process.unwrap().user.additional_gids, [10, 50]);
    let want = (Kind::Invalid, "user id 1000 is not mapped in the user namespace".to_owned());
    assert_eq!(failure(config_in(&rootfs(), r#"{"Cmd":["a"]}"#, &overrides("alice", 1))), want);
}
