//! Fuzzes `policy_acl` of the policy crate.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_policy::fuzz::run("policy_acl", data));
