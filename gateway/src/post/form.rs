//! Reading `multipart/form-data`, piece by piece.
//!
//! Owns: boundaries, the heads of parts, where the file begins and ends.
//! Leaves to others: what the fields mean ([`super::policy`], [`super::sign`]), I/O.
//! Always: the outcome does not depend on how the bytes are cut; at most [`FIELDS_LEN_MAX`] bytes
//! come before the file, and of the file at most a boundary's length is held back.
//! Source: RFC 7578, RFC 2046 section 5.1, RFC 5987; lines end in CR LF.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

use super::{PostError, malformed};

/// Most bytes before the first byte of the file, boundaries included: S3's limit.
pub const FIELDS_LEN_MAX: usize = 20 << 10;
/// Most bytes after the file, which are read and dropped.
pub const REST_LEN_MAX: u64 = 1 << 20;
/// Longest boundary (RFC 2046).
const BOUNDARY_LEN_MAX: usize = 70;
/// Most blanks between a boundary and the end of its line.
const PADDING_LEN_MAX: usize = 64;

/// A piece of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A field before the file.
    Field {
        /// Its name as it was written.
        name: String,
        /// Its value.
        value: String,
    },
    /// The file begins; the name that the client gives it, with any folders.
    File {
        /// The name; empty if there is none.
        name: String,
    },
    /// Bytes of the file.
    Data(Bytes),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first boundary.
    Start,
    /// Behind a boundary's line: a head, then a field's value or the file.
    Part,
    /// In the file.
    File,
    /// Behind the file.
    Rest,
}

/// A form that is being read: bytes go in ([`Form::push`]), pieces come out ([`Form::piece`]).
#[derive(Debug)]
pub struct Form {
    /// Finds CR, LF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    state: State,
    buffer: Bytes,
    /// Bytes taken from the buffer before the file.
    taken: usize,
    /// Bytes behind the file.
    rest: u64,
}

/// A boundary's line in a buffer.
enum Found {
    /// From `start`; what follows begins at `end`, unless it is the last.
    Line {
        start: usize,
        end: usize,
        last: bool,
    },
    /// What is from here on may become one.
    Maybe(usize),
    Nothing,
}

