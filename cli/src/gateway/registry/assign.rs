//! What becomes of a node's directories.
//!
//! Owns: the decision: keep, format, refuse.
//! Leaves to others: making it durable, telling the node ([`super`]).
//! Always: pure; asked again it gives the same answer. An empty directory where a drive was is
//! formatted only after that drive was given up: a forgotten mount must not look like a loss.

use holdfast_protocol::rpc::control::{Assignment, DriveReport};
use holdfast_protocol::{DriveId, NodeId};
use holdfast_seam::Rng;

use crate::data_dir::{Phase, Replacement, Slot, Stamp};

/// Decides about each report, in order; `stamp` then says where each drive is.
pub fn all(
    stamp: &mut Stamp,
    node: NodeId,
    listen: &str,
    reports: &[DriveReport],
    rng: &dyn Rng,
) -> Vec<Assignment> {
    let decide = |report| one(stamp, node, listen, report, rng);
    reports.iter().map(decide).collect()
}

fn refuse(why: String) -> Assignment {
    Assignment::Refuse { why }
}

fn one(
    stamp: &mut Stamp,
    node: NodeId,
    listen: &str,
    report: &DriveReport,
    rng: &dyn Rng,
) -> Assignment {
    if let Some(drive) = report.drive {
        return keep(stamp, node, listen, report, drive);
    }
    if let Some(why) = &report.error {
        return refuse(why.clone());
    }
    match place(stamp, node, listen, &report.label) {
        Some(at) => empty_again(stamp, at, node, listen, rng),
        None => new(stamp, node, listen, report, rng),
    }
}

/// A formatted directory.
fn keep(
    stamp: &mut Stamp,
    node: NodeId,
    listen: &str,
    report: &DriveReport,
    drive: DriveId,
) -> Assignment {
    let Some(slot) = stamp.slots.iter_mut().find(|slot| slot.drive == drive) else {
        return refuse(format!(
            "drive {drive} is not, or no longer, part of the cluster"
        ));
    };
    if slot.given_up {
        return refuse(format!(
            "drive {drive} was given up: empty {} to let it start anew",
            report.label
        ));
    }
    slot.node = node;
    listen.clone_into(&mut slot.listen);
    slot.label.clone_from(&report.label);
    Assignment::Keep
}

/// The slot of a directory: that of the same path on the same node, or at the same address.
fn place(stamp: &Stamp, node: NodeId, listen: &str, label: &str) -> Option<usize> {
    let same = |slot: &Slot| slot.label == label && (slot.node == node || slot.listen == listen);
    stamp.slots.iter().position(same)
}

/// An empty directory where a drive is, or is to be.
fn empty_again(
    stamp: &mut Stamp,
    at: usize,
    node: NodeId,
    listen: &str,
    rng: &dyn Rng,
) -> Assignment {
    let forming = stamp.phase == Phase::Forming;
    let slot = &mut stamp.slots[at];
    if slot.given_up {
        take_over(slot, node, listen, rng);
    } else if !forming && slot.replacing.is_none() {
        return refuse(format!(
            "{} is empty, but drive {drive} was here: is it mounted? If it is lost for good, run \
             `holdfast drive replace {drive}`",
            slot.label,
            drive = slot.drive
        ));
    }
    slot.node = node;
    listen.clone_into(&mut slot.listen);
    Assignment::Format { drive: slot.drive }
}

fn take_over(slot: &mut Slot, node: NodeId, listen: &str, rng: &dyn Rng) {
    // A successor that is given up before the map knew it never held anything of its own.
    let lost = slot
        .replacing
        .take()
        .map_or(slot.drive, |replacing| replacing.lost);
    slot.replacing = Some(Replacement { lost });
    slot.drive = DriveId::new(rng.u64().max(1));
    slot.given_up = false;
    slot.node = node;
    listen.clone_into(&mut slot.listen);
}

