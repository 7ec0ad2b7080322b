//! Unpackers that are wrong in one way each. What they leave is broken under the names that the cases use.

use crate::image::consumer::{Fault, Mutant, mutant};
use crate::image::golden::Golden;
use crate::image::golden::pack::{Item, TIME};

use super::Recipe;
use super::documents::plain;

/// Every mutant of unpackers.
pub fn mutants() -> Vec<Mutant> {
    let tables = [
        verification(),
        tolerance(),
        indexes(),
        media(),
        stacks(),
        whiteouts(),
        links(),
        attributes(),
        xattrs(),
        replacements(),
        escapes(),
    ];
    tables.into_iter().flatten().collect()
}

/// The layout without what has to be refused in it.
fn whole() -> Golden {
    plain().build()
}

fn verification() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/digests-unchecked",
            "It uses content that does not match its digest.",
            &["IMG-D06", "IMG-D21"],
            &["refuse/layer-damaged", "refuse/config-damaged", "refuse/manifest-damaged"],
            Fault::Reads(whole),
        ),
        mutant(
            "unpacker/sizes-unchecked",
            "It uses content of another size than was said.",
            &["IMG-D08"],
            &["refuse/size-wrong"],
            Fault::Reads(whole),
        ),
        mutant(
            "unpacker/embedded-data-trusted",
            "It uses embedded data without a look at its digest.",
            &["IMG-D15"],
            &["refuse/data-wrong"],
            Fault::Reads(|| Recipe::new(vec![vec![Item::file("f", "data")]]).build()),
        ),
        mutant(
            "unpacker/no-sha256",
            "It does not know SHA-256.",
            &["IMG-D26"],
            &["accept/sha256"],
            Fault::Refuses("\"digest\":\"sha256:"),
        ),
        mutant(
            "unpacker/any-rootfs-type",
            "It unpacks root file systems of types that it does not know.",
            &["IMG-C18"],
            &["refuse/rootfs-type"],
            Fault::Reads(whole),
        ),
    ]
}

fn tolerance() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/unknown-types-refused",
            "It refuses an index that names something of a type that it does not know.",
            &["IMG-I12", "IMG-L13"],
            &["accept/unknown-type-in-index"],
            Fault::Refuses("application/vnd.example.other"),
        ),
        mutant(
            "unpacker/unknown-algorithms-refused",
            "It refuses an index with a digest of an algorithm that it does not know.",
            &["IMG-D20"],
            &["accept/unknown-algorithm"],
            Fault::Refuses("example+b64:"),
        ),
        mutant(
            "unpacker/unknown-config-fields-refused",
            "It refuses a configuration with fields that it does not know.",
            &["IMG-C20"],
            &["accept/extra-config-field"],
            Fault::Refuses("\"Extra\":"),
        ),
        mutant(
            "unpacker/null-config-fields-refused",
            "It refuses a configuration with fields that are null.",
            &["IMG-C20"],
            &["accept/null-config-fields"],
            Fault::Refuses("\"history\":null"),
        ),
        mutant(
            "unpacker/unknown-manifest-fields-refused",
            "It refuses a manifest with fields that it does not know.",
            &["IMG-X02"],
            &["accept/extra-manifest-field"],
            Fault::Refuses("com.example.extra"),
        ),
        mutant(
            "unpacker/unknown-annotations-refused",
            "It refuses annotations that it does not know.",
            &["IMG-A09"],
            &["accept/unknown-annotation"],
            Fault::Refuses("com.example.unknown"),
        ),
        mutant(
            "unpacker/config-of-unknown-type-parsed",
            "It takes a config of an unknown type for a configuration, where it can be parsed.",
            &["IMG-M09"],
            &["accept/config-of-unknown-type"],
            Fault::Accepts("\"diff_ids\":[]"),
        ),
    ]
}

fn indexes() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/no-index-within-an-index",
            "It refuses an index that an index names.",
            &["IMG-I01", "IMG-I10"],
            &["index/nested"],
            Fault::Refuses("image.index.v1+json\",\"size\""),
        ),
        mutant(
            "unpacker/last-match",
            "It takes the last image that fits.",
            &["IMG-I25"],
            &["index/first-match"],
            Fault::Leaves(|tree| tree.write("f", "second")),
        ),
        mutant(
            "unpacker/platform-ignored",
            "It takes an image for another platform.",
            &["IMG-I16", "IMG-I19"],
            &["index/platform"],
            Fault::Leaves(|tree| tree.write("f", "other")),
        ),
        mutant(
            "unpacker/names-below",
            "It finds names that stand below index.json.",
            &["IMG-L14"],
            &["index/name-below"],
            Fault::Reads(whole),
        ),
    ]
}

