//! Layers with one of every kind of entry, unpacked by `plimsoll`, umoci and GNU tar and stacked by overlayfs,
//! and compared fact by fact. Where another is known to differ stands in [`KNOWN`] with the reason; it must
//! differ there, and nowhere else.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use plimsoll_test_support::{Tree, write_program};
use rustix::fs::{XattrFlags, lsetxattr};

use crate::{Sandbox, shell};

/// Another tree, the path and fact in which it differs from ours, and why ours is right or neither is wrong.
type Known = (&'static str, &'static str, &'static str, &'static str);

const ENCODED: &str = "GNU tar writes an equals sign in an attribute's name as %3D and reads it back as one; \
    nobody else does, and pax has no such rule";
const NO_LINKS: &str = "GNU tar archives every name of a device or FIFO as a node of its own";
const EMPTY: &str = "umoci takes an empty value for no attribute";
const PASSED: &str =
    "umoci looks at the directory right above an entry only, and making `unnamed` changes `through`";
const UNSAID: &str = "no layer has an entry for it, so it is as old as the tree";
const STACKED: &str = "the other name is in a layer below, where overlayfs counts it and does not show it";

const KNOWN: [Known; 26] = [
    ("lower", "attributes", "xattr user.a%3Db", ENCODED),
    ("lower", "attributes", "xattr user.a=b", ENCODED),
    ("lower", "attributes/file", "xattr user.a%3Db", ENCODED),
    ("lower", "attributes/file", "xattr user.a=b", ENCODED),
    ("lower", "nodes/char", "names", NO_LINKS),
    ("lower", "nodes/char-name", "names", NO_LINKS),
    ("lower", "nodes/pipe", "names", NO_LINKS),
    ("lower", "nodes/pipe-name", "names", NO_LINKS),
    ("tar-one", "attributes", "xattr user.a%3Db", ENCODED),
    ("tar-one", "attributes", "xattr user.a=b", ENCODED),
    ("tar-one", "attributes/file", "xattr user.a%3Db", ENCODED),
    ("tar-one", "attributes/file", "xattr user.a=b", ENCODED),
    ("umoci-one", "attributes", "xattr user.empty", EMPTY),
    ("umoci-one", "attributes/file", "xattr user.empty", EMPTY),
    ("umoci-two", "attributes", "xattr user.empty", EMPTY),
    ("umoci-two", "attributes/file", "xattr user.empty", EMPTY),
    ("umoci-two", "through", "mtime", PASSED),
    ("umoci-two", "through/unnamed", "mtime", UNSAID),
    ("umoci-three", "attributes", "xattr user.empty", EMPTY),
    ("umoci-three", "attributes/file", "xattr user.empty", EMPTY),
    ("umoci-three", "through", "mtime", PASSED),
    ("umoci-three", "through/unnamed", "mtime", UNSAID),
    ("odd/two", "through/unnamed", "mtime", UNSAID),
    ("stacked two", "through/unnamed", "mtime", UNSAID),
    ("stacked two", "shared", "names", STACKED),
    ("stacked three", "through/unnamed", "mtime", UNSAID),
];

