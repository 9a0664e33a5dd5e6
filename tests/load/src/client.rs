//! One S3 client: the operations the loads are made of, each checked.
//!
//! Owns: what a right answer is: status, length always, content when asked.
//! Always: an operation that returns `Ok` was answered in full.

use std::fmt::Write as _;
use std::time::Duration;

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::http::{Connection, Head};
use crate::request::{self, Payload, PayloadMode, Request, encode_query_value};
use crate::sign::{Credentials, Signer};

/// Bytes of an error document that are read for its code.
const ERROR_BODY_MAX: usize = 64 << 10;

/// How much of an answer is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Status and length.
    Length,
    /// And every byte.
    Content,
}

/// How bodies of answers are received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Drain {
    /// Copied out of the kernel, as any client does.
    Copy,
    /// Thrown away inside the kernel (MSG_TRUNC) unless their content is checked: cheaper.
    Kernel,
}

/// What all clients of a run have in common.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Bucket of all objects.
    pub bucket: String,
    /// Region of the signatures.
    pub region: String,
    /// How bodies are sent.
    pub payload: PayloadMode,
    /// How bodies are received.
    pub drain: Drain,
    /// Longest wait for the socket.
    pub timeout: Duration,
}

/// A signing client with one connection.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    signer: Signer,
    authority: String,
    settings: ClientSettings,
    path: String,
    page: Vec<u8>,
}

impl Client {
    /// A client of `endpoint`; connects with the first request, or by [`Client::connect`].
    pub fn new(endpoint: &Endpoint, credentials: &Credentials, settings: &ClientSettings) -> Self {
        Self {
            connection: Connection::new(endpoint.address(), settings.timeout),
            signer: Signer::new(credentials.clone(), &settings.region),
            authority: endpoint.authority().to_owned(),
            settings: settings.clone(),
            path: String::new(),
            page: Vec::new(),
        }
    }

    /// Connects unless connected.
    pub fn connect(&mut self) -> Result<(), Failure> {
        self.connection.connect()
    }

    /// Creates the bucket; if that is refused, one that we can see is as good.
    pub fn create_bucket(&mut self) -> Result<(), Failure> {
        let created = self.simple("PUT", None, "", Payload::Empty, &[200]);
        let Err(refused @ Failure::Status(..)) = created else {
            return created.map(|_| ());
        };
        let head = self.send("HEAD", None, "", None, Payload::Empty)?;
        self.connection.body(&head, &mut |_| {})?;
        if head.status == 200 {
            Ok(())
        } else {
            Err(refused)
        }
    }

    /// Writes an object.
    pub fn put(&mut self, key: &str, body: &Body<'_>) -> Result<(), Failure> {
        let payload = Payload::Object {
            body,
            from: 0,
            to: body.len(),
        };
        self.simple("PUT", Some(key), "", payload, &[200])
            .map(|_| ())
    }

    /// Reads an object.
    pub fn get(&mut self, key: &str, body: &Body<'_>, check: Check) -> Result<(), Failure> {
        let head = self.send("GET", Some(key), "", None, Payload::Empty)?;
        self.accept(&head, &[200])?;
        self.receive(&head, body, (0, body.len()), check)
    }

    /// Reads bytes `from..to` of an object; the range must not be empty.
    pub fn get_range(
        &mut self,
        key: &str,
        body: &Body<'_>,
        (from, to): (u64, u64),
        check: Check,
    ) -> Result<(), Failure> {
        let head = self.send("GET", Some(key), "", Some((from, to - 1)), Payload::Empty)?;
        self.accept(&head, &[206])?;
        self.receive(&head, body, (from, to), check)
    }

    /// Asks for an object's length.
    pub fn head(&mut self, key: &str, len: u64) -> Result<(), Failure> {
        let head = self.send("HEAD", Some(key), "", None, Payload::Empty)?;
        self.accept(&head, &[200])?;
        self.connection.body(&head, &mut |_| {})?;
        match head.content_length {
            Some(found) if found == len => Ok(()),
            found => Err(Failure::Length {
                expected: len,
                found: found.unwrap_or_default(),
            }),
        }
    }

    /// Deletes an object.
    pub fn delete(&mut self, key: &str) -> Result<(), Failure> {
        self.simple("DELETE", Some(key), "", Payload::Empty, &[204, 200])
            .map(|_| ())
    }

    /// Lists a page of `expected` keys below `prefix`, behind `after`; returns its length in bytes.
    pub fn list(
        &mut self,
        prefix: &str,
        after: &str,
        expected: usize,
        check: Check,
    ) -> Result<u64, Failure> {
        let query = format!(
            "list-type=2&max-keys={expected}&prefix={}&start-after={}",
            encode_query_value(prefix),
            encode_query_value(after),
        );
        let head = self.send("GET", None, &query, None, Payload::Empty)?;
        self.accept(&head, &[200])?;
        let page = &mut self.page;
        page.clear();
        let len = self
            .connection
            .body(&head, &mut |piece| page.extend_from_slice(piece))?;
        let found = match check {
            Check::Content => count_of(page, b"<Key>"),
            Check::Length if page.trim_ascii_end().ends_with(b"</ListBucketResult>") => expected,
            Check::Length => 0,
        };
        if found == expected {
            Ok(len)
        } else {
            Err(Failure::Listing { expected, found })
        }
    }

