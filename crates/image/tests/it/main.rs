//! Images on a real file system, with the tools that people have and with input that nobody should.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says why")]

mod archive;
mod bundle;
mod layer;
mod platform;
mod sample;
mod snapshot;
mod source;
mod store;
mod volumes;
