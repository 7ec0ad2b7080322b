//! The store: what gets a name, what is refused, what is removed, and what a killed writer leaves.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_image::store::Swept;
use plimsoll_image::{Kind, Store};
use plimsoll_spec::image::media_type::{CONFIG, INDEX, LAYER};
use plimsoll_test_support::skipped;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use crate::sample::{describe, failure, image, json, store};

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn keeps_what_has_the_digest_and_size_it_should() {
    let (_folder, store) = store();
    let blob = describe(LAYER, b"content");
    assert!(!store.contains(&blob).unwrap());
    assert_eq!(
        failure(store.read_verified(&blob)),
        (Kind::NotFound, format!("open blob {}: No such file or directory (os error 2)", blob.digest))
    );
    let mut told = 0;
    store.put(&blob, &mut &b"content"[..], &mut |count| told += count).unwrap();
    assert!(store.contains(&blob).unwrap());
    assert_eq!((store.read_verified(&blob).unwrap(), told), (b"content".to_vec(), 7));
    let mut streamed = Vec::new();
    store.reader(&blob).unwrap().read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, b"content");
    assert_eq!(files(&store.path().join("ingest")), [""; 0]);
    assert_eq!(files(&store.path().join("blobs/sha256")), [blob.digest.encoded()]);
}

#[test]
fn refuses_other_content_and_keeps_nothing_of_it() {
    let (_folder, store) = store();
    let blob = describe(LAYER, b"content");
    let digest = &blob.digest;
    let cases: [(&[u8], Kind, String); 3] = [
        (
            b"contenT",
            Kind::Digest,
            format!(
                "verify {digest}: digest mismatch: got {}, want {digest}",
                describe(LAYER, b"contenT").digest
            ),
        ),
        (b"conten", Kind::Size, format!("verify {digest}: size mismatch: got 6 bytes, want 7")),
        (b"content!", Kind::Size, format!("verify {digest}: size mismatch: got more than 7 bytes, want 7")),
    ];
    for (mut content, kind, text) in cases {
        assert_eq!(failure(store.put(&blob, &mut content, &mut |_| {})), (kind, text));
    }
    let mut unknown = blob.clone();
    unknown.digest = "future:abc".parse().unwrap();
    assert_eq!(
        failure(store.put(&unknown, &mut &b"content"[..], &mut |_| {})),
        (
            Kind::Unsupported,
            "verify future:abc: cannot verify future:abc: unsupported digest algorithm".into()
        )
    );
    assert_eq!(files(&store.path().join("ingest")), [""; 0]);
    assert_eq!(files(&store.path().join("blobs")), [""; 0]);
}

#[test]
fn verifies_again_what_it_reads() {
    let (_folder, store) = store();
    let blob = store.put_document(CONFIG, b"{\"a\":1}").unwrap();
    let file = store.path().join("blobs/sha256").join(blob.digest.encoded());
    std::fs::write(&file, b"{\"a\":2}").unwrap();
    let other = describe(CONFIG, b"{\"a\":2}").digest;
    let text = format!("digest mismatch: got {other}, want {}", blob.digest);
    assert_eq!(
        failure(store.read_verified(&blob)),
        (Kind::Digest, format!("verify {}: {text}", blob.digest))
    );
    let mut reader = store.reader(&blob).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (std::io::ErrorKind::InvalidData, text));
    // A file that was cut short is as good as absent, and is written again.
    std::fs::write(&file, b"{").unwrap();
    assert!(!store.contains(&blob).unwrap());
    assert_eq!(
        failure(store.open_blob(&blob)),
        (Kind::Size, format!("blob {} has 1 bytes, its descriptor says 7", blob.digest))
    );
    store.put_document(CONFIG, b"{\"a\":1}").unwrap();
    assert_eq!(store.read_verified(&blob).unwrap(), b"{\"a\":1}");
}

#[test]
fn reads_no_document_beyond_the_limit() {
    let (_folder, store) = store();
    let mut large = describe(CONFIG, b"{}");
    large.size = (4 << 20) + 1;
    assert_eq!(
        failure(store.read_verified(&large)),
        (Kind::Limit, format!("document {} of 4194305 bytes is over the limit of 4194304", large.digest))
    );
    let bomb = "[".repeat(100_000);
    let bomb = store.put_document(CONFIG, bomb.as_bytes()).unwrap();
    let (kind, text) = failure(store.document::<plimsoll_spec::image::ImageConfig>(&bomb));
    assert_eq!(kind, Kind::Invalid);
    assert!(text.contains("nested deeper than the limit"), "{text}");
}

