//! How a request says who signed it: SigV4 by header or by query.
//!
//! Owns: reading the claim; telling a malformed one from none.
//! Leaves to others: whether the signature is right (`s3`), what it has to cover
//! ([`super::guard`]).
//! Always: exactly one mechanism; version 2 is not read here ([`super::sigv2`]).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::http::Query;
use crate::http::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The claim of a signature, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who says to have signed.
    pub access_key: String,
    /// The day of the scope, `YYYYMMDD`.
    pub date: String,
    /// The region of the scope.
    pub region: String,
    /// Lower-case names of the headers that are signed.
    pub signed_headers: Vec<String>,
    /// Whether the claim is in the query.
    pub presigned: bool,
}

/// Reads the claim of a request; `None` if it has none (an anonymous request).
///
/// # Errors
/// `SignatureV2`, `TwoMechanisms`, `UnsupportedScheme`, `MalformedHeader`, `MalformedQuery`,
/// `NoDate`, `BadExpires`.
pub fn claim(headers: &HeaderMap, query: &Query) -> Result<Option<Claim>, Refusal> {
    if query.has("Signature") || query.has("AWSAccessKeyId") {
        return Err(Refusal::SignatureV2);
    }
    let in_query = ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential"]
        .iter()
        .any(|name| query.has(name));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    match (values.next(), in_query) {
        (None, false) => Ok(None),
        (None, true) => presigned(query).map(Some),
        (Some(_), true) => Err(Refusal::TwoMechanisms),
        (Some(value), false) => {
            if values.next().is_some() {
                return Err(Refusal::MalformedHeader {
                    why: "it is given twice",
                });
            }
            let text = value.to_str().map_err(|_| Refusal::UnsupportedScheme)?;
            header(text, headers).map(Some)
        }
    }
}

fn header(text: &str, headers: &HeaderMap) -> Result<Claim, Refusal> {
    let malformed = |why| Refusal::MalformedHeader { why };
    if text.starts_with("AWS ") {
        return Err(Refusal::SignatureV2);
    }
    let rest = text
        .strip_prefix(ALGORITHM)
        .ok_or(Refusal::UnsupportedScheme)?;
    if !rest.starts_with([' ', '\t']) {
        return Err(malformed("a space must follow the algorithm"));
    }
    let (mut credential, mut signed, mut signature) = (None, None, None);
    for field in rest.split(',') {
        let (name, value) = field
            .trim()
            .split_once('=')
            .ok_or_else(|| malformed("a field lacks its value"))?;
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut signature,
            _ => return Err(malformed("it has an unknown field")),
        };
        if slot.replace(value).is_some() {
            return Err(malformed("a field is given twice"));
        }
    }
    let credential = credential.ok_or_else(|| malformed("it lacks Credential"))?;
    let signed = signed.ok_or_else(|| malformed("it lacks SignedHeaders"))?;
    check_signature(signature).map_err(malformed)?;
    if !headers.contains_key("x-amz-date") {
        return Err(Refusal::NoDate);
    }
    let (access_key, date, region) = scope(credential).map_err(malformed)?;
    let signed_headers = signed_headers(signed).map_err(malformed)?;
    Ok(Claim {
        access_key,
        date,
        region,
        signed_headers,
        presigned: false,
    })
}

fn presigned(query: &Query) -> Result<Claim, Refusal> {
    let malformed = |why| Refusal::MalformedQuery { why };
    let get = |name| {
        query.get(name).ok_or(Refusal::MalformedQuery {
            why: "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, \
                  X-Amz-SignedHeaders and X-Amz-Expires are required",
        })
    };
    if get("X-Amz-Algorithm")? != ALGORITHM {
        return Err(malformed("X-Amz-Algorithm only supports AWS4-HMAC-SHA256"));
    }
    check_signature(Some(get("X-Amz-Signature")?)).map_err(malformed)?;
    let date_time = get("X-Amz-Date")?;
    let expires = get("X-Amz-Expires")?;
    let (access_key, date, region) = scope(get("X-Amz-Credential")?).map_err(malformed)?;
    let signed_headers = signed_headers(get("X-Amz-SignedHeaders")?).map_err(malformed)?;
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let well_formed = date_time.len() == 16
        && date_time.is_ascii()
        && digits(&date_time[..8])
        && &date_time[8..9] == "T"
        && digits(&date_time[9..15])
        && date_time.ends_with('Z');
    if !well_formed {
        return Err(malformed("X-Amz-Date must be in the form yyyyMMddTHHmmssZ"));
    }
    let seconds = match digits(expires) {
        true => expires.parse::<u32>().ok(),
        false => None,
    };
    if !seconds.is_some_and(|seconds| (1..=604_800).contains(&seconds)) {
        return Err(Refusal::BadExpires);
    }
    Ok(Claim {
        access_key,
        date,
        region,
        signed_headers,
        presigned: true,
    })
}

fn check_signature(signature: Option<&str>) -> Result<(), &'static str> {
    let signature = signature.ok_or("it lacks Signature")?;
    let hex = signature.len() == 64 && signature.bytes().all(|c| c.is_ascii_hexdigit());
    match hex {
        true => Ok(()),
        false => Err("the signature is not 64 hexadecimal digits"),
    }
}

/// Access key, day and region of `KEY/20260101/us-east-1/s3/aws4_request`.
pub(crate) fn scope(credential: &str) -> Result<(String, String, String), &'static str> {
    let mut fields = credential.rsplitn(5, '/');
    let mut next = || fields.next().ok_or("the credential must have five fields");
    let (end, service, region, date, access_key) = (next()?, next()?, next()?, next()?, next()?);
    if end != "aws4_request" {
        return Err("the credential must end in aws4_request");
    }
    if service != "s3" {
        return Err("incorrect service; this endpoint belongs to \"s3\"");
    }
    if date.len() != 8 || !date.bytes().all(|c| c.is_ascii_digit()) {
        return Err("the date of the credential must be yyyyMMdd");
    }
    if access_key.is_empty() || region.is_empty() {
        return Err("the credential must name an access key and a region");
    }
    Ok((access_key.to_owned(), date.to_owned(), region.to_owned()))
}

fn signed_headers(list: &str) -> Result<Vec<String>, &'static str> {
    let names: Vec<String> = list.split(';').map(str::to_owned).collect();
    let plain = |name: &String| {
        !name.is_empty()
            && name
                .bytes()
                .all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase())
    };
    match names.iter().all(plain) {
        true => Ok(names),
        false => Err("SignedHeaders must be lower-case names, separated by semicolons"),
    }
}