    /// Writes an object as a multipart upload of parts of `part_len` bytes, one after the other;
    /// `each` is called after every request that was answered.
    pub fn put_multipart(
        &mut self,
        key: &str,
        body: &Body<'_>,
        part_len: u64,
        each: &mut dyn FnMut(),
    ) -> Result<(), Failure> {
        self.simple("POST", Some(key), "uploads=", Payload::Empty, &[200])?;
        each();
        let answer = String::from_utf8_lossy(&self.page);
        let upload = element(&answer, "UploadId").ok_or(Failure::Malformed("no UploadId"))?;
        let upload = encode_query_value(&unescape(upload));
        let done = self.parts_and_complete(key, body, part_len, &upload, each);
        if done.is_err() {
            let query = format!("uploadId={upload}");
            let _ = self.simple("DELETE", Some(key), &query, Payload::Empty, &[204, 200]);
        }
        done
    }

    fn parts_and_complete(
        &mut self,
        key: &str,
        body: &Body<'_>,
        part_len: u64,
        upload: &str,
        each: &mut dyn FnMut(),
    ) -> Result<(), Failure> {
        let mut document = String::from("<CompleteMultipartUpload>");
        for number in 1..=body.len().div_ceil(part_len).max(1) {
            let from = (number - 1) * part_len;
            let to = body.len().min(from + part_len);
            let query = format!("partNumber={number}&uploadId={upload}");
            let payload = Payload::Object { body, from, to };
            let head = self.simple("PUT", Some(key), &query, payload, &[200])?;
            each();
            let etag = head.etag.ok_or(Failure::Malformed("part without ETag"))?;
            let etag = etag.replace('"', "&quot;");
            let _ = write!(
                document,
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            );
        }
        document.push_str("</CompleteMultipartUpload>");
        let query = format!("uploadId={upload}");
        self.simple("POST", Some(key), &query, Payload::Text(&document), &[200])?;
        each();
        // Complete may answer 200 first and the error in the body.
        let answer = String::from_utf8_lossy(&self.page);
        match element(&answer, "Code") {
            Some(code) => Err(Failure::Status(200, code.to_owned())),
            None => Ok(()),
        }
    }

    /// A request whose answer is short; the answer's body is left in `page`.
    fn simple(
        &mut self,
        method: &'static str,
        key: Option<&str>,
        query: &str,
        payload: Payload<'_>,
        good: &[u16],
    ) -> Result<Head, Failure> {
        let head = self.send(method, key, query, None, payload)?;
        self.accept(&head, good)?;
        let page = &mut self.page;
        page.clear();
        self.connection
            .body(&head, &mut |piece| page.extend_from_slice(piece))?;
        Ok(head)
    }

    fn send(
        &mut self,
        method: &'static str,
        key: Option<&str>,
        query: &str,
        range: Option<(u64, u64)>,
        payload: Payload<'_>,
    ) -> Result<Head, Failure> {
        self.path.clear();
        self.path.extend(["/", &self.settings.bucket]);
        if let Some(key) = key {
            self.path.extend(["/", key]);
        }
        let request = Request {
            method,
            path: &self.path,
            query,
            range,
            headers: &[],
            payload,
        };
        let mode = self.settings.payload;
        request::send(
            &mut self.connection,
            &mut self.signer,
            &self.authority,
            mode,
            &request,
        )
    }

    /// Turns an answer with another status into a failure that names its S3 code.
    fn accept(&mut self, head: &Head, good: &[u16]) -> Result<(), Failure> {
        if good.contains(&head.status) {
            return Ok(());
        }
        let mut document = Vec::new();
        self.connection.body(head, &mut |piece| {
            let room = ERROR_BODY_MAX.saturating_sub(document.len());
            document.extend_from_slice(&piece[..piece.len().min(room)]);
        })?;
        let document = String::from_utf8_lossy(&document);
        let code: String = element(&document, "Code")
            .unwrap_or_default()
            .chars()
            .take(64)
            .collect();
        Err(Failure::Status(head.status, code))
    }

    /// Receives an object's bytes `from..to`.
    fn receive(
        &mut self,
        head: &Head,
        body: &Body<'_>,
        (from, to): (u64, u64),
        check: Check,
    ) -> Result<(), Failure> {
        let mut same = true;
        let mut at = from;
        let found = match (check, self.settings.drain) {
            (Check::Content, _) => self.connection.body(head, &mut |piece| {
                same = same && body.matches(at, piece);
                at += piece.len() as u64;
            })?,
            (Check::Length, Drain::Copy) => self.connection.body(head, &mut |_| {})?,
            (Check::Length, Drain::Kernel) => self.connection.drop_body(head)?,
        };
        if found != to - from {
            return Err(Failure::Length {
                expected: to - from,
                found,
            });
        }
        if same { Ok(()) } else { Err(Failure::Content) }
    }
}

/// The text of the first element called `name`.
fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// Undoes the entities that can occur in an upload id.
fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// How often `needle` occurs.
fn count_of(haystack: &[u8], needle: &[u8]) -> usize {
    haystack
        .windows(needle.len())
        .filter(|window| *window == needle)
        .count()
}

#[cfg(test)]
mod tests {
    use super::{count_of, element, unescape};

    #[test]
    fn elements_are_found_in_documents() {
        let document = "<?xml?><Error><Code>SlowDown</Code><Message>m</Message></Error>";
        assert_eq!(element(document, "Code"), Some("SlowDown"));
        assert_eq!(element(document, "UploadId"), None);
        assert_eq!(unescape("a&amp;lt;&quot;"), "a&lt;\"");
        assert_eq!(count_of(b"<Key>a</Key><Key>b</Key>", b"<Key>"), 2);
    }
}
