//! POST of an object: a form in a browser. Pure: no I/O, no clock.
//!
//! Owns: reading the form as it comes ([`form`]), its fields ([`fields`]), who signed it
//! ([`sign`]), what its policy allows ([`policy`]), and the answer to it ([`answer`]).
//! Leaves to others: permission, and writing the object (`s3`); S3's codes (`s3/error.rs`).
//! Always: nothing but the file itself is as long as the client likes; the fields are bounded
//! together, and of the file nothing is kept but what may be the beginning of its end.

pub mod answer;
pub mod fields;
pub mod form;
pub mod policy;
pub mod sign;

#[cfg(test)]
mod tests;

pub use fields::Fields;
pub use form::{Form, Piece};
pub use policy::Policy;
pub use sign::Claim;

/// Why a form is refused. The text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The body is no form.
    #[error("The body of your POST request is not well-formed multipart/form-data: {why}")]
    Malformed {
        /// What is wrong.
        why: &'static str,
    },
    /// What comes before the file is too long.
    #[error(
        "Your POST request fields preceding the upload file were too large: \
         at most {max} bytes are allowed"
    )]
    FieldsTooLong {
        /// Bytes.
        max: usize,
    },
    /// The form ends without a file.
    #[error("POST requires exactly one file upload per request.")]
    NoFile,
    /// The form has no key.
    #[error(
        "Bucket POST must contain a field named 'key'. If it is specified, please check the \
         order of the fields."
    )]
    NoKey,
    /// The form lacks another field.
    #[error(
        "Bucket POST must contain a field named '{name}'. If it is specified, please check the \
         order of the fields."
    )]
    FieldMissing {
        /// The field.
        name: &'static str,
    },
    /// A field has a value it must not have.
    #[error("{name}: {why}")]
    BadField {
        /// The field.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The policy is none.
    #[error("Invalid Policy: {why}")]
    InvalidPolicy {
        /// What is wrong.
        why: String,
    },
    /// The policy does not allow the form.
    #[error("Invalid according to Policy: {why}")]
    Denied {
        /// What it does not allow.
        why: String,
    },
    /// The signature is not that of the policy.
    #[error(
        "The request signature we calculated does not match the signature you provided. \
         Check your key and signing method."
    )]
    Signature,
    /// The file is longer than the policy, or S3, allows.
    #[error("Your proposed upload exceeds the maximum allowed size of {max} bytes")]
    FileTooLong {
        /// Bytes.
        max: u64,
    },
    /// The file is shorter than the policy allows.
    #[error(
        "Your proposed upload of {len} bytes is smaller than the minimum allowed size of {min}"
    )]
    FileTooShort {
        /// Bytes.
        len: u64,
        /// Needed.
        min: u64,
    },
}

const fn malformed(why: &'static str) -> PostError {
    PostError::Malformed { why }
}

fn bad_field(name: &str, why: &'static str) -> PostError {
    PostError::BadField {
        name: name.to_owned(),
        why,
    }
}
