//! A specification of the merge that follows the design's text and shares no code with the merge.
//!
//! Method: a *world* says of every record whether it was committed. A world is possible if its
//! commits could have followed each other in the order of the records, and agree with what was
//! found. Of the possible worlds the newest records decide: the one that has the highest record
//! beats those that lack it, then the next. All worlds of a set are tried, one by one. What exists
//! is read off the world; what exists and cannot be read puts its key in doubt.

mod keys;
mod uploads;

use std::collections::BTreeMap;

use super::*;

/// Whether a record's bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bytes {
    Readable,
    /// Not readable, but perhaps acknowledged: copies seen and absent drives reach the quorum.
    Hidden,
    /// Not readable, and too few drives can have it: never acknowledged.
    Never,
}

/// Shards (bits) of a 2+1 write on drives 1, 2, 3, of which some are absent; others that are may
/// hold a shard that was moved.
fn coded(bits: u8, absent: &[u64]) -> Bytes {
    let found = bits.count_ones() as usize;
    let is_seen = |drive: u64| drive <= 3 && bits & (1 << (drive - 1)) != 0;
    let hidden = absent.iter().filter(|&&drive| !is_seen(drive));
    match found {
        2.. => Bytes::Readable,
        found if found + hidden.count() >= 3 => Bytes::Hidden,
        _ => Bytes::Never,
    }
}

/// Small records have two copies; both may be on absent drives.
fn may_hide(absent: &[u64]) -> bool {
    absent.len() >= 2
}

/// All subsets of `count` records, those with the highest record first, and so on.
fn worlds(count: usize) -> impl Iterator<Item = u32> {
    (0..1_u32 << count).rev()
}

/// What a rebuild shows of the one key of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    /// Versions, each with the record that has its metadata.
    versions: BTreeMap<u64, Option<u64>>,
    current: Option<u64>,
    /// The upload, and the Complete that ended it.
    upload: Option<(u64, Option<u64>)>,
    parts: Vec<u64>,
}

/// The same, as the merge says it; `None` when something is in doubt.
fn merged(case: &Case) -> Option<Shown> {
    let merged = case.decide();
    if !merged.doubts.is_empty() {
        return None;
    }
    let mut shown = Shown::default();
    for (write, fate) in merged.fates {
        let at = write.counter;
        match fate {
            Fate::Version {
                metadata,
                is_current,
            } => {
                let metadata = metadata.map(|write| write.counter);
                shown.versions.insert(at, metadata);
                shown.current = shown.current.or(is_current.then_some(at));
            }
            Fate::Upload { completed } => {
                shown.upload = Some((at, completed.map(|write| write.counter)));
            }
            Fate::Part => shown.parts.push(at),
            _ => {}
        }
    }
    Some(shown)
}

/// Visits every choice of one piece per place.
fn every<P: Copy>(choices: &[Vec<P>], mut visit: impl FnMut(&[P])) {
    let mut at = vec![0; choices.len()];
    loop {
        let picked: Vec<P> = at.iter().zip(choices).map(|(at, list)| list[*at]).collect();
        visit(&picked);
        let next = (0..choices.len()).find(|&place| at[place] + 1 < choices[place].len());
        let Some(next) = next else { return };
        at[next] += 1;
        at[..next].fill(0);
    }
}
