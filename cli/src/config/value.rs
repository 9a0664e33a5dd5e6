//! How a setting's text becomes a value.
//!
//! Owns: the types that a setting may have, their text forms and what they are called in help
//! texts.
//! Leaves to others: where the text comes from ([`super::layers`]).
//! Always: a size or a duration may be given with a unit; messages say what would be right.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use holdfast_protocol::Geometry;

/// What the sources of configuration need to know of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is called in help texts, for instance `SIZE`.
    pub name: &'static str,
    /// Whether it may be given several times.
    pub many: bool,
    /// Whether it must not be shown, and may be given as a file.
    pub secret: bool,
}

/// A type that one text stands for.
pub trait Scalar: Sized {
    /// What it is called in help texts.
    const NAME: &'static str;
    /// Whether it must not be shown.
    const SECRET: bool = false;
    /// Reads the text; the error says what is expected.
    fn read(text: &str) -> Result<Self, String>;
}

/// A type that a setting may have.
pub trait Value: Sized {
    /// What it is.
    const KIND: Kind;
    /// Reads the texts that were given (none or one, unless [`Kind::many`]).
    fn read(texts: &[String]) -> Result<Self, String>;
}

impl<T: Scalar> Value for T {
    const KIND: Kind = Kind {
        name: T::NAME,
        many: false,
        secret: T::SECRET,
    };
    fn read(texts: &[String]) -> Result<Self, String> {
        match texts {
            [text] => T::read(text),
            [] => Err("a value is needed".to_owned()),
            _ => Err("it is given more than once".to_owned()),
        }
    }
}

impl<T: Scalar> Value for Option<T> {
    const KIND: Kind = <T as Value>::KIND;
    fn read(texts: &[String]) -> Result<Self, String> {
        match texts {
            [] => Ok(None),
            texts => <T as Value>::read(texts).map(Some),
        }
    }
}

impl<T: Scalar> Value for Vec<T> {
    const KIND: Kind = Kind {
        many: true,
        ..<T as Value>::KIND
    };
    fn read(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| T::read(text)).collect()
    }
}

/// A number of bytes; `64MiB`, `1GB` or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// The bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The bytes, for memory.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Scalar for Size {
    const NAME: &'static str = "SIZE";
    fn read(text: &str) -> Result<Self, String> {
        bytesize::ByteSize::from_str(text.trim())
            .map(|size| Self(size.as_u64()))
            .map_err(|_| format!("{text:?} is not a size: write for instance 64MiB, 1GB or 4096"))
    }
}

impl Scalar for Duration {
    const NAME: &'static str = "DURATION";
    fn read(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim())
            .map_err(|_| format!("{text:?} is not a duration: write for instance 30s or 2m 30s"))
    }
}

impl Scalar for String {
    const NAME: &'static str = "TEXT";
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Scalar for PathBuf {
    const NAME: &'static str = "PATH";
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("the path is empty".to_owned()),
            text => Ok(Self::from(text)),
        }
    }
}

impl Scalar for bool {
    const NAME: &'static str = "true|false";
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }
}

/// What is off or on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is off.
    Off,
    /// It is on.
    On,
}

impl Scalar for Switch {
    const NAME: &'static str = "off|on";
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            other => Err(format!("{other:?} is neither off nor on")),
        }
    }
}

impl Scalar for usize {
    const NAME: &'static str = "NUMBER";
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} is not a number"))
    }
}

impl Scalar for Geometry {
    const NAME: &'static str = "K+M";
    fn read(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|_| {
            format!(
                "{text:?} is not a geometry: write data+parity, for instance 4+2, with at least \
                 one of each and at most 64 in all"
            )
        })
    }
}

/// Where to listen, or whom to call: `host:port`; port 0 takes any free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Host (without brackets) and port.
    pub fn split(&self) -> (&str, u16) {
        let (host, port) = self.0.rsplit_once(':').unwrap_or((&self.0, "0"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        (host, port.parse().unwrap_or(0))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scalar for Address {
    const NAME: &'static str = "HOST:PORT";
    fn read(text: &str) -> Result<Self, String> {
        let well_formed = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            !host.is_empty() && port.parse::<u16>().is_ok() && (bracketed || !host.contains(':'))
        });
        match well_formed {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "{text:?} is not an address: write host:port, for instance 127.0.0.1:9000, \
                 0.0.0.0:9000 or [::1]:9000"
            )),
        }
    }
}

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps it.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
    /// The value, for proving with it and nothing else.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Scalar for Secret<String> {
    const NAME: &'static str = "SECRET";
    const SECRET: bool = true;
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("it is empty".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Scalar for LogFormat {
    const NAME: &'static str = "auto|text|json";
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is none of auto, text and json")),
        }
    }
}
