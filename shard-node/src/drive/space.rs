//! Which pages of a drive are free.
//!
//! Owns: the free extents below the frontier, and the frontier itself.
//! Leaves to others: files, the reserve, and how far the frontier may go (the caller says so).
//! Always: free extents are disjoint, below the frontier, never touch each other within an arena,
//! and never cross the border of an arena.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_protocol::drive::{EXTENT_PAGES_MAX, EXTENTS_MAX, Extent};

/// Pieces that an allocation may be cut into before growing is preferred.
const PIECES_PREFERRED: usize = 4;

/// Free pages of one drive.
#[derive(Debug)]
pub(crate) struct Space {
    arena_pages: u64,
    frontier: u64,
    free_pages: u64,
    by_page: BTreeMap<u64, u64>,
    by_count: BTreeSet<(u64, u64)>,
}

impl Space {
    /// Nothing is free below `frontier`.
    pub(crate) fn new(arena_pages: u64, frontier: u64) -> Self {
        Self {
            arena_pages,
            frontier,
            free_pages: 0,
            by_page: BTreeMap::new(),
            by_count: BTreeSet::new(),
        }
    }

    /// Everything below `frontier` is free but `used`, which is sorted by page and disjoint.
    pub(crate) fn without(arena_pages: u64, frontier: u64, used: &[Extent]) -> Self {
        let mut space = Self::new(arena_pages, frontier);
        let mut page = 0;
        for extent in used {
            space.release_pages(page, extent.page);
            page = extent.end();
        }
        space.release_pages(page, frontier);
        space
    }

    /// Pages given out, free or pre-written so far.
    pub(crate) fn frontier(&self) -> u64 {
        self.frontier
    }

    /// Free pages below the frontier.
    pub(crate) fn free_pages(&self) -> u64 {
        self.free_pages
    }

    /// Takes `count` pages, in one piece if possible, growing by at most `growth` pages.
    ///
    /// `None`, with nothing changed, if there are not so many.
    pub(crate) fn take(&mut self, count: u64, growth: u64) -> Option<Vec<Extent>> {
        if let Some(extents) = self.take_whole(count) {
            return Some(extents);
        }
        let pieces = self.largest(count, PIECES_PREFERRED);
        if pieces.iter().map(|p| p.1).sum::<u64>() >= count {
            return Some(self.take_pieces(&pieces, count));
        }
        if let Some(extents) = self.grow(count, growth) {
            return Some(extents);
        }
        let grown = growth.min(count);
        let pieces = self.largest(count - grown, EXTENTS_MAX / 2);
        if pieces.iter().map(|p| p.1).sum::<u64>() < count - grown {
            return None;
        }
        let mut extents = self.take_pieces(&pieces, count - grown);
        if grown > 0 {
            extents.extend(self.grow(grown, growth)?);
        }
        Some(extents)
    }

    /// Takes exactly one extent of `count` pages, growing by at most `growth` pages.
    pub(crate) fn take_one(&mut self, count: u64, growth: u64) -> Option<Extent> {
        if let Some(extents) = self.take_whole(count) {
            return extents.first().copied();
        }
        let skipped = self.skipped(count);
        let most = self.arena_pages.min(EXTENT_PAGES_MAX.into());
        if count + skipped > growth || count > most {
            return None;
        }
        let page = self.frontier + skipped;
        self.frontier = page + count;
        self.release_pages(page - skipped, page);
        Some(Extent {
            page,
            count: count as u32,
        })
    }

    /// How far [`Space::take_one`] may have to grow.
    pub(crate) fn growth_for_one(&self, count: u64) -> u64 {
        count + self.skipped(count)
    }

    /// Pages left in the frontier's arena, if `count` do not fit there.
    fn skipped(&self, count: u64) -> u64 {
        let rest = self.arena_pages - self.frontier % self.arena_pages;
        if rest < count { rest } else { 0 }
    }

