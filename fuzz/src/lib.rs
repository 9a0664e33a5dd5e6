//! Fuzz targets for every decoder of Holdfast.
//!
//! Owns: [`targets`]. `cargo +nightly fuzz run manifest` in this folder's parent runs one.
//! Leaves to others: the decoders (`holdfast-protocol`).
//! Always: `protocol/tests/fuzz_corpus.rs` runs the same targets over the same seeds on stable.

pub mod targets;
