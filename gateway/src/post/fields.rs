//! The fields of a form that come before its file.
//!
//! Owns: names in any case, fields given twice, the key.
//! Leaves to others: what they mean ([`super::policy`], [`super::sign`]).
//! Always: a name has one value, and it is that one which is checked and acted on.

use super::{PostError, bad_field};

/// What the name of the file takes the place of.
const FILENAME: &str = "${filename}";
/// Fields whose name begins so are not for S3.
pub const IGNORED: &str = "x-ignore-";

/// The fields of a form: names in lower case, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds a field.
    ///
    /// # Errors
    /// `BadField` if there is one of that name.
    pub fn add(&mut self, name: &str, value: String) -> Result<(), PostError> {
        let lower = name.to_ascii_lowercase();
        if self.get(&lower).is_some() {
            if lower.starts_with(IGNORED) {
                return Ok(());
            }
            return Err(bad_field(name, "the form has the field more than once"));
        }
        self.0.push((lower, value));
        Ok(())
    }

    /// The value of a field, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// All of them, in the order of the form.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Sets a field that the form has no say in.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Puts the name of the file, without its folders, in place of `${filename}` in the key.
    ///
    /// # Errors
    /// `NoKey` if there is no key, or none is left.
    pub fn expand_key(&mut self, file: &str) -> Result<(), PostError> {
        let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
        let key = self.get("key").ok_or(PostError::NoKey)?;
        let key = key.replace(FILENAME, name);
        if key.is_empty() {
            return Err(PostError::NoKey);
        }
        self.set("key", &key);
        Ok(())
    }
}
