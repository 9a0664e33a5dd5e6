//! Fuzzes `gateway_claim_v2` of the gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_gateway::fuzz::run("gateway_claim_v2", data));
