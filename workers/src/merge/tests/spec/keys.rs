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
    Delete,
    DeleteVersion(u64),
    Metadata(u64),
    Void(u64),
}

const FIRST: u64 = 2;

fn pieces(at: u64, end: u64) -> Vec<Piece> {
    let mut all = vec![Piece::None, Piece::Small, Piece::Ordered, Piece::Delete];
    all.extend((1..8).map(Piece::Coded));
    all.extend([0b001, 0b101].map(Piece::OrderedCoded));
    all.extend((FIRST..at).map(Piece::Metadata));
    all.extend((FIRST..at).map(Piece::DeleteVersion));
    all.extend((FIRST..end).filter(|to| *to != at).map(Piece::Void));
    all
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
            Piece::Delete => case.delete(at),
            Piece::DeleteVersion(of) => case.delete_version(at, of),
            Piece::Metadata(of) => case.metadata(at, of),
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
            _ => Bytes::Readable,
        }
    }

    /// Whether the commits could have followed each other, and agree with what was found.
    fn is_possible(&self) -> bool {
        self.committed().all(|(at, piece)| {
            let is_voided = self.set.contains(&Piece::Void(at)) && !matches!(piece, Piece::Void(_));
            let is_fine = match piece {
                Piece::None => false,
                Piece::Void(_) | Piece::Small | Piece::Ordered | Piece::Delete => true,
                Piece::DeleteVersion(_) => true,
                Piece::Coded(_) | Piece::OrderedCoded(_) => {
                    self.bytes(piece) != Bytes::Never || self.is_named(at)
                }
                Piece::Metadata(of) => self.could_change(of, at),
            };
            !is_voided && is_fine
        })
    }

    /// Whether a committed record depends on the version.
    fn is_named(&self, version: u64) -> bool {
        self.committed().any(|(_, piece)| match piece {
            Piece::Metadata(of) | Piece::DeleteVersion(of) => of == version,
            _ => false,
        })
    }

    /// Whether the version was there for a metadata record of this order.
    fn could_change(&self, version: u64, order: u64) -> bool {
        let between = || {
            self.committed()
                .filter(|(at, _)| (version + 1..order).contains(at))
        };
        let is_deleted = between().any(|(_, piece)| piece == Piece::DeleteVersion(version));
        let is_null = match self.piece(version) {
            Piece::Small | Piece::Coded(_) => true,
            Piece::Ordered | Piece::OrderedCoded(_) => false,
            _ => return false,
        };
        let ends_null = |piece| matches!(piece, Piece::Small | Piece::Coded(_) | Piece::Delete);
        let is_replaced = is_null && between().any(|(_, piece)| ends_null(piece));
        self.has(version) && !is_deleted && !is_replaced
    }

    /// Whether a committed tombstone deletes the version.
    fn is_deleted(&self, version: u64) -> bool {
        self.committed().any(|(at, piece)| {
            let changed = |later| self.has(later) && self.piece(later) == Piece::Metadata(version);
            let is_disproved = (at + 1..FIRST + self.set.len() as u64).any(changed);
            piece == Piece::DeleteVersion(version) && !is_disproved
        })
    }

    /// What this world shows; `None` when something is in doubt.
    fn shown(&self) -> Option<Shown> {
        let is_null = |piece| matches!(piece, Piece::Small | Piece::Coded(_));
        // The last that happened to the null version decides about it.
        let last = self
            .committed()
            .rfind(|(_, piece)| is_null(*piece) || *piece == Piece::Delete);
        let null = last.filter(|(_, piece)| *piece != Piece::Delete);
        let ordered = self
            .committed()
            .filter(|(_, piece)| matches!(piece, Piece::Ordered | Piece::OrderedCoded(_)));
        let mut shown = Shown::default();
        for (version, piece) in ordered.chain(null) {
            if self.is_deleted(version) {
                continue;
            }
            if self.bytes(piece) != Bytes::Readable {
                return None;
            }
            let of_it = |found: &(u64, Piece)| found.1 == Piece::Metadata(version);
            let metadata = self.committed().rfind(of_it).map(|(at, _)| at);
            shown.versions.insert(version, metadata);
        }
        shown.current = shown.versions.keys().max().copied();
        // Metadata of a version that nobody saw: it may be there, or have been deleted since.
        let covered = last.map_or(0, |(at, _)| at);
        let is_orphan = |(at, piece): (u64, Piece)| match piece {
            Piece::Metadata(of) => {
                let is_voided = self.set.contains(&Piece::Void(at));
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
