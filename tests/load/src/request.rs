//! One S3 request on the wire: canonical path and query, headers, payload.
//!
//! Owns: how the three payload modes look on the wire.
//! Leaves to others: sockets ([`crate::http`]), what is asked and answered ([`crate::client`]).

use std::fmt::Write as _;
use std::io::IoSlice;
use std::time::SystemTime;

use base64::Engine as _;
use crc_fast::{CrcAlgorithm, Digest};

use crate::body::Body;
use crate::failure::Failure;
use crate::http::{Connection, Expect, Head};
use crate::sign::{Signable, Signer, UNSIGNED_PAYLOAD, UNSIGNED_TRAILER, payload_sha256};

/// Length in bytes of a chunk of an `aws-chunked` body.
const CHUNK_LEN: u64 = 64 << 10;
/// The size line of a full chunk.
const CHUNK_LINE: &[u8] = b"10000\r\n";

/// How bodies of PUT and UploadPart are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadMode {
    /// UNSIGNED-PAYLOAD: no digest of the body.
    Unsigned,
    /// Hex SHA-256 of the body in the signature; costs this harness a pass over the body.
    Signed,
    /// STREAMING-UNSIGNED-PAYLOAD-TRAILER: 64 KiB chunks and a CRC-64/NVME trailer, as SDKs do.
    Trailer,
}

/// What is sent behind the head.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// Nothing.
    Empty,
    /// A document.
    Text(&'a str),
    /// Bytes `from..to` of an object's body.
    Object {
        /// The body.
        body: &'a Body<'a>,
        /// First byte.
        from: u64,
        /// Behind the last byte, at most the body's length.
        to: u64,
    },
}

/// A request to be signed and sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `GET`, `PUT` …
    pub method: &'static str,
    /// Absolute path, URI-encoded.
    pub path: &'a str,
    /// Canonical query without `?`.
    pub query: &'a str,
    /// First and last byte of a Range header.
    pub range: Option<(u64, u64)>,
    /// Further headers, signed too; names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub payload: Payload<'a>,
}

/// Signs `request` and sends it over `connection` to `authority`; returns the answer's head.
pub fn send(
    connection: &mut Connection,
    signer: &mut Signer,
    authority: &str,
    mode: PayloadMode,
    request: &Request<'_>,
) -> Result<Head, Failure> {
    let (from, to) = match request.payload {
        Payload::Object { from, to, .. } => (from, to),
        Payload::Text(text) => (0, text.len() as u64),
        Payload::Empty => (0, 0),
    };
    let trailer = mode == PayloadMode::Trailer && matches!(request.payload, Payload::Object { .. });
    let payload_hash = match mode {
        PayloadMode::Signed => sha256_of(&request.payload),
        _ if trailer => UNSIGNED_TRAILER.to_owned(),
        _ => UNSIGNED_PAYLOAD.to_owned(),
    };
    let frame = trailer.then(|| Frame::new(&request.payload, to - from));
    let body_len = frame.as_ref().map_or(to - from, |frame| frame.encoded_len);
    let head = head_of(
        signer,
        authority,
        request,
        &payload_hash,
        body_len,
        frame.as_ref(),
    );

    let mut pieces = vec![IoSlice::new(head.as_bytes())];
    match (&request.payload, &frame) {
        (Payload::Empty, _) => {}
        (Payload::Text(text), _) => pieces.push(IoSlice::new(text.as_bytes())),
        (Payload::Object { body, .. }, None) => {
            pieces.extend(body.pieces(from, to).map(IoSlice::new))
        }
        (Payload::Object { body, .. }, Some(frame)) => frame.push(&mut pieces, body, from, to),
    }
    let expect = if request.method == "HEAD" {
        Expect::HeadOnly
    } else {
        Expect::Body
    };
    connection.exchange(&mut pieces, expect)
}

/// The head of the request, signed.
fn head_of(
    signer: &mut Signer,
    authority: &str,
    request: &Request<'_>,
    payload_hash: &str,
    body_len: u64,
    frame: Option<&Frame>,
) -> String {
    let date = signer.set_time(SystemTime::now()).to_owned();
    let decoded_len = frame
        .map(|frame| frame.decoded_len.to_string())
        .unwrap_or_default();
    let mut headers = vec![
        ("host", authority),
        ("x-amz-content-sha256", payload_hash),
        ("x-amz-date", date.as_str()),
    ];
    if frame.is_some() {
        headers.push(("x-amz-decoded-content-length", decoded_len.as_str()));
        headers.push(("x-amz-trailer", "x-amz-checksum-crc64nvme"));
    }
    if !request.headers.is_empty() {
        headers.extend(request.headers);
        headers.sort_unstable();
    }
    let Request {
        method,
        path,
        query,
        range,
        ..
    } = *request;
    let signable = Signable {
        method,
        path,
        query,
        headers: &headers,
        payload_hash,
    };
    let authorization = signer.authorization(&signable);

    let mut head = String::with_capacity(640);
    head.extend([method, " ", path]);
    if !query.is_empty() {
        head.extend(["?", query]);
    }
    head.push_str(" HTTP/1.1\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if frame.is_some() {
        head.push_str("content-encoding: aws-chunked\r\n");
    }
    if matches!(method, "PUT" | "POST") {
        let _ = write!(head, "content-length: {body_len}\r\n");
    }
    if let Some((first, last)) = range {
        let _ = write!(head, "range: bytes={first}-{last}\r\n");
    }
    head.extend(["authorization: ", &authorization, "\r\n\r\n"]);
    head
}

