//! Policies of forms: what whoever signed one allows to be posted with it.
//!
//! Owns: reading the document, holding a form against it.
//! Leaves to others: whether it was signed ([`super::sign`]), counting the file's bytes (`s3`).
//! Always: a form passes only with every field named by a condition, and all conditions met; the
//! fields are those that are acted on, with the file's name in the key already.
//! Source: Amazon S3 User Guide, "POST policy".

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{Fields, PostError, fields};
use crate::admin::sigv4::unix_seconds;

/// Fields that need no condition: the policy itself, what says who signed it, and claims about the
/// file, which can only make it refused.
const EXEMPT: [&str; 9] = [
    "policy",
    "x-amz-signature",
    "signature",
    "awsaccesskeyid",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Until when it counts: milliseconds since 1970.
    pub expires_ms: u64,
    conditions: Vec<Condition>,
    /// How many bytes the file may have.
    pub len: RangeInclusive<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    kind: Kind,
    /// Lower case, without the dollar sign.
    field: String,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Equal,
    StartsWith,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

impl Policy {
    /// Reads the value of the field `policy`: JSON in Base64.
    ///
    /// # Errors
    /// `InvalidPolicy`.
    pub fn decode(field: &str) -> Result<Self, PostError> {
        let text: Vec<u8> = field.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
        let text = STANDARD
            .decode(text)
            .map_err(|_| invalid("it is not Base64"))?;
        let text = String::from_utf8(text).map_err(|_| invalid("it is not UTF-8"))?;
        Self::parse(&text)
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `InvalidPolicy`.
    pub fn parse(text: &str) -> Result<Self, PostError> {
        let document: Document =
            serde_json::from_str(&plain_json(text)).map_err(|error| PostError::InvalidPolicy {
                why: format!("Invalid JSON: {error}"),
            })?;
        let expires_ms = iso8601(&document.expiration);
        let expires_ms = expires_ms.ok_or_else(|| PostError::InvalidPolicy {
            why: format!("Invalid 'expiration' value: '{}'", document.expiration),
        })?;
        let mut policy = Self {
            expires_ms,
            conditions: Vec::new(),
            len: 0..=u64::MAX,
        };
        for condition in &document.conditions {
            match condition {
                Value::Object(map) => {
                    let mut entries = map.iter();
                    let (Some((name, value)), None) = (entries.next(), entries.next()) else {
                        return Err(invalid(
                            "Invalid Simple-Condition: Simple-Conditions must have exactly one \
                             property specified.",
                        ));
                    };
                    policy.add(Kind::Equal, name, value)?;
                }
                Value::Array(list) => policy.add_list(list)?,
                _ => {
                    return Err(invalid(
                        "Invalid Condition: it is neither a list nor an object",
                    ));
                }
            }
        }
        Ok(policy)
    }

    fn add(&mut self, kind: Kind, field: &str, text: &Value) -> Result<(), PostError> {
        let text = text
            .as_str()
            .ok_or(invalid("Invalid Condition: value must be a string."))?;
        self.conditions.push(Condition {
            kind,
            field: field.to_ascii_lowercase(),
            text: text.to_owned(),
        });
        Ok(())
    }

    fn add_list(&mut self, list: &[Value]) -> Result<(), PostError> {
        let [Value::String(operator), first, second] = list else {
            return Err(invalid(
                "Invalid Condition: a condition has an operator and two arguments",
            ));
        };
        let operator = operator.to_ascii_lowercase();
        let kind = match operator.as_str() {
            "content-length-range" => {
                let (min, max) = (bytes(first)?, bytes(second)?);
                if min > max {
                    return Err(invalid("Invalid content-length-range: it is empty"));
                }
                // All conditions have to be met.
                self.len = min.max(*self.len.start())..=max.min(*self.len.end());
                return Ok(());
            }
            "eq" => Kind::Equal,
            "starts-with" => Kind::StartsWith,
            _ => return Err(invalid("Invalid Condition: unknown operation")),
        };
        let field = first.as_str().and_then(|text| text.strip_prefix('$'));
        let field = field.ok_or(invalid(
            "Invalid Condition: the first argument must be the name of a field behind a $",
        ))?;
        self.add(kind, field, second)
    }

    /// Holds a form against the policy; `fields` has the bucket among them. The file is not looked
    /// at: see `len`.
    ///
    /// # Errors
    /// `Denied` with the first thing that is not allowed.
    pub fn check(&self, fields: &Fields, now_ms: u64) -> Result<(), PostError> {
        if now_ms >= self.expires_ms {
            return Err(denied("Policy expired.".to_owned()));
        }
        if let Some(failed) = self.conditions.iter().find(|c| !c.is_met(fields)) {
            return Err(denied(format!("Policy Condition failed: {failed}")));
        }
        let is_named = |name: &str| self.conditions.iter().any(|c| c.field == name);
        let extra = fields
            .iter()
            .find(|(name, _)| !is_exempt(name) && !is_named(name));
        match extra {
            Some((name, _)) => Err(denied(format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

fn is_exempt(name: &str) -> bool {
    EXEMPT.contains(&name) || name.starts_with(fields::IGNORED)
}

impl Condition {
    /// A field that is not there meets nothing.
    fn is_met(&self, fields: &Fields) -> bool {
        let Some(value) = fields.get(&self.field) else {
            return false;
        };
        match self.kind {
            Kind::Equal => value == self.text,
            // Of several content types each has to begin so.
            Kind::StartsWith if self.field == "content-type" => value
                .split(',')
                .all(|kind| kind.trim_start().starts_with(&self.text)),
            Kind::StartsWith => value.starts_with(&self.text),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let operator = match self.kind {
            Kind::Equal => "eq",
            Kind::StartsWith => "starts-with",
        };
        write!(f, "[\"{operator}\", \"${}\", {:?}]", self.field, self.text)
    }
}

/// A number of bytes, which some write as text.
fn bytes(value: &Value) -> Result<u64, PostError> {
    let plain = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) if plain(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or(invalid(
        "Invalid content-length-range: not a number of bytes",
    ))
}

/// JSON with the two escapes that S3 has besides: `\$` and `\v`.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('$') => plain.push('$'),
            Some('v') => plain.push_str("\\u000b"),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// Milliseconds since 1970 of `2007-12-01T12:00:00.000Z`; the fraction may be left out.
pub fn iso8601(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z')?;
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (text, "0"),
    };
    if fraction.len() > 9 || !fraction.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let [day, time] = whole.split('T').collect::<Vec<_>>().try_into().ok()?;
    let [y, m, d]: [&str; 3] = day.split('-').collect::<Vec<_>>().try_into().ok()?;
    let [h, min, s]: [&str; 3] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    let seconds = unix_seconds(&format!("{y}{m}{d}T{h}{min}{s}Z"))?;
    let lens = [y, m, d, h, min, s].map(str::len);
    let ms: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    (lens == [4, 2, 2, 2, 2, 2]).then_some(seconds * 1000 + ms)
}

fn invalid(why: &str) -> PostError {
    PostError::InvalidPolicy {
        why: why.to_owned(),
    }
}

fn denied(why: String) -> PostError {
    PostError::Denied { why }
}
