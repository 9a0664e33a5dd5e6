//! Versions of a key, their deletions, metadata and voids.

use proptest::prelude::*;

use super::*;

/// A record; its place is its order, and what it names is another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    None,
    /// A small null version.
    Small,
    /// A coded null version of which these shards (bits) were found.
    Coded(u8),
    /// A small version of a versioned bucket.
    Ordered,
    /// A coded one.
    OrderedCoded(u8),
    /// A small write of the null version that was made there.
    Rewrite(u64),
    /// A small write of the version of a versioned bucket that was made there.
    OrderedRewrite(u64),
    /// A coded one, of which one shard was found.
    OrderedRewriteCoded(u64),
    Delete,
    DeleteVersion(u64),
    /// Of the write there.
    Metadata(u64),
    Void(u64),
}

const FIRST: u64 = 2;

fn pieces(at: u64, end: u64) -> Vec<Piece> {
    let mut all = vec![Piece::None, Piece::Small, Piece::Ordered, Piece::Delete];
    all.extend((1..8).map(Piece::Coded));
    all.extend([0b001, 0b101].map(Piece::OrderedCoded));
    all.extend((FIRST..at).map(Piece::Rewrite));
    all.extend((FIRST..at).map(Piece::OrderedRewrite));
    all.extend((FIRST..at).map(Piece::OrderedRewriteCoded));
    all.extend((FIRST..at).map(Piece::Metadata));
    all.extend((FIRST..at).map(Piece::DeleteVersion));
    all.extend((FIRST..end).filter(|to| *to != at).map(Piece::Void));
    all
}

/// Which version a piece is a write of: its name, and where it was made.
fn version_of(at: u64, piece: Piece) -> Option<(VersionName, u64)> {
    match piece {
        Piece::Small | Piece::Coded(_) => Some((VersionName::Null, at)),
        Piece::Ordered | Piece::OrderedCoded(_) => Some((VersionName::Ordered, at)),
        Piece::Rewrite(of) => Some((VersionName::Null, of)),
        Piece::OrderedRewrite(of) | Piece::OrderedRewriteCoded(of) => {
            Some((VersionName::Ordered, of))
        }
        _ => None,
    }
}

/// The version whose metadata names the write at `of`. Where nothing was found, half of the writes
/// were of the null version.
fn version_named(set: &[Piece], of: u64) -> (VersionName, u64) {
    let unknown = match of % 2 {
        0 => (VersionName::Null, of),
        _ => (VersionName::Ordered, of),
    };
    version_of(of, set[(of - FIRST) as usize]).unwrap_or(unknown)
}

/// What one version replaces: any null version, or only itself.
fn slot(of: (VersionName, u64)) -> Option<u64> {
    (of.0 == VersionName::Ordered).then_some(of.1)
}

fn case_of(set: &[Piece], absent: &[u64]) -> Case {
    let mut case = Case::new().absent(absent);
    let shards =
        |bits: u8| -> Vec<u8> { (0..3).filter(|shard| bits & (1 << shard) != 0).collect() };
    for (at, piece) in (FIRST..).zip(set) {
        case = match *piece {
            Piece::None => case,
            Piece::Small => case.small(at, &[1]),
            Piece::Coded(bits) => case.coded(at, &shards(bits)),
            Piece::Ordered => case.ordered(at, &[2]),
            Piece::OrderedCoded(bits) => {
                let copies = Case::shards(&shards(bits));
                case.version(at, VersionName::Ordered, Case::coded_body(), copies)
            }
            Piece::Rewrite(of) => {
                let of = (VersionName::Null, of);
                case.rewrite(at, of, BodyFact::Small, Case::plain(&[1]))
            }
            Piece::OrderedRewrite(of) => {
                let of = (VersionName::Ordered, of);
                case.rewrite(at, of, BodyFact::Small, Case::plain(&[1]))
            }
            Piece::OrderedRewriteCoded(of) => {
                let of = (VersionName::Ordered, of);
                case.rewrite(at, of, Case::coded_body(), Case::shards(&[1]))
            }
            Piece::Delete => case.delete(at),
            Piece::DeleteVersion(of) => case.delete_version(at, of),
            Piece::Metadata(of) => case.metadata_of(at, of, version_named(set, of)),
            Piece::Void(of) => case.void(at, of),
        };
    }
    case
}

/// A set and which of it was committed.
struct World<'a> {
    set: &'a [Piece],
    absent: &'a [u64],
    bits: u32,
}

