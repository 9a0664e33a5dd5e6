//! Fuzzes `gateway_object_lock` of the gateway.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_gateway::fuzz::run("gateway_object_lock", data));
