//! Targets of forms in browsers.
//!
//! Owns: forms, policies.
//! Leaves to others: inputs ([`super`]).
//! Always: as in [`super`].

use bytes::Bytes;

use crate::post::form::FIELDS_LEN_MAX;
use crate::post::{Fields, Form, Piece, Policy, PostError, policy};

/// What was read of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) file: String,
    pub(crate) data: Vec<u8>,
}

/// Forms: however the bytes arrive, the outcome is the same; fields are bounded; the file stands in
/// the body as it was read, with a boundary behind it and none within.
pub(super) fn form(data: &[u8]) {
    let whole = read(&[data]);
    for len in [1, 7, 64] {
        let pieces: Vec<&[u8]> = data.chunks(len).collect();
        assert_eq!(whole, read(&pieces), "in pieces of {len}");
    }
    let Ok(read) = whole else {
        return;
    };
    let len: usize = read.fields.iter().map(|(n, v)| n.len() + v.len()).sum();
    assert!(len <= FIELDS_LEN_MAX);
    let behind = [&read.data, &b"\r\n--b"[..]].concat();
    assert!(data.windows(behind.len()).any(|part| part == behind));
    for line in ["\r\n--b\r\n", "\r\n--b--", "\r\n--b \r\n"] {
        let mut parts = read.data.windows(line.len());
        assert!(!parts.any(|part| part == line.as_bytes()), "{line:?}");
    }
    let named = |(name, _): &(String, String)| name.eq_ignore_ascii_case("file");
    assert!(!read.fields.iter().any(named));
}

/// Reads a form whose boundary is `b` and whose bytes come in these pieces.
pub(crate) fn read(pieces: &[&[u8]]) -> Result<Read, PostError> {
    let mut form = Form::new("multipart/form-data; boundary=b")?;
    let (mut fields, mut file, mut data) = (Vec::new(), None, Vec::new());
    for bytes in pieces {
        form.push(Bytes::copy_from_slice(bytes));
        while let Some(piece) = form.piece()? {
            match piece {
                Piece::Field { name, value } => {
                    assert!(file.is_none());
                    fields.push((name, value));
                }
                Piece::File { name } => assert_eq!(file.replace(name), None),
                Piece::Data(bytes) => {
                    assert!(file.is_some() && !bytes.is_empty());
                    data.extend(bytes);
                }
            }
        }
    }
    form.finish()?;
    let file = file.expect("a form that ends well has a file");
    Ok(Read { fields, file, data })
}

/// Policies: what is allowed is named in the document, and has not expired; a date that is read is
/// one of this form.
pub(super) fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(ms) = policy::iso8601(text) {
        assert!(text.len() >= 20 && text.ends_with('Z'));
        assert!(ms < 253_402_300_801_000);
    }
    let Ok(policy) = Policy::parse(text) else {
        return;
    };
    let mut fields = Fields::default();
    for (name, value) in [
        ("bucket", "b"),
        ("key", "user/k"),
        ("acl", "private"),
        ("Policy", "itself"),
        ("x-ignore-me", ""),
    ] {
        fields.add(name, value.to_owned()).expect("different names");
    }
    assert!(policy.check(&fields, policy.expires_ms).is_err());
    if policy.expires_ms == 0 || policy.check(&fields, policy.expires_ms - 1).is_err() {
        return;
    }
    let lower = text.to_ascii_lowercase();
    // Letters may be written as escapes.
    let named = |name: &str| lower.contains(name) || lower.contains("\\u");
    assert!(["bucket", "key", "acl"].into_iter().all(named), "{text}");
    fields.set("extra", "");
    let extra = policy.check(&fields, 0).is_ok();
    assert!(!extra || named("extra"));
}
