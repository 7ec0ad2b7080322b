//! Layers that try to reach what is outside of the target. However the run ends, nothing outside may change.

use crate::case::Case;
use crate::image::consumer::Stage;
use crate::image::golden::pack::Item;
use crate::image::want::contained;

use super::Recipe;

/// The run; its outside is known only once it is made, so layers are made from its path.
const RUN: &str = "out";

type Layers = fn(&str) -> Vec<Vec<Item>>;

/// Attempts, each with the absolute path of a folder outside of the target; seen from within the target it
/// is `../outside` as well.
const ATTEMPTS: [(&str, Layers); 21] = [
    ("parent-file", |_| {
        vec![vec![Item::file("../outside/canary", "dead"), Item::file("../outside/new", "dead")]]
    }),
    ("parent-deep", |_| vec![vec![Item::directory("a"), Item::file("a/../../outside/canary", "dead")]]),
    ("absolute-file", |out| vec![vec![Item::file(format!("{out}/canary"), "dead")]]),
    ("symlink-absolute", |out| vec![vec![Item::symlink("s", out), Item::file("s/canary", "dead")]]),
    ("symlink-relative", |_| vec![vec![Item::symlink("s", "../outside"), Item::file("s/canary", "dead")]]),
    ("symlink-of-lower-layer", |out| {
        vec![vec![Item::symlink("s", out)], vec![Item::file("s/canary", "dead"), Item::file("s/new", "dead")]]
    }),
    ("symlink-is-the-file", |out| {
        vec![vec![Item::symlink("s", format!("{out}/canary"))], vec![Item::file("s", "dead")]]
    }),
    ("symlink-chain", |out| {
        vec![vec![Item::symlink("b", out), Item::symlink("a", "b"), Item::file("a/canary", "dead")]]
    }),
    ("root-is-symlink", |out| vec![vec![Item::symlink(".", out), Item::file("canary", "dead")]]),
    ("directory-over-symlink", |out| vec![vec![Item::symlink("s", out), Item::directory("s").mode(0o777)]]),
    ("hard-link-absolute", |out| {
        vec![vec![Item::hard_link("h", format!("{out}/canary")), Item::file("h", "dead").mode(0o777)]]
    }),
    ("hard-link-relative", |_| {
        vec![vec![Item::hard_link("h", "../outside/canary")], vec![Item::file("h", "dead")]]
    }),
    ("hard-link-through-symlink", |out| {
        vec![vec![Item::symlink("s", out), Item::hard_link("h", "s/canary")]]
    }),
    ("hard-link-to-symlink", |out| {
        vec![
            vec![Item::symlink("s", format!("{out}/canary")), Item::hard_link("h", "s")],
            vec![Item::file("h", "dead").mode(0o777)],
        ]
    }),
    ("whiteout-in-parent", |_| {
        vec![vec![Item::file("../outside/.wh.canary", ""), Item::file("../.wh.outside", "")]]
    }),
    ("whiteout-of-parent", |_| vec![vec![Item::file(".wh...", "")]]),
    ("whiteout-of-parent-below", |_| {
        vec![vec![Item::directory("a"), Item::file("a/.wh...", "")], vec![Item::file("a/../.wh...", "")]]
    }),
    ("opaque-parent", |_| {
        vec![vec![Item::file("../.wh..wh..opq", ""), Item::file("../outside/.wh..wh..opq", "")]]
    }),
    ("whiteout-through-symlink", |out| {
        vec![
            vec![Item::symlink("s", out)],
            vec![Item::file("s/.wh.canary", ""), Item::file("s/.wh..wh..opq", "")],
        ]
    }),
    ("xattr-and-mode-through-symlink", |out| {
        vec![vec![Item::symlink("s", format!("{out}/canary")).mode(0o777).owner(1, 1).xattr("user.x", b"1")]]
    }),
    ("device-through-symlink", |out| {
        vec![vec![Item::symlink("s", out)], vec![Item::character("s/null", 1, 3), Item::fifo("s/pipe")]]
    }),
];

pub(super) fn cases() -> Vec<Case<Stage>> {
    ATTEMPTS
        .into_iter()
        .map(|(name, layers)| {
            let case = Case::new(format!("escape/{name}"), move |stage: &mut Stage| {
                let outside = stage.outside(RUN);
                stage.consume(RUN, &Recipe::new(layers(&outside.to_string_lossy())).build())
            });
            case.rule("IMG-N24", contained(RUN))
        })
        .collect()
}
