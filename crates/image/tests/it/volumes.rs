//! What becomes of the volumes of an image: which they are, where they are mounted, and what is in them.

use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use plimsoll_image::bundle::{self, Network, Overrides, Volume};
use plimsoll_image::layer::Limits;
use plimsoll_image::snapshot::Options;
use plimsoll_image::{Kind, Result};
use plimsoll_spec::image::ImageConfig;
use plimsoll_spec::json;
use plimsoll_spec::runtime::Mount;
use plimsoll_test_support::{Need, Tree, have};

use crate::sample::failure;

fn image(volumes: &[&str]) -> ImageConfig {
    let volumes: Vec<String> = volumes.iter().map(|volume| format!("{volume:?}:{{}}")).collect();
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["a"],"Volumes":{{{}}}}},"rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
        volumes.join(",")
    );
    json::from_slice(text.as_bytes()).unwrap()
}

/// A bundle with a root file system made by `make`.
fn bundle(make: impl FnOnce(&Path)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rootfs = folder.path().join("rootfs");
    fs::create_dir(&rootfs).unwrap();
    make(&rootfs);
    folder
}

fn mounts_of(bundle: &Path, volumes: &[&str], overrides: &Overrides) -> Result<Vec<Mount>> {
    let rootfs = fs::File::open(bundle.join("rootfs")).unwrap();
    Ok(bundle::config(&image(volumes), rootfs.as_fd(), overrides)?.mounts)
}

/// Destination and source of what is mounted beyond the default.
fn added(bundle: &Path, volumes: &[&str], overrides: &Overrides) -> Result<Vec<(String, String)>> {
    let overrides = Overrides { network: Network::None, ..overrides.clone() };
    let default = mounts_of(bundle, &[], &Overrides { volumes: Vec::new(), ..overrides.clone() })?;
    let mounts = mounts_of(bundle, volumes, &overrides)?;
    let added = mounts.into_iter().filter(|mount| !default.contains(mount));
    Ok(added.map(|mount| (mount.destination, mount.source.unwrap_or_default())).collect())
}

fn write_within(bundle: &Path, volumes: &[&str], limits: Limits) -> Result<()> {
    let open = |path: &Path| fs::File::open(path).unwrap();
    let (rootfs, folder) = (open(&bundle.join("rootfs")), open(bundle));
    let options = Options { limits, progress: &|_| Ok(()) };
    bundle::anonymous_volumes(&image(volumes), rootfs.as_fd(), &Overrides::default())?
        .write(folder.as_fd(), &options)
}

fn write(bundle: &Path, volumes: &[&str]) {
    write_within(bundle, volumes, Limits::DEFAULT).unwrap();
}

#[test]
fn a_volume_is_a_directory_of_the_bundle() {
    let bundle = bundle(|_| {});
    let mounts = mounts_of(bundle.path(), &["/data"], &Overrides::default()).unwrap();
    let mount = mounts.into_iter().find(|mount| mount.destination == "/data").unwrap();
    assert_eq!((mount.kind.as_deref(), mount.source.as_deref()), (Some("bind"), Some("volumes/0")));
    assert_eq!(mount.options, ["rbind", "rprivate", "rw", "nosuid", "nodev"]);
    write(bundle.path(), &[]);
    assert!(!bundle.path().join("volumes").exists());
    write(bundle.path(), &["/data"]);
    let made = fs::metadata(bundle.path().join("volumes/0")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o755);
    assert_eq!(
        (made.uid(), made.gid()),
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    );
}

