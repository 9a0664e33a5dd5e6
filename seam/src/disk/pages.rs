//! Whole pages, past the page cache.
//!
//! Owns: the second descriptor of a file (`O_DIRECT`), alignment in memory, and going on through
//! the page cache where the system knows no other way.
//! Leaves to others: which files are written as pages.
//! Always: a file's bytes go one way only from the first refusal on; memory for copies is bounded
//! by [`COPY_LEN`] for each write under way.
//!
//! A copy into the page cache, with the bookkeeping of its pages and of writing them back, was a
//! third of what a large PUT cost, and much more where pages had never been touched
//! (docs/adr/0012).

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use super::write_all;

/// Bytes of a page, in memory and in files.
pub const PAGE_LEN: usize = 4096;
/// What does not lie at pages of memory is copied in pieces of this many bytes.
const COPY_LEN: usize = 256 << 10;
/// Bytes of [`zero_pages`].
const ZEROS_LEN: usize = 1 << 20;

#[repr(C, align(4096))]
struct Zeros([u8; ZEROS_LEN]);

static ZEROS: Zeros = Zeros([0; ZEROS_LEN]);

/// At most `len` zeros, at a page of memory.
pub fn zero_pages(len: usize) -> &'static [u8] {
    &ZEROS.0[..len.min(ZEROS_LEN)]
}

/// Bytes that begin at a page of memory.
#[derive(Debug, Default)]
pub struct PageBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl PageBuffer {
    /// `len` zeros.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + PAGE_LEN - 1];
        let start = bytes.as_ptr().align_offset(PAGE_LEN).min(PAGE_LEN - 1);
        Self { bytes, start }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(PAGE_LEN - 1)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl AsRef<[u8]> for PageBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len()]
    }
}

impl AsMut<[u8]> for PageBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        let end = self.start + self.len();
        &mut self.bytes[self.start..end]
    }
}

/// How one file is written as pages.
#[derive(Debug)]
pub(super) struct Pages {
    path: PathBuf,
    direct: OnceLock<Option<File>>,
    refused: AtomicBool,
}

impl Pages {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            direct: OnceLock::new(),
            refused: AtomicBool::new(false),
        }
    }

    /// Writes `slices`, which are whole pages together, at `offset`.
    pub(super) fn write(&self, file: &File, slices: &[&[u8]], offset: u64) -> io::Result<()> {
        check(slices, offset)?;
        let Some(direct) = self.direct() else {
            return write_all(file, slices, offset);
        };
        let written = if slices.iter().all(|slice| is_aligned(slice)) {
            write_direct(direct, slices, offset)
        } else {
            copied(direct, slices, offset)
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.refuse(&error);
                write_all(file, slices, offset)
            }
            written => written,
        }
    }

    fn direct(&self) -> Option<&File> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let open = || {
            OpenOptions::new()
                .write(true)
                .custom_flags(OFlags::DIRECT.bits().cast_signed())
                .open(&self.path)
                .inspect_err(|error| self.refuse(error))
                .ok()
        };
        self.direct.get_or_init(open).as_ref()
    }

    fn refuse(&self, error: &io::Error) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::info!(%path, %error, "no direct writes here: writing through the page cache");
        }
    }
}

/// Whether `slices`, at `offset`, are whole pages.
pub(super) fn check(slices: &[&[u8]], offset: u64) -> io::Result<()> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    if len.is_multiple_of(PAGE_LEN) && offset.is_multiple_of(PAGE_LEN as u64) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not whole pages",
    ))
}

fn is_aligned(slice: &[u8]) -> bool {
    slice.is_empty()
        || slice.len().is_multiple_of(PAGE_LEN) && slice.as_ptr().addr().is_multiple_of(PAGE_LEN)
}

/// Writes aligned slices. What the system wrote of a page only is written again, whole.
fn write_direct(direct: &File, slices: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = slices.iter().map(|s| IoSlice::new(s)).collect();
    let mut rest = &mut slices[..];
    while rest.iter().any(|slice| !slice.is_empty()) {
        let batch = rest.len().min(1024);
        let written = rustix::io::pwritev(direct, &rest[..batch], offset)?;
        let whole = written - written % PAGE_LEN;
        if whole == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        offset += whole as u64;
        IoSlice::advance_slices(&mut rest, whole);
    }
    Ok(())
}