/// One for each type of layers.
fn media() -> Vec<Mutant> {
    let refuses = |name: &str, breaks, rows, cases, text| {
        mutant(format!("unpacker/no-{name}"), breaks, rows, cases, Fault::Refuses(text))
    };
    vec![
        refuses("tar", "It refuses plain layers.", &["IMG-M20"], &["media/tar"], ".layer.v1.tar\""),
        refuses("gzip", "It refuses gzip.", &["IMG-M20"], &["media/tar+gzip"], ".layer.v1.tar+gzip\""),
        refuses(
            "nondistributable",
            "It refuses plain layers that are nondistributable.",
            &["IMG-M20"],
            &["media/nondistributable"],
            ".nondistributable.v1.tar\"",
        ),
        refuses(
            "nondistributable-gzip",
            "It refuses layers as gzip that are nondistributable.",
            &["IMG-M20"],
            &["media/nondistributable+gzip"],
            ".nondistributable.v1.tar+gzip\"",
        ),
        refuses("zstd", "It refuses Zstandard.", &["IMG-M22"], &["media/tar+zstd"], ".layer.v1.tar+zstd\""),
        mutant(
            "unpacker/first-member",
            "It reads the first member of gzip and no other.",
            &["IMG-N25"],
            &["media/gzip-members"],
            Fault::Leaves(|tree| tree.remove("last")),
        ),
    ]
}

fn stacks() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/layers-reversed",
            "It applies the last layer first.",
            &["IMG-I09", "IMG-M11", "IMG-M19"],
            &["stack/order"],
            Fault::Leaves(|tree| tree.write("f", "1")),
        ),
        mutant(
            "unpacker/layer-once",
            "It applies a layer that stands twice once, and nothing behind one without entries.",
            &["IMG-M19"],
            &["stack/same-layer-twice", "stack/no-entries"],
            Fault::Leaves(|tree| tree.remove("f")),
        ),
        mutant(
            "unpacker/last-layer-left-out",
            "It does not apply the last layer.",
            &["IMG-M19"],
            &["stack/everything"],
            Fault::Leaves(|tree| {
                tree.remove("old/c")?;
                tree.write("etc/new", "two\n")
            }),
        ),
    ]
}

fn whiteouts() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/whiteouts-kept",
            "It leaves whiteouts where they are.",
            &["IMG-Y11"],
            &["whiteout/explicit", "whiteout/directory"],
            Fault::Leaves(|tree| {
                tree.write(".wh.top", "")?;
                tree.write(".wh.d", "")
            }),
        ),
        mutant(
            "unpacker/opaque-whiteouts-kept",
            "It leaves opaque whiteouts where they are.",
            &["IMG-Y11"],
            &["whiteout/opaque"],
            Fault::Leaves(|tree| tree.write("d/.wh..wh..opq", "")),
        ),
        mutant(
            "unpacker/whiteouts-ignored",
            "It deletes nothing.",
            &["IMG-Y15"],
            &["whiteout/explicit", "whiteout/directory"],
            Fault::Leaves(|tree| {
                tree.directory("d/sub")?;
                tree.write("d/a", "a")
            }),
        ),
        mutant(
            "unpacker/opaque-ignored",
            "It does nothing for an opaque whiteout.",
            &["IMG-Y12", "IMG-Y15"],
            &["whiteout/opaque", "whiteout/opaque-last", "whiteout/recreated-as-in-the-text"],
            Fault::Leaves(|tree| {
                tree.write("d/a", "a")?;
                tree.write("d/b", "b")
            }),
        ),
        mutant(
            "unpacker/opaque-for-all",
            "An opaque whiteout clears the whole tree.",
            &["IMG-Y12"],
            &["whiteout/opaque"],
            Fault::Leaves(|tree| tree.remove("top")),
        ),
        mutant(
            "unpacker/whiteouts-of-their-own-layer",
            "Whiteouts delete what their own layer has.",
            &["IMG-Y12"],
            &[
                "whiteout/before-its-name",
                "whiteout/after-its-name",
                "whiteout/of-a-new-file",
                "whiteout/opaque-last",
                "whiteout/recreated-as-in-the-text",
            ],
            Fault::Leaves(|tree| {
                let mut added = ["top", "fresh", "d/c", "d/sub/foo"].into_iter();
                added.try_for_each(|name| if tree.has(name) { tree.remove(name) } else { Ok(()) })
            }),
        ),
        mutant(
            "unpacker/whiteouts-of-nothing-kept",
            "A whiteout of what there is not becomes a file.",
            &["IMG-Y15"],
            &["whiteout/of-nothing"],
            Fault::Leaves(|tree| tree.write("d/.wh.none", "")),
        ),
        mutant(
            "unpacker/whiteouts-undone",
            "A directory that is made anew has what was in the one that was deleted.",
            &["IMG-Y12"],
            &["whiteout/directory-made-anew"],
            Fault::Leaves(|tree| tree.write("d/a", "a")),
        ),
        mutant(
            "unpacker/whiteouts-for-ever",
            "What was deleted once does not come back.",
            &["IMG-Y12"],
            &["whiteout/restored-by-a-third"],
            Fault::Leaves(|tree| tree.remove("top")),
        ),
    ]
}