#[test]
fn names_change_and_are_checked() {
    let (_folder, store) = store();
    let (one, two) = (image(&store, &[b"one"]), image(&store, &[b"two"]));
    assert!(store.images().unwrap().is_empty());
    store.tag("debian:12", &one).unwrap();
    store.tag("other", &one).unwrap();
    store.tag("other", &two).unwrap();
    let images = store.images().unwrap();
    assert_eq!(images.keys().collect::<Vec<_>>(), ["debian:12", "other"]);
    assert_eq!((&images["debian:12"], &images["other"]), (&one, &two));
    assert_eq!(store.resolve("other").unwrap(), two);
    assert_eq!(failure(store.resolve("x")), (Kind::NotFound, r#"no image is called "x""#.into()));
    for name in ["", "a b", "a\nb", "\u{e4}", &"a".repeat(513)] {
        assert_eq!(failure(store.tag(name, &one)), (Kind::Invalid, format!("invalid image name {name:?}")));
    }
    let absent = describe(LAYER, b"absent");
    assert_eq!(
        failure(store.tag("a", &absent)),
        (Kind::NotFound, format!("tag \"a\": no blob {}", absent.digest))
    );
}

#[test]
fn refuses_names_of_another_release() {
    let (_folder, store) = store();
    std::fs::write(store.path().join("images.json"), r#"{"version":2,"images":{}}"#).unwrap();
    assert_eq!(
        failure(store.images()),
        (Kind::Unsupported, "the names of images are of version Some(Unsigned(2)), not 1".into())
    );
    std::fs::write(store.path().join("images.json"), r#"{"version":1,"images":{"a":1}}"#).unwrap();
    assert_eq!(
        failure(store.images()),
        (Kind::Invalid, "read the names of images: /images/a: expected an object, found a number".into())
    );
}

#[test]
fn removal_keeps_what_others_share() {
    let (_folder, store) = store();
    let one = image(&store, &[b"shared", b"only one"]);
    let two = image(&store, &[b"shared", b"only two"]);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, json(&two));
    let index = store.put_document(INDEX, index.as_bytes()).unwrap();
    store.tag("one", &one).unwrap();
    store.tag("again", &one).unwrap();
    store.tag("two", &index).unwrap();
    assert_eq!(store.remove("again").unwrap(), Swept::default());
    let swept = store.remove("one").unwrap();
    let manifest_and_config = one.size + store_size_of_config(&store, &two);
    assert_eq!(swept, Swept { blobs: 3, bytes: 8 + manifest_and_config, layers: 0 });
    assert_eq!(store.image(&two).unwrap().layers.len(), 2);
    assert!(!store.contains(&describe(LAYER, b"only one")).unwrap());
    assert!(store.contains(&describe(LAYER, b"shared")).unwrap());
    assert_eq!(failure(store.remove("one")), (Kind::NotFound, r#"no image is called "one""#.into()));
    assert_eq!(store.remove("two").unwrap().blobs, 5);
    assert_eq!(files(&store.path().join("blobs/sha256")), [""; 0]);
}

/// Both images' configurations have the same length.
fn store_size_of_config(store: &Store, image: &plimsoll_spec::image::Descriptor) -> u64 {
    store.image(image).unwrap().manifest.config.size
}

#[test]
fn removal_stops_at_a_document_it_cannot_read() {
    let (_folder, store) = store();
    let (one, two) = (image(&store, &[b"one"]), image(&store, &[b"two"]));
    store.tag("one", &one).unwrap();
    store.tag("two", &two).unwrap();
    let file = store.path().join("blobs/sha256").join(two.digest.encoded());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] = b'[';
    std::fs::write(&file, bytes).unwrap();
    let before = files(&store.path().join("blobs/sha256"));
    let (kind, text) = failure(store.remove("one"));
    assert_eq!(kind, Kind::Digest);
    assert!(
        text.starts_with(&format!("find what image \"two\" needs: verify {}: digest mismatch", two.digest)),
        "{text}"
    );
    assert_eq!(files(&store.path().join("blobs/sha256")), before);
    // The damaged image itself can go.
    assert_eq!(store.remove("two").unwrap().blobs, 6);
}

#[test]
fn writers_of_the_same_blobs_do_not_disturb_each_other() {
    let (_folder, store) = store();
    let blobs: Vec<Vec<u8>> = (0..8_u8).map(|seed| vec![seed; 300_000]).collect();
    let work = |_: usize| {
        let store = Store::open(store.path()).unwrap();
        for (at, content) in blobs.iter().enumerate() {
            let blob = describe(LAYER, content);
            store.put(&blob, &mut content.as_slice(), &mut |_| {}).unwrap();
            let document = store.put_document(LAYER, format!("{{\"{at}\":0}}").as_bytes()).unwrap();
            store.tag(&format!("name{at}"), &document).unwrap();
            store.open_blob(&blob).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|at| scope.spawn(move || work(at))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert_eq!(store.images().unwrap().len(), 8);
    for content in &blobs {
        let mut read = Vec::new();
        store.reader(&describe(LAYER, content)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *content);
    }
    assert_eq!(files(&store.path().join("ingest")), [""; 0]);
    let swept = store.sweep().unwrap();
    assert_eq!(swept, Swept { blobs: 8, bytes: 8 * 300_000, layers: 0 });
}

/// Whether somebody waits for the lock on the file of this number, as `/proc/locks` tells it.
fn awaited(inode: u64) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&format!(":{inode} ")))
}

#[test]
fn a_lease_holds_off_removal() {
    let (_folder, store) = store();
    let lease = store.share().unwrap();
    let blob = store.put_document(CONFIG, b"{}").unwrap();
    std::thread::scope(|scope| {
        let sweep = scope.spawn(|| store.sweep().unwrap());
        let lock = std::fs::metadata(store.path().join("lock")).unwrap().ino();
        while !awaited(lock) {
            assert!(!sweep.is_finished());
            std::thread::yield_now();
        }
        assert!(store.contains(&blob).unwrap());
        drop(lease);
        assert_eq!(sweep.join().unwrap(), Swept { blobs: 1, bytes: 2, layers: 0 });
    });
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let Ok(context) = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC) else {
        skipped("fsopen needs CAP_SYS_ADMIN");
        return;
    };
    rustix::mount::fsconfig_set_string(&context, "size", "1m").unwrap();
    rustix::mount::fsconfig_create(&context).unwrap();
    let flags = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    let mount = rustix::mount::fsmount(&context, flags.0, flags.1).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&mount));
    let store = Store::open(&Path::new(&path).join("store")).unwrap();
    let large = vec![1; 2 << 20];
    let blob = describe(LAYER, &large);
    let (kind, text) = failure(store.put(&blob, &mut large.as_slice(), &mut |_| {}));
    let want = "No space left on device (os error 28)";
    let room = format!("make room for 2097152 bytes of blob {}: {want}", blob.digest);
    assert_eq!((kind, text), (Kind::NoSpace, room));
    // Without a size it is learned while writing.
    let mut ingest = store.ingest(&blob.digest, None).unwrap();
    let result = large.chunks(4096).try_for_each(|piece| ingest.write(piece));
    assert_eq!(failure(result), (Kind::NoSpace, format!("write blob {}: {want}", blob.digest)));
    drop(ingest);
    assert_eq!(files(&store.path().join("ingest")), [""; 0]);
    assert_eq!(files(&store.path().join("blobs")), [""; 0]);
    store.put_document(CONFIG, b"{}").unwrap();
}

