//! Memory of bodies on their way.
//!
//! Owns: permits for stripe buffers, and the buffers, which are used again instead of being given
//! back to the system for every stripe.
//! Leaves to others: who waits (writer, reader).
//! Always: buffers in use never exceed the budget; idle ones are bounded too. Buffers begin at a
//! page of memory, so that drives can write cells from where they are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use holdfast_seam::disk::PageBuffer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits and buffers.
#[derive(Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    unit: usize,
    total: usize,
    idle: Mutex<Vec<PageBuffer>>,
    idle_max: usize,
    /// Buffers in use.
    used: AtomicUsize,
}

/// A buffer with its permit; both return when it, or the last [`Bytes`] made of it, is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: PageBuffer,
    budget: Arc<Budget>,
    _permit: OwnedSemaphorePermit,
}

impl Budget {
    /// `bytes` in all, counted in units of 64 KiB; at most `idle_max` buffers are kept for later,
    /// or as many as are in use at that moment.
    pub fn new(bytes: usize, idle_max: usize) -> Arc<Self> {
        let unit = 64 << 10;
        let total = (bytes / unit).max(1);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(total)),
            unit,
            total,
            idle: Mutex::default(),
            idle_max,
            used: AtomicUsize::new(0),
        })
    }

    fn units(&self, len: usize) -> u32 {
        len.div_ceil(self.unit).clamp(1, self.total) as u32
    }

    /// Waits for `len` bytes of the budget. The buffer holds `len` bytes of unspecified content.
    pub async fn buffer(self: &Arc<Self>, len: usize) -> Option<Buffer> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_many_owned(self.units(len)).await.ok()?;
        Some(self.take(len, permit))
    }

    /// As [`Budget::buffer`], but `None` when that would have to wait.
    pub fn buffer_now(self: &Arc<Self>, len: usize) -> Option<Buffer> {
        let permits = Arc::clone(&self.permits);
        let permit = permits.try_acquire_many_owned(self.units(len)).ok()?;
        Some(self.take(len, permit))
    }

    fn take(self: &Arc<Self>, len: usize, permit: OwnedSemaphorePermit) -> Buffer {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|buffer| buffer.len() >= len);
        let found = found.map(|at| idle.swap_remove(at)).unwrap_or_default();
        drop(idle);
        let bytes = if found.len() >= len {
            found
        } else {
            PageBuffer::new(len)
        };
        self.used.fetch_add(1, Ordering::Relaxed);
        Buffer {
            bytes,
            budget: Arc::clone(self),
            _permit: permit,
        }
    }

    /// Waits for `len` bytes of the budget without a buffer (for bytes that others allocate).
    pub async fn permit(self: &Arc<Self>, len: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits)
            .acquire_many_owned(self.units(len))
            .await
            .ok()
    }
}

impl Buffer {
    /// Read-only bytes that keep the buffer alive.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.as_mut()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut idle = self
            .budget
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let used = self.budget.used.fetch_sub(1, Ordering::Relaxed) - 1;
        if idle.len() < self.budget.idle_max.max(used) {
            idle.push(bytes);
        }
    }
}
