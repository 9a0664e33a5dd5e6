//! Bytes that change on a drive by themselves.
//!
//! Owns: which bits flip.
//! Leaves to others: when, and of how many drives at a time ([`crate::director`]).
//! Always: only where something was written, so that what is flipped may be asked for.

use std::path::{Path, PathBuf};

use holdfast_protocol::DriveId;
use holdfast_protocol::drive::BatchHeader;

use super::{Cluster, DriveSlot, drive_dir};
use crate::dice::Dice;
use crate::disk::SECTOR_LEN;

/// What was never written; comparing with it is far faster than looking at each byte.
const EMPTY: [u8; SECTOR_LEN as usize] = [0; SECTOR_LEN as usize];

/// What happens to a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rot {
    /// A bit of it flips.
    Flip,
    /// It cannot be read until it is written again.
    Spoil,
}

/// A sector of a drive: arena and offset.
type Sector = (usize, u64);

/// Batches of a log that are its newest.
const NEWEST: usize = 40;

impl Cluster {
    /// Damages sectors of a drive where something was written, a third of them where a batch of the
    /// log begins. Nothing happens when the drive was replaced meanwhile.
    pub fn corrupt(&mut self, id: DriveId, count: u64, how: Rot) {
        let drives = self.nodes.iter_mut().flat_map(|node| &mut node.drives);
        let Some(drive) = drives.into_iter().find(|drive| drive.id == id) else {
            return;
        };
        let (arenas, written, log) = sectors(drive);
        for _ in 0..count {
            let found = match self.dice.permille(333) {
                true => self.dice.pick(&log).map(|(_, sector)| sector),
                false => self.dice.pick(&written),
            };
            match (found, how) {
                (Some(&(arena, sector)), Rot::Flip) => {
                    flip(drive, &mut self.dice, &arenas[arena], sector);
                }
                (Some(&(arena, sector)), Rot::Spoil) => {
                    let is_new = drive.disk.spoil(&arenas[arena], sector);
                    drive.flips += u64::from(is_new);
                }
                (None, _) => {}
            }
        }
        let flips = drive.flips;
        self.exec
            .note(|| format!("drive {id} is damaged ({how:?}) in {flips} places"));
    }

    /// Flips bits where the newest batches of a drive's log begin.
    pub fn corrupt_log(&mut self, id: DriveId, count: u64) {
        let drives = self.nodes.iter_mut().flat_map(|node| &mut node.drives);
        let Some(drive) = drives.into_iter().find(|drive| drive.id == id) else {
            return;
        };
        let (arenas, _, mut log) = sectors(drive);
        log.sort_unstable();
        let newest = log.split_off(log.len().saturating_sub(NEWEST));
        for _ in 0..count {
            if let Some(&(_, (arena, sector))) = self.dice.pick(&newest) {
                flip(drive, &mut self.dice, &arenas[arena], sector);
            }
        }
        let flips = drive.flips;
        self.exec
            .note(|| format!("{flips} bits of drive {id} have flipped in its newest batches"));
    }
}

fn flip(drive: &mut DriveSlot, dice: &mut Dice, arena: &Path, sector: u64) {
    let at = sector + dice.below(SECTOR_LEN);
    let mask = 1 << dice.below(8);
    drive.flips += u64::from(drive.disk.flip(arena, at, mask));
}

impl Cluster {
    /// Lets one read in `one_in` of a drive give a wrong bit; none any more if 0.
    pub fn misread(&mut self, id: DriveId, one_in: u64) {
        let mut drives = self.nodes.iter_mut().flat_map(|node| &mut node.drives);
        if let Some(drive) = drives.find(|drive| drive.id == id) {
            // It counts as damaged from now on.
            drive.flips += 1;
            drive.disk.misread(one_in);
        }
        self.exec
            .note(|| format!("drive {id} reads one in {one_in} wrongly"));
    }
}

/// Arenas of a drive, the sectors in which something was written, and those in which a batch of
/// the log begins, with its number.
fn sectors(drive: &DriveSlot) -> (Vec<PathBuf>, Vec<Sector>, Vec<(u64, Sector)>) {
    let files = drive.disk.files(&drive_dir()).into_iter();
    let arenas: Vec<PathBuf> = files
        .map(|(path, _)| path)
        .filter(|path| is_arena(path))
        .collect();
    let (mut written, mut log) = (Vec::new(), Vec::new());
    for (arena, path) in arenas.iter().enumerate() {
        let bytes = drive.disk.contents(path).unwrap_or_default();
        for (number, sector) in bytes.chunks(SECTOR_LEN as usize).enumerate() {
            if sector != &EMPTY[..sector.len()] {
                written.push((arena, number as u64 * SECTOR_LEN));
            }
        }
        for (number, page) in bytes.chunks(4096).enumerate() {
            if let Ok(header) = BatchHeader::decode(page, u64::MAX) {
                log.push((header.batch, (arena, number as u64 * 4096)));
            }
        }
    }
    (arenas, written, log)
}

fn is_arena(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.starts_with("space."))
}
