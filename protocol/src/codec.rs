//! Little-endian fields with bounded lengths.
//!
//! Owns: [`Writer`], [`Reader`] and the error that every decoder of this crate returns.
//! Leaves to others: what the fields mean.
//! Always: the reader never allocates more than the bytes it was given.

use bytes::Bytes;

use crate::checksum::crc64;

/// Why bytes could not be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Fewer bytes than the fields need.
    #[error("truncated: {needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes the next field needs.
        needed: usize,
        /// Bytes that were left.
        left: usize,
    },
    /// The first bytes are not this format's magic.
    #[error("not a {what}: wrong magic")]
    Magic {
        /// The format that was expected.
        what: &'static str,
    },
    /// A version this program does not know.
    #[error("{what} version {version} is not known to this release")]
    Version {
        /// The format.
        what: &'static str,
        /// The version found.
        version: u8,
    },
    /// A length or count above its bound.
    #[error("{what} of {len} exceeds the bound of {max}")]
    TooLong {
        /// The field.
        what: &'static str,
        /// What was found.
        len: u64,
        /// What is allowed.
        max: u64,
    },
    /// A field has a value it must not have.
    #[error("invalid {what}")]
    Invalid {
        /// The field.
        what: &'static str,
    },
    /// The checksum does not match the bytes.
    #[error("{what} fails its checksum")]
    Checksum {
        /// The format.
        what: &'static str,
    },
    /// Bytes are left over after the last field.
    #[error("{left} bytes after the end")]
    Trailing {
        /// Bytes left over.
        left: usize,
    },
}

/// Appends fields to a growing buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: Vec::with_capacity(capacity),
        }
    }
    /// A writer that begins with a magic and a version.
    pub fn format(magic: [u8; 4], version: u8, capacity: usize) -> Self {
        let mut writer = Self::with_capacity(capacity + 5);
        writer.raw(&magic);
        writer.u8(version);
        writer
    }
    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }
    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }
    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }
    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }
    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }
    /// A 4-byte length and the bytes.
    ///
    /// Callers bound what they write; a slice of 4 GiB or more is cut and fails its reader.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
    }
    /// A string, as [`Writer::bytes`].
    pub fn str(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
    /// The bytes written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.buffer
    }
    /// The buffer without a checksum.
    pub fn into_vec(self) -> Vec<u8> {
        self.buffer
    }
    /// The buffer with the CRC-64 of everything before as its last 8 bytes.
    pub fn finish(mut self) -> Bytes {
        let sum = crc64(&self.buffer);
        self.u64(sum);
        Bytes::from(self.buffer)
    }
}

/// Takes fields off the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads fields from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Checks magic, version (at most `newest`) and the CRC-64 in the last 8 bytes of `bytes`.
    ///
    /// Returns the version and a reader over the fields between.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Version` or `Checksum`, in that order.
    pub fn format(
        bytes: &'a [u8],
        magic: [u8; 4],
        newest: u8,
        what: &'static str,
    ) -> Result<(u8, Self), FormatError> {
        let mut reader = Self::new(bytes);
        if reader.array::<4>()? != magic {
            return Err(FormatError::Magic { what });
        }
        let version = reader.u8()?;
        if version == 0 || version > newest {
            return Err(FormatError::Version { what, version });
        }
        let Some(end) = reader.rest.len().checked_sub(8) else {
            return Err(FormatError::Truncated {
                needed: 8,
                left: reader.rest.len(),
            });
        };
        let (fields, sum) = reader.rest.split_at(end);
        let covered = &bytes[..bytes.len() - 8];
        if Self::new(sum).u64()? != crc64(covered) {
            return Err(FormatError::Checksum { what });
        }
        Ok((version, Self::new(fields)))
    }

    /// As [`Reader::format`], of one version only.
    ///
    /// # Errors
    /// As [`Reader::format`].
    pub fn only(
        bytes: &'a [u8],
        magic: [u8; 4],
        only: u8,
        what: &'static str,
    ) -> Result<Self, FormatError> {
        match Self::format(bytes, magic, only, what)? {
            (version, reader) if version == only => Ok(reader),
            (version, _) => Err(FormatError::Version { what, version }),
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Truncated` if fewer are left.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        if len > self.rest.len() {
            return Err(FormatError::Truncated {
                needed: len,
                left: self.rest.len(),
            });
        }
        let (head, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(head)
    }
    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// `Truncated` if fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let mut array = [0_u8; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }
    /// One byte.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.array::<1>()?[0])
    }
    /// Two bytes.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn u16(&mut self) -> Result<u16, FormatError> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    /// Four bytes.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    /// Eight bytes.
    ///
    /// # Errors
    /// `Truncated`.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// `Invalid` for any other value.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, FormatError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FormatError::Invalid { what }),
        }
    }
    /// A length of at most `max` and so many bytes.
    ///
    /// # Errors
    /// `TooLong` or `Truncated`.
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], FormatError> {
        let len = self.count(what, max)?;
        self.raw(len)
    }
    /// A UTF-8 string of at most `max` bytes.
    ///
    /// # Errors
    /// `TooLong`, `Truncated`, or `Invalid` if it is not UTF-8.
    pub fn str(&mut self, what: &'static str, max: usize) -> Result<&'a str, FormatError> {
        std::str::from_utf8(self.bytes(what, max)?).map_err(|_| FormatError::Invalid { what })
    }
    /// A 4-byte count of at most `max`.
    ///
    /// # Errors
    /// `TooLong` or `Truncated`.
    pub fn count(&mut self, what: &'static str, max: usize) -> Result<usize, FormatError> {
        let len = self.u32()?;
        if len as usize > max {
            return Err(FormatError::TooLong {
                what,
                len: len.into(),
                max: max as u64,
            });
        }
        Ok(len as usize)
    }
    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }
    /// Checks that nothing is left.
    ///
    /// # Errors
    /// `Trailing` otherwise.
    pub fn end(&self) -> Result<(), FormatError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(FormatError::Trailing { left }),
        }
    }
}
