//! Sizes as people write them: `4KiB`, `10MiB`, `512`.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

/// Names and values of the units, largest first.
const UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl ByteSize {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(digits_len);
        let factor = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => {
                return Err(format!(
                    "{text:?}: expected bytes, KiB, MiB or GiB, as in 4KiB"
                ));
            }
        };
        let count: u64 = digits
            .parse()
            .map_err(|_| format!("{text:?} is not a size"))?;
        count
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is too large"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, factor) in UNITS {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{name}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn sizes_are_read_and_printed_the_same_way() {
        for (text, bytes) in [
            ("0B", 0),
            ("100B", 100),
            ("4KiB", 4096),
            ("10MiB", 10 << 20),
            ("2GiB", 2 << 30),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.get(), bytes);
            assert_eq!(size.to_string(), text);
        }
        assert_eq!("4k".parse::<ByteSize>().unwrap().get(), 4096);
        assert_eq!("1536".parse::<ByteSize>().unwrap().to_string(), "1536B");
    }

    #[test]
    fn nonsense_sizes_are_refused() {
        for text in ["", "KiB", "4KB", "-1", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text:?}");
        }
    }
}
