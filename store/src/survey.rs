//! What drives are and hold, as a whole.
//!
//! Owns: asking many drives for their status, claiming a generation on one, leasing it, paging
//! through inventories, and reading records for those who do not know a row yet.
//! Leaves to others: what the answers mean (workers).
//! Always: works without a [`crate::Store`], because there is no map before the drives were asked.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use holdfast_protocol::rpc::{
    DriveError, DriveReply, DriveRequest, DriveStatus, InventoryEntry, LeaseView,
};
use holdfast_protocol::{
    ClaimantId, ClusterId, DriveId, EncodedRecord, Generation, Order, Record, RecordKind, WriteId,
};

use crate::drives::Drives;

/// Entries of one inventory, in ascending write id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InventoryPage {
    /// The entries.
    pub entries: Vec<InventoryEntry>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// What to list of a drive.
#[derive(Clone, Copy, Debug)]
pub struct InventoryQuery {
    /// Only writes above this one.
    pub after: Option<WriteId>,
    /// Only entries of at least this order.
    pub min_order: Order,
    /// Only this kind.
    pub kind: Option<RecordKind>,
    /// At most so many.
    pub limit: u32,
}

impl InventoryQuery {
    /// All entries of at least `min_order`, in pages of `limit`.
    pub fn from_order(min_order: Order, limit: u32) -> Self {
        Self {
            after: None,
            min_order,
            kind: None,
            limit,
        }
    }
}

/// A record as one drive keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    /// Its bytes; the head is verified, the body only if it was wanted.
    pub encoded: EncodedRecord,
    /// What it says.
    pub record: Record,
    /// The sealed shard that goes with it: index and digest.
    pub shard: Option<(u8, u64)>,
}

/// The status of a drive.
///
/// # Errors
/// What the drive says.
pub async fn status(
    drives: &Drives,
    drive: DriveId,
    deadline: Duration,
) -> Result<DriveStatus, DriveError> {
    match drives.call(drive, deadline, DriveRequest::Status).await? {
        DriveReply::Status(status) => Ok(status),
        other => Err(unexpected(&other)),
    }
}

/// The status of every attached drive, asked at the same time.
pub async fn status_of_all(
    drives: &Drives,
    deadline: Duration,
) -> BTreeMap<DriveId, Result<DriveStatus, DriveError>> {
    let asked = drives
        .ids()
        .into_iter()
        .map(|drive| async move { (drive, status(drives, drive, deadline).await) });
    join_all(asked).await.into_iter().collect()
}

/// Claims `generation`, under which [`Drives::serving`] must already be, on one drive.
///
/// # Errors
/// What the drive says: `OldGeneration` when the number is taken, `OtherIndex` without `takeover`.
pub async fn claim(
    drives: &Drives,
    drive: DriveId,
    deadline: Duration,
    generation: Generation,
    claimant: ClaimantId,
    takeover: bool,
) -> Result<(), DriveError> {
    let request = DriveRequest::Claim {
        generation,
        claimant,
        takeover,
    };
    match drives.call(drive, deadline, request).await? {
        DriveReply::Claimed => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Leases a drive for `len`, or gives its lease back when that is zero; in the name of the claimant
/// of [`Drives::serving`].
///
/// # Errors
/// What the drive says: `OldGeneration` when it obeys another claimant.
pub async fn lease(
    drives: &Drives,
    drive: DriveId,
    deadline: Duration,
    len: Duration,
    holder: String,
) -> Result<(), DriveError> {
    let request = DriveRequest::Lease {
        claimant: drives.serving().claimant,
        len_ms: u32::try_from(len.as_millis()).unwrap_or(u32::MAX),
        holder,
    };
    match drives.call(drive, deadline, request).await? {
        DriveReply::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Who leases a drive.
///
/// # Errors
/// What the drive says.
pub async fn lease_state(
    drives: &Drives,
    drive: DriveId,
    deadline: Duration,
) -> Result<LeaseView, DriveError> {
    match drives
        .call(drive, deadline, DriveRequest::LeaseState)
        .await?
    {
        DriveReply::Leased(view) => Ok(view),
        other => Err(unexpected(&other)),
    }
}

/// One page of what a drive holds.
///
/// # Errors
/// What the drive says.
pub async fn inventory(
    drives: &Drives,
    drive: DriveId,
    deadline: Duration,
    query: InventoryQuery,
) -> Result<InventoryPage, DriveError> {
    let InventoryQuery {
        after,
        min_order,
        kind,
        limit,
    } = query;
    let request = DriveRequest::Inventory {
        after,
        min_order,
        kind,
        limit,
    };
    match drives.call(drive, deadline, request).await? {
        DriveReply::Inventory { entries, more } => {
            let ascending = entries.is_sorted_by(|a, b| a.write < b.write)
                && entries.first().is_none_or(|e| Some(e.write) > after);
            match ascending && (!more || !entries.is_empty()) {
                true => Ok(InventoryPage { entries, more }),
                false => Err(DriveError::Damaged {
                    what: "inventory is not in order".to_owned(),
                }),
            }
        }
        other => Err(unexpected(&other)),
    }
}

/// A record, from one drive, decoded; its body is verified if it is wanted.
///
/// # Errors
/// What the drive says, or `Damaged`.
pub async fn read_record(
    drives: &Drives,
    cluster: ClusterId,
    drive: DriveId,
    deadline: Duration,
    write: WriteId,
    with_body: bool,
) -> Result<KeptRecord, DriveError> {
    let request = DriveRequest::ReadRecord { write, with_body };
    let (encoded, shard) = match drives.call(drive, deadline, request).await? {
        DriveReply::Record { record, shard } => (record, shard),
        other => return Err(unexpected(&other)),
    };
    let damaged = |what: String| DriveError::Damaged { what };
    if with_body {
        encoded
            .verify(cluster)
            .map_err(|e| damaged(e.to_string()))?;
    }
    let record = Record::decode(&encoded).map_err(|e| damaged(e.to_string()))?;
    match record.write() == write {
        true => Ok(KeptRecord {
            encoded,
            record,
            shard,
        }),
        false => Err(damaged("another write's record".to_owned())),
    }
}

fn unexpected(reply: &DriveReply) -> DriveError {
    let name = match reply {
        DriveReply::Done => "Done",
        DriveReply::Sealed { .. } => "Sealed",
        DriveReply::Blocks { .. } => "Blocks",
        DriveReply::Record { .. } => "Record",
        DriveReply::Purged { .. } => "Purged",
        DriveReply::Inventory { .. } => "Inventory",
        DriveReply::Claimed => "Claimed",
        DriveReply::Status(_) => "Status",
        DriveReply::Verified { .. } => "Verified",
        DriveReply::Leased(_) => "Leased",
    };
    DriveError::BadRequest {
        what: format!("unexpected answer {name}"),
    }
}
