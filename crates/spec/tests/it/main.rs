//! What the parser accepts, refuses and writes.

mod json;
