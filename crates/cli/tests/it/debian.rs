//! A whole Debian, made by debootstrap and packed by umoci.

use plimsoll_test_support::{Need, have, skipped};

use crate::{Sandbox, shell};

#[test]
fn debian_is_itself() {
    let Some(sandbox) = Sandbox::empty() else { return };
    if !have(&[Need::Program("debootstrap")]) {
        return;
    }
    let place = sandbox.path();
    let script = "umoci init --layout oci && umoci new --image oci:debian && umoci unpack --image oci:debian b >/dev/null && \
        debootstrap --variant=minbase bookworm b/rootfs >debootstrap.log 2>&1";
    let made = std::process::Command::new("sh").args(["-ec", script]).current_dir(place).status().unwrap();
    if !made.success() {
        return skipped("debootstrap has no mirror to make a Debian from");
    }
    shell(place, "umoci repack --image oci:debian b >/dev/null && rm -rf b");
    sandbox.must(&["import", &format!("oci:{}/oci:debian", place.display()), "debian"]);
    let os = sandbox.must(&["run", "--rm", "debian", "cat", "/etc/os-release"]);
    assert!(os.contains("VERSION_CODENAME=bookworm\n"), "{os}");
    let apt = sandbox.must(&["run", "--rm", "debian", "apt-get", "--version"]);
    assert!(apt.starts_with("apt 2."), "{apt}");
    assert_eq!(sandbox.must(&["run", "--rm", "-u", "www-data", "debian", "id", "-un"]), "www-data\n");
    let sum = "bash -c 'trap \"exit 7\" TERM; kill -TERM $$; sleep 1000'";
    assert_eq!(sandbox.call(&["run", "--rm", "debian", "sh", "-c", sum]).status.code(), Some(7));

    sandbox.must(&["unpack", "debian", place.join("ours").to_str().unwrap()]);
    shell(place, "umoci raw unpack --image oci:debian theirs");
    let listing = "find . -printf '%p %y %m %U:%G %s %n %T@ %l\\n' | sed 's/^\\(\\S* d \\S* \\S* \\)\\S* \\S* /\\1/' | sort";
    let (ours, theirs) = (shell(&place.join("ours"), listing), shell(&place.join("theirs"), listing));
    assert!(ours.lines().count() > 5000);
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    shell(place, "diff -r --no-dereference --exclude=dev ours theirs");
}