/// The first layer, but for the attributes that the shell has no tool for.
const LOWER: &str = r#"
    mkdir lower && cd lower
    echo text > file && touch -d '2020-02-02 02:02:02.123456789' file && chown 12:34 file
    echo other > second && ln second second-name && ln second other-name
    echo broken > shared && ln shared shared-name
    mkdir times && cd times
    echo a > before && touch -d '1969-12-31 23:59:58.25 UTC' before
    echo a > long-before && touch -d '1911-11-11 11:11:11.111111111 UTC' long-before
    echo a > zero && touch -d @0 zero
    echo a > late && touch -d @5000000000.000000001 late
    echo a > digits && touch -d @1.999999999 digits
    ln -s nowhere link && touch -h -d '2001-01-01 00:00:00.5 UTC' link
    mkdir inner && touch -d '1969-12-31 23:59:59.999999999 UTC' inner
    cd ..
    mkdir sparse && cd sparse
    truncate -s 40M hole && printf a | dd of=hole bs=1 seek=20000000 conv=notrunc status=none
    truncate -s 3M ends && printf a | dd of=ends bs=1 seek=3145727 conv=notrunc status=none
    truncate -s 1M nothing && : > empty && head -c 700000 /dev/zero > zeros
    cd ..
    mkdir names && cd names
    echo 1 > "$(printf '%0255d' 7)"
    deep=$(printf 'directory-with-a-long-name/%.0s' 1 2 3 4 5 6 7 8 9 10 11 12)
    mkdir -p "$deep" && echo 2 > "$deep/file" && ln "$deep/file" deep-name
    ln -s "$(printf '%0300d' 9)" long-link
    printf 3 > "$(printf 'caf\351')" && ln -s "$(printf '\377\376')" "$(printf 'link\200')"
    mkdir "$(printf 'dir\301')" && echo 4 > "$(printf 'dir\301/in')"
    echo 5 > "$(printf 'new\nline')" && echo 6 > 'a=b c\d"e' && echo 7 > '...' && echo 8 > '.wh' && echo 9 > ' '
    cd ..
    mkdir links && cd links
    ln -s /etc/passwd absolute && ln -s ../../../../etc/passwd above && ln -s . self && ln -s .. up
    ln -s loop loop && ln -s ../file relative && ln absolute absolute-name && chown -h 7:8 absolute
    cd ..
    mkdir nodes && cd nodes
    mknod char c 10 200 && mknod block b 7 1 && mknod large c 511 1048575 && mkfifo pipe
    chmod 640 char && chmod 4600 pipe && chown 5:6 block char && ln pipe pipe-name && ln char char-name
    touch -d '2003-03-03 03:03:03.333333333' char block pipe
    cd ..
    mkdir modes && cd modes
    for mode in 0000 0111 0444 0755 1644 2755 4755 6755 7777; do echo x > f$mode; chown 40:41 f$mode; chmod $mode f$mode; done
    for mode in 0000 0111 0555 0700 0755 1777 2775 3770 7777; do mkdir d$mode; echo x > d$mode/child; chown 40:41 d$mode; done
    for mode in 0000 0111 0555 0700 0755 1777 2775 3770 7777; do chmod $mode d$mode; touch -d @1000000000.5 d$mode; done
    cd ..
    mkdir owners && cd owners
    echo x > high && chown 4000000000:3000000000 high && echo x > most && chown 4294967294:4294967294 most
    cd ..
    mkdir gone gone/inner kept opaque opaque/inner && echo x > gone/inner/file && echo x > removed
    echo x > opaque/below && echo x > opaque/inner/below && echo x > opaque/again && echo x > kept/stays && echo x > kept/removed
    mkdir replaced && cd replaced
    mkdir directory && echo x > directory/below && echo x > file && ln -s ../kept link && mkfifo pipe
    cd .. && touch -d '2002-02-02 02:02:02.25' replaced kept opaque opaque/inner .
"#;

