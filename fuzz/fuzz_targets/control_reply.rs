//! Fuzzes `targets::control_reply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_fuzz::targets::control_reply(data));