impl Form {
    /// Of the value of `Content-Type`, which names the boundary.
    ///
    /// # Errors
    /// `Malformed` if it does not name one, or one that cannot be.
    pub fn new(content_type: &str) -> Result<Self, PostError> {
        let boundary = boundary(content_type)?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Self {
            delimiter: Finder::new(&delimiter).into_owned(),
            state: State::Start,
            // As if a line had ended before the form, so that each boundary has one before it.
            buffer: Bytes::from_static(b"\r\n"),
            taken: 0,
            rest: 0,
        })
    }

    /// Takes the next bytes of the body.
    pub fn push(&mut self, bytes: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = bytes;
        } else {
            let mut joined = BytesMut::with_capacity(self.buffer.len() + bytes.len());
            joined.extend_from_slice(&self.buffer);
            joined.extend_from_slice(&bytes);
            self.buffer = joined.freeze();
        }
    }

    /// The next piece; `None` if more bytes are needed for it.
    ///
    /// # Errors
    /// `Malformed`, `FieldsTooLong`, `NoFile`, `BadField`.
    pub fn piece(&mut self) -> Result<Option<Piece>, PostError> {
        if self.state == State::Start && !self.start()? {
            return Ok(None);
        }
        match self.state {
            State::Part => self.part(),
            State::File => self.file(),
            State::Start | State::Rest => self.drop_rest(),
        }
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// `Malformed` if the file, or what comes before it, has no end.
    pub fn finish(&self) -> Result<(), PostError> {
        match self.state {
            State::Rest => Ok(()),
            State::Start => Err(malformed("it does not begin with its boundary")),
            State::Part | State::File => Err(malformed("it ends before its last boundary")),
        }
    }

    /// Looks for the first boundary; whether it was found.
    fn start(&mut self) -> Result<bool, PostError> {
        match self.find() {
            Found::Line { end, last, .. } => {
                self.take(end)?;
                self.state = State::Part;
                match last {
                    true => Err(PostError::NoFile),
                    false => Ok(true),
                }
            }
            Found::Maybe(_) | Found::Nothing => self.more().map(|()| false),
        }
    }

    fn part(&mut self) -> Result<Option<Piece>, PostError> {
        let Some(head_len) = head_len(&self.buffer) else {
            self.more()?;
            return Ok(None);
        };
        self.bounded(self.taken + head_len)?;
        let head = Head::parse(&self.buffer[..head_len])?;
        if head.name.eq_ignore_ascii_case("file") {
            self.take(head_len)?;
            self.state = State::File;
            return Ok(Some(Piece::File { name: head.file }));
        }
        let Found::Line { start, end, last } = self.find_from(head_len) else {
            self.more()?;
            return Ok(None);
        };
        let value = self.buffer.slice(head_len..start);
        self.take(end)?;
        let value = std::str::from_utf8(&value);
        let value = value
            .map_err(|_| malformed("a field is not UTF-8"))?
            .to_owned();
        if last {
            return Err(PostError::NoFile);
        }
        let name = head.name;
        Ok(Some(Piece::Field { name, value }))
    }

    fn file(&mut self) -> Result<Option<Piece>, PostError> {
        let len = match self.find() {
            Found::Line { start, .. } => {
                self.state = State::Rest;
                start
            }
            Found::Maybe(start) => start,
            Found::Nothing => self.buffer.len(),
        };
        let data = self.buffer.split_to(len);
        match (data.is_empty(), self.state) {
            (false, _) => Ok(Some(Piece::Data(data))),
            (true, State::Rest) => self.drop_rest(),
            (true, _) => Ok(None),
        }
    }

    /// Drops what is behind the file.
    fn drop_rest(&mut self) -> Result<Option<Piece>, PostError> {
        self.rest += std::mem::take(&mut self.buffer).len() as u64;
        match self.rest <= REST_LEN_MAX {
            true => Ok(None),
            false => Err(malformed("too much follows the file")),
        }
    }

    /// Takes bytes that are before the file off the buffer.
    fn take(&mut self, len: usize) -> Result<(), PostError> {
        let _ = self.buffer.split_to(len);
        self.taken += len;
        self.bounded(self.taken)
    }

    /// More bytes are needed before the file can begin.
    fn more(&self) -> Result<(), PostError> {
        self.bounded(self.taken + self.buffer.len())
    }

    fn bounded(&self, len: usize) -> Result<(), PostError> {
        match len <= FIELDS_LEN_MAX {
            true => Ok(()),
            false => Err(PostError::FieldsTooLong {
                max: FIELDS_LEN_MAX,
            }),
        }
    }

    fn find(&self) -> Found {
        self.find_from(0)
    }

    /// The first boundary's line that begins at or behind `from`.
    fn find_from(&self, mut from: usize) -> Found {
        let delimiter = self.delimiter.needle();
        while let Some(at) = self.delimiter.find(&self.buffer[from..]) {
            let start = from + at;
            match line_end(&self.buffer[start + delimiter.len()..]) {
                LineEnd::At { len, last } => {
                    let end = start + delimiter.len() + len;
                    return Found::Line { start, end, last };
                }
                LineEnd::Open => return Found::Maybe(start),
                LineEnd::None => from = start + 1,
            }
        }
        let tail = self.buffer.len().saturating_sub(delimiter.len() - 1);
        let tail = tail.max(from);
        let begins = |start: &usize| delimiter.starts_with(&self.buffer[*start..]);
        match (tail..self.buffer.len()).find(begins) {
            Some(start) => Found::Maybe(start),
            None => Found::Nothing,
        }
    }
}

enum LineEnd {
    /// The line is whole: a boundary, or the last one.
    At { len: usize, last: bool },
    /// More bytes decide.
    Open,
    /// It only begins like a boundary.
    None,
}

/// What follows a boundary: two hyphens, or blanks and the end of the line.
fn line_end(text: &[u8]) -> LineEnd {
    if text.starts_with(b"--") {
        return LineEnd::At { len: 2, last: true };
    }
    if text == b"-" {
        return LineEnd::Open;
    }
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let blanks = text.iter().position(is_text).unwrap_or(text.len());
    if blanks > PADDING_LEN_MAX {
        return LineEnd::None;
    }
    match &text[blanks..] {
        [b'\r', b'\n', ..] => LineEnd::At {
            len: blanks + 2,
            last: false,
        },
        [] | [b'\r'] => LineEnd::Open,
        _ => LineEnd::None,
    }
}