fn links() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/hard-links-copied",
            "It makes a copy for a hard link.",
            &["IMG-N23"],
            &["link/one-file", "link/replaced-name", "link/to-symlink"],
            Fault::Leaves(|tree| tree.separate("two")),
        ),
        mutant(
            "unpacker/hard-links-written-through",
            "What replaces one name changes all of them.",
            &["IMG-N23"],
            &["link/replaced-name"],
            Fault::Leaves(|tree| tree.write("two", "new")),
        ),
        mutant(
            "unpacker/empty-links-to-lower-layers",
            "A hard link to a file of a lower layer is an empty file.",
            &["IMG-N23"],
            &["link/to-lower-layer"],
            Fault::Leaves(|tree| {
                tree.separate("two")?;
                tree.write("two", "")
            }),
        ),
        mutant(
            "unpacker/targets-cleaned",
            "It takes the climbing out of symbolic links.",
            &["IMG-N22"],
            &["link/symlink-targets"],
            Fault::Leaves(|tree| tree.link("up", "up")),
        ),
        mutant(
            "unpacker/targets-made-relative",
            "It makes absolute symbolic links relative.",
            &["IMG-N22"],
            &["link/symlink-targets"],
            Fault::Leaves(|tree| tree.link("absolute", "etc/passwd")),
        ),
    ]
}

fn attributes() -> Vec<Mutant> {
    let leaves = |name: &str, breaks, cases, edit| {
        mutant(format!("unpacker/{name}"), breaks, &["IMG-N22"], cases, Fault::Leaves(edit))
    };
    vec![
        leaves("no-setuid", "It drops the bit of set-user-ID.", &["attribute/mode"], |tree| {
            tree.mode("setuid", 0o755)
        }),
        leaves("no-sticky-bit", "It drops the sticky bit.", &["attribute/mode"], |tree| {
            tree.mode("sticky", 0o777)
        }),
        leaves("directories-opened", "It opens what it has to write into.", &["attribute/mode"], |tree| {
            tree.mode("closed", 0o700)
        }),
        leaves("owners-ignored", "Everything is root's.", &["attribute/owner"], |tree| tree.to_root("f")),
        leaves("owners-of-links-ignored", "Links are root's.", &["attribute/owner"], |tree| {
            tree.to_root("l")
        }),
        leaves("setuid-before-owner", "It sets the owner behind the mode.", &["attribute/owner"], |tree| {
            tree.mode("f", 0o755)
        }),
        leaves("whole-seconds", "It drops fractions of seconds.", &["attribute/time"], |tree| {
            tree.time("d/f", TIME)
        }),
        leaves("times-of-directories", "Directories have the time they were filled.", &["attribute/time"], {
            |tree| tree.time("d", TIME)
        }),
        leaves("times-of-links", "Links have the time they were made.", &["attribute/time"], |tree| {
            tree.time("l", TIME)
        }),
        leaves("nothing-before-1970", "It knows no times before 1970.", &["attribute/time"], |tree| {
            tree.time("older", 0)
        }),
        leaves("32-bits-of-time", "It keeps 32 bits of a time.", &["attribute/time"], |tree| {
            tree.time("later", 705_032_704)
        }),
        leaves("no-devices", "It leaves devices out.", &["attribute/device"], |tree| tree.remove("null")),
        leaves("devices-as-files", "It makes empty files of devices.", &["attribute/device"], |tree| {
            tree.remove("loop")?;
            tree.write("loop", "")
        }),
        leaves("no-fifos", "It leaves fifos out.", &["attribute/device"], |tree| tree.remove("pipe")),
        leaves("short-names", "It cuts names at the end of the header's field.", &["attribute/name"], {
            |tree| tree.remove(&"d".repeat(120))
        }),
        leaves("short-targets", "It cuts targets at the end of the header's field.", &["attribute/name"], {
            |tree| tree.link("l", &"t".repeat(100))
        }),
        leaves("no-missing-parents", "It makes no parents.", &["attribute/parents"], |tree| tree.remove("a")),
        leaves("absolute-names-left-out", "It passes over absolute names.", &["attribute/parents"], |tree| {
            tree.remove("abs")
        }),
    ]
}

