//! Makes writes durable: sends records, counts acknowledgements.
//!
//! Owns: the three quorums of `docs/ARCHITECTURE.md` (coded, small, system), stand-ins and the
//! grace for late drives.
//! Leaves to others: committing to the index, voiding what failed (gateway).
//! Always: a call that was sent is never cancelled: what it did is either counted or unknown.

use std::time::Duration;

use bytes::Bytes;
use holdfast_protocol::rpc::{DriveError, DriveReply, DriveRequest, LogPosition, SealShard};
use holdfast_protocol::{
    Body, DriveId, EncodedRecord, Geometry, GroupId, LogId, Manifest, ManifestKind, MovedWrite,
    Order, Placement, Record, RecordKind, WriteId,
};
use holdfast_seam::Monotonic;
use holdfast_seam::planted;
use tokio::sync::mpsc;

use crate::error::StoreError;
use crate::quorum::{Tally, Verdict};
use crate::store::Store;
use crate::writer::CodedBody;

/// A durable write: where it is and how far the drives' logs go.
#[derive(Clone, Debug, Default)]
pub struct Sealed {
    /// For the row.
    pub placement: Placement,
    /// Where the logs of the drives that answered end, for the index to remember.
    pub seen: Vec<(DriveId, LogPosition)>,
}

type Answer = (usize, DriveId, Result<LogPosition, DriveError>);

/// One message to one drive.
struct Message {
    slot: usize,
    drive: DriveId,
    request: DriveRequest,
}

impl Store {
    /// Makes a coded write durable: its record, with the last stripe, on the write quorum.
    ///
    /// # Errors
    /// `WriteQuorum` with `sent`: the write may still come to light and must be voided; `Fenced`.
    pub async fn seal_coded(
        &self,
        manifest: &Manifest,
        mut body: CodedBody,
    ) -> Result<Sealed, StoreError> {
        let record = Record::Commit {
            manifest: manifest.clone(),
            body: Bytes::new(),
        };
        let _client = self.foreground().enter(&*self.world().clock);
        let record = record.encode(self.cluster());
        body.guard.disarm();
        let last = std::mem::take(&mut body.last);
        let mut last = last.into_iter();
        let stripe_count = body.layout.stripe_count();
        let mut placement = Placement {
            holders: body.drives.clone(),
            missing: (1 << body.drives.len()) - 1,
            touched: Vec::new(),
        };
        let mut messages = Vec::with_capacity(body.drives.len());
        for (slot, &drive) in body.drives.iter().enumerate() {
            let last = last.next();
            if body.failed & (1 << slot) != 0 {
                continue;
            }
            let shard = SealShard {
                shard: slot as u8,
                len: body.layout.shard_len(),
                stripe_count,
                digest: body.digests[slot],
                last,
            };
            let request = DriveRequest::Seal {
                admitted: Order::ZERO,
                record: record.clone(),
                shard: Some(shard),
            };
            messages.push(Message {
                slot,
                drive,
                request,
            });
        }
        let needed = write_quorum(body.layout.geometry());
        let mut round = Round::start(self, needed, messages, "coded");
        round.until_decided().await?;
        round.grace(self.config().late_grace).await;
        let mut seen = Vec::with_capacity(round.acked.len());
        for (slot, drive, position) in round.acked {
            placement.missing &= !(1 << slot);
            seen.push((drive, position));
        }
        self.shared
            .metrics
            .late_shards
            .inc_by(u64::from(placement.missing.count_ones()));
        self.note_fresh(manifest);
        Ok(Sealed { placement, seen })
    }

    /// Makes a small record durable on m + 1 drives of its group, stand-ins included.
    ///
    /// # Errors
    /// `WriteQuorum` with `sent`: it may still come to light and must be voided; `Fenced`.
    pub async fn seal_small(&self, record: &Record, group: GroupId) -> Result<Sealed, StoreError> {
        let encoded = record.encode(self.cluster());
        let with_data = is_bulk(record);
        let _client = self.foreground().enter(&*self.world().clock);
        let copies = match weakened(record) {
            Some(copies) => copies,
            None => self.map().geometry.copies(),
        };
        let group = self.group(group);
        let drives = &self.shared.drives;
        let usable = |drive: &DriveId| match with_data {
            true => drives.is_writable(*drive),
            false => drives.is_reachable(*drive),
        };
        // The healthy drives in the group's order; then those that did not answer last, as a last
        // resort.
        let (first, rest): (Vec<DriveId>, Vec<DriveId>) = group.iter().partition(|d| usable(d));
        let mut candidates = first
            .into_iter()
            .chain(rest)
            .enumerate()
            .map(|(slot, drive)| {
                let request = DriveRequest::Seal {
                    admitted: Order::ZERO,
                    record: encoded.clone(),
                    shard: None,
                };
                Message {
                    slot,
                    drive,
                    request,
                }
            });
        let first = candidates.by_ref().take(copies).collect();
        let mut round = Round::start(self, copies, first, "small");
        round.with_stand_ins(candidates.collect()).await?;
        if let Record::Commit { manifest, .. } = record {
            self.note_fresh(manifest);
        }
        Ok(round.sealed())
    }