/// Bytes of the head of a part, with the empty line.
fn head_len(buffer: &[u8]) -> Option<usize> {
    if buffer.starts_with(b"\r\n") {
        return Some(2);
    }
    memchr::memmem::find(buffer, b"\r\n\r\n").map(|at| at + 4)
}

/// The head of a part, as far as it matters.
struct Head {
    name: String,
    /// The name of a file; empty if there is none.
    file: String,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, PostError> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|_| malformed("the head of a part is not UTF-8"))?;
        let mut disposition = None;
        for line in text.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or(malformed("a line in the head of a part has no colon"))?;
            if name.eq_ignore_ascii_case("content-disposition")
                && disposition.replace(value).is_some()
            {
                return Err(malformed("a part has two Content-Dispositions"));
            }
            let plain = ["7bit", "8bit", "binary"];
            let value = value.trim().to_ascii_lowercase();
            if name.eq_ignore_ascii_case("content-transfer-encoding")
                && !plain.contains(&value.as_str())
            {
                return Err(malformed("a part is encoded"));
            }
        }
        let disposition = disposition.ok_or(malformed("a part has no Content-Disposition"))?;
        let (kind, parameters) = parameters(disposition)?;
        if !kind.eq_ignore_ascii_case("form-data") {
            return Err(malformed("a part is not form-data"));
        }
        let get = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        let name = get("name").filter(|name| !name.is_empty());
        let extended = get("filename*").and_then(|value| extended(&value));
        Ok(Self {
            name: name.ok_or(malformed("a part has no name"))?,
            file: extended.or_else(|| get("filename")).unwrap_or_default(),
        })
    }
}

/// A value in the form of RFC 5987; UTF-8 only.
fn extended(value: &str) -> Option<String> {
    let mut fields = value.splitn(3, '\'');
    let (charset, _, text) = (fields.next()?, fields.next()?, fields.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let text = percent_encoding::percent_decode_str(text).decode_utf8();
    text.ok().map(std::borrow::Cow::into_owned)
}

type Parameters = Vec<(String, String)>;

/// A value and its parameters: `form-data; name="key"; filename=a.txt`. Names are in lower case.
fn parameters(text: &str) -> Result<(&str, Parameters), PostError> {
    let (value, mut rest) = match text.split_once(';') {
        Some((value, rest)) => (value.trim(), rest.trim_start()),
        None => (text.trim(), ""),
    };
    let mut found: Parameters = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest
            .split_once('=')
            .ok_or(malformed("a parameter has no value"))?;
        let name = name.trim().to_ascii_lowercase();
        let (value, after) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if found.iter().any(|(known, _)| *known == name) {
            return Err(malformed("a parameter is given twice"));
        }
        found.push((name, value));
        let after = after.trim_start();
        rest = match (after.strip_prefix(';'), after.is_empty()) {
            (Some(rest), _) => rest.trim_start(),
            (None, true) => "",
            (None, false) => return Err(malformed("a parameter does not end")),
        };
    }
    Ok((value, found))
}

/// The text up to the closing quote, and what follows. A backslash escapes a quote and nothing
/// else: browsers have sent whole paths of Windows.
fn unquote(text: &str) -> Result<(String, &str), PostError> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' if chars.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            c => value.push(c),
        }
    }
    Err(malformed("a quote does not end"))
}

/// Whether the value of a `Content-Type` is that of a form.
pub fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("multipart/form-data")
}

fn boundary(content_type: &str) -> Result<String, PostError> {
    if !is_form(content_type) {
        return Err(malformed("it is not multipart/form-data"));
    }
    let (_, parameters) = parameters(content_type)?;
    let found = parameters.into_iter().find(|(name, _)| name == "boundary");
    let (_, boundary) = found.ok_or(malformed("its boundary is missing"))?;
    let fit = |c: u8| c.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&c);
    let fits = (1..=BOUNDARY_LEN_MAX).contains(&boundary.len())
        && boundary.bytes().all(fit)
        && !boundary.ends_with(' ');
    match fits {
        true => Ok(boundary),
        false => Err(malformed("its boundary is none")),
    }
}