/// An empty directory that was never seen.
fn new(
    stamp: &mut Stamp,
    node: NodeId,
    listen: &str,
    report: &DriveReport,
    rng: &dyn Rng,
) -> Assignment {
    if stamp.phase == Phase::Forming && stamp.slots.len() < stamp.drives {
        let drive = DriveId::new(rng.u64().max(1));
        stamp.slots.push(Slot {
            drive,
            node,
            listen: listen.to_owned(),
            label: report.label.clone(),
            replacing: None,
            healing: false,
            given_up: false,
        });
        return Assignment::Format { drive };
    }
    if let Some(slot) = stamp.slots.iter_mut().find(|slot| slot.given_up) {
        take_over(slot, node, listen, rng);
        slot.label.clone_from(&report.label);
        return Assignment::Format { drive: slot.drive };
    }
    refuse(format!(
        "the cluster has its {} drives; {} is not needed",
        stamp.drives, report.label
    ))
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::Geometry;
    use holdfast_seam::RealRng;

    use super::*;

    const NODE: NodeId = NodeId::new(7);
    const LISTEN: &str = "host:9100";

    fn report(label: &str, drive: Option<DriveId>) -> DriveReport {
        DriveReport {
            drive,
            label: label.to_owned(),
            used_bytes: 0,
            free_bytes: 0,
            error: None,
        }
    }

    fn ask(stamp: &mut Stamp, node: NodeId, listen: &str, report: DriveReport) -> Assignment {
        all(stamp, node, listen, &[report], &RealRng).remove(0)
    }

    /// A formed cluster of three drives, `/d0` to `/d2` on one node.
    fn formed() -> Stamp {
        let mut stamp = Stamp::new(&RealRng, false, Geometry::new(2, 1).unwrap(), 3);
        for number in 0..3 {
            let report = report(&format!("/d{number}"), None);
            let assignment = ask(&mut stamp, NODE, LISTEN, report);
            assert!(matches!(assignment, Assignment::Format { .. }));
        }
        stamp.phase = Phase::Formed;
        stamp
    }

    #[test]
    fn a_directory_gets_the_same_id_when_it_asks_again() {
        let mut stamp = Stamp::new(&RealRng, false, Geometry::new(2, 1).unwrap(), 3);
        let first = ask(&mut stamp, NODE, LISTEN, report("/d", None));
        assert_eq!(ask(&mut stamp, NODE, LISTEN, report("/d", None)), first);
        assert_eq!(stamp.slots.len(), 1);
    }

    #[test]
    fn more_directories_than_drives_are_refused() {
        let mut stamp = formed();
        let assignment = ask(&mut stamp, NODE, LISTEN, report("/d3", None));
        assert!(matches!(assignment, Assignment::Refuse { .. }));
    }

    #[test]
    fn an_empty_directory_is_refused_until_its_drive_is_given_up() {
        let mut stamp = formed();
        let lost = stamp.slots[1].drive;
        let other = NodeId::new(8);
        let assignment = ask(&mut stamp, other, LISTEN, report("/d1", None));
        let Assignment::Refuse { why } = assignment else {
            panic!("{assignment:?}");
        };
        assert!(
            why.contains(&format!("holdfast drive replace {lost}")),
            "{why}"
        );
        stamp.slots[1].given_up = true;
        let assignment = ask(&mut stamp, other, LISTEN, report("/d1", None));
        let Assignment::Format { drive } = assignment else {
            panic!("{assignment:?}");
        };
        assert_ne!(drive, lost);
        assert_eq!(stamp.slots[1].replacing, Some(Replacement { lost }));
        // The answer was lost: the same again.
        let again = ask(&mut stamp, other, LISTEN, report("/d1", None));
        assert_eq!(again, Assignment::Format { drive });
        let kept = ask(&mut stamp, other, LISTEN, report("/d1", Some(drive)));
        assert_eq!(kept, Assignment::Keep);
        let old = ask(&mut stamp, NODE, LISTEN, report("/elsewhere", Some(lost)));
        assert!(
            matches!(old, Assignment::Refuse { .. }),
            "a dead drive stays out"
        );
    }

    #[test]
    fn an_empty_directory_does_not_take_the_place_of_another_that_was_given_up() {
        let mut stamp = formed();
        stamp.slots[0].given_up = true;
        let assignment = ask(&mut stamp, NODE, LISTEN, report("/d2", None));
        assert!(matches!(assignment, Assignment::Refuse { .. }));
        let assignment = ask(&mut stamp, NodeId::new(9), "new:1", report("/other", None));
        assert!(
            matches!(assignment, Assignment::Format { .. }),
            "a new machine may"
        );
    }
}
