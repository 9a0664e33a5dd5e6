//! One S3 client whose every answer becomes an outcome.
//!
//! Owns: requests, and which outcome an answer is.
//! Leaves to others: when what is asked ([`crate::work`]).
//! Always: an outcome is `Unknown` unless the answer says for certain what happened; an answer that
//! no outcome describes stops the recording.

use std::fmt::Write as _;
use std::time::Duration;

use holdfast_load::endpoint::Endpoint;
use holdfast_load::failure::Failure;
use holdfast_load::http::{Connection, Head};
use holdfast_load::request::{self, Payload, PayloadMode, Request, encode_query_value};
use holdfast_load::sign::{Credentials, Signer};

use crate::error::RecordError;
use crate::record::{Condition, NOBODYS, Outcome};
use crate::values::{Value, Values};

/// Longest wait for the socket: longer than any process is stopped.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The bucket of all recordings.
pub const BUCKET: &str = "history";

/// An answer with its body.
struct Answer {
    head: Head,
    body: Vec<u8>,
}

impl Answer {
    fn code(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        elements(&text, "Code")
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A client with one connection.
#[derive(Debug)]
pub struct Client<'a> {
    connection: Connection,
    signer: Signer,
    authority: String,
    values: &'a Values,
}

/// One page of a LIST.
#[derive(Debug)]
pub struct Page {
    /// What was found, or that it is unknown.
    pub outcome: Outcome,
    /// The last key of a page that is not the last.
    pub through: Option<String>,
}

impl<'a> Client<'a> {
    /// A client of `endpoint`.
    pub fn new(endpoint: &Endpoint, credentials: &Credentials, values: &'a Values) -> Self {
        Self {
            connection: Connection::new(endpoint.address(), TIMEOUT),
            signer: Signer::new(credentials.clone(), "us-east-1"),
            authority: endpoint.authority().to_owned(),
            values,
        }
    }

    fn ask(
        &mut self,
        method: &'static str,
        key: Option<&str>,
        query: &str,
        headers: &[(&str, &str)],
        payload: Payload<'_>,
    ) -> Result<Answer, Failure> {
        let path = match key {
            Some(key) => format!("/{BUCKET}/{key}"),
            None => format!("/{BUCKET}"),
        };
        let request = Request {
            method,
            path: &path,
            query,
            range: None,
            headers,
            payload,
        };
        let head = request::send(
            &mut self.connection,
            &mut self.signer,
            &self.authority,
            PayloadMode::Trailer,
            &request,
        )?;
        let mut body = Vec::new();
        self.connection
            .body(&head, &mut |piece| body.extend_from_slice(piece))?;
        if head
            .content_length
            .is_some_and(|len| len != body.len() as u64)
            && method != "HEAD"
        {
            return Err(Failure::Cut);
        }
        Ok(Answer { head, body })
    }

    /// Makes the bucket; an existing one is as good.
    ///
    /// # Errors
    /// `Bucket`.
    pub fn create_bucket(&mut self) -> Result<(), RecordError> {
        match self.ask("PUT", None, "", &[], Payload::Empty) {
            Ok(answer) if matches!(answer.head.status, 200 | 409) => Ok(()),
            Ok(answer) => Err(RecordError::Bucket(format!(
                "HTTP {} {}",
                answer.head.status,
                answer.code()
            ))),
            Err(failure) => Err(RecordError::Bucket(failure.to_string())),
        }
    }

    /// PutObject.
    ///
    /// # Errors
    /// `Answer` for an acknowledgement with another ETag, here and below.
    pub fn put(
        &mut self,
        key: &str,
        value: &Value,
        condition: &Condition,
    ) -> Result<Outcome, RecordError> {
        let body = self.values.body(value);
        let payload = Payload::Object {
            body: &body,
            from: 0,
            to: value.len,
        };
        let answer = self.ask("PUT", Some(key), "", &headers_of(condition), payload);
        let (outcome, answer) = outcome(answer)?;
        if let (Outcome::Ok, Some(answer)) = (&outcome, answer) {
            let etag = answer.head.etag.unwrap_or_default();
            if etag.trim_matches('"') != value.etag {
                return Err(RecordError::Answer(format!(
                    "PUT of value {} to {key} gave ETag {etag}, expected {}",
                    value.number, value.etag
                )));
            }
        }
        Ok(outcome)
    }

