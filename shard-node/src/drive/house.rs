//! What a drive does by itself.
//!
//! Owns: pre-writing free space, dropping staged shards that nobody goes on with, and telling the
//! log that it has time.
//! Leaves to others: all answers.
//! Always: pre-written space that is free never exceeds `prewrite_bytes` by more than a step, the
//! reserve is not touched, and cells that come do not compete with zeros.

use std::sync::Arc;
use std::time::Duration;

use holdfast_protocol::drive::PAGE_LEN;
use holdfast_protocol::rpc::DriveError;
use holdfast_seam::disk::zero_pages;
use holdfast_seam::spawn::blocking;
use tokio::sync::mpsc::WeakSender;

use super::files::Files;
use super::grow::{Purpose, grow};
use super::request::Request;
use super::stage;
use super::state::Shared;

/// Bytes pre-written with one sync.
const STEP_LEN: u64 = 4 << 20;
/// How often the housekeeper looks.
const TICK: Duration = Duration::from_secs(1);

/// Runs until the drive is closed or dropped.
pub(crate) async fn run(shared: Arc<Shared>, queue: WeakSender<Request>) {
    let mut last = shared.state.lock().end;
    let opened = shared.world.clock.now();
    let mut looked = opened;
    while !shared.state.lock().closing {
        // At first zeros would compete with the syncs of whoever starts together with the drive.
        let started = shared.world.clock.now().since(opened) >= TICK;
        while started && prewrite(&shared).await {}
        let now = shared.world.clock.now();
        if now.since(looked) >= TICK {
            looked = now;
            stage::drop_idle(&shared);
            refresh(&shared).await;
            let Some(queue) = queue.upgrade() else { return };
            let end = shared.state.lock().end;
            if end == last {
                let _ = queue.try_send(Request::Idle);
            }
            last = end;
        }
        tokio::select! {
            biased;
            () = shared.house.notified() => {}
            () = shared.world.clock.sleep(TICK) => {}
        }
        if queue.strong_count() == 0 {
            return;
        }
    }
}

/// Looks how much space the file system has.
async fn refresh(shared: &Arc<Shared>) {
    let job = Arc::clone(shared);
    let available = blocking(&*shared.world.spawn, move || job.files.available()).await;
    if let Some(available) = available {
        let mut state = shared.state.lock();
        state.available = available;
        shared.publish(&state);
    }
}

/// Writes zeros ahead of the writers, once. Whether that should go on.
async fn prewrite(shared: &Arc<Shared>) -> bool {
    let Some(pages) = wanted(shared) else {
        return false;
    };
    let job = Arc::clone(shared);
    let written = blocking(&*shared.world.spawn, move || fill(&job, pages)).await;
    written == Some(true)
}

/// How many pages to write ahead now, if free space is short and the file system has enough.
fn wanted(shared: &Shared) -> Option<u64> {
    let config = &shared.config;
    if shared.check_log().is_err() {
        return None;
    }
    let now = shared.world.clock.now();
    let state = shared.state.lock();
    // Allocated space takes large cells as fast as written space does: zeros would only double what
    // the medium has to take.
    if state.staged_at.is_some_and(|at| now.since(at) < TICK) {
        return None;
    }
    let free = state.space.free_pages() * PAGE_LEN;
    let wanted = config.prewrite_bytes.checked_sub(free)?;
    let least = STEP_LEN.min(config.prewrite_bytes / 2).max(PAGE_LEN);
    if wanted < least || state.in_reserve(config) || state.closing {
        return None;
    }
    Some(wanted.min(STEP_LEN) / PAGE_LEN)
}

/// Takes pages beyond the frontier, writes zeros to them and gives them back as free ones.
fn fill(shared: &Shared, pages: u64) -> bool {
    if grow(shared, pages, Purpose::Ahead).is_err() {
        return false;
    }
    let extent = {
        let mut state = shared.state.lock();
        let pages = pages.min(state.ready());
        if pages == 0 {
            return false;
        }
        state.space.take_frontier(pages)
    };
    let address = extent.page * PAGE_LEN;
    let arena = shared.files.arena_of(address);
    let written = zero(&shared.files, address, extent.len())
        .and_then(|()| shared.files.sync([arena]))
        .is_ok();
    let mut state = shared.state.lock();
    state.space.release(extent);
    shared.publish(&state);
    written
}

/// Writes zeros to whole pages, within one arena.
///
/// # Errors
/// As [`Files::write`].
pub(crate) fn zero(files: &Files, address: u64, len: u64) -> Result<(), DriveError> {
    let mut slices: Vec<&[u8]> = Vec::new();
    let mut left = len;
    while left > 0 {
        let zeros = zero_pages(left as usize);
        slices.push(zeros);
        left -= zeros.len() as u64;
    }
    files.write(address, &slices)
}
