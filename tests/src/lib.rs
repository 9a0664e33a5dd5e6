//! Black-box tests: real binaries and real clients only; also tidy.
