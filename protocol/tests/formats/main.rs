//! Goal: bytes that last keep their meaning, and no bytes break a decoder.
//! Method: golden files of every version that are never edited, laws over random values, and damage
//! to every byte of the golden messages.

#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts;
mod dice;
mod drive_seeds;
mod golden;
mod laws;
mod rpc_samples;
mod samples;
