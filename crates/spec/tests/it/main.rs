//! What the parser accepts, refuses and writes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod defaults;
mod image;
mod json;