    /// Takes the next pages beyond the frontier, at most `count` and not across an arena's border.
    pub(crate) fn take_frontier(&mut self, count: u64) -> Extent {
        let rest = self.arena_pages - self.frontier % self.arena_pages;
        let count = count.min(rest).min(u64::from(EXTENT_PAGES_MAX));
        let page = self.frontier;
        self.frontier += count;
        Extent {
            page,
            count: count as u32,
        }
    }

    /// Gives pages back.
    pub(crate) fn release(&mut self, extent: Extent) {
        self.release_pages(extent.page, extent.end());
    }

    /// The free extents, by page; for checks.
    pub(crate) fn free_extents(&self) -> impl Iterator<Item = (u64, u64)> {
        self.by_page.iter().map(|(page, count)| (*page, *count))
    }

    fn take_whole(&mut self, count: u64) -> Option<Vec<Extent>> {
        if count > u64::from(EXTENT_PAGES_MAX) {
            return None;
        }
        let (_, page) = self.by_count.range((count, 0)..).next().copied()?;
        Some(self.take_pieces(&[(page, count)], count))
    }

    /// The largest free extents that together have `count` pages, at most `limit` of them.
    fn largest(&self, count: u64, limit: usize) -> Vec<(u64, u64)> {
        let mut sum = 0;
        let mut pieces = Vec::new();
        for (len, page) in self.by_count.iter().rev().take(limit) {
            if sum >= count {
                break;
            }
            let len = (*len).min(u64::from(EXTENT_PAGES_MAX));
            sum += len;
            pieces.push((*page, len));
        }
        pieces
    }

    /// Takes `count` pages off the fronts of `pieces`, each within one free extent.
    fn take_pieces(&mut self, pieces: &[(u64, u64)], count: u64) -> Vec<Extent> {
        let mut left = count;
        let mut extents = Vec::with_capacity(pieces.len());
        for (page, len) in pieces {
            let taken = left.min(*len);
            if taken == 0 {
                break;
            }
            let whole = self.remove(*page);
            self.insert(*page + taken, whole - taken);
            extents.push(Extent {
                page: *page,
                count: taken as u32,
            });
            left -= taken;
        }
        extents
    }

    fn grow(&mut self, count: u64, growth: u64) -> Option<Vec<Extent>> {
        if count > growth {
            return None;
        }
        let mut left = count;
        let mut extents = Vec::new();
        while left > 0 {
            let extent = self.take_frontier(left);
            left -= u64::from(extent.count);
            extents.push(extent);
        }
        Some(extents)
    }

    fn release_pages(&mut self, start: u64, end: u64) {
        let mut page = start;
        while page < end {
            let border = (page / self.arena_pages + 1) * self.arena_pages;
            let stop = end.min(border);
            self.release_within(page, stop);
            page = stop;
        }
    }

    fn release_within(&mut self, mut page: u64, mut end: u64) {
        let after = self.by_page.range(page..).next();
        assert!(
            after.is_none_or(|(start, _)| *start >= end),
            "pages are freed once"
        );
        let before = self.by_page.range(..page).next_back();
        if let Some((start, count)) = before.map(|(start, count)| (*start, *count)) {
            assert!(start + count <= page, "pages are freed once");
            if start + count == page && !page.is_multiple_of(self.arena_pages) {
                self.remove(start);
                page = start;
            }
        }
        if !end.is_multiple_of(self.arena_pages) && self.by_page.contains_key(&end) {
            end += self.remove(end);
        }
        self.insert(page, end - page);
    }

    fn insert(&mut self, page: u64, count: u64) {
        if count > 0 {
            self.by_page.insert(page, count);
            self.by_count.insert((count, page));
            self.free_pages += count;
        }
    }

    fn remove(&mut self, page: u64) -> u64 {
        let count = self.by_page.remove(&page).unwrap_or_default();
        self.by_count.remove(&(count, page));
        self.free_pages -= count;
        count
    }
}

#[cfg(test)]
mod tests;
