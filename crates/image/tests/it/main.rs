//! Images on a real file system, with the tools that people have and with input that nobody should.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a child of a test says how far it is")]

mod archive;
mod bundle;
mod layer;
mod platform;
mod sample;
mod snapshot;
mod source;
mod stack;
mod store;
mod volumes;