    /// Makes a system record durable on N − a + 1 of the N living drives.
    ///
    /// # Errors
    /// `WriteQuorum` with `sent`, `Fenced`.
    pub async fn seal_system(&self, record: &Record) -> Result<Sealed, StoreError> {
        let encoded = record.encode(self.cluster());
        let map = self.map();
        let messages = map
            .living()
            .enumerate()
            .map(|(slot, drive)| Message {
                slot,
                drive: drive.id,
                request: DriveRequest::Seal {
                    admitted: Order::ZERO,
                    record: encoded.clone(),
                    shard: None,
                },
            })
            .collect();
        let mut round = Round::start(self, map.system_quorum(), messages, "system");
        round.until_decided().await?;
        round.grace(self.config().late_grace).await;
        Ok(round.sealed())
    }

    /// Puts an existing record on one more drive. `admitted`: the order of the change by which a
    /// row counts on the drive, `ZERO` for records that no row places.
    ///
    /// # Errors
    /// What the drive says.
    pub async fn seal_copy(
        &self,
        drive: DriveId,
        admitted: Order,
        record: EncodedRecord,
        shard: Option<SealShard>,
    ) -> Result<(), DriveError> {
        let request = DriveRequest::Seal {
            admitted,
            record,
            shard,
        };
        self.tell(drive, request).await
    }

    /// Durably drops writes on a drive; `order` is the highest of the changes that retired them,
    /// and below the settled mark.
    ///
    /// # Errors
    /// What the drive says.
    pub async fn purge(
        &self,
        drive: DriveId,
        order: Order,
        writes: Vec<WriteId>,
    ) -> Result<(), DriveError> {
        self.tell(drive, DriveRequest::Purge { order, writes })
            .await
    }

    /// Durably drops, on a drive, writes that live elsewhere, unless they have returned.
    ///
    /// # Errors
    /// What the drive says.
    pub async fn leave(&self, drive: DriveId, moved: Vec<MovedWrite>) -> Result<(), DriveError> {
        self.tell(drive, DriveRequest::Leave { moved }).await
    }

    /// Tells a drive that it was compared whole since its log has been this one.
    ///
    /// # Errors
    /// What the drive says.
    pub async fn compared(&self, drive: DriveId, log: LogId) -> Result<(), DriveError> {
        self.tell(drive, DriveRequest::Compared { log }).await
    }

    async fn tell(&self, drive: DriveId, request: DriveRequest) -> Result<(), DriveError> {
        let deadline = self.config().drive_deadline;
        self.shared
            .drives
            .call(drive, deadline, request)
            .await
            .map(drop)
    }
}

/// The same record on its way to several drives.
struct Round<'a> {
    store: &'a Store,
    kind: &'static str,
    tally: Tally,
    needed: usize,
    answers: mpsc::UnboundedReceiver<Answer>,
    send: mpsc::UnboundedSender<Answer>,
    acked: Vec<(usize, DriveId, LogPosition)>,
    touched: Vec<DriveId>,
    full: bool,
    fenced: Option<(DriveId, DriveError)>,
    start: Monotonic,
}

impl<'a> Round<'a> {
    fn start(store: &'a Store, needed: usize, messages: Vec<Message>, kind: &'static str) -> Self {
        let (send, answers) = mpsc::unbounded_channel();
        let mut round = Self {
            store,
            kind,
            tally: Tally::new(needed, 0),
            needed,
            answers,
            send,
            acked: Vec::with_capacity(messages.len()),
            touched: Vec::new(),
            full: false,
            fenced: None,
            start: store.world().clock.now(),
        };
        messages.into_iter().for_each(|message| round.ask(message));
        round
    }

    /// Sends one message, in a task of its own: dropping the round does not recall it.
    fn ask(&mut self, message: Message) {
        let Message {
            slot,
            drive,
            request,
        } = message;
        self.tally.ask();
        self.touched.push(drive);
        let (store, send) = (self.store.clone(), self.send.clone());
        let call = async move {
            let deadline = store.shared.config.drive_deadline;
            let outcome = store.shared.drives.call(drive, deadline, request).await;
            let _ = send.send((slot, drive, position(outcome)));
        };
        self.store.shared.world.spawn.task("seal", Box::pin(call));
    }

