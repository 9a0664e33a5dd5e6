//! Fuzzes `targets::rpc_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_fuzz::targets::rpc_answer(data));