/// The second, after the first was packed. What it only leads through has no entry.
const UPPER: &str = r#"
    mkdir upper && cd upper
    : > .wh.removed && : > .wh.gone && : > .wh.never && mkdir kept && : > kept/.wh.removed && echo new > kept/new
    mkdir opaque opaque/inner && : > opaque/.wh..wh..opq && echo new > opaque/again && echo new > opaque/inner/new
    mkdir replaced && cd replaced && echo file > directory && mkdir file && echo x > file/in && echo x > link && ln -s x pipe
    cd .. && echo unshared > shared-name && mkdir times && echo z > times/zero
    mkdir -m 711 through through/unnamed && chown 3:4 through && touch -d @7 through
    echo x > through/unnamed/file && touch -d @8 through/unnamed/file
    echo other > second && ln second second-again && echo nothing > file && ln file linked-below
    touch -d '2004-04-04 04:04:04.4' opaque opaque/inner
    mkdir -p attributes/acl/inner names/"$(printf 'dir\301')" modes/d3770 modes/d0755 && echo x > attributes/acl/inner/new
    echo x > names/"$(printf 'dir\301/new')" && echo x > modes/d3770/new && chmod 711 modes/d0755 && touch -d @5000000000 modes/d0755
    find . -mindepth 1 ! -path ./kept ! -path ./replaced ! -path ./times ! -path ./through/unnamed \
        ! -path ./attributes ! -path './attributes/acl*' ! -path ./names ! -path './names/dir*' ! -path ./modes ! -path ./modes/d3770 > ../list
    echo attributes/acl/inner/new >> ../list && printf 'names/dir\301/new\n' >> ../list
    mkdir attributes/said && echo attributes/said >> ../list && cd ..
    tar --format=pax --numeric-owner --no-recursion -C upper -cf upper.tar -T list
    mkdir third && cd third && mkdir names modes && echo other > second && ln second names/linked-below && mknod null c 0 0
    ln second a-link && cd ..
    tar --format=pax --numeric-owner -C third -cf third.tar second names/linked-below null a-link
    tar --delete -f third.tar second
"#;

/// The layers as archives, and in a layout as one image of the first and one of both.
const PACK: &str = r#"
    tar --format=pax --xattrs --xattrs-include='*' --sparse --numeric-owner -C lower -cf lower.tar .
    umoci init --layout oci && umoci new --image oci:none
    umoci raw add-layer --image oci:none --tag one lower.tar
    umoci raw add-layer --image oci:one --tag two upper.tar
    umoci raw add-layer --image oci:two --tag three third.tar
"#;

fn attribute(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// An access list that lets user 1000 do everything, as the kernel keeps it: tag, permissions, id.
fn access_list() -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(1, 7, NOBODY), (2, 7, 1000), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)];
    let entries = entries.iter().flat_map(|(tag, permissions, id)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    2u32.to_le_bytes().into_iter().chain(entries).collect()
}

fn add_attributes(lower: &Path) {
    let attributes = lower.join("attributes");
    std::fs::create_dir_all(attributes.join("acl/inner")).unwrap();
    std::fs::create_dir_all(attributes.join("said")).unwrap();
    for name in ["file", "acl/file", "acl/listed"] {
        std::fs::write(attributes.join(name), "x").unwrap();
    }
    let values = [
        ("user.note", b"line\nother=\0\xff".as_slice()),
        ("user.empty", b""),
        ("user.large", &[7; 1000]),
        ("trusted.note", b"for root"),
        ("user.a=b", b"equals in the name"),
    ];
    for (name, value) in values {
        for path in [attributes.join("file"), attributes.clone()] {
            attribute(&path, name, value);
        }
    }
    attribute(&attributes.join("said"), "user.note", b"which the next layer takes back");
    attribute(&attributes.join("acl"), "system.posix_acl_default", &access_list());
    attribute(&attributes.join("acl/listed"), "system.posix_acl_access", &access_list());
    attribute(&lower.join("links/absolute"), "trusted.link", b"\0\x01");
    attribute(&lower.join("nodes/pipe"), "trusted.pipe", b"p");
    attribute(&lower.join("nodes/block"), "trusted.block", b"b");
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&lower.join("modes/f6755"), "security.capability", &capability);
    attribute(&lower.join("owners/high"), "security.capability", &capability);
}

/// The tree that a container of `image` would be started in, as a runtime finds it.
fn stacked(sandbox: &Sandbox, image: &str) -> Tree {
    let runtime = sandbox.path().join("look");
    write_program(&runtime, b"#!/bin/sh\ncase \"$*\" in *' run '*) echo $$; read line;; esac\n").unwrap();
    let args = ["--runtime", runtime.to_str().unwrap(), "run", "--rm", "-i", "--name", "box", image, "true"];
    let mut command = sandbox.command(&args);
    let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pid = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let rootfs = sandbox.path().join("store/snapshots/containers/box/rootfs");
    let seen = PathBuf::from(format!("/proc/{}/root{}", pid.trim(), rootfs.display()));
    let tree = Tree::list(&seen);
    running.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(running.wait().unwrap().success());
    tree
}

