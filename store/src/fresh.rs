//! A sample of what is written, for those who read it back.
//!
//! Owns: choosing it, and a bounded queue of it.
//! Leaves to others: reading it back (workers).
//! Always: a write never waits for it; what finds no room is not sampled.

use std::sync::OnceLock;

use holdfast_protocol::row::RowName;
use holdfast_protocol::{Manifest, WriteId};
use tokio::sync::mpsc;

use crate::store::{Store, row_name};

/// Sampled writes that wait at most.
const QUEUE_LEN: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Fresh {
    sample: OnceLock<(u64, mpsc::Sender<RowName>)>,
}

impl Store {
    /// One in `one_in` writes that become durable from now on; `None` if they are sampled already.
    /// What is named may not be committed yet, or never be.
    pub fn sample_fresh(&self, one_in: u64) -> Option<mpsc::Receiver<RowName>> {
        let (send, receive) = mpsc::channel(QUEUE_LEN);
        let set = self.shared.fresh.sample.set((one_in.max(1), send));
        set.ok().map(|()| receive)
    }

    /// A write is durable.
    pub(crate) fn note_fresh(&self, manifest: &Manifest) {
        if let Some((one_in, send)) = self.shared.fresh.sample.get()
            && spread(manifest.write).is_multiple_of(*one_in)
        {
            // Without room it is not sampled.
            let _ = send.try_send(row_name(manifest));
        }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over the write's fields.
fn spread(write: WriteId) -> u64 {
    let number = u128::from_be_bytes(write.to_key());
    let mut mixed = (number >> 64) as u64 ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use holdfast_protocol::GatewayId;

    use super::*;

    #[test]
    fn about_one_write_in_a_hundred_is_sampled() {
        let write = |counter| WriteId {
            gateway: GatewayId::new(7),
            gateway_epoch: 3,
            counter,
        };
        let sampled = (1..=100_000).filter(|n| spread(write(*n)).is_multiple_of(100));
        let count = sampled.count();
        assert!((800..1200).contains(&count), "{count}");
    }
}
