//! Fuzzes `targets::mark`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| holdfast_fuzz::targets::mark(data));
