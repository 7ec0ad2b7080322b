//! An ordinary user: with ranges of ids, without, and what is left behind.
//!
//! The user exists in a mount namespace of the test only, where files of the test stand in place of the host's
//! passwd, subuid and subgid.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use plimsoll_test_support::{Host, Need, at_terminal, have, skipped};
use tempfile::TempDir;

use crate::volumes::layout_with_volumes;
use crate::{busybox_layout, shell};

/// The user and his group; nobody in particular.
const USER: u32 = 54321;
/// What id 1000 of a container is on the host, and id 0 but the user himself.
const ME: u32 = 400_999;

const ENTER: &str = r#"
    for file in passwd subuid subgid; do mount --bind "$PLACE/$file" "/etc/$file"; done
    exec setpriv --reuid "$ID" --regid "$ID" --clear-groups \
        env -i HOME="$PLACE/home" XDG_RUNTIME_DIR="$PLACE/run" PATH="$SEARCH" "$@"
"#;

/// A user with a home and a copy of the programs; checks in the end that nothing of his is left.
struct User {
    dir: TempDir,
    before: Host,
    path: String,
}

impl User {
    /// A user whom the host lends 65536 ids, or `None` with a printed reason where the machine lacks something.
    fn new() -> Option<User> {
        let programs = ["busybox", "umoci", "newuidmap", "newgidmap", "unshare", "setpriv"];
        let needs: Vec<Need> = [Need::Root].into_iter().chain(programs.map(Need::Program)).collect();
        if !have(&needs) {
            return None;
        }
        if ["/etc/passwd", "/etc/subuid", "/etc/subgid"].iter().any(|file| !Path::new(file).exists()) {
            skipped("there is no /etc/subuid to stand in for");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("plimsoll-rootless-").tempdir().unwrap();
        let place = dir.path();
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_plimsoll"));
        let script = format!(
            "mkdir -m 700 home run && mkdir bin && cp {} {} bin && cp -r {} oci && chmod -R a+rX oci && chown {USER}:{USER} home run",
            program.display(),
            program.with_file_name("plimsoll-runtime").display(),
            busybox_layout().display(),
        );
        shell(place, &script);
        std::fs::write(
            place.join("passwd"),
            format!("root:x:0:0::/:/bin/sh\nsailor:x:{USER}:{USER}::/:/bin/sh\n"),
        )
        .unwrap();
        let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
        let before = Host::look(place, "plimsoll-rootless-");
        let user = User { before, path, dir };
        // The first by number, the second by name: container ids 1 to 999 and the rest.
        user.lend(&format!("{USER}:400000:999\nsailor:400999:64537\n"));
        user.must(&["import", &user.layout(), "busybox"]);
        Some(user)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn layout(&self) -> String {
        format!("oci:{}/oci:busybox", self.path().display())
    }

    fn store(&self) -> PathBuf {
        self.path().join("home/.local/share/plimsoll")
    }

    fn lend(&self, ranges: &str) {
        for file in ["subuid", "subgid"] {
            std::fs::write(self.path().join(file), ranges).unwrap();
        }
    }

    /// A command line of the user, in his home.
    fn line(&self, line: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-ec", ENTER, "sh"])
            .args(line)
            .env("PLACE", self.path())
            .env("ID", USER.to_string())
            .env("SEARCH", &self.path)
            .current_dir(self.path().join("home"))
            .stdin(Stdio::null());
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        let program = self.path().join("bin/plimsoll");
        self.line(&[&[program.to_str().unwrap()], args].concat())
    }

    fn call(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end with `code`; what it printed, and what `plimsoll` and the runtime said.
    fn ends(&self, args: &[&str], code: i32) -> (String, Vec<String>) {
        let output = self.call(args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        let lines = said.lines().filter(|line| line.starts_with("plimsoll") || line.starts_with('{'));
        (String::from_utf8(output.stdout).unwrap(), lines.map(str::to_owned).collect())
    }

    /// Runs a command that must succeed and has nothing to say; what it printed.
    fn must(&self, args: &[&str]) -> String {
        let (printed, said) = self.ends(args, 0);
        assert_eq!(said, [""; 0], "{args:?}");
        printed
    }

    /// A container that sleeps as `me` once it has said so.
    fn sleeper(&self, name: &str) -> Child {
        let script = "trap 'exit 9' TERM; echo up; while :; do sleep 1000 & wait $!; done";
        let mut command = self.command(&["run", "--name", name, "-u", "me", "busybox", "sh", "-c", script]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        child
    }

    /// Everything in the user's home, but for layers of images, that belongs to somebody else.
    fn foreign(&self) -> String {
        shell(self.path(), &format!("find home -name layers -prune -o -not -uid {USER} -print | sort"))
    }

    /// Unpacked layers.
    fn layers(&self) -> usize {
        std::fs::read_dir(self.store().join("snapshots/layers/sha256")).map_or(0, Iterator::count)
    }

    /// Trees of containers, those in the making, and what the runtime knows.
    fn left(&self) -> [usize; 3] {
        ["snapshots/containers", "snapshots/staging", "runtime"]
            .map(|folder| std::fs::read_dir(self.store().join(folder)).map_or(0, Iterator::count))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for (list, remove) in [("ps", ["rm", "-f"]), ("images", ["rmi", "--"])] {
            let all = if list == "ps" { "-aq" } else { "-q" };
            for name in String::from_utf8(self.call(&[list, all]).stdout).unwrap().lines() {
                self.call(&[remove.as_slice(), &[name]].concat());
            }
        }
        if !std::thread::panicking() {
            let left = (self.left(), self.foreign(), self.layers());
            assert_eq!(left, ([0, 0, 0], String::new(), 0), "something is left");
            assert_eq!(Host::look(self.path(), "plimsoll-rootless-"), self.before, "the host has changed");
        }
    }
}

#[test]
fn files_have_the_owners_that_the_image_gives_them() {
    let Some(user) = User::new() else { return };
    let script =
        "id; stat -c %u:%g /bin /home/me; cat /proc/self/uid_map | while read a b c; do echo $a $b $c; done";
    let want =
        format!("uid=0(root) gid=0(root)\n0:0\n1000:1000\n0 {USER} 1\n1 400000 999\n1000 {ME} 64537\n");
    assert_eq!(user.must(&["run", "--rm", "busybox", "sh", "-c", script]), want);
    let script =
        "id; touch /home/me/x; stat -c %u:%g /home/me/x; touch /x 2>/dev/null || echo refused; exit 7";
    let (printed, said) = user.ends(&["run", "--name", "kept", "-u", "me", "busybox", "sh", "-c", script], 7);
    let want = "uid=1000(me) gid=1000(me) groups=77(extra)\n1000:1000\nrefused\n";
    assert_eq!((printed.as_str(), said), (want, vec![]));
    let file = user.store().join("snapshots/containers/kept/upper/home/me/x");
    let stat = std::fs::metadata(file).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (ME, ME));
    assert_eq!(user.must(&["rm", "kept"]), "kept\n");
    assert_eq!(user.ends(&["run", "--rm", "busybox", "nope"], 127).1.len(), 1);
    assert_eq!(user.ends(&["run", "--rm", "-u", "me", "busybox", "/etc/plain"], 126).1.len(), 1);
    let said = user.ends(&["run", "--rm", "-u", "70000", "busybox", "true"], 125).1;
    assert_eq!(said, ["plimsoll: make the bundle: user id 70000 is not mapped in the user namespace"]);
    assert_eq!((user.left(), user.foreign(), user.layers()), ([0, 0, 0], String::new(), 1));
    user.must(&["rmi", "busybox"]);
    assert_eq!(user.layers(), 0);
}

#[test]
fn stacked_layers_are_what_unpacked_ones_are() {
    let Some(user) = User::new() else { return };
    // Layers delete a file, replace a directory by another and a file by a directory, add, and make one opaque.
    let script = "cp -r oci more && umoci unpack --image more:busybox b >/dev/null && cd b/rootfs && \
        mkdir -p a/b c && echo 1 > a/b/gone && echo 1 > a/kept && echo 1 > c/old && echo 1 > turns && chown -R 33:33 c && find a c turns -exec touch -d @1600000000 {} + && cd ../.. && \
        umoci repack --refresh-bundle --image more:two b >/dev/null && cd b/rootfs && \
        rm a/b/gone turns && mkdir turns && echo 2 > turns/new && rm -r c && mkdir c && echo 2 > c/new && chmod 700 home/me && touch -d @1600000001 c c/new turns turns/new a/b home/me && cd ../.. && \
        umoci repack --image more:three b >/dev/null && rm -r b && mkdir -p third/a && echo 3 > third/a/fresh && touch third/a/.wh..wh..opq && \
        find third -exec touch -d @1600000002 {} + && tar --owner=0 --group=0 -cf third.tar -C third a && \
        umoci raw add-layer --image more:three --tag four third.tar && chmod -R a+rX more";
    shell(user.path(), script);
    user.must(&["import", &format!("oci:{}/more:four", user.path().display()), "four"]);
    let list = "busybox find /bin /a /c /turns /home /etc /tmp -exec stat -c '%n %F %a %u:%g %s %Y' {} + | busybox sort";
    let program = ["--entrypoint", "/bin/busybox", "four", "sh", "-c", list];
    let listing = |options: &[&str]| user.must(&[options, &program].concat());
    let stacked = listing(&["run", "--rm"]);
    assert!(stacked.contains("/turns/new regular file 644 0:0 2 ") && !stacked.contains("gone"), "{stacked}");
    assert!(!stacked.contains("/c/old") && stacked.contains("/home/me directory 700 1000:1000"), "{stacked}");
    assert!(stacked.contains("/a/fresh") && !stacked.contains("/a/kept"), "{stacked}");
    assert_eq!(user.layers(), 4);
    // The runtime named so makes its own namespaces, and gets a tree of its own.
    let own = user.path().join("bin/plimsoll-runtime").display().to_string();
    assert_eq!(listing(&["--runtime", &own, "run", "--rm"]), stacked);
}

#[test]
fn other_runtimes_run_the_same_image() {
    let Some(user) = User::new() else { return };
    if !have(&[Need::Program("runc")]) {
        return;
    }
    let script = "id; stat -c %u:%g /home/me; exit 5";
    let args = ["--runtime", "runc", "run", "--rm", "-u", "1000:1000", "busybox", "sh", "-c", script];
    let (printed, said) = user.ends(&args, 5);
    assert_eq!((printed.as_str(), said), ("uid=1000(me) gid=1000(me)\n1000:1000\n", vec![]));
}

#[test]
fn a_users_own_files_stay_his() {
    let Some(user) = User::new() else { return };
    let script = "mkdir data; echo in > data/in; plimsoll run --rm -u me -v \"$PWD/data:/data\" busybox \
        sh -c 'cat /data/in; echo x 2>/dev/null > /data/out || echo refused' > out; cat out; stat -c %u out data";
    let output = user.line(&["sh", "-ec", script]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        printed,
        format!("in\nrefused\n{USER}\n{USER}\n"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_container_of_another_id_is_entered_killed_and_removed() {
    let Some(user) = User::new() else { return };
    let mut running = user.sleeper("box");
    assert_eq!(user.must(&["ps", "-q"]), "box\n");
    assert_eq!(user.must(&["exec", "box", "id"]), "uid=1000(me) gid=1000(me) groups=77(extra)\n");
    let root = user.must(&["exec", "-u", "root", "box", "sh", "-c", "id; echo $HOME; stat -c %u /proc/1"]);
    assert_eq!(root, "uid=0(root) gid=0(root)\n/\n1000\n");
    assert_eq!(user.ends(&["exec", "box", "sh", "-c", "exit 6"], 6), (String::new(), vec![]));
    let said = user.ends(&["exec", "-u", "70000", "box", "id"], 125).1;
    assert_eq!(said, ["plimsoll: user id 70000 is not mapped in the user namespace"]);
    let said = user.ends(&["rm", "box"], 125).1;
    assert_eq!(said, ["plimsoll: container box is running; kill it first, or use --force"]);
    assert_eq!(user.must(&["kill", "-s", "TERM", "box"]), "box\n");
    assert_eq!(running.wait().unwrap().code(), Some(9));
    assert_eq!(
        user.must(&["exec", "--help"]).lines().next(),
        Some("Run another command in a running container")
    );
    assert_eq!(user.must(&["rm", "box"]), "box\n");

    let mut running = user.sleeper("box");
    assert_eq!(user.must(&["rm", "--force", "box"]), "box\n");
    assert_eq!(running.wait().unwrap().code(), Some(137));
    assert_eq!(user.must(&["ps", "-a", "--format", "json"]), "[]\n");
    user.must(&["rmi", "busybox"]);
    assert_eq!(std::fs::read_dir(user.store().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn a_terminal_is_the_users_inside() {
    let Some(user) = User::new() else { return };
    let script = "tty; stat -c %u:%g /dev/pts/0; exit 3";
    let line = ["plimsoll", "run", "--rm", "-it", "-u", "me", "busybox", "sh", "-c", script];
    let (written, status) =
        at_terminal(user.line(&[&["setsid", "--ctty", "--wait"], &line[..]].concat()), 24, 80);
    // How far the image has come is drawn before it.
    assert!(written.ends_with("/dev/pts/0\n1000:5\n"), "{written}");
    assert_eq!(status.code(), Some(3));
}

#[test]
fn trees_and_bundles_have_owners_too() {
    let Some(user) = User::new() else { return };
    user.must(&["unpack", "busybox", "tree"]);
    let owner = |path: &str| std::fs::metadata(user.path().join("home").join(path)).unwrap().uid();
    assert_eq!((owner("tree/bin"), owner("tree/home/me")), (USER, ME));
    user.must(&["bundle", "-u", "me", "busybox", "bundle", "sh", "-c", "id -u; exit 4"]);
    assert_eq!((owner("bundle/config.json"), owner("bundle/rootfs/home/me")), (USER, ME));
    let output =
        user.line(&["plimsoll-runtime", "--root", "state", "run", "-b", "bundle", "of-a-bundle"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        (String::from_utf8(output.stdout).unwrap(), output.status.code()),
        ("1000\n".into(), Some(4)),
        "{said}"
    );
    let said = user.ends(&["bundle", "busybox", "bundle"], 125).1;
    assert_eq!(said, ["plimsoll: make the bundle bundle: File exists; it must not exist yet"]);
    shell(user.path(), "rm -r home/tree home/bundle");
}

#[test]
fn volumes_have_owners_too() {
    let Some(user) = User::new() else { return };
    let source = layout_with_volumes(user.path());
    user.must(&["import", &source, "with"]);
    let script = "cat /data/kept; stat -c '%u:%g %a' /data/ /data/kept /data/closed/inner/secret /new/place; \
        echo x > /data/mine && touch /new/place/mine; touch /srv/mine 2>/dev/null || echo refused";
    let ranges = "first\n999:998 1731\n1000:1000 644\n1000:1000 0\n0:0 755\nrefused\n";
    let own = user.path().join("bin/plimsoll-runtime").display().to_string();
    // In the namespaces of the tree, and in the runtime's own.
    for options in [&["run"][..], &["--runtime", &own, "run"]] {
        let args = [options, &["--name", "box", "--read-only", "with", "sh", "-c", script]].concat();
        assert_eq!(user.must(&args), ranges, "{options:?}");
        let file = user.store().join("snapshots/containers/box/volumes/0/kept");
        assert_eq!(std::fs::metadata(file).unwrap().uid(), ME);
        user.must(&["rm", "box"]);
    }
    user.must(&["bundle", "with", "bundle", "sh", "-c", script]);
    let output =
        user.line(&["plimsoll-runtime", "--root", "state", "run", "-b", "bundle", "of-a-bundle"]).output();
    let printed = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(printed, ranges.replace("refused\n", ""));
    shell(user.path(), "rm -r home/bundle");

    let lent = std::fs::read_to_string(user.path().join("subuid")).unwrap();
    user.lend("");
    let (printed, said) = user.ends(&["run", "--rm", "with", "sh", "-c", script], 0);
    assert_eq!(printed, "first\n0:0 1731\n0:0 644\n0:0 0\n0:0 755\n");
    assert_eq!(said.len(), 1, "{said:?}");
    let script = "stat -c %a bundle/volumes/0/closed bundle/rootfs/srv/data/closed; chmod u+rwx bundle/*/0/closed && \
        cat bundle/volumes/0/closed/new; stat -c %a bundle/volumes/0/closed/inner/secret";
    assert_eq!(user.ends(&["bundle", "with", "bundle", "true"], 0).0, "");
    assert_eq!(shell(&user.path().join("home"), script), "0\n0\nnew\n0\n");
    shell(user.path(), "rm -r home/bundle");
    user.lend(&lent);
}

#[test]
fn what_a_user_cannot_make() {
    let Some(user) = User::new() else { return };
    let script = r#"umoci init --layout odd && umoci new --image odd:node && umoci unpack --image odd:node b >/dev/null && \
        cp --preserve=mode $(command -v busybox) b/rootfs/stat && mknod b/rootfs/node c 1 3 && chown 1000 b/rootfs/node && \
        python3 -c "import os; os.setxattr('b/rootfs/stat', 'trusted.odd', b'x')" && umoci repack --image odd:node b >/dev/null && \
        umoci config --image odd:node --config.entrypoint /stat && \
        touch b/rootfs/far && chown 70000 b/rootfs/far && umoci repack --image odd:far b >/dev/null && rm -r b && chmod -R a+rX odd"#;
    if !have(&[Need::Program("python3")]) {
        return;
    }
    shell(user.path(), script);
    let image = |name: &str| format!("oci:{}/odd:{name}", user.path().display());
    let printed = user.must(&["run", "--rm", &image("node"), "-c", "%F %a %u", "/node"]);
    assert_eq!(printed, "regular empty file 0 1000\n");
    let said = user.ends(&["run", "--rm", &image("far"), "-c", "%u", "/far"], 125).1;
    assert_eq!(said.len(), 1);
    let why = "unpack \"far\": give it to user 70000 and group 0, which this user namespace does not map: ";
    assert!(said[0].contains(why), "{said:?}");
    assert_eq!((user.left(), user.foreign()), ([0, 0, 0], String::new()));
}

#[test]
fn without_ranges_a_single_id_is_mapped() {
    let Some(mut user) = User::new() else { return };
    let note = "plimsoll: note: every file of the image becomes yours, because only your own id is mapped: ";
    let single = |user: &User, why: &str| {
        let script = "while read a b c; do echo $a $b $c; done < /proc/self/uid_map; stat -c %u /home/me";
        let (printed, said) = user.ends(&["run", "--rm", "busybox", "sh", "-c", script], 0);
        assert_eq!((printed, said), (format!("0 {USER} 1\n0\n"), vec![format!("{note}{why}")]));
    };
    user.lend("root:100000:65536\n");
    single(&user, "/etc/subuid has no range for sailor; let root add the line `sailor:165536:65536` to it");
    let said = user.ends(&["--format", "json", "run", "--rm", "-u", "me", "busybox", "id"], 125).1;
    let said: Vec<serde_json::Value> = said.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["note"]);
    let failure = "make the bundle: user id 1000 is not mapped in the user namespace";
    assert_eq!(said[1], serde_json::json!({"error": failure, "code": 125}));
    // The user's own id is among those lent, which the kernel refuses to map twice.
    user.lend("sailor:50000:65536\n");
    single(
        &user,
        "/usr/bin/newuidmap refuses the ranges of /etc/subuid and /etc/subgid: newuidmap: write to uid_map failed: Invalid argument",
    );
    user.lend("sailor:400000:65536\n");
    user.path = user.path().join("bin").display().to_string();
    single(&user, "newuidmap is not on PATH; install it (Debian and Ubuntu: package uidmap)");
}

#[test]
fn what_a_killed_tool_leaves_is_removed_by_the_next() {
    let Some(user) = User::new() else { return };
    let script = format!(
        "mkdir -p dead/rootfs/home/me && touch dead/rootfs/home/me/x && chown -R {USER}:{USER} dead && \
         chown -R {ME}:{ME} dead/rootfs/home/me && chmod 700 dead dead/rootfs/home/me && mv dead {}",
        user.store().join("snapshots/staging/dead").display()
    );
    std::fs::create_dir_all(user.store().join("snapshots/staging")).unwrap();
    shell(user.path(), &format!("chown -R {USER}:{USER} home/.local"));
    shell(user.path(), &script);
    // Outside a user namespace it cannot be removed, and is in nobody's way.
    assert_eq!(user.must(&["images", "-q"]), "busybox\n");
    assert_eq!(user.left(), [0, 1, 0]);
    assert_eq!(user.must(&["run", "--rm", "busybox", "echo", "done"]), "done\n");
    assert_eq!(user.left(), [0, 0, 0]);
}

#[test]
fn trees_of_other_times_need_the_ranges_of_those_times() {
    let Some(user) = User::new() else { return };
    let script = "mkdir /home/me/closed; touch /home/me/closed/x";
    user.must(&["run", "--name", "old", "-u", "me", "busybox", "sh", "-c", script]);
    let lent = std::fs::read_to_string(user.path().join("subuid")).unwrap();
    user.lend("");
    let said = user.ends(&["rm", "old"], 125).1;
    let why = "plimsoll: only your own id is mapped: /etc/subuid has no range for sailor; let root add the line `sailor:100000:65536` to it: ";
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with(why), "{said:?}");
    user.lend(&lent);
    assert_eq!(user.must(&["run", "--rm", "busybox", "echo", "done"]), "done\n");
    assert_eq!((user.left(), user.foreign()), ([0, 0, 0], String::new()));
}

#[test]
fn a_host_that_allows_no_user_namespaces_is_named() {
    let Some(user) = User::new() else { return };
    // The limit is that of a user namespace of the test, whose ids are the host's.
    // Ids are there only for a program that is executed once they are mapped.
    let script = "echo made; read mapped; exec setpriv --reuid 0 --regid 0 --clear-groups sh -ec \"$LIMITED\" sh \"$@\"";
    let limited = format!("echo 0 > /proc/sys/user/max_user_namespaces; {ENTER}");
    let mut command = Command::new("unshare");
    command.args(["-U", "-m", "sh", "-ec", script, "sh", "plimsoll", "run", "--rm", "busybox", "true"]);
    command
        .env("LIMITED", limited)
        .env("PLACE", user.path())
        .env("ID", USER.to_string())
        .env("SEARCH", &user.path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.current_dir(user.path().join("home")).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "made\n");
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{file}", child.id()), "0 0 80000").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"mapped\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{said}");
    let said: Vec<&str> = said.lines().filter(|line| line.starts_with("plimsoll")).collect();
    let note = "plimsoll: note: every file of the image becomes yours, because only your own id is mapped: user namespaces \
        are not for ordinary users here; see the sysctls user.max_user_namespaces and kernel.unprivileged_userns_clone, and AppArmor";
    assert_eq!((said[0], said.len()), (note, 2));
    assert!(said[1].starts_with("plimsoll-runtime: clone the container's process"), "{said:?}");
    assert_eq!((user.left(), user.foreign()), ([0, 0, 0], String::new()));
}

/// Verdict and reason of every row that the judge gives of our runtime, as the user sees it.
fn judged(user: &User) -> Option<BTreeMap<String, (String, String)>> {
    let families = ["control/", "namespaces/", "user-namespace/", "user/", "hooks/journey", "devices/"];
    let mut arguments = vec!["conformance", "run", "plimsoll-runtime", "--output", "results.json"];
    arguments.extend(families.iter().flat_map(|family| ["--only", family]));
    let output = user.call(&arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("built without a probe") {
        skipped("plimsoll was built without a probe");
        return None;
    }
    let text = std::fs::read(user.path().join("home/results.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
    let results: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(results["environment"]["user"], "rootless");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = results["rows"].as_array().unwrap().iter().map(|row| {
        let skipped = row["judgements"].as_array().unwrap().iter().find(|one| one["verdict"] == "SKIP");
        let why = skipped.map(|one| text(&one["observed"])).unwrap_or_default();
        (text(&row["id"]), (text(&row["verdict"]), why))
    });
    Some(rows.collect())
}

#[test]
fn a_runtime_is_judged_as_an_ordinary_user_runs_it() {
    let Some(user) = User::new() else { return };
    let Some(rows) = judged(&user) else { return };
    let wrong: Vec<_> =
        rows.iter().filter(|(_, (verdict, _))| !["PASS", "SKIP"].contains(&verdict.as_str())).collect();
    assert_eq!(wrong, []);
    let verdict = |row: &str| rows[row].0.as_str();
    for row in ["LNX-NS-03", "LNX-NS-05", "LNX-NS-t-user", "LNX-UNS-02", "CFG-USER-01", "LNX-DDEV-null"] {
        assert_eq!(verdict(row), "PASS", "{row}");
    }
    let skip = |why: &str| ("SKIP".to_owned(), why.to_owned());
    assert_eq!(rows["LNX-DEV-07"], skip("only root may make device nodes"));
    user.lend("root:100000:65536\n");
    let rows = judged(&user).unwrap();
    assert_eq!(rows["LNX-NS-t-user"].0, "PASS");
    let why = "the caller is lent no 60000 ids by /etc/subuid and /etc/subgid";
    assert_eq!(rows["CFG-USER-03"], skip(why));
    assert_eq!(user.left(), [0, 0, 0]);
}
