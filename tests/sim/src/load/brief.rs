//! A bucket that is made and deleted all the time.
//!
//! Owns: what clients do in it. Deleting it says what a LIST says that finds nothing.
//! Leaves to others: the operations on keys ([`super::client`]).

use super::{BRIEF_KEYS, Client, brief_name, bucket_of, full};
use crate::history::{Action, Outcome};

impl Client {
    pub(super) async fn brief(&mut self) {
        let key = brief_name(self.dice.below(3));
        match self.dice.below(12) {
            0..4 => self.put(&key, false).await,
            4..7 => _ = self.delete(&key).await,
            7 => self.get(&key, false).await,
            8 => drop(self.list_all(BRIEF_KEYS, 1000).await),
            9 => self.make_bucket().await,
            _ => self.drop_bucket().await,
        }
    }

    async fn make_bucket(&mut self) {
        let name = bucket_of(BRIEF_KEYS);
        let _ = self.ask(|door| door.make_bucket(name)).await;
    }

    async fn drop_bucket(&mut self) {
        let name = bucket_of(BRIEF_KEYS);
        let call = self.load.tick();
        if let Ok(()) = self.ask(|door| door.drop_bucket(name)).await {
            let action = Action::List {
                prefix: full(BRIEF_KEYS),
                after: None,
                through: None,
            };
            let outcome = Outcome::Listed(Vec::new());
            self.load.record(self.number, call, action, outcome);
        }
    }
}
