//! How settings of this crate last: one JSON object each, with its version.
//!
//! Owns: `"v": 1`.
//! Leaves to others: the fields (each type's own); where it is kept (`gateway`).
//! Always: a version or a field that is not known is an error, never a default.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::PolicyError;

const VERSION: u64 = 1;

/// The lasting form of `setting`.
///
/// # Errors
/// `Unreadable` if it has no form as a JSON object; every setting of this crate has one.
pub(crate) fn encode<T: Serialize>(what: &'static str, setting: &T) -> Result<String, PolicyError> {
    let unreadable = |why: String| PolicyError::Unreadable { what, why };
    let mut document = serde_json::to_value(setting).map_err(|e| unreadable(e.to_string()))?;
    let fields = document.as_object_mut();
    let fields = fields.ok_or_else(|| unreadable("it is not an object".to_owned()))?;
    fields.insert("v".to_owned(), json!(VERSION));
    Ok(document.to_string())
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// `Unreadable` for anything else.
pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, PolicyError> {
    let unreadable = |why: String| PolicyError::Unreadable { what, why };
    let mut document: Value = serde_json::from_str(text).map_err(|e| unreadable(e.to_string()))?;
    let fields = document.as_object_mut();
    let version = fields.and_then(|fields| fields.remove("v"));
    if version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
        return Err(unreadable("its version is not known".to_owned()));
    }
    serde_json::from_value(document).map_err(|e| unreadable(e.to_string()))
}

/// Gives a setting its lasting form.
macro_rules! lasting {
    ($type:ty, $what:literal) => {
        impl $type {
            /// Its lasting form: a JSON object with its version.
            ///
            /// # Errors
            /// `Unreadable`, never for a value of this type.
            pub fn to_json(&self) -> Result<String, $crate::PolicyError> {
                $crate::stored::encode($what, self)
            }
            /// Reads its lasting form.
            ///
            /// # Errors
            /// `Unreadable` for anything else, also of another version.
            pub fn from_json(text: &str) -> Result<Self, $crate::PolicyError> {
                $crate::stored::decode($what, text)
            }
        }
    };
}
pub(crate) use lasting;