    fn take(&mut self, (slot, drive, answer): Answer) {
        match answer {
            Ok(position) => {
                self.tally.ack();
                self.acked.push((slot, drive, position));
            }
            Err(error) => {
                self.tally.fail();
                tracing::warn!(%drive, kind = self.kind, %error, "record not durable on a drive");
                self.full |= error == DriveError::Full;
                if matches!(
                    error,
                    DriveError::OldGeneration { .. } | DriveError::OtherIndex { .. }
                ) {
                    self.fenced = Some((drive, error));
                }
            }
        }
    }

    /// Waits until the quorum is reached or out of reach.
    async fn until_decided(&mut self) -> Result<(), StoreError> {
        loop {
            match self.tally.verdict() {
                Verdict::Durable => {
                    self.store.observe(self.kind, self.start);
                    return Ok(());
                }
                Verdict::Lost => return Err(self.lost()),
                Verdict::Open => {}
            }
            let answer = self.answers.recv().await.expect("the round keeps a sender");
            self.take(answer);
        }
    }

    /// As [`Round::until_decided`], asking the next stand-in when a drive fails or is slow.
    async fn with_stand_ins(&mut self, stand_ins: Vec<Message>) -> Result<(), StoreError> {
        let mut stand_ins = stand_ins.into_iter();
        let clock = &self.store.shared.world.clock;
        let mut slow = clock.sleep(self.store.config().stand_in_delay);
        loop {
            while self.tally.verdict() == Verdict::Lost {
                match stand_ins.next() {
                    Some(stand_in) => self.ask(stand_in),
                    None => return Err(self.lost()),
                }
            }
            if self.tally.verdict() == Verdict::Durable {
                self.store.observe(self.kind, self.start);
                return Ok(());
            }
            tokio::select! {
            biased;
                           answer = self.answers.recv() => {
                               self.take(answer.expect("the round keeps a sender"));
                           }
                           () = &mut slow => {
                               stand_ins.next().into_iter().for_each(|stand_in| self.ask(stand_in));
                               slow = clock.sleep(self.store.config().stand_in_delay);
                           }
                       }
        }
    }

    /// Gives late drives a little more time.
    async fn grace(&mut self, grace: Duration) {
        let mut over = self.store.shared.world.clock.sleep(grace);
        while self.tally.open() > 0 {
            tokio::select! {
            biased;
                           answer = self.answers.recv() => {
                               self.take(answer.expect("the round keeps a sender"));
                           }
                           () = &mut over => return,
                       }
        }
    }

    fn lost(&mut self) -> StoreError {
        self.store
            .shared
            .metrics
            .quorum_failures
            .with_label_values(&[self.kind])
            .inc();
        if let Some((drive, source)) = self.fenced.take() {
            return StoreError::Fenced { drive, source };
        }
        StoreError::WriteQuorum {
            acked: self.tally.acked(),
            needed: self.needed,
            sent: !self.touched.is_empty(),
            full: self.full || self.touched.iter().any(|&d| self.store.drives().is_full(d)),
        }
    }

    fn sealed(self) -> Sealed {
        let holders: Vec<DriveId> = self.acked.iter().map(|&(_, drive, _)| drive).collect();
        let touched = self
            .touched
            .into_iter()
            .filter(|d| !holders.contains(d))
            .collect();
        let seen = self
            .acked
            .iter()
            .map(|&(_, drive, position)| (drive, position))
            .collect();
        Sealed {
            placement: Placement {
                holders,
                missing: 0,
                touched,
            },
            seen,
        }
    }
}

/// Whether a full drive is not asked to take it: deleting and changing metadata goes on.
fn is_bulk(record: &Record) -> bool {
    match record {
        Record::Commit { manifest, .. } => {
            !matches!(manifest.kind, ManifestKind::Metadata { .. })
                && manifest.body != Body::DeleteMarker
        }
        _ => false,
    }
}

/// Durable shards without which a coded write is not acknowledged.
pub(crate) fn write_quorum(geometry: Geometry) -> usize {
    match planted("ack-at-k") {
        true => geometry.data(),
        false => geometry.write_quorum(),
    }
}

/// How many copies a planted fault leaves of a record.
fn weakened(record: &Record) -> Option<usize> {
    let is_complete = match record {
        Record::Commit { manifest, .. } => {
            matches!(manifest.body, Body::Parts { .. })
        }
        _ => false,
    };
    let is_tombstone = record.kind() == RecordKind::Tombstone;
    match () {
        () if planted("one-copy") => Some(1),
        () if is_complete && planted("commit-not-sent") => Some(0),
        () if is_tombstone && planted("tombstone-not-sent") => Some(0),
        () => None,
    }
}

fn position(outcome: Result<DriveReply, DriveError>) -> Result<LogPosition, DriveError> {
    match outcome? {
        DriveReply::Sealed { position } => Ok(position),
        other => Err(DriveError::BadRequest {
            what: format!("unexpected answer {other:?}"),
        }),
    }
}
