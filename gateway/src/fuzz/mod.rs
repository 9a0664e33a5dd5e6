//! Fuzz targets of everything that reads what strangers send.
//!
//! Owns: one function per parser; each holds what it accepts against rules written down again,
//! apart from the parser ([`http`], [`post`], [`s3`](crate::s3::fuzz),
//! [`s3::bucket`](crate::s3::bucket_fuzz),
//! [`admin`](crate::admin::fuzz)).
//! Leaves to others: making inputs (`fuzz/` with `cargo fuzz`; on stable the tests below over the
//! kept corpus `fuzz/corpus`).
//! Always: a target may refuse anything, and must not panic, hang, or accept what breaks a rule.

mod http;
pub(crate) mod post;
#[cfg(test)]
mod tests;

use ::http::{HeaderMap, HeaderName, HeaderValue};

/// One input for one parser.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const ALL: &[(&str, Target)] = &[
    ("gateway_chunks", http::chunks),
    ("gateway_query", http::query),
    ("gateway_target", http::target),
    ("gateway_claim", http::claim),
    ("gateway_claim_v2", http::claim_v2),
    ("gateway_names", http::names),
    ("gateway_form", post::form),
    ("gateway_policy", post::policy),
    ("gateway_admin_signature", crate::admin::fuzz::signature),
    ("gateway_document", crate::s3::fuzz::document),
    ("gateway_range", crate::s3::fuzz::range),
    ("gateway_conditions", crate::s3::fuzz::conditions),
    ("gateway_metadata", crate::s3::fuzz::metadata),
    ("gateway_checksums", crate::s3::fuzz::checksums),
    ("gateway_copy_source", crate::s3::fuzz::copy_source),
    ("gateway_dates", crate::s3::fuzz::dates),
    ("gateway_website", crate::s3::bucket_fuzz::website),
    ("gateway_logging", crate::s3::bucket_fuzz::logging),
    ("gateway_lifecycle", crate::s3::bucket_fuzz::lifecycle),
    ("gateway_notification", crate::s3::bucket_fuzz::notification),
    ("gateway_event", crate::s3::bucket_fuzz::event),
    ("gateway_inventory", crate::s3::bucket_fuzz::inventory),
    ("gateway_cors", crate::s3::bucket_fuzz::cors),
    ("gateway_tagging", crate::s3::bucket_fuzz::tagging),
    ("gateway_object_lock", crate::s3::bucket_fuzz::object_lock),
    ("gateway_complete", crate::s3::fuzz::complete),
    ("gateway_delete_many", crate::s3::fuzz::delete_many),
];

/// Runs one target; for the programs in `fuzz/`.
pub fn run(name: &str, data: &[u8]) {
    let target = ALL.iter().find(|(known, _)| *known == name);
    let (_, target) = target.expect("a target of this name");
    target(data);
}

/// Headers from lines `name: value`; what cannot be a header is left out, as hyper refuses it.
pub(crate) fn headers(lines: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split('\n').take(100) {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The first line of an input, and the rest.
pub(crate) fn cut(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}