/// What is wrong where `tree`, which is called `name`, is compared with ours: facts that differ against
/// [`KNOWN`], or agree against it.
fn faults(name: &str, tree: &Tree, ours: &Tree) -> Vec<String> {
    let differences = tree.differences(ours);
    let differ: BTreeSet<_> = differences.iter().map(|one| (one.path.as_str(), one.fact.as_str())).collect();
    let known = KNOWN.iter().filter(|(other, ..)| *other == name);
    let known: BTreeSet<_> = known.map(|(_, path, fact, _)| (*path, *fact)).collect();
    let agree = known.difference(&differ).map(|known| format!("{name} is known to differ in {known:?}"));
    let unknown = differences.iter().filter(|one| !known.contains(&(one.path.as_str(), one.fact.as_str())));
    agree.chain(unknown.map(|one| format!("{name} differs from ours: {one:?}"))).collect()
}

#[test]
fn trees_are_what_their_layers_say() {
    let Some(sandbox) = Sandbox::empty() else { return };
    let place = sandbox.path();
    shell(place, LOWER);
    add_attributes(&place.join("lower"));
    shell(place, UPPER);
    shell(place, PACK);
    let tags = ["one", "two", "three"];
    for tag in tags {
        let source = format!("oci:{}/oci:{tag}", place.display());
        sandbox.must(&["import", &source, tag]);
        sandbox.must(&["unpack", tag, place.join(format!("ours-{tag}")).to_str().unwrap()]);
        shell(place, &format!("umoci raw unpack --image oci:{tag} umoci-{tag}"));
    }
    shell(
        place,
        "mkdir tar-one && tar --xattrs --xattrs-include='*' --numeric-owner -xpf lower.tar -C tar-one",
    );
    // Neither the umask nor the access list of the place where a tree is made has a say in it.
    std::fs::create_dir(place.join("odd")).unwrap();
    attribute(&place.join("odd"), "system.posix_acl_default", &access_list());
    let program = env!("CARGO_BIN_EXE_plimsoll");
    shell(place, &format!("umask 077 && {program} --root odd/store unpack oci:oci:two odd/two"));

    let ours = tags.map(|tag| Tree::list(&place.join(format!("ours-{tag}"))));
    let [one, two, three] = &ours;
    let others = [
        ("lower", one),
        ("tar-one", one),
        ("umoci-one", one),
        ("umoci-two", two),
        ("umoci-three", three),
        ("odd/two", two),
    ];
    let mut wrong = Vec::new();
    for (name, ours) in others {
        wrong.extend(faults(name, &Tree::list(&place.join(name)), ours));
    }
    for (tag, ours) in tags.iter().zip(&ours) {
        wrong.extend(faults(&format!("stacked {tag}"), &stacked(&sandbox, tag), ours));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    look_at_some(&place.join("ours-one"), one, three);
}

/// That the layers hold what they are meant to hold.
fn look_at_some(first: &Path, one: &Tree, three: &Tree) {
    assert!(one.paths().len() > 110, "{} entries", one.paths().len());
    let facts = [
        (one, "times/long-before", "mtime", "-1834750129.111111111"),
        (one, "times/late", "mtime", "5000000000.000000001"),
        (one, "owners/most", "owner", "4294967294:4294967294"),
        (one, "modes/d0000/child", "size", "2"),
        (one, "links/absolute", "names", "links/absolute links/absolute-name"),
        (one, "attributes/file", "xattr user.note", "line\\nother=\\x00\\xff"),
        (three, "second-again", "names", "a-link names/linked-below second second-again"),
    ];
    for (tree, path, fact, want) in facts {
        assert_eq!(tree.fact(path, fact), Some(want), "{path}");
    }
    let hole = std::fs::metadata(first.join("sparse/hole")).unwrap();
    assert!(hole.size() == 40 << 20 && hole.blocks() * 512 < 1 << 20, "{} blocks", hole.blocks());
}
