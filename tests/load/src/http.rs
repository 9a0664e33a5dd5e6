//! HTTP/1.1 over a blocking socket, as cheaply as it goes.
//!
//! Owns: one keep-alive connection, writing a request (head and body pieces in one system call when
//! they fit) and reading its answer. Never pipelines: one request, one answer.
//! Leaves to others: what the bytes mean ([`crate::client`]).
//! Always: after a failure the connection is dropped, so no answer is taken for another's.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::RecvFlags;

use crate::failure::Failure;

/// Bytes read from the socket at once; also the longest head that is accepted.
const BUFFER_LEN: usize = 128 << 10;
/// Header fields accepted in an answer.
const HEADERS_MAX: usize = 64;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The Content-Length header; of a HEAD request, the length that a GET would have.
    pub content_length: Option<u64>,
    /// The ETag header, with its quotes.
    pub etag: Option<String>,
    framing: Framing,
    keep_alive: bool,
}

/// Whether the answer's body is on the wire: not after HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The answer ends after its head.
    HeadOnly,
    /// The answer has the body that its head announces.
    Body,
}

/// A connection to one server, made when first needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    timeout: Duration,
    stream: Option<TcpStream>,
    answer: AnswerBuffer,
}

impl Connection {
    /// A connection to `address`, not made yet; `timeout` bounds each wait for the socket.
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        Self {
            address,
            timeout,
            stream: None,
            answer: AnswerBuffer::new(),
        }
    }

    /// Connects unless connected.
    pub fn connect(&mut self) -> Result<(), Failure> {
        if self.stream.is_none() {
            let connected = TcpStream::connect_timeout(&self.address, self.timeout);
            let stream = connected.map_err(|error| Failure::Connect(error.kind()))?;
            stream
                .set_nodelay(true)
                .and_then(|()| stream.set_read_timeout(Some(self.timeout)))
                .and_then(|()| stream.set_write_timeout(Some(self.timeout)))
                .map_err(|error| Failure::socket(&error))?;
            self.answer.clear();
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Sends a request and reads the head of its answer. `pieces` begins with the request's head.
    pub fn exchange(
        &mut self,
        pieces: &mut [IoSlice<'_>],
        expect: Expect,
    ) -> Result<Head, Failure> {
        self.connect()?;
        let stream = self
            .stream
            .as_mut()
            .expect("connect returned Ok: there is a stream");
        // A server may refuse and close while the body is being sent: its answer is worth reading.
        let sent = write_all(stream, pieces);
        match (self.answer.head(stream, expect), sent) {
            (Ok(head), sent) => {
                if sent.is_err() || !head.keep_alive {
                    self.answer.close_after = true;
                }
                Ok(head)
            }
            (Err(_), Err(error)) => {
                self.stream = None;
                Err(Failure::socket(&error))
            }
            (Err(failure), Ok(())) => {
                self.stream = None;
                Err(failure)
            }
        }
    }

    /// Reads the body after `head` and gives it to `sink` in pieces; returns its length in bytes.
    pub fn body(&mut self, head: &Head, sink: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        let stream = self.stream.as_mut().ok_or(Failure::Cut)?;
        let done = self.answer.body(stream, head.framing, sink);
        self.finish(done)
    }

    /// Reads the body after `head` and lets the kernel throw it away instead of copying it to us;
    /// returns its length in bytes.
    pub fn drop_body(&mut self, head: &Head) -> Result<u64, Failure> {
        let Framing::Length(len) = head.framing else {
            return self.body(head, &mut |_| {});
        };
        let stream = self.stream.as_mut().ok_or(Failure::Cut)?;
        let done = self.answer.drop_body(stream, len);
        self.finish(done)
    }

    fn finish(&mut self, done: Result<u64, Failure>) -> Result<u64, Failure> {
        if done.is_err() || self.answer.close_after {
            self.stream = None;
        }
        done
    }
}

/// Writes all pieces; a short write continues where it stopped.
fn write_all(stream: &mut TcpStream, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        match stream.write_vectored(pieces) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut pieces, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Bytes received and not yet consumed, and the parser over them.
#[derive(Debug)]
struct AnswerBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    close_after: bool,
}

impl AnswerBuffer {
    fn new() -> Self {
        Self {
            bytes: vec![0; BUFFER_LEN],
            start: 0,
            end: 0,
            close_after: false,
        }
    }

    fn clear(&mut self) {
        (self.start, self.end, self.close_after) = (0, 0, false);
    }

    /// Receives more bytes behind those that are there.
    fn fill(&mut self, input: &mut impl Read) -> Result<(), Failure> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            return Err(Failure::Malformed("head or line too long"));
        }
        loop {
            match input.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Err(Failure::Cut),
                Ok(count) => {
                    self.end += count;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::socket(&error)),
            }
        }
    }

    fn head(&mut self, input: &mut impl Read, expect: Expect) -> Result<Head, Failure> {
        loop {
            if self.start == self.end {
                self.fill(input)?;
            }
            match parse_head(&self.bytes[self.start..self.end], expect)? {
                Some((head, len)) => {
                    self.start += len;
                    if head.status >= 200 {
                        return Ok(head);
                    }
                }
                None => self.fill(input)?,
            }
        }
    }

    fn body(
        &mut self,
        input: &mut impl Read,
        framing: Framing,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, Failure> {
        match framing {
            Framing::Length(len) => self.pass(input, len, sink).map(|()| len),
            Framing::Chunked => self.chunks(input, sink),
            Framing::UntilClose => {
                self.close_after = true;
                let mut len = 0;
                loop {
                    len += (self.end - self.start) as u64;
                    sink(&self.bytes[self.start..self.end]);
                    self.start = self.end;
                    match self.fill(input) {
                        Ok(()) => {}
                        Err(Failure::Cut) => return Ok(len),
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
    }

    /// Gives exactly `len` bytes to `sink`.
    fn pass(
        &mut self,
        input: &mut impl Read,
        len: u64,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let mut left = len;
        while left > 0 {
            if self.start == self.end {
                self.fill(input)?;
            }
            let count = left.min((self.end - self.start) as u64);
            let end = self.start + count as usize;
            sink(&self.bytes[self.start..end]);
            self.start = end;
            left -= count;
        }
        Ok(())
    }

    fn chunks(
        &mut self,
        input: &mut impl Read,
        sink: &mut dyn FnMut(&[u8]),
    ) -> Result<u64, Failure> {
        let mut total = 0;
        loop {
            let line = self.line(input)?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let len = u64::from_str_radix(digits, 16)
                .map_err(|_| Failure::Malformed("chunk without length"))?;
            if len == 0 {
                while !self.line(input)?.is_empty() {}
                return Ok(total);
            }
            self.pass(input, len, sink)?;
            total += len;
            if !self.line(input)?.is_empty() {
                return Err(Failure::Malformed("chunk longer than announced"));
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self, input: &mut impl Read) -> Result<String, Failure> {
        loop {
            let unread = &self.bytes[self.start..self.end];
            if let Some(len) = unread.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&unread[..len])
                    .trim_end()
                    .to_owned();
                self.start += len + 1;
                return Ok(line);
            }
            self.fill(input)?;
        }
    }

    /// Consumes `len` bytes; those not received yet never leave the kernel.
    fn drop_body(&mut self, stream: &TcpStream, len: u64) -> Result<u64, Failure> {
        let here = len.min((self.end - self.start) as u64);
        self.start += here as usize;
        let mut left = len - here;
        while left > 0 {
            // The buffer is empty now; with TRUNC nothing is written to it.
            let want = left.min(BUFFER_LEN as u64) as usize;
            match rustix::net::recv(stream, &mut self.bytes[..want], RecvFlags::TRUNC) {
                Ok((_, 0)) => return Err(Failure::Cut),
                Ok((_, count)) => left -= (count as u64).min(left),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::socket(&error.into())),
            }
        }
        Ok(len)
    }
}

/// Parses a head at the front of `bytes`; returns it and its length, or `None` if it is incomplete.
fn parse_head(bytes: &[u8], expect: Expect) -> Result<Option<(Head, usize)>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Failure::Malformed("bad head")),
    };
    let status = response.code.ok_or(Failure::Malformed("no status"))?;
    let (mut content_length, mut etag) = (None, None);
    let (mut chunked, mut keep_alive) = (false, response.version == Some(1));
    for field in response.headers.iter() {
        let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
        if field.name.eq_ignore_ascii_case("content-length") {
            let parsed = value
                .parse()
                .map_err(|_| Failure::Malformed("bad content-length"))?;
            content_length = Some(parsed);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.eq_ignore_ascii_case("close")
                && (keep_alive || value.eq_ignore_ascii_case("keep-alive"));
        } else if field.name.eq_ignore_ascii_case("etag") {
            etag = Some(value.to_owned());
        }
    }
    let bodiless = expect == Expect::HeadOnly || status < 200 || matches!(status, 204 | 304);
    let framing = match content_length {
        _ if bodiless => Framing::Length(0),
        _ if chunked => Framing::Chunked,
        Some(len) => Framing::Length(len),
        None => Framing::UntilClose,
    };
    Ok(Some((
        Head {
            status,
            content_length,
            etag,
            framing,
            keep_alive,
        },
        len,
    )))
}

#[cfg(test)]
mod tests;