    /// GetObject, read to its end; bytes that nobody wrote are the value [`NOBODYS`].
    ///
    /// # Errors
    /// `Answer`.
    pub fn get(&mut self, key: &str) -> Result<(Outcome, Option<String>), RecordError> {
        let answer = self.ask("GET", Some(key), "", &[], Payload::Empty);
        let (outcome, answer) = outcome(answer)?;
        let (Outcome::Ok, Some(answer)) = (&outcome, answer) else {
            return Ok((outcome, None));
        };
        let etag = answer.head.etag.unwrap_or_default();
        let by_bytes = self.values.of_bytes(&answer.body);
        let by_etag = self.values.of_etag(&etag);
        if by_bytes.is_none() || by_bytes != by_etag {
            eprintln!(
                "GET {key}: {} bytes are value {by_bytes:?}, ETag {etag} names {by_etag:?}",
                answer.body.len()
            );
            return Ok((Outcome::Found(NOBODYS), None));
        }
        Ok((Outcome::Found(by_bytes.unwrap_or(NOBODYS)), Some(etag)))
    }

    /// HeadObject.
    ///
    /// # Errors
    /// `Answer`.
    pub fn head(&mut self, key: &str) -> Result<(Outcome, Option<String>), RecordError> {
        let answer = self.ask("HEAD", Some(key), "", &[], Payload::Empty);
        let (outcome, answer) = outcome(answer)?;
        let (Outcome::Ok, Some(answer)) = (&outcome, answer) else {
            return Ok((outcome, None));
        };
        let etag = answer.head.etag.unwrap_or_default();
        Ok((Outcome::Found(self.named(&etag)), Some(etag)))
    }

    fn named(&self, etag: &str) -> u64 {
        let number = self.values.of_etag(etag);
        if number.is_none() {
            eprintln!("ETag {etag:?} names nothing that was written");
        }
        number.unwrap_or(NOBODYS)
    }

    /// DeleteObject.
    ///
    /// # Errors
    /// `Answer`.
    pub fn delete(&mut self, key: &str, condition: &Condition) -> Result<Outcome, RecordError> {
        let headers = headers_of(condition);
        Ok(outcome(self.ask("DELETE", Some(key), "", &headers, Payload::Empty))?.0)
    }

    /// CopyObject.
    ///
    /// # Errors
    /// `Answer`.
    pub fn copy(&mut self, from: &str, key: &str) -> Result<Outcome, RecordError> {
        let source = format!("/{BUCKET}/{from}");
        let headers = [("x-amz-copy-source", source.as_str())];
        let answer = self.ask("PUT", Some(key), "", &headers, Payload::Empty);
        let (outcome, answer) = outcome(answer)?;
        let (Outcome::Ok, Some(answer)) = (&outcome, answer) else {
            return Ok(outcome);
        };
        let text = String::from_utf8_lossy(&answer.body);
        let etag = elements(&text, "ETag").next().map(unquoted);
        match etag {
            Some(etag) => Ok(Outcome::Found(self.named(&etag))),
            None => Err(RecordError::Answer(format!("copy to {key}: {text}"))),
        }
    }