#[test]
fn destinations_are_the_images_word() {
    let bundle = bundle(|rootfs| {
        fs::create_dir_all(rootfs.join("run/data")).unwrap();
        fs::create_dir_all(rootfs.join("proc/real/deep")).unwrap();
        fs::create_dir_all(rootfs.join("var")).unwrap();
        fs::write(rootfs.join("file"), "").unwrap();
        let links = [
            ("/run", "var/run"),
            ("../../../..", "up"),
            ("/proc/self", "self"),
            ("/proc", "kernel"),
            ("/nothing", "dangling"),
            ("loop", "loop"),
            ("/run/data", "data"),
        ];
        links.iter().for_each(|(target, name)| symlink(target, rootfs.join(name)).unwrap());
    });
    let long = format!("/{}", "n".repeat(256));
    let invalid =
        |volume: &str, why: &str| Err((Kind::Invalid, format!("the image's volume {volume:?} {why}")));
    let rows: [(&[&str], std::result::Result<&[&str], _>); 22] = [
        (&["/a", "/b"], Ok(&["/a", "/b"])),
        (&["/a", "/a/", "//a/./"], Ok(&["/a"])),
        (&["a/b"], Ok(&["/a/b"])),
        // What lies below is mounted later.
        (&["/a/b/c", "/a/b", "/z"], Ok(&["/z", "/a/b", "/a/b/c"])),
        // Two ways to one place.
        (&["/var/run/data", "/run/data", "/data"], Ok(&["/data"])),
        (&["/var/run/new", "/run/new"], Ok(&["/run/new"])),
        // Nothing there is of the root file system.
        (&["/proc", "/sys/fs/cgroup", "/dev/shm/x", "/proc/self/root"], Ok(&[])),
        (&["/kernel", "/kernel/x", "/sys"], Ok(&[])),
        (&["/kernel/real", "/kernel/real/deep", "/proc/real/deep/x"], Ok(&[])),
        (&["/self"], invalid("/self", "leads to what is no directory")),
        (&[""], invalid("", "is the root file system itself")),
        (&["/"], invalid("/", "is the root file system itself")),
        (&["/./"], invalid("/./", "is the root file system itself")),
        (&["/up"], invalid("/up", "is the root file system itself")),
        (&["/up/run"], Ok(&["/up/run"])),
        (&["/a/../b"], invalid("/a/../b", "leads through a parent directory")),
        (&[".."], invalid("..", "leads through a parent directory")),
        (&["/file"], invalid("/file", "leads to what is no directory")),
        (&["/file/below"], invalid("/file/below", "leads to what is no directory")),
        (&["/dangling/x"], invalid("/dangling/x", "leads to what is no directory")),
        (
            &["/loop"],
            invalid("/loop", "cannot be looked for: Too many levels of symbolic links (os error 40)"),
        ),
        (&[&long], invalid(&long, "cannot be looked for: File name too long (os error 36)")),
    ];
    for (volumes, want) in rows {
        let got = added(bundle.path(), volumes, &Overrides::default());
        match want {
            Ok(want) => {
                let got: Vec<String> = got.unwrap().into_iter().map(|(destination, _)| destination).collect();
                assert_eq!(got, want, "{volumes:?}");
            }
            Err(want) => assert_eq!(failure(got), want, "{volumes:?}"),
        }
    }
    let many: Vec<String> = (0..129).map(|number| format!("/{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(added(bundle.path(), &many[1..], &Overrides::default()).unwrap().len(), 128);
    let want = (Kind::Limit, "the image has 129 volumes, over 128".to_owned());
    assert_eq!(failure(added(bundle.path(), &many, &Overrides::default())), want);
}

#[test]
fn a_name_with_a_nul_is_no_place() {
    let bundle = bundle(|_| {});
    let want = (Kind::Invalid, r#"the image's volume "/a\0b" holds a NUL"#.to_owned());
    let rootfs = fs::File::open(bundle.path().join("rootfs")).unwrap();
    let mut image = image(&["/data"]);
    let volumes = &mut image.config.as_mut().unwrap().volumes;
    volumes.insert("/a\0b".to_owned(), json::Value::Object(Default::default()));
    assert_eq!(failure(bundle::config(&image, rootfs.as_fd(), &Overrides::default())), want);
}

#[test]
fn the_users_volumes_come_first() {
    let bundle = bundle(|rootfs| {
        fs::create_dir_all(rootfs.join("run/data/sub")).unwrap();
        symlink("/run", rootfs.join("link")).unwrap();
    });
    let source = bundle.path().to_str().unwrap();
    let added = |destinations: &[&str], volumes: &[&str]| {
        let volume = |destination: &&str| Volume::parse(&format!("{source}:{destination}")).unwrap();
        let overrides =
            Overrides { volumes: destinations.iter().map(volume).collect(), ..Overrides::default() };
        let added = added(bundle.path(), volumes, &overrides).unwrap();
        added
            .into_iter()
            .map(|(destination, from)| format!("{destination} {}", from.replace(source, "-")))
            .collect::<Vec<_>>()
    };
    assert_eq!(added(&["/run/data"], &["/run/data"]), ["/run/data -"]);
    assert_eq!(added(&["/run/data/"], &["run//data"]), ["/run/data/ -"]);
    assert_eq!(added(&["/link/data"], &["/run/data"]), ["/link/data -"]);
    assert_eq!(added(&["/link/new/place"], &["/run/new/place"]), ["/link/new/place -"]);
    // Above and below, each is seen.
    let want = ["/run/data volumes/0", "/run/data/sub -"];
    assert_eq!(added(&["/run/data/sub"], &["/run/data"]), want);
    assert_eq!(added(&["/run"], &["/run/data"]), ["/run -", "/run/data volumes/0"]);
    assert_eq!(added(&["/z/below", "/z"], &[]), ["/z -", "/z/below -"]);
    // Numbers follow what is left.
    assert_eq!(added(&["/a"], &["/a", "/b"]), ["/a -", "/b volumes/0"]);
}

#[test]
fn read_only_containers_have_volumes_too() {
    let bundle = bundle(|_| {});
    let overrides = Overrides { read_only: true, ..Overrides::default() };
    let want = vec![("/data".to_owned(), "volumes/0".to_owned())];
    assert_eq!(added(bundle.path(), &["/data"], &overrides).unwrap(), want);
}

/// Everything that a copy has to keep.
fn odd_things(data: &Path) {
    let root = rustix::process::geteuid().is_root();
    fs::create_dir_all(data.join("closed/inner")).unwrap();
    fs::create_dir_all(data.join("empty")).unwrap();
    fs::write(data.join("file"), "content").unwrap();
    fs::write(data.join("nothing"), "").unwrap();
    fs::hard_link(data.join("file"), data.join("closed/inner/same")).unwrap();
    fs::write(data.join("closed/inner/secret"), "s").unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    fs::hard_link(data.join("link"), data.join("empty/link")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, data.join("pipe"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let sparse = fs::File::create(data.join("sparse")).unwrap();
    sparse.write_at(b"at the start", 0).unwrap();
    sparse.write_at(b"in the middle", 20 << 20).unwrap();
    sparse.set_len(60 << 20).unwrap();
    fs::File::create(data.join("hole")).unwrap().set_len(64 << 20).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    for path in ["file", "closed/inner", ""] {
        rustix::fs::lsetxattr(data.join(path), "user.note", b"a\0b", flags).unwrap();
    }
    if root {
        std::os::unix::fs::chown(data.join("closed/inner/secret"), Some(1000), Some(4_000_000)).unwrap();
        std::os::unix::fs::lchown(data.join("link"), Some(7), Some(8)).unwrap();
        std::os::unix::fs::chown(data.join("closed"), Some(9), Some(10)).unwrap();
        std::os::unix::fs::chown(data, Some(999), Some(998)).unwrap();
        rustix::fs::lsetxattr(data.join("link"), "trusted.note", b"link", flags).unwrap();
        rustix::fs::lsetxattr(data.join("pipe"), "trusted.note", b"pipe", flags).unwrap();
        let (kind, device) = (rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        rustix::fs::mknodat(rustix::fs::CWD, data.join("null"), kind, rustix::fs::Mode::RUSR, device)
            .unwrap();
    }
    let modes = [
        ("file", 0o4751),
        ("closed/inner/secret", 0),
        ("closed/inner", 0o2000),
        ("closed", 0o1000),
        ("", 0o1730),
    ];
    for (path, mode) in modes {
        fs::set_permissions(data.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Gives each of `paths` a time of its own.
fn set_times(data: &Path, paths: &[String]) {
    for (path, seconds) in paths.iter().rev().zip(1_000_000_000..) {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 123_456_789 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, data.join(path), &times, flags).unwrap();
    }
}

#[test]
fn a_volume_starts_with_what_the_image_has() {
    if !have(&[Need::Root]) {
        return;
    }
    let bundle = bundle(|rootfs| {
        fs::create_dir_all(rootfs.join("srv/data")).unwrap();
        symlink("/srv", rootfs.join("link")).unwrap();
        odd_things(&rootfs.join("srv/data"));
    });
    let data = bundle.path().join("rootfs/srv/data");
    set_times(&data, &Tree::list(&data).paths());
    let before = Tree::list(&data);
    assert!(before.paths().len() > 12, "{:?}", before.paths());
    write(bundle.path(), &["/link/data"]);
    let copied = bundle.path().join("volumes/0");
    assert_eq!(before.differences(&Tree::list(&copied)), []);
    assert_eq!(before.differences(&Tree::list(&data)), []);
    assert!(fs::metadata(copied.join("sparse")).unwrap().blocks() < 1000);
    assert_eq!(fs::metadata(copied.join("hole")).unwrap().blocks(), 0);
}

#[test]
fn a_copy_has_limits() {
    let bundle = bundle(|rootfs| {
        fs::create_dir_all(rootfs.join("a/b")).unwrap();
        fs::write(rootfs.join("a/b/file"), "12345").unwrap();
    });
    let failed = |limits| {
        let failed = failure(write_within(bundle.path(), &["/a", "/a/b"], limits));
        fs::remove_dir_all(bundle.path().join("volumes")).unwrap();
        failed
    };
    // Together they have three entries and ten bytes.
    let limits = Limits { entries: 2, ..Limits::DEFAULT };
    assert_eq!(failed(limits), (Kind::Limit, "make volume /a/b: copy more than 2 entries".to_owned()));
    let limits = Limits { bytes: 9, ..Limits::DEFAULT };
    let want = "make volume /a/b: copy \"file\": copy more than 9 bytes";
    assert_eq!(failed(limits), (Kind::Limit, want.to_owned()));
    write_within(bundle.path(), &["/a", "/a/b"], Limits { entries: 3, bytes: 10, ..Limits::DEFAULT })
        .unwrap();
}

#[test]
fn a_copy_can_be_called_off() {
    let bundle = bundle(|rootfs| {
        fs::create_dir(rootfs.join("a")).unwrap();
        fs::write(rootfs.join("a/file"), "12345").unwrap();
    });
    let open = |path: &Path| fs::File::open(path).unwrap();
    let (rootfs, folder) = (open(&bundle.path().join("rootfs")), open(bundle.path()));
    let options = Options { limits: Limits::DEFAULT, progress: &|_| Err(std::io::Error::other("enough")) };
    let volumes = bundle::anonymous_volumes(&image(&["/a"]), rootfs.as_fd(), &Overrides::default()).unwrap();
    let want = (Kind::Io, "make volume /a: copy: enough".to_owned());
    assert_eq!(failure(volumes.write(folder.as_fd(), &options)), want);
}

#[test]
fn links_of_a_volume_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "of the host").unwrap();
    let bundle = bundle(|rootfs| {
        fs::create_dir(rootfs.join("data")).unwrap();
        symlink(outside.path(), rootfs.join("data/out")).unwrap();
        symlink(outside.path(), rootfs.join("out")).unwrap();
        symlink(format!("../../..{}", outside.path().display()), rootfs.join("data/up")).unwrap();
    });
    write(bundle.path(), &["/data"]);
    let copied = bundle.path().join("volumes/0");
    assert!(fs::symlink_metadata(copied.join("out")).unwrap().is_symlink());
    assert!(fs::symlink_metadata(copied.join("up")).unwrap().is_symlink());
    // The way out leads to nothing within, and is taken by nobody.
    let out = added(bundle.path(), &["/out"], &Overrides::default());
    assert_eq!(failure(out).1, r#"the image's volume "/out" leads to what is no directory"#);
    assert!(fs::read_dir(outside.path()).unwrap().count() == 1);
}
