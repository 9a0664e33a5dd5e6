//! An S3 client that hands every answer back as it is.
//!
//! Owns: the operations' requests and what of an answer counts.
//! Leaves to others: sockets and signatures (`holdfast_load`), judging answers.
//! Always: an answer is returned only if it was received in full.

use std::fmt::Write as _;
use std::io::IoSlice;
use std::time::{Duration, SystemTime};

use holdfast_load::endpoint::Endpoint;
use holdfast_load::failure::Failure;
use holdfast_load::http::{Connection, Expect};
use holdfast_load::request::encode_query_value;
use holdfast_load::sign::{Credentials, Signable, Signer, UNSIGNED_PAYLOAD};

use crate::content::PART_LEN;
use crate::ledger::Name;

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Without quotes.
    pub etag: Option<String>,
    /// As announced.
    pub content_length: Option<u64>,
    /// As received.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether it says that all went well; a Complete may say so and then fail in its body.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && self.code().is_none()
    }

    /// The S3 code of an error document.
    pub fn code(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.body).ok()?;
        if !text.contains("<Error>") {
            return None;
        }
        element(text, "Code")
    }

    /// Status and code, for people.
    pub fn says(&self) -> String {
        match self.code() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `GET`, `PUT` …
    pub method: &'static str,
    /// Absolute path, URI-encoded.
    pub path: &'a str,
    /// Canonical query, sorted.
    pub query: &'a str,
    /// Further header, lower-case.
    pub header: Option<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
}

/// A key in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// In bytes.
    pub len: u64,
    /// Without quotes.
    pub etag: String,
}

/// A signing client with one connection.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    signer: Signer,
    authority: String,
}

impl Client {
    /// A client of `endpoint`; `timeout` bounds each wait for its socket.
    pub fn new(endpoint: &Endpoint, credentials: &Credentials, timeout: Duration) -> Self {
        Self {
            connection: Connection::new(endpoint.address(), timeout),
            signer: Signer::new(credentials.clone(), "us-east-1"),
            authority: endpoint.authority().to_owned(),
        }
    }

    /// Sends a request and receives the whole answer.
    ///
    /// # Errors
    /// `Connect` if it was not sent; any other if it may have been.
    pub fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let head = self.head_of(&ask);
        let mut pieces = [IoSlice::new(head.as_bytes()), IoSlice::new(ask.body)];
        let expect = match ask.method {
            "HEAD" => Expect::HeadOnly,
            _ => Expect::Body,
        };
        let head = self.connection.exchange(&mut pieces, expect)?;
        let mut body = Vec::new();
        self.connection
            .body(&head, &mut |piece| body.extend_from_slice(piece))?;
        Ok(Answer {
            status: head.status,
            etag: head.etag.map(|etag| etag.trim_matches('"').to_owned()),
            content_length: head.content_length,
            body,
        })
    }

    fn head_of(&mut self, ask: &Ask<'_>) -> String {
        let date = self.signer.set_time(SystemTime::now()).to_owned();
        let mut headers = vec![
            ("host", self.authority.as_str()),
            ("x-amz-content-sha256", UNSIGNED_PAYLOAD),
            ("x-amz-date", date.as_str()),
        ];
        headers.extend(ask.header);
        headers.sort_unstable();
        let authorization = self.signer.authorization(&Signable {
            method: ask.method,
            path: ask.path,
            query: ask.query,
            headers: &headers,
            payload_hash: UNSIGNED_PAYLOAD,
        });
        let mut head = format!("{} {}", ask.method, ask.path);
        if !ask.query.is_empty() {
            head.extend(["?", ask.query]);
        }
        head.push_str(" HTTP/1.1\r\n");
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if matches!(ask.method, "PUT" | "POST") {
            let _ = write!(head, "content-length: {}\r\n", ask.body.len());
        }
        head.extend(["authorization: ", &authorization, "\r\n\r\n"]);
        head
    }

    /// A request for a key, without query.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn of_key(
        &mut self,
        method: &'static str,
        name: &Name,
        header: Option<(&str, &str)>,
        body: &[u8],
    ) -> Result<Answer, Failure> {
        self.ask(Ask {
            method,
            path: &format!("/{}/{}", name.bucket, name.key),
            query: "",
            header,
            body,
        })
    }

    /// Uploads all parts of `body`; returns the upload's id and the document that completes it.
    ///
    /// # Errors
    /// The answer that was no success, or the failure: the key is untouched either way.
    pub fn upload(&mut self, name: &Name, body: &[u8]) -> Result<(String, String), String> {
        let path = format!("/{}/{}", name.bucket, name.key);
        let request = Ask {
            method: "POST",
            path: &path,
            query: "uploads=",
            header: None,
            body: &[],
        };
        let created = self.good(request)?;
        let text = String::from_utf8_lossy(&created.body).into_owned();
        let id = element(&text, "UploadId").ok_or("no UploadId")?;
        let id = encode_query_value(&unescape(id));
        let mut document = String::from("<CompleteMultipartUpload>");
        let part_len = usize::try_from(PART_LEN).expect("5 MiB fits");
        for (index, part) in body.chunks(part_len).enumerate() {
            let number = index + 1;
            let query = format!("partNumber={number}&uploadId={id}");
            let answer = self.good(Ask {
                method: "PUT",
                query: &query,
                body: part,
                ..request
            })?;
            let etag = answer.etag.ok_or("part without ETag")?;
            let _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        Ok((id, document))
    }

    fn good(&mut self, ask: Ask<'_>) -> Result<Answer, String> {
        match self.ask(ask) {
            Ok(answer) if answer.is_success() => Ok(answer),
            Ok(answer) => Err(answer.says()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// All keys of a bucket, in pages of `page_len` keys.
    ///
    /// # Errors
    /// What was answered instead.
    pub fn list(&mut self, bucket: &str, page_len: usize) -> Result<Vec<Listed>, String> {
        let mut listed: Vec<Listed> = Vec::new();
        loop {
            let after = listed.last().map(|last| encode_query_value(&last.key));
            let query = match after {
                Some(after) => format!("list-type=2&max-keys={page_len}&start-after={after}"),
                None => format!("list-type=2&max-keys={page_len}"),
            };
            let answer = self.good(Ask {
                method: "GET",
                path: &format!("/{bucket}"),
                query: &query,
                header: None,
                body: &[],
            })?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            for entry in text.split("<Contents>").skip(1) {
                let of = |name| element(entry, name).map(unescape);
                listed.push(Listed {
                    key: of("Key").ok_or("entry without Key")?,
                    len: of("Size")
                        .and_then(|len| len.parse().ok())
                        .ok_or("entry without Size")?,
                    etag: of("ETag")
                        .ok_or("entry without ETag")?
                        .trim_matches('"')
                        .to_owned(),
                });
            }
            if element(&text, "IsTruncated") != Some("true") {
                return Ok(listed);
            }
        }
    }
}

/// The text of the first element called `name`.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