impl World<'_> {
    fn all(&self) -> impl DoubleEndedIterator<Item = (u64, Piece)> {
        self.set
            .iter()
            .enumerate()
            .map(|(at, piece)| (FIRST + at as u64, *piece))
    }

    fn piece(&self, at: u64) -> Piece {
        let at = at
            .checked_sub(FIRST)
            .and_then(|at| self.set.get(at as usize));
        at.copied().unwrap_or(Piece::None)
    }

    fn has(&self, at: u64) -> bool {
        self.bits & (1 << (at - FIRST)) != 0
    }

    fn committed(&self) -> impl DoubleEndedIterator<Item = (u64, Piece)> {
        self.all().filter(|(at, _)| self.has(*at))
    }

    fn bytes(&self, piece: Piece) -> Bytes {
        match piece {
            Piece::Coded(bits) | Piece::OrderedCoded(bits) => coded(bits, self.absent),
            Piece::OrderedRewriteCoded(_) => coded(0b010, self.absent),
            _ => Bytes::Readable,
        }
    }

    /// Whether the commits could have followed each other, and agree with what was found.
    fn is_possible(&self) -> bool {
        self.committed().all(|(at, piece)| {
            let is_voided = self.set.contains(&Piece::Void(at)) && !matches!(piece, Piece::Void(_));
            let is_fine = match piece {
                Piece::None => false,
                Piece::Metadata(of) => self.could_change(of, at),
                _ => self.bytes(piece) != Bytes::Never || self.is_changed(at),
            };
            !is_voided && is_fine
        })
    }

    /// Whether committed metadata depends on the write.
    fn is_changed(&self, write: u64) -> bool {
        self.committed()
            .any(|(_, piece)| piece == Piece::Metadata(write))
    }

    /// The version that a piece writes or deletes.
    fn ends(at: u64, piece: Piece) -> Option<Option<u64>> {
        match piece {
            Piece::Delete => Some(None),
            Piece::DeleteVersion(of) => Some(Some(of)),
            _ => version_of(at, piece).map(slot),
        }
    }

    /// Whether the write was in force for a metadata record of this order.
    fn could_change(&self, write: u64, order: u64) -> bool {
        let Some(of) = version_of(write, self.piece(write)) else {
            return false;
        };
        let ends = |at, piece| Self::ends(at, piece) == Some(slot(of));
        let is_between = |at: &u64| (write + 1..order).contains(at);
        let mut between = self.committed().filter(|(at, _)| is_between(at));
        self.has(write) && !between.any(|(at, piece)| ends(at, piece))
    }

    /// What this world shows; `None` when something is in doubt.
    fn shown(&self) -> Option<Shown> {
        // The last that happened to a version, or to the null version, decides about it.
        let mut last: BTreeMap<Option<u64>, (u64, Piece)> = BTreeMap::new();
        for (at, piece) in self.committed() {
            if let Some(slot) = Self::ends(at, piece) {
                last.insert(slot, (at, piece));
            }
        }
        let mut shown = Shown::default();
        let mut newest = None;
        for (slot, &(write, piece)) in &last {
            let Some((_, made)) = version_of(write, piece) else {
                continue;
            };
            if self.bytes(piece) != Bytes::Readable {
                return None;
            }
            let of_it = |found: &(u64, Piece)| found.1 == Piece::Metadata(write);
            let metadata = self.committed().rfind(of_it).map(|(at, _)| at);
            shown.versions.insert(write, metadata);
            newest = newest.max(Some((made, *slot, write)));
        }
        shown.current = newest.map(|(_, _, write)| write);
        // Metadata of a write that nobody saw: it may be there, or have been replaced since.
        let is_orphan = |(at, piece): (u64, Piece)| match piece {
            Piece::Metadata(of) => {
                let is_voided = self.set.contains(&Piece::Void(at));
                let slot = slot(version_named(self.set, of));
                let covered = last.get(&slot).map_or(0, |(at, _)| *at);
                at > covered && !is_voided && self.piece(of) == Piece::None
            }
            _ => false,
        };
        let is_hidden = may_hide(self.absent) && self.all().any(is_orphan);
        (!is_hidden).then_some(shown)
    }
}

fn expected(set: &[Piece], absent: &[u64]) -> Option<Shown> {
    let world = |bits| World { set, absent, bits };
    let mut possible = worlds(set.len()).map(world).filter(World::is_possible);
    possible.next().expect("nothing at all is possible").shown()
}

#[test]
fn every_set_of_four_records_is_merged_as_specified() {
    let choices: Vec<_> = (FIRST..FIRST + 4).map(|at| pieces(at, FIRST + 4)).collect();
    for absent in [&[][..], &[3], &[2, 3]] {
        let mut count = 0;
        every(&choices, |set| {
            count += 1;
            let case = case_of(set, absent);
            let (merged, expected) = (merged(&case), expected(set, absent));
            assert_eq!(
                merged,
                expected,
                "{set:?} absent {absent:?}: {:?}",
                case.decide()
            );
        });
        assert!(count > 100_000, "{count} sets");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn sets_of_eight_records_are_merged_as_specified(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 8),
        absent in prop::sample::select(vec![vec![], vec![1], vec![1, 3]]),
    ) {
        let end = FIRST + picks.len() as u64;
        let pick = |(at, pick): (u64, &prop::sample::Index)| *pick.get(&pieces(at, end));
        let set: Vec<Piece> = (FIRST..).zip(&picks).map(pick).collect();
        let case = case_of(&set, &absent);
        prop_assert_eq!(merged(&case), expected(&set, &absent), "{:?} absent {:?}", set, absent);
    }
}
