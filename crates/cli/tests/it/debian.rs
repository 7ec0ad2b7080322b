//! A whole Debian, made by debootstrap and packed by umoci, is run, and unpacked as umoci and GNU tar unpack it.

use plimsoll_test_support::{Need, Tree, have, skipped};

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
    shell(place, "umoci raw unpack --image oci:debian umoci");
    // umoci made one layer of it, by far the largest blob.
    // Links into directories that tar has left already would change their times.
    let tar = "tar --delay-directory-restore --xattrs --xattrs-include='*' --numeric-owner -C tar -xpf";
    shell(place, &format!("mkdir tar && {tar} oci/blobs/sha256/$(ls -S oci/blobs/sha256 | head -n 1)"));
    let ours = Tree::list(&place.join("ours"));
    assert!(ours.paths().len() > 5000, "{} entries", ours.paths().len());
    assert_eq!(ours.fact("dev/null", "device"), Some("1:3"));
    for other in ["umoci", "tar"] {
        let differences = Tree::list(&place.join(other)).differences(&ours);
        assert!(differences.is_empty(), "{other} differs from ours: {differences:#?}");
    }
}
