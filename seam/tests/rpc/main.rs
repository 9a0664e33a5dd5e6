//! Goal: node RPC answers, authenticates, bounds and recovers as `docs/formats/rpc.md` says.
//! Method: real clients and servers over loopback and in memory, and a hostile client that speaks
//! the protocol byte by byte.

#![allow(clippy::unwrap_used, clippy::panic)]

mod harness;

mod hostile;
mod lifecycle;
mod requests;
mod trust;