/// Writes slices that lie anywhere, by way of a buffer.
fn copied(direct: &File, slices: &[&[u8]], mut offset: u64) -> io::Result<()> {
    let len: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut buffer = PageBuffer::new(len.min(COPY_LEN));
    let mut filled = 0;
    for mut slice in slices.iter().copied() {
        while !slice.is_empty() {
            let space = &mut buffer.as_mut()[filled..];
            let (now, later) = slice.split_at(slice.len().min(space.len()));
            space[..now.len()].copy_from_slice(now);
            filled += now.len();
            slice = later;
            if filled == buffer.len() {
                write_direct(direct, &[buffer.as_ref()], offset)?;
                offset += filled as u64;
                filled = 0;
            }
        }
    }
    write_direct(direct, &[&buffer.as_ref()[..filled]], offset)
}

#[cfg(test)]
mod tests {
    use super::super::{Disk, DiskFile, OpenMode, RealDisk};
    use super::*;

    fn file(name: &str) -> (tempfile::TempDir, std::sync::Arc<dyn DiskFile>) {
        // Not in memory: what a system knows of direct writes is a matter of its file system.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = RealDisk.open(&dir.path().join(name), OpenMode::CreateNew);
        (dir, file.unwrap())
    }

    #[test]
    fn pages_are_read_back_as_written_wherever_their_bytes_lay() {
        let (_dir, file) = file("pages");
        let bytes: Vec<u8> = (0..3 * COPY_LEN + 5 * PAGE_LEN)
            .map(|n| (n % 251) as u8)
            .collect();
        let mut aligned = PageBuffer::new(2 * PAGE_LEN);
        aligned.as_mut().copy_from_slice(&bytes[..2 * PAGE_LEN]);
        file.write_pages_at(&[aligned.as_ref()], 0).unwrap();
        let (head, tail) = bytes[2 * PAGE_LEN..].split_at(777);
        file.write_pages_at(&[head, tail], 2 * PAGE_LEN as u64)
            .unwrap();
        let mut back = vec![0; bytes.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert!(back == bytes);
        // Over what has been read, and so is in the page cache.
        file.write_pages_at(&[zero_pages(PAGE_LEN)], PAGE_LEN as u64)
            .unwrap();
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back[..PAGE_LEN], bytes[..PAGE_LEN]);
        assert!(back[PAGE_LEN..2 * PAGE_LEN].iter().all(|byte| *byte == 0));
        assert_eq!(back[2 * PAGE_LEN..], bytes[2 * PAGE_LEN..]);
    }

    #[test]
    fn only_what_does_not_lie_at_pages_is_copied() {
        let buffer = PageBuffer::new(3 * PAGE_LEN);
        assert!(is_aligned(&buffer.as_ref()[PAGE_LEN..]));
        assert!(is_aligned(&[]));
        assert!(!is_aligned(&buffer.as_ref()[PAGE_LEN..PAGE_LEN + 9]));
        assert!(!is_aligned(&buffer.as_ref()[8..PAGE_LEN + 8]));
    }

    #[test]
    fn less_than_a_page_is_refused_and_changes_nothing() {
        let (_dir, file) = file("pages");
        for (bytes, offset) in [(&b"abc"[..], 0), (zero_pages(PAGE_LEN), 7)] {
            let error = file.write_pages_at(&[bytes], offset).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(file.len().unwrap(), 0);
    }

    #[test]
    fn where_there_are_no_direct_writes_pages_go_through_the_cache() {
        let (dir, file) = file("pages");
        let pages = Pages::new(&dir.path().join("nothing of this name"));
        let plain = OpenOptions::new()
            .write(true)
            .open(dir.path().join("pages"))
            .unwrap();
        let bytes = vec![7; 2 * PAGE_LEN];
        pages.write(&plain, &[&bytes], 0).unwrap();
        assert!(pages.refused.load(Ordering::Relaxed));
        let mut back = vec![0; bytes.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn a_buffer_begins_at_a_page_and_has_the_length_asked_for() {
        for len in [0, 1, PAGE_LEN, 3 * PAGE_LEN + 1] {
            let buffer = PageBuffer::new(len);
            assert_eq!(buffer.as_ref().len(), len);
            assert!(buffer.as_ref().as_ptr().addr().is_multiple_of(PAGE_LEN));
        }
        assert!(PageBuffer::default().is_empty());
    }
}
