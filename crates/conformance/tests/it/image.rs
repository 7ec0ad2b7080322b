//! The image subject against layouts that are whole, broken, real and hostile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use plimsoll_conformance::image::{Limits, Report, Severity, golden, mutants, validate};
use plimsoll_conformance::{Level, Registry};

fn judge(path: &Path, version: &str) -> Report {
    validate(path, version, Limits::default()).unwrap()
}

/// The layout as a directory and as an archive, judged.
fn judge_golden(golden: &golden::Golden) -> [Report; 2] {
    let dir = tempfile::tempdir().unwrap();
    let (layout, archive) = (dir.path().join("layout"), dir.path().join("layout.tar"));
    golden.write(&layout).unwrap();
    std::fs::write(&archive, golden.archive()).unwrap();
    [judge(&layout, "main"), judge(&archive, "main")]
}

/// The rows that fail: those that weigh as errors.
fn failing(report: &Report) -> BTreeSet<&'static str> {
    let errors = report.findings.sorted().into_iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.id).collect()
}

/// How often each row is broken.
fn broken(report: &Report) -> BTreeMap<&'static str, u64> {
    report.findings.counts().iter().map(|(row, count)| (*row, count.broken)).collect()
}

/// The rows that `mutant` fails. What only leaves a recommendation fails no row, but breaks one more often than
/// the whole layout does.
fn noticing(
    report: &Report,
    mutant: &mutants::Mutant,
    whole: &BTreeMap<&str, u64>,
) -> BTreeSet<&'static str> {
    let advised = mutant.name.starts_with("advised/");
    let more = broken(report).into_iter().filter(|(row, count)| {
        advised && row.starts_with("IMG-") && *count > whole.get(row).copied().unwrap_or_default()
    });
    more.map(|(row, _)| row).chain(failing(report)).collect()
}

#[test]
fn the_whole_layout_kills_nothing() {
    let golden = golden::everything(&|_, _| {});
    assert_eq!(golden, golden::everything(&|_, _| {}), "the same bytes each time");
    for report in judge_golden(&golden) {
        assert_eq!(
            failing(&report),
            BTreeSet::new(),
            "{}",
            report.text(plimsoll_conformance::image::Colour::None).unwrap()
        );
        assert_eq!((report.extent.manifests, report.extent.layers, report.extent.blobs), (4, 3, 15));
    }
}