    /// CreateMultipartUpload and its parts: the upload's id and the document that completes it.
    /// `None` when that did not succeed, which leaves nothing to record.
    ///
    /// # Errors
    /// `Answer`.
    pub fn upload(
        &mut self,
        key: &str,
        value: &Value,
        part_len: u64,
    ) -> Result<Option<(String, String)>, RecordError> {
        let answer = self.ask("POST", Some(key), "uploads=", &[], Payload::Empty);
        let (Outcome::Ok, Some(answer)) = outcome(answer)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let Some(upload) = elements(&text, "UploadId").next().map(encode_query_value) else {
            return Err(RecordError::Answer(format!("upload of {key}: {text}")));
        };
        let mut document = String::from("<CompleteMultipartUpload>");
        for number in 1..=value.len.div_ceil(part_len) {
            let body = self.values.body(value);
            let payload = Payload::Object {
                body: &body,
                from: (number - 1) * part_len,
                to: value.len.min(number * part_len),
            };
            let query = format!("partNumber={number}&uploadId={upload}");
            let answer = self.ask("PUT", Some(key), &query, &[], payload);
            let (Outcome::Ok, Some(answer)) = outcome(answer)? else {
                return Ok(None);
            };
            let etag = answer.head.etag.unwrap_or_default().replace('"', "&quot;");
            let _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        Ok(Some((upload, document)))
    }

    /// CompleteMultipartUpload.
    ///
    /// # Errors
    /// `Answer`.
    pub fn complete(
        &mut self,
        key: &str,
        (upload, document): &(String, String),
        value: &Value,
        condition: &Condition,
    ) -> Result<Outcome, RecordError> {
        let query = format!("uploadId={upload}");
        let headers = headers_of(condition);
        let answer = self.ask("POST", Some(key), &query, &headers, Payload::Text(document));
        let (outcome, answer) = outcome(answer)?;
        let (Outcome::Ok, Some(answer)) = (&outcome, answer) else {
            return Ok(outcome);
        };
        let text = String::from_utf8_lossy(&answer.body);
        match elements(&text, "ETag").next().map(unquoted) {
            Some(etag) if etag == value.etag => Ok(outcome),
            // Complete may answer 200 first and the error in the body.
            None if elements(&text, "Code").next().is_some() => Ok(Outcome::Unknown),
            _ => Err(RecordError::Answer(format!(
                "complete of value {} ({}) at {key}: {text}",
                value.number, value.etag
            ))),
        }
    }

    /// One page of ListObjectsV2.
    ///
    /// # Errors
    /// `Answer`.
    pub fn list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        max_keys: u64,
    ) -> Result<Page, RecordError> {
        let mut query = format!(
            "list-type=2&max-keys={max_keys}&prefix={}",
            encode_query_value(prefix)
        );
        if let Some(after) = after {
            let _ = write!(query, "&start-after={}", encode_query_value(after));
        }
        let answer = self.ask("GET", None, &query, &[], Payload::Empty);
        let (outcome, answer) = outcome(answer)?;
        let (Outcome::Ok, Some(answer)) = (&outcome, answer) else {
            return Ok(Page {
                outcome,
                through: None,
            });
        };
        let text = String::from_utf8_lossy(&answer.body);
        let (keys, etags) = (
            elements(&text, "Key"),
            elements(&text, "ETag").map(unquoted),
        );
        let entries: Vec<(String, u64)> = keys
            .zip(etags)
            .map(|(key, etag)| (format!("{BUCKET}/{key}"), self.named(&etag)))
            .collect();
        let whole = text.trim_end().ends_with("</ListBucketResult>");
        if !whole || elements(&text, "Key").count() != entries.len() {
            return Err(RecordError::Answer(format!("LIST of {prefix}: {text}")));
        }
        let truncated = elements(&text, "IsTruncated").next() == Some("true");
        let last = entries.last().map(|(key, _)| key.clone());
        if truncated && last.is_none() {
            return Err(RecordError::Answer(format!("LIST of {prefix}: {text}")));
        }
        Ok(Page {
            outcome: Outcome::Listed(entries),
            through: last.filter(|_| truncated),
        })
    }
}

/// What an answer says; `Ok` is any 2xx, and only then there is an answer.
fn outcome(answer: Result<Answer, Failure>) -> Result<(Outcome, Option<Answer>), RecordError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(Failure::Connect(_)) => return Ok((Outcome::NotSent, None)),
        Err(_) => return Ok((Outcome::Unknown, None)),
    };
    let code = answer.code();
    let outcome = match (answer.head.status, code.as_str()) {
        (200..=299, _) => return Ok((Outcome::Ok, Some(answer))),
        (404, "NoSuchKey" | "") => Outcome::NotFound,
        (404, "NoSuchUpload") => Outcome::Refused,
        (412, _) => Outcome::PreconditionFailed,
        (409, _) => Outcome::Conflict,
        (500..=599, _) => Outcome::Unknown,
        // The request lay too long in a stopped process.
        (400, "RequestTimeout") | (408, _) => Outcome::Refused,
        (status, code) => {
            return Err(RecordError::Answer(format!("HTTP {status} {code}")));
        }
    };
    Ok((outcome, None))
}

fn headers_of(condition: &Condition) -> Vec<(&str, &str)> {
    match condition {
        Condition::Always => Vec::new(),
        Condition::Absent => vec![("if-none-match", "*")],
        Condition::Matches { etag, .. } => vec![("if-match", etag)],
    }
}

/// The texts of all elements called `name`.
fn elements<'t>(document: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    document
        .split(&open)
        .skip(1)
        .map(move |rest| rest.split(&close).next().unwrap_or(rest))
        .collect::<Vec<_>>()
        .into_iter()
}

fn unquoted(etag: &str) -> String {
    etag.replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .trim_matches('"')
        .to_owned()
}
