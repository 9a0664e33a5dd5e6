//! Names and values kept with an object.
//!
//! Owns: their bounds, and the names that mean something here.
//! Leaves to others: what the values say.
//! Always: names and values keep the order in which they were set.

use crate::codec::{FormatError, Reader, Writer};

pub(crate) const METADATA_COUNT_MAX: usize = 512;
pub(crate) const METADATA_NAME_MAX: usize = 1024;
pub(crate) const METADATA_VALUE_MAX: usize = 16 << 10;
/// Metadata that names a version's storage class.
pub const STORAGE_CLASS: &str = "x-amz-storage-class";
/// Metadata that names a version's owner, if that is not its bucket's.
pub const OWNER: &str = "@owner";

/// Names and values kept with the object, in order.
///
/// Names are lower-case: HTTP's own (`content-type`, `cache-control`, …), `x-amz-meta-*`,
/// `x-amz-storage-class`, `x-amz-website-redirect-location`, `x-amz-tagging`, and others to come.
/// Names that begin with `@` are ours: no header can have one, and no client is shown one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(pub Vec<(String, String)>);

impl Metadata {
    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
    /// Sets `name`, replacing what it had.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
    /// Takes away the value of `name`, if there is one.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }
    /// Appends the byte form.
    pub fn encode(&self, out: &mut Writer) {
        out.u32(self.0.len() as u32);
        for (name, value) in &self.0 {
            out.str(name);
            out.str(value);
        }
    }
    /// Reads the byte form.
    ///
    /// # Errors
    /// `TooLong`, `Truncated` or `Invalid`.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        let count = input.count("metadata entries", METADATA_COUNT_MAX)?;
        (0..count)
            .map(|_| {
                let name = input.str("metadata name", METADATA_NAME_MAX)?;
                let value = input.str("metadata value", METADATA_VALUE_MAX)?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}
