//! Writes that leave the drive and return to it.
//!
//! Owns: what a purge, a leave and a return do to the model.
//! Leaves to others: putting ([`super`]).
//! Always: orders grow with every move; a leave may come late, with the order of an earlier one.

use super::*;

/// Has a drive drop writes for good.
pub(super) fn purge_of(writes: Vec<WriteId>) -> DriveRequest {
    let order = Order::ZERO;
    DriveRequest::Purge { order, writes }
}

impl Run {
    pub(crate) async fn purge(&mut self, writes: Vec<u64>) {
        let request = DriveRequest::Purge {
            order: Order::ZERO,
            writes: writes.iter().map(|write| write_id(write + 1)).collect(),
        };
        let answer = self.ask(request).await;
        for write in writes {
            let known = self.known.get_mut(&write).unwrap();
            match &answer {
                Ok(DriveReply::Purged { position }) => {
                    *known = Known {
                        purged: Some(*position),
                        ..Known::default()
                    };
                    self.staged.remove(&write);
                }
                other => {
                    assert!(self.faulty || self.limited, "{other:?}");
                    known.maybe_purged = true;
                }
            }
        }
    }

    /// Writes leave, with a new order or one of `late` moves ago.
    pub(crate) async fn leave(&mut self, writes: Vec<u64>, late: u64) {
        self.moves += 1;
        let left = self.moves.saturating_sub(late).max(1);
        let moved = writes.iter().map(|write| MovedWrite {
            write: write_id(write + 1),
            order: order(left),
        });
        let moved = moved.collect();
        let answer = self.ask(DriveRequest::Leave { moved }).await;
        let held = inventory_of(self).await;
        for write in writes {
            let is_held = held.contains(&write_id(write + 1));
            let known = self.known.get_mut(&write).unwrap();
            match &answer {
                Ok(DriveReply::Purged { position }) => {
                    if left > known.left {
                        (known.left, known.left_at) = (left, *position);
                    }
                    self.staged.remove(&write);
                    if known.sealed.is_some() {
                        let (least, most) = known.admitted;
                        assert!(!is_held || most >= left || self.flipped, "{write} stays");
                        assert!(is_held || least < left || self.flipped, "{write} returned");
                        known.admitted.0 = least.max(left);
                    }
                    known.sealed = known.sealed.filter(|_| is_held);
                    known.maybe_sealed &= left < known.maybe_admitted;
                }
                other => {
                    assert!(self.faulty || self.limited, "{other:?}");
                    known.maybe_purged = true;
                }
            }
        }
    }

    /// A write is brought back, or brought once more.
    pub(crate) async fn bring(&mut self, write: u64) {
        self.moves += 1;
        let admitted = self.moves;
        let answer = self.put(write, admitted).await;
        self.was_put(write, admitted, answer);
        self.drop_leftovers(write).await;
    }
}
