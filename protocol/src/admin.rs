//! JSON types of the admin API.
//!
//! Owns: what the admin API takes and gives, one file per subject.
//! Leaves to others: HTTP (gateway), tables for people (cli).
//! Always: fields are added, never changed or removed within `/admin/v1`.

pub mod accounts;
pub mod check;
pub mod cluster;
pub mod durability;
pub mod heal;
pub mod inspect;
pub mod join;
pub mod scrub;
