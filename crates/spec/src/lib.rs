//! Wire types of the OCI specifications, and nothing that touches a file.
//!
//! Everything that enters Plimsoll as JSON enters through [`json`]: it refuses duplicate member
//! names, text that is not UTF-8, documents that are too deep or too large, and values of the wrong
//! type, and says at which JSON pointer and what was expected. Unknown members are kept; output is
//! deterministic, so equal values give equal bytes and equal digests.

pub mod json;

pub mod image;
pub mod runtime;
