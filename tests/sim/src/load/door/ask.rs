//! Requests as SDKs make them.
//!
//! Owns: path, query and headers of a request, its signature, and three kinds of payload: unsigned,
//! signed, and in chunks with a checksum behind them.
//! Leaves to others: sending it ([`super::s3`]), computing signatures (`holdfast-load`).

use std::convert::Infallible;
use std::io;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use futures::stream;
use holdfast_gateway::BucketName;
use holdfast_gateway::object::types::VersionId;
use holdfast_load::request::encode_query_value;
use holdfast_load::sign::{
    Credentials, Signable, Signer, UNSIGNED_PAYLOAD, UNSIGNED_TRAILER, payload_sha256,
};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::Frame;

use super::{At, Upload};
use crate::dice::Dice;
use crate::front::{KEYS, REGION};

/// Bytes of a chunk of an `aws-chunked` body.
const CHUNK_LEN: usize = 64 << 10;
/// The host that requests name.
const AUTHORITY: &str = "s3.simulated";

/// A body on its way.
pub(super) type Sent = UnsyncBoxBody<Bytes, io::Error>;

/// What is sent behind the head.
pub(super) enum Payload<'a> {
    Empty,
    Text(String),
    Body(&'a Upload),
}

/// A request before it is signed.
pub(super) struct Ask<'a> {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    payload: Payload<'a>,
}

impl<'a> Ask<'a> {
    pub fn of(method: &'static str, at: &At) -> Self {
        Self {
            path: path(at),
            ..Self::bucket(method, &at.bucket)
        }
    }
    pub fn bucket(method: &'static str, name: &BucketName) -> Self {
        Self {
            method,
            path: format!("/{name}"),
            query: Vec::new(),
            headers: Vec::new(),
            payload: Payload::Empty,
        }
    }
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }
    pub fn version(self, version: Option<VersionId>) -> Self {
        match version {
            Some(version) => self.with("versionId", version),
            None => self,
        }
    }
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
    pub fn sending(mut self, payload: Payload<'a>) -> Self {
        self.payload = payload;
        self
    }

    /// The request, signed.
    pub fn signed(self, dice: &mut Dice) -> Option<Request<Sent>> {
        let mut headers = self.headers;
        let (hash, body, len) = self.payload.body(dice, &mut headers);
        let (access, secret) = KEYS;
        let mut signer = Signer::new(Credentials::new(access, secret), REGION);
        headers.push(("host", AUTHORITY.to_owned()));
        headers.push(("x-amz-content-sha256", hash.clone()));
        headers.push(("x-amz-date", signer.set_time(SystemTime::now()).to_owned()));
        headers.sort_unstable();
        let mut query = self.query;
        query.sort_unstable();
        let query = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode_query_value(value)));
        let query = query.collect::<Vec<_>>().join("&");
        let signed: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let authorization = signer.authorization(&Signable {
            method: self.method,
            path: &self.path,
            query: &query,
            headers: &signed,
            payload_hash: &hash,
        });
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("{}?{query}", self.path))
            .header("authorization", authorization);
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        if matches!(self.method, "PUT" | "POST") {
            request = request.header("content-length", len);
        }
        request.body(body).ok()
    }
}

impl Payload<'_> {
    /// The payload's hash for the signature, further headers, and the body with its length.
    fn body(
        &self,
        dice: &mut Dice,
        headers: &mut Vec<(&'static str, String)>,
    ) -> (String, Sent, usize) {
        let upload = match self {
            Self::Empty => return (UNSIGNED_PAYLOAD.to_owned(), whole(Bytes::new()), 0),
            Self::Text(text) => {
                let hash = payload_sha256(std::iter::once(text.as_bytes()));
                return (hash, whole(text.clone()), text.len());
            }
            Self::Body(upload) => upload,
        };
        let bytes = &upload.bytes;
        match dice.below(5) {
            0..2 => {
                headers.push(("x-amz-decoded-content-length", bytes.len().to_string()));
                headers.push(("x-amz-trailer", "x-amz-checksum-crc64nvme".to_owned()));
                headers.push(("content-encoding", "aws-chunked".to_owned()));
                let sent: Bytes = chunked(bytes).into();
                let len = sent.len();
                let pieces = match upload.is_cut {
                    true => vec![sent.slice(..len / 2)],
                    false => vec![sent],
                };
                (
                    UNSIGNED_TRAILER.to_owned(),
                    streamed(pieces, upload.is_cut),
                    len,
                )
            }
            kind => {
                let hash = match kind {
                    2 => payload_sha256(std::iter::once(bytes.as_ref())),
                    _ => UNSIGNED_PAYLOAD.to_owned(),
                };
                (hash, streamed(upload.pieces(), upload.is_cut), bytes.len())
            }
        }
    }
}

fn encoded(text: &str) -> String {
    let parts: Vec<String> = text.split('/').map(encode_query_value).collect();
    parts.join("/")
}

pub(super) fn path(at: &At) -> String {
    format!("/{}/{}", at.bucket, encoded(at.key.as_str()))
}

/// An `aws-chunked` body with a checksum behind it, as SDKs send it.
fn chunked(bytes: &[u8]) -> Vec<u8> {
    let mut sent = Vec::with_capacity(bytes.len() + 256);
    for chunk in bytes.chunks(CHUNK_LEN) {
        sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
    }
    let crc = checksum(CrcAlgorithm::Crc64Nvme, bytes);
    let crc = STANDARD.encode(crc.to_be_bytes());
    sent.extend_from_slice(format!("0\r\nx-amz-checksum-crc64nvme:{crc}\r\n\r\n").as_bytes());
    sent
}

/// Pieces of a body, and a break behind them if the client goes away.
fn streamed(pieces: Vec<Bytes>, is_cut: bool) -> Sent {
    let gone = is_cut.then(|| Err(io::Error::from(io::ErrorKind::BrokenPipe)));
    let pieces = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
    let frames: Vec<io::Result<Frame<Bytes>>> = pieces.chain(gone).collect();
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

fn whole(bytes: impl Into<Bytes>) -> Sent {
    let never = |never: Infallible| match never {};
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}
