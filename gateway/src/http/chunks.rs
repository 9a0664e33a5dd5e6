//! Watches an `aws-chunked` body pass by.
//!
//! Owns: the framing (`SIZE[;chunk-signature=…]CRLF DATA CRLF … 0…`): bounds every declared size,
//! the sum and the end, before the S3 library sees them; it would collect a chunk of any size in
//! memory, and would take a body that ends without its last chunk for a whole one.
//! Leaves to others: chunk signatures and trailers (`s3`).
//! Always: what is passed on decodes to exactly the announced bytes. Unsigned chunks are cut into
//! pieces as they arrive, so that a chunk of any size needs no memory; signed chunks of more than
//! [`SIGNED_CHUNK_MAX`] bytes are refused when their size is read.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::error::BodyError;

/// Most bytes of a signed chunk: it has to be held until its signature is verified.
pub const SIGNED_CHUNK_MAX: u64 = 16 << 20;
const LINE_MAX: usize = 256;
const TRAILER_MAX: usize = 16 << 10;

/// Whether chunks are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunks {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and its form with a trailer.
    Signed,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    Unsigned,
}

#[derive(Debug)]
enum State {
    /// In a line that declares a size; what was read of it.
    Size(Vec<u8>),
    /// In the data of a chunk; bytes left.
    Data(u64),
    /// In the CRLF after the data; bytes of it read.
    End(usize),
    /// After the last chunk; bytes of the trailer seen.
    Trailer(usize),
}

/// The watcher of one body.
#[derive(Debug)]
pub struct ChunkWatch {
    kind: Chunks,
    state: State,
    expected: u64,
    seen: u64,
}

impl ChunkWatch {
    /// `expected`: `x-amz-decoded-content-length`.
    pub const fn new(kind: Chunks, expected: u64) -> Self {
        Self {
            kind,
            state: State::Size(Vec::new()),
            expected,
            seen: 0,
        }
    }

    /// Takes bytes as they arrive and appends to `out` what is to be passed on.
    ///
    /// # Errors
    /// `Malformed` or `Length`; nothing more may be passed on then.
    pub fn push(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), BodyError> {
        while bytes.has_remaining() {
            match &mut self.state {
                State::Size(line) => {
                    let end = bytes.iter().position(|&c| c == b'\n');
                    let taken = bytes.split_to(end.map_or(bytes.len(), |at| at + 1));
                    line.extend_from_slice(&taken);
                    if line.len() > LINE_MAX {
                        return Err(malformed("the line of a chunk is too long"));
                    }
                    if end.is_some() {
                        let line = std::mem::take(line);
                        self.state = self.size_line(line, out)?;
                    }
                }
                State::Data(left) => {
                    let len = (*left).min(bytes.len() as u64);
                    let piece = bytes.split_to(usize::try_from(len).unwrap_or(bytes.len()));
                    *left -= len;
                    let done = *left == 0;
                    self.pass(piece, out);
                    if done {
                        self.state = State::End(0);
                    }
                }
                State::End(read) => {
                    if bytes.get_u8() != b"\r\n"[*read] {
                        return Err(malformed("a chunk does not end where it should"));
                    }
                    *read += 1;
                    if *read == 2 {
                        if self.kind == Chunks::Signed {
                            out.push_back(Bytes::from_static(b"\r\n"));
                        }
                        self.state = State::Size(Vec::new());
                    }
                }
                State::Trailer(seen) => {
                    *seen += bytes.len();
                    if *seen > TRAILER_MAX {
                        return Err(malformed("the trailer is too long"));
                    }
                    out.push_back(std::mem::take(&mut bytes));
                }
            }
        }
        Ok(())
    }

    /// The transport has no more bytes.
    ///
    /// # Errors
    /// `Length` unless the last chunk was seen.
    pub fn finish(&self) -> Result<(), BodyError> {
        match self.state {
            State::Trailer(_) => Ok(()),
            State::Size(_) | State::Data(_) | State::End(_) => Err(self.wrong_length(self.seen)),
        }
    }

    fn pass(&mut self, piece: Bytes, out: &mut VecDeque<Bytes>) {
        match self.kind {
            Chunks::Signed => out.push_back(piece),
            Chunks::Unsigned => {
                out.push_back(Bytes::from(format!("{:x}\r\n", piece.len())));
                out.push_back(piece);
                out.push_back(Bytes::from_static(b"\r\n"));
            }
        }
    }

    fn size_line(&mut self, line: Vec<u8>, out: &mut VecDeque<Bytes>) -> Result<State, BodyError> {
        let text = line
            .strip_suffix(b"\r\n")
            .and_then(|text| std::str::from_utf8(text).ok())
            .ok_or_else(|| malformed("the line of a chunk does not end in CRLF"))?;
        let (size, extension) = match text.split_once(';') {
            Some((size, extension)) => (size, Some(extension)),
            None => (text, None),
        };
        let digits = (1..=8).contains(&size.len()) && size.bytes().all(|c| c.is_ascii_hexdigit());
        let len = match digits {
            true => u64::from_str_radix(size, 16).ok(),
            false => None,
        };
        let len = len.ok_or_else(|| malformed("the size of a chunk is not a number"))?;
        match (self.kind, extension) {
            (Chunks::Signed, Some(e)) if e.starts_with("chunk-signature=") => {}
            (Chunks::Signed, _) => return Err(malformed("a chunk has no signature")),
            (Chunks::Unsigned, None) => {}
            (Chunks::Unsigned, Some(_)) => {
                return Err(malformed("a chunk is signed although the body is not"));
            }
        }
        if self.kind == Chunks::Signed && len > SIGNED_CHUNK_MAX {
            return Err(malformed("a signed chunk is larger than 16 MiB"));
        }
        self.seen += len;
        if self.seen > self.expected || (len == 0 && self.seen < self.expected) {
            return Err(self.wrong_length(self.seen));
        }
        if self.kind == Chunks::Signed || len == 0 {
            out.push_back(Bytes::from(line));
        }
        Ok(match len {
            0 => State::Trailer(0),
            _ => State::Data(len),
        })
    }

    fn wrong_length(&self, got: u64) -> BodyError {
        BodyError::Length {
            expected: self.expected,
            got,
        }
    }
}

fn malformed(why: &str) -> BodyError {
    BodyError::Malformed(why.to_owned())
}