fn xattrs() -> Vec<Mutant> {
    let leaves = |name: &str, breaks, edit| {
        let cases = &["attribute/xattr"];
        mutant(format!("unpacker/{name}"), breaks, &["IMG-N22"], cases, Fault::Leaves(edit))
    };
    vec![
        leaves("no-xattrs", "It sets no extended attributes of users.", |tree| {
            tree.without_xattr("f", "user.note")
        }),
        leaves("xattrs-as-text", "Values of extended attributes end at a zero.", |tree| {
            tree.xattr("f", "user.note", b"a=b\n")
        }),
        leaves("no-trusted-xattrs", "It sets no trusted extended attributes.", |tree| {
            tree.without_xattr("f", "trusted.t")
        }),
        leaves("no-xattrs-of-directories", "Directories have no extended attributes.", |tree| {
            tree.without_xattr("d", "user.d")
        }),
        leaves("capabilities-before-owner", "It sets the owner behind the capabilities.", |tree| {
            tree.without_xattr("capable", "security.capability")
        }),
    ]
}

fn replacements() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/attributes-of-the-first",
            "A directory keeps the attributes that a lower layer says.",
            &["IMG-Y08"],
            &["attribute/of-parents-kept", "pair/directory-to-directory"],
            Fault::Leaves(|tree| match tree.has("d") {
                true => tree.mode("d", 0o700),
                false => tree.mode("x", 0o711),
            }),
        ),
        mutant(
            "unpacker/directories-emptied",
            "A directory over a directory removes what is in it.",
            &["IMG-Y08"],
            &["attribute/of-parents-kept", "pair/directory-to-directory"],
            Fault::Leaves(|tree| match tree.has("d") {
                true => tree.remove("d/a"),
                false => tree.remove("x/inside"),
            }),
        ),
        mutant(
            "unpacker/nothing-in-its-place",
            "It removes what is to be replaced, and makes nothing.",
            &["IMG-Y08", "IMG-Y09"],
            &["pair/"],
            Fault::Leaves(|tree| tree.remove("x")),
        ),
        mutant(
            "unpacker/directories-stay",
            "A directory stays where something else replaces it.",
            &["IMG-Y09"],
            &["pair/directory-to-file", "pair/directory-to-symlink", "pair/directory-to-fifo"],
            Fault::Leaves(|tree| {
                tree.remove("x")?;
                tree.directory("x")?;
                tree.write("x/inside", "lower")
            }),
        ),
        mutant(
            "unpacker/links-followed",
            "It writes through a link that is to be replaced.",
            &["IMG-Y09"],
            &["pair/symlink-to-"],
            Fault::Leaves(|tree| tree.write("room/kept", "upper")),
        ),
        mutant(
            "unpacker/other-names-changed",
            "It writes into a file that has other names.",
            &["IMG-Y09"],
            &["pair/hard-link-to-"],
            Fault::Leaves(|tree| tree.write("first", "upper")),
        ),
    ]
}

fn escapes() -> Vec<Mutant> {
    vec![
        mutant(
            "unpacker/writes-outside",
            "It changes a file outside of the target.",
            &["IMG-N24"],
            &["escape/"],
            Fault::Leaves(|tree| tree.write("../outside/canary", "dead")),
        ),
        mutant(
            "unpacker/writes-beside",
            "It makes a file beside the target.",
            &["IMG-N24"],
            &["escape/parent-file"],
            Fault::Leaves(|tree| tree.write("../new", "dead")),
        ),
        mutant(
            "unpacker/deletes-outside",
            "It deletes a file outside of the target.",
            &["IMG-N24"],
            &["escape/whiteout-in-parent"],
            Fault::Leaves(|tree| tree.remove("../outside/canary")),
        ),
    ]
}
