//! A client that does exactly what it is told: SigV4 in all its forms, byte by byte.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// How the body is sent and signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Single,
    Unsigned,
    Chunks,
    ChunksTrailer,
    UnsignedTrailer,
}

impl Mode {
    pub const ALL: [Self; 5] = [
        Self::Single,
        Self::Unsigned,
        Self::Chunks,
        Self::ChunksTrailer,
        Self::UnsignedTrailer,
    ];
    const fn name(self) -> &'static str {
        match self {
            Self::Single => "",
            Self::Unsigned => "UNSIGNED-PAYLOAD",
            Self::Chunks => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::ChunksTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::UnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        }
    }
    pub const fn chunked(self) -> bool {
        matches!(
            self,
            Self::Chunks | Self::ChunksTrailer | Self::UnsignedTrailer
        )
    }
    const fn trailer(self) -> bool {
        matches!(self, Self::ChunksTrailer | Self::UnsignedTrailer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Header,
    Query,
    None,
}

type Tamper = Box<dyn Fn(Vec<u8>) -> Vec<u8>>;

/// A request to be.
pub(super) struct Req {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// Added after signing.
    pub late: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub mode: Mode,
    pub auth: Auth,
    pub host: String,
    pub region: String,
    pub access: String,
    pub secret: String,
    /// Seconds added to the clock.
    pub skew: i64,
    pub expires: String,
    pub chunk: usize,
    /// Trailer name and value; by default CRC-32 of the body.
    pub trailer: Option<(String, String)>,
    /// Changes the body as it goes over the wire.
    pub tamper: Option<Tamper>,
    /// Changes the name list in SignedHeaders before signing.
    pub signed: Option<fn(Vec<String>) -> Vec<String>>,
    pub transfer_chunked: bool,
}

impl Req {
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query
                .split('&')
                .filter(|p| !p.is_empty())
                .map(pair)
                .collect(),
            headers: Vec::new(),
            late: Vec::new(),
            body: Vec::new(),
            mode: Mode::Single,
            auth: Auth::Header,
            host: "127.0.0.1:9000".to_owned(),
            region: "eu-test-1".to_owned(),
            access: super::ACCESS.to_owned(),
            secret: super::SECRET.to_owned(),
            skew: 0,
            expires: "300".to_owned(),
            chunk: 8192,
            trailer: None,
            tamper: None,
            signed: None,
            transfer_chunked: false,
        }
    }
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
    pub fn late(mut self, name: &str, value: &str) -> Self {
        self.late.push((name.to_owned(), value.to_owned()));
        self
    }
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
    pub fn presigned(mut self) -> Self {
        self.auth = Auth::Query;
        self.mode = Mode::Unsigned;
        self
    }
    pub fn anonymous(mut self) -> Self {
        self.auth = Auth::None;
        self
    }
    pub fn tamper(mut self, tamper: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Self {
        self.tamper = Some(Box::new(tamper));
        self
    }

    /// The bytes to send.
    pub fn bytes(mut self) -> Vec<u8> {
        let stamp = stamp(self.skew);
        let day = stamp[..8].to_owned();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let payload = match self.mode {
            Mode::Single => hex_sha256(&self.body),
            mode => mode.name().to_owned(),
        };
        let mut headers = self.headers.clone();
        headers.push(("host".to_owned(), self.host.clone()));
        if self.mode.chunked() {
            let len = self.body.len().to_string();
            headers.push(("x-amz-decoded-content-length".to_owned(), len));
            headers.push(("content-encoding".to_owned(), "aws-chunked".to_owned()));
            if self.mode.trailer() {
                let (name, _) = self.trailer_pair();
                headers.push(("x-amz-trailer".to_owned(), name));
            }
        }
        if self.auth == Auth::Header {
            headers.push(("x-amz-date".to_owned(), stamp.clone()));
            headers.push(("x-amz-content-sha256".to_owned(), payload.clone()));
        }
        let key = self.key(&day);
        let mut names: Vec<String> = headers.iter().map(|(n, _)| n.to_lowercase()).collect();
        names.sort();
        names.dedup();
        if let Some(change) = self.signed {
            names = change(names);
        }
        let list = names.join(";");
        if self.auth == Auth::Query {
            let credential = format!("{}/{scope}", self.access);
            for (name, value) in [
                ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                ("X-Amz-Credential", &credential),
                ("X-Amz-Date", &stamp),
                ("X-Amz-Expires", &self.expires),
                ("X-Amz-SignedHeaders", &list),
            ] {
                self.query.push((name.to_owned(), encode(value)));
            }
        }
        let canonical = self.canonical(&headers, &names, &list, &payload);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}",
            hex_sha256(canonical.as_bytes())
        );
        let signature = hex::encode(hmac(&key, to_sign.as_bytes()));
        match self.auth {
            Auth::Header => headers.push((
                "authorization".to_owned(),
                format!(
                    "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={list}, \
                     Signature={signature}",
                    self.access
                ),
            )),
            Auth::Query => self
                .query
                .push(("X-Amz-Signature".to_owned(), signature.clone())),
            Auth::None => {}
        }
        let body = self.framed(&key, &stamp, &scope, signature);
        headers.extend(self.late.clone());
        self.write(headers, body)
    }

    fn write(&self, headers: Vec<(String, String)>, body: Vec<u8>) -> Vec<u8> {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(n, v)| {
                if v.is_empty() {
                    n.clone()
                } else {
                    format!("{n}={v}")
                }
            })
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut out = format!(
            "{} {}{mark}{} HTTP/1.1\r\n",
            self.method,
            self.path,
            query.join("&")
        );
        for (name, value) in headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut framed = body;
        if self.transfer_chunked {
            out.push_str("transfer-encoding: chunked\r\n");
            let mut chunked = Vec::new();
            for piece in framed.chunks(1000) {
                chunked.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                chunked.extend(piece);
                chunked.extend(b"\r\n");
            }
            chunked.extend(b"0\r\n\r\n");
            framed = chunked;
        } else if !framed.is_empty() || matches!(self.method.as_str(), "PUT" | "POST") {
            out.push_str(&format!("content-length: {}\r\n", framed.len()));
        }
        out.push_str("connection: close\r\n\r\n");
        let mut out = out.into_bytes();
        out.extend(framed);
        out
    }

    fn canonical(
        &self,
        headers: &[(String, String)],
        names: &[String],
        list: &str,
        payload: &str,
    ) -> String {
        // By name, then by value: `select` comes before `select-type`.
        let mut query = self.query.clone();
        query.sort();
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut lines = String::new();
        for name in names {
            let values: Vec<&str> = headers
                .iter()
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim())
                .collect();
            // Runs of spaces count as one.
            let words: Vec<String> = values
                .iter()
                .map(|value| {
                    value
                        .split(' ')
                        .filter(|w| !w.is_empty())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect();
            lines.push_str(&format!("{name}:{}\n", words.join(",")));
        }
        let path = &self.path;
        let payload = match self.auth {
            Auth::Query => "UNSIGNED-PAYLOAD",
            _ => payload,
        };
        format!(
            "{}\n{path}\n{}\n{lines}\n{list}\n{payload}",
            self.method,
            query.join("&")
        )
    }

    fn key(&self, day: &str) -> Vec<u8> {
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for step in [day, &self.region, "s3", "aws4_request"] {
            key = hmac(&key, step.as_bytes());
        }
        key
    }

    fn trailer_pair(&self) -> (String, String) {
        self.trailer.clone().unwrap_or_else(|| {
            let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &self.body);
            let text = STANDARD.encode(&crc.to_be_bytes()[4..]);
            ("x-amz-checksum-crc32".to_owned(), text)
        })
    }

    fn framed(&self, key: &[u8], stamp: &str, scope: &str, seed: String) -> Vec<u8> {
        let mut out = Vec::new();
        if self.mode.chunked() {
            let mut previous = seed;
            let empty: &[u8] = &[];
            let pieces = self.body.chunks(self.chunk).chain([empty]);
            for piece in pieces {
                let line = match self.mode {
                    Mode::UnsignedTrailer => format!("{:x}\r\n", piece.len()),
                    _ => {
                        let text = format!(
                            "AWS4-HMAC-SHA256-PAYLOAD\n{stamp}\n{scope}\n{previous}\n{}\n{}",
                            hex_sha256(b""),
                            hex_sha256(piece)
                        );
                        previous = hex::encode(hmac(key, text.as_bytes()));
                        format!("{:x};chunk-signature={previous}\r\n", piece.len())
                    }
                };
                out.extend(line.into_bytes());
                out.extend(piece);
                if !piece.is_empty() {
                    out.extend(b"\r\n");
                }
            }
            if self.mode.trailer() {
                let (name, value) = self.trailer_pair();
                out.extend(format!("{name}:{value}\r\n").into_bytes());
                if self.mode == Mode::ChunksTrailer {
                    let text = format!(
                        "AWS4-HMAC-SHA256-TRAILER\n{stamp}\n{scope}\n{previous}\n{}",
                        hex_sha256(format!("{name}:{value}\n").as_bytes())
                    );
                    let signature = hex::encode(hmac(key, text.as_bytes()));
                    out.extend(format!("x-amz-trailer-signature:{signature}\r\n").into_bytes());
                }
            }
            out.extend(b"\r\n");
        } else {
            out.extend(&self.body);
        }
        match &self.tamper {
            Some(tamper) => tamper(out),
            None => out,
        }
    }
}

pub(super) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

pub(super) fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Percent-encoding as signatures have it.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `YYYYMMDDTHHMMSSZ` of now, moved by `skew` seconds.
pub(super) fn stamp(skew: i64) -> String {
    let now = SystemTime::now();
    let time = match u64::try_from(skew) {
        Ok(ahead) => now + Duration::from_secs(ahead),
        Err(_) => now - Duration::from_secs(skew.unsigned_abs()),
    };
    // `Fri, 20 Nov 2026 17:00:00 GMT`
    let text = httpdate::fmt_http_date(time);
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(&text[8..11]).unwrap() / 3 + 1;
    let clock = text[17..25].replace(':', "");
    format!("{}{month:02}{}T{clock}Z", &text[12..16], &text[5..7])
}