#[test]
fn every_mutant_is_killed_by_the_row_it_is_made_for() {
    let registry = Registry::load().unwrap();
    let mut faults = Vec::new();
    let mut killed = BTreeSet::new();
    let mutants = mutants::all();
    assert!(mutants.len() >= 60);
    let whole = judge_golden(&golden::everything(&|_, _| {})).map(|report| broken(&report));
    for mutant in &mutants {
        let expected: BTreeSet<&str> = mutant.also.iter().copied().chain([mutant.row]).collect();
        for (report, whole) in judge_golden(&mutant.build()).iter().zip(&whole) {
            let found = noticing(report, mutant, whole);
            if found != expected {
                faults.push(format!("{}: {found:?}, expected {expected:?}", mutant.name));
            }
        }
        killed.extend(expected);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (row, _) in plimsoll_conformance::image::advice::RULES {
        let level = registry.row(row).unwrap().level;
        if level.is_binding() || level == Level::Consequence {
            assert!(killed.contains(row), "no mutant kills {row}");
        }
    }
}

/// Layouts of other programs, as far as they are there.
#[test]
fn real_layouts_kill_nothing() {
    use plimsoll_test_support::{Need, have};
    let dir = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let output =
            std::process::Command::new("sh").args(["-ec", line]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(
        "mkdir -p src/etc src/bin && echo one >src/etc/a && ln src/etc/a src/etc/b && ln -s a src/etc/c && mkfifo src/bin/p",
    );
    let mut layouts = Vec::new();
    if have(&[Need::Root, Need::Program("umoci")]) {
        run(
            "umoci init --layout umoci && umoci new --image umoci:one && umoci insert --image umoci:one src /x",
        );
        run(
            "umoci insert --image umoci:one --tag two src/bin /y && umoci insert --whiteout --image umoci:two /x/etc/a",
        );
        run("umoci config --image umoci:two --config.env A=b --config.exposedports 80/tcp --config.user 1:2");
        layouts.push("umoci");
        if have(&[Need::Program("skopeo")]) {
            run("skopeo --insecure-policy copy -q oci:umoci:two oci:skopeo:two");
            run("skopeo --insecure-policy copy -q oci:umoci:two oci-archive:skopeo.tar:two");
            layouts.extend(["skopeo", "skopeo.tar"]);
        }
    }
    if have(&[Need::Root, Need::Program("buildah")]) {
        let buildah = "buildah --storage-driver vfs --root \"$PWD/store\" --runroot \"$PWD/run\"";
        run(&format!(
            "c=$({buildah} from scratch); {buildah} copy $c src /z; {buildah} commit $c oci:buildah:v1; {buildah} rm $c"
        ));
        layouts.push("buildah");
    }
    for layout in layouts {
        let report = judge(&dir.path().join(layout), "main");
        assert_eq!(failing(&report), BTreeSet::new(), "{layout}");
        assert!(report.extent.manifests > 0 && report.extent.layers > 0, "{layout}");
    }
}

/// A layout of one image of one layer.
fn small(media_type: &str, tar: Vec<u8>) -> golden::Golden {
    let mut maker = golden::Maker::new(&|_, _| {});
    let (layer, diff_id) = maker.layer("only", media_type, tar);
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let config = maker.document("config", "application/vnd.oci.image.config.v1+json", &config);
    let manifest = maker.document(
        "manifest",
        "application/vnd.oci.image.manifest.v1+json",
        &golden::manifest(&config, &[layer]),
    );
    maker.finish(&golden::index(&[golden::named(manifest, "v1")]))
}

fn found(report: &Report) -> Vec<&'static str> {
    report.findings.sorted().into_iter().map(|finding| finding.id).collect()
}

#[test]
fn bombs_are_findings() {
    let dir = tempfile::tempdir().unwrap();
    let judge_within = |name: &str, golden: &golden::Golden, limits: Limits| {
        let path = dir.path().join(name);
        golden.write(&path).unwrap();
        let report = validate(&path, "1.1", limits).unwrap();
        assert_eq!(report.exit_code(plimsoll_conformance::image::Strictness::Binding), 1, "{name}");
        found(&report)
    };
    let zeros = small(&format!("{}+gzip", golden::LAYER), vec![0; 32 << 20]);
    let tight = plimsoll_conformance::image::Inflation { bytes: 1 << 20, ratio: 300 };
    let limits = Limits { inflation: tight, ..Limits::default() };
    assert!(judge_within("inflation", &zeros, limits).contains(&"limit/inflation"));

    let mut maker = golden::Maker::new(&|_, _| {});
    let media_type = "application/vnd.oci.image.index.v1+json";
    let mut inner = maker.document("0", media_type, &golden::index(&[]));
    for depth in 0..40 {
        // Ten times the same: what is not memoised is seen 10^40 times.
        inner = maker.document(&format!("{depth}"), media_type, &golden::index(&vec![inner; 10]));
    }
    let nested = maker.finish(&golden::index(&[inner]));
    assert!(judge_within("nesting", &nested, Limits::default()).contains(&"limit/nesting"));

    let deep = golden::everything(&|name, bytes| {
        if name == "config/app" {
            *bytes = b"[".repeat(1 << 20);
        }
    });
    assert!(judge_within("json", &deep, Limits::default()).contains(&"limit/json"));
    let large = golden::everything(&|name, bytes| {
        if name == "manifest/bundle" {
            bytes.resize(20 << 20, b' ');
        }
    });
    assert!(judge_within("document", &large, Limits::default()).contains(&"limit/document"));
}

#[test]
fn ten_gibibytes_of_zeros_end_early() {
    let dir = tempfile::tempdir().unwrap();
    // 1.5 GiB at a ratio of a thousand: beyond the first gibibyte the ratio counts.
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
    for _ in 0..1536 {
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let golden = golden::everything(&|name, bytes| {
        if name == "blob/upper" {
            bytes.clone_from(&bomb);
        }
    });
    golden.write(&dir.path().join("bomb")).unwrap();
    let report = judge(&dir.path().join("bomb"), "1.1");
    assert!(found(&report).contains(&"limit/inflation"));
    assert!(report.extent.inflated < 1100 << 20, "{}", report.extent.inflated);
}

#[test]
fn what_is_no_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let refused = |name: &str| validate(&path(name), "1.1", Limits::default()).unwrap_err().to_string();
    std::fs::create_dir(path("empty")).unwrap();
    assert!(
        refused("empty").ends_with("is no image layout: there is no oci-layout, no index.json and no blobs")
    );
    std::fs::create_dir(path("docker")).unwrap();
    std::fs::write(path("docker/manifest.json"), "[]").unwrap();
    assert!(refused("docker").contains("convert it: skopeo copy docker-archive:"));
    let archive = golden::pack::archive(&[golden::pack::Item::file("manifest.json", "[]")]);
    std::fs::write(path("docker.tar"), archive).unwrap();
    assert!(refused("docker.tar").contains("is what docker save writes"));
    std::fs::write(path("z"), [0x1f, 0x8b, 8, 0]).unwrap();
    assert!(refused("z").ends_with("is compressed; an archive of a layout is a plain tar file"));
    std::fs::write(path("text"), [b'x'; 2048]).unwrap();
    assert!(refused("text").ends_with("is no archive: the checksum of the header does not match at byte 0"));
    std::fs::write(path("short"), "x").unwrap();
    assert!(refused("short").ends_with("is no archive: it is too short"));
    assert!(refused("missing").starts_with("read "));
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(refused("fifo").starts_with("read "));
}

#[test]
fn a_fifo_under_the_name_of_a_blob_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    golden::everything(&|_, _| {}).write(&layout).unwrap();
    let blob = std::fs::read_dir(layout.join("blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&blob).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &blob, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    assert!(found(&judge(&layout, "1.1")).contains(&"lint/odd-file"));
}

#[test]
fn findings_say_where() {
    let mutant = mutants::all().into_iter().find(|mutant| mutant.name == "json/twice").unwrap();
    let [report, _] = judge_golden(&mutant.build());
    let finding =
        report.findings.sorted().into_iter().find(|finding| finding.id == "IMG-X07").cloned().unwrap();
    assert_eq!(finding.message, "the name \"os\" stands twice");
    assert!(finding.place.blob.starts_with("sha256:") && finding.place.offset > Some(100));
    assert_eq!(finding.advice, "write each name once: readers disagree about which one counts");
    let sarif = report.to_sarif().unwrap();
    let result = sarif["runs"][0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["ruleId"] == "IMG-X07")
        .unwrap();
    assert_eq!(result["level"], "error");
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["region"]["byteOffset"], finding.place.offset.unwrap());
    assert!(location["artifactLocation"]["uri"].as_str().unwrap().starts_with("blobs/sha256/"));
    // The row is newer than 1.1: a note there.
    let dir = tempfile::tempdir().unwrap();
    mutant.build().write(&dir.path().join("l")).unwrap();
    let report = judge(&dir.path().join("l"), "1.1");
    assert_eq!(failing(&report), BTreeSet::new());
    assert_eq!(report.exit_code(plimsoll_conformance::image::Strictness::Binding), 0);
}

#[test]
fn results_have_a_row_for_each_rule() {
    use plimsoll_conformance::Verdict;
    let registry = Registry::load().unwrap();
    let [report, _] = judge_golden(&golden::everything(&|_, _| {}));
    let results = report.results().unwrap();
    assert_eq!(results.rows.len(), plimsoll_conformance::image::advice::RULES.len());
    let binding = |id: &str| registry.row(id).unwrap().level.is_binding();
    let open: Vec<_> =
        results.rows.iter().filter(|row| binding(&row.id) && row.verdict != Verdict::Pass).collect();
    assert!(open.is_empty(), "every binding row has an instance in the whole layout: {open:?}");
    assert_eq!(results.exit_code(&registry), 0);
    let again = plimsoll_conformance::Results::parse(&results.to_vec()).unwrap();
    assert_eq!(again.rows, results.rows);
}

/// Numbers that are the same each time and look like nothing in particular.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }

    /// Changes some bytes: flips, cuts, repeats, or puts in what parsers stumble over.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        const HARD: [&[u8]; 8] =
            [b"\"", b"[[[[", b"null", b"\\ud800", b"-1e999", b"\xff", b"\0\0\0\0", b"{}"];
        for _ in 0..=self.next(4) {
            let at = self.next(bytes.len());
            match self.next(4) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.next(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..at, bytes[..at.min(600)].to_vec())),
                _ => drop(bytes.splice(at..at, HARD[self.next(HARD.len())].to_vec())),
            }
        }
    }
}