fn sha256_of(payload: &Payload<'_>) -> String {
    match payload {
        Payload::Empty => payload_sha256(std::iter::empty()),
        Payload::Text(text) => payload_sha256(std::iter::once(text.as_bytes())),
        Payload::Object { body, from, to } => payload_sha256(body.pieces(*from, *to)),
    }
}

/// The parts of an `aws-chunked` body that are not the object's bytes.
#[derive(Debug)]
struct Frame {
    decoded_len: u64,
    encoded_len: u64,
    last_line: String,
    end: String,
}

impl Frame {
    fn new(payload: &Payload<'_>, decoded_len: u64) -> Self {
        let mut crc = Digest::new(CrcAlgorithm::Crc64Nvme);
        if let Payload::Object { body, from, to } = payload {
            body.pieces(*from, *to).for_each(|piece| crc.update(piece));
        }
        let checksum =
            base64::engine::general_purpose::STANDARD.encode(crc.finalize().to_be_bytes());
        let end = format!("0\r\nx-amz-checksum-crc64nvme:{checksum}\r\n\r\n");
        let (full, rest) = (decoded_len / CHUNK_LEN, decoded_len % CHUNK_LEN);
        let last_line = if rest > 0 {
            format!("{rest:x}\r\n")
        } else {
            String::new()
        };
        let mut encoded_len = decoded_len + end.len() as u64 + last_line.len() as u64;
        encoded_len += full * (CHUNK_LINE.len() as u64 + 2) + if rest > 0 { 2 } else { 0 };
        Self {
            decoded_len,
            encoded_len,
            last_line,
            end,
        }
    }

    fn push<'p>(&'p self, pieces: &mut Vec<IoSlice<'p>>, body: &'p Body<'p>, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            let end = to.min(at + CHUNK_LEN);
            let line = if end - at == CHUNK_LEN {
                CHUNK_LINE
            } else {
                self.last_line.as_bytes()
            };
            pieces.push(IoSlice::new(line));
            pieces.extend(body.pieces(at, end).map(IoSlice::new));
            pieces.push(IoSlice::new(b"\r\n"));
            at = end;
        }
        pieces.push(IoSlice::new(self.end.as_bytes()));
    }
}

/// URI-encodes a query value as SigV4 wants it: all but unreserved characters.
pub fn encode_query_value(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len() + 8);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{Frame, Payload, encode_query_value};
    use crate::body::{Bodies, ObjectNumber};

    /// Takes an `aws-chunked` body apart: the object's bytes and the trailer.
    fn decode(mut bytes: &[u8]) -> (Vec<u8>, String) {
        let mut object = Vec::new();
        loop {
            let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
            let line = std::str::from_utf8(&bytes[..end]).unwrap();
            let len = usize::from_str_radix(line, 16).unwrap();
            bytes = &bytes[end + 2..];
            if len == 0 {
                return (object, String::from_utf8(bytes.to_vec()).unwrap());
            }
            object.extend_from_slice(&bytes[..len]);
            assert_eq!(&bytes[len..len + 2], b"\r\n");
            bytes = &bytes[len + 2..];
        }
    }

    #[test]
    fn chunked_bodies_decode_to_the_object_and_have_the_announced_length() {
        let bodies = Bodies::new(1);
        for len in [0, 1, 4096, 65_535, 65_536, 65_537, 200_000] {
            let body = bodies.body(ObjectNumber::new(len), len);
            let frame = Frame::new(
                &Payload::Object {
                    body: &body,
                    from: 0,
                    to: len,
                },
                len,
            );
            let mut pieces: Vec<IoSlice<'_>> = Vec::new();
            frame.push(&mut pieces, &body, 0, len);
            let wire: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(wire.len() as u64, frame.encoded_len);
            let (object, trailer) = decode(&wire);
            assert_eq!(object.len() as u64, len);
            assert!(body.matches(0, &object));
            assert!(
                trailer.starts_with("x-amz-checksum-crc64nvme:"),
                "{trailer}"
            );
            assert!(trailer.ends_with("=\r\n\r\n"), "{trailer}");
        }
    }

    #[test]
    fn the_trailer_has_the_published_check_value_of_crc64nvme() {
        let check = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, b"123456789");
        assert_eq!(check, 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn query_values_are_encoded_as_sigv4_wants() {
        assert_eq!(encode_query_value("a/b c+d~e=1"), "a%2Fb%20c%2Bd~e%3D1");
    }
}
