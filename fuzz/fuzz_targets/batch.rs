//! Fuzzes `targets::batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_fuzz::targets::batch(data));