#[test]
fn spoilt_layouts_are_judged_and_never_panic() {
    const PARTS: [&str; 11] = [
        "oci-layout",
        "index.json",
        "index/nested",
        "manifest/app",
        "manifest/artifact",
        "config/app",
        "layer/base",
        "layer/upper",
        "layer/third",
        "blob/upper",
        "blob/third",
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout.tar");
    let noise = std::cell::RefCell::new(Noise(0x9e37_79b9_7f4a_7c15));
    for round in 0..600 {
        let part = noise.borrow_mut().next(PARTS.len() + 1);
        let golden = golden::everything(&|name, bytes| {
            if PARTS.get(part) == Some(&name) {
                noise.borrow_mut().spoil(bytes);
            }
        });
        let mut archive = golden.archive();
        if part == PARTS.len() {
            noise.borrow_mut().spoil(&mut archive);
        }
        std::fs::write(&path, archive).unwrap();
        if let Ok(report) = validate(&path, "main", Limits::default()) {
            report.text(plimsoll_conformance::image::Colour::None).unwrap();
            report.to_sarif().unwrap();
            assert_eq!(report.to_json()["format"], 1, "round {round}");
        }
    }
}

#[test]
fn what_is_named_often_is_read_once() {
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let mut maker = golden::Maker::new(&|_, _| {});
    let mut text = br#"{"schemaVersion":2,"layers":[]}"#.to_vec();
    text.resize(8 << 20, b' ');
    let large = maker.blob("large", manifest_type, text, plimsoll_digest::Algorithm::Sha256);
    let data = golden::with(large.clone(), &serde_json::json!({"data": "e30="}));
    // Read each time, this were 160 GiB.
    let layout = maker.finish(&golden::index(&[vec![large; 10_000], vec![data; 10_000]].concat()));
    let dir = tempfile::tempdir().unwrap();
    layout.write(&dir.path().join("layout")).unwrap();
    let report = judge(&dir.path().join("layout"), "1.1");
    assert_eq!(report.extent.manifests, 1);
    assert_eq!(report.findings.counts()["IMG-D14"].broken, 10_000);
    assert!(report.findings.sorted().len() < 500, "only some of each row are kept");
}

#[test]
fn long_texts_of_an_image_do_not_get_into_findings_whole() {
    let golden = golden::everything(&|name, bytes| {
        if name == "config/app" {
            *bytes = String::from_utf8_lossy(bytes)
                .replace("com.example.label", &"k".repeat(1 << 20))
                .into_bytes();
        }
    });
    let [report, _] = judge_golden(&golden);
    let finding = report.findings.sorted().into_iter().find(|finding| finding.id == "IMG-A05").unwrap();
    assert!(finding.message.len() < 600 && finding.place.pointer.as_ref().unwrap().len() < 600);
}
