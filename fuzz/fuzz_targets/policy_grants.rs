//! Fuzzes `policy_grants` of the policy crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_policy::fuzz::run("policy_grants", data));