/// The child of `a_killed_writer_leaves_nothing_that_counts`.
#[test]
#[ignore = "started by another test"]
fn child_writes_until_killed() {
    let Some(path) = std::env::var_os("PLIMSOLL_TEST_STORE") else {
        skipped("only of use to another test");
        return;
    };
    let store = Store::open(Path::new(&path)).unwrap();
    let blob = describe(LAYER, b"never complete");
    let mut ingest = store.ingest(&blob.digest, Some(blob.size)).unwrap();
    ingest.write(b"never").unwrap();
    println!("written");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

#[test]
fn a_killed_writer_leaves_nothing_that_counts() {
    let (_folder, store) = store();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::child_writes_until_killed", "--ignored", "--nocapture"])
        .env("PLIMSOLL_TEST_STORE", store.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = String::new();
    let mut output = child.stdout.take().unwrap();
    while !told.contains("written") {
        let mut buffer = [0; 256];
        let count = output.read(&mut buffer).unwrap();
        assert!(count > 0, "the child ended early: {told}");
        told.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    // While the writer lives, its file stays.
    Store::open(store.path()).unwrap();
    assert_eq!(files(&store.path().join("ingest")).len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(files(&store.path().join("ingest")).len(), 1);
    Store::open(store.path()).unwrap();
    assert_eq!(files(&store.path().join("ingest")), [""; 0]);
    assert_eq!(files(&store.path().join("blobs")), [""; 0]);
}
