//! Who may sign, from configuration and index.
//!
//! Owns: loading accounts at a start.
//! Leaves to others: accounts themselves (`gateway::accounts`), where the master key is kept
//! ([`crate::data_dir`]).
//! Always: the administrator by configuration may sign before anything else is known.

use std::sync::Arc;

use holdfast_gateway::accounts::{Accounts, Directory, MasterKey, Sealer};
use holdfast_gateway::auth::Administrator;
use holdfast_gateway::metrics::AccountMetrics;
use holdfast_gateway::object::Service;

use super::core::failed;
use crate::data_dir::Stamp;
use crate::error::CliError;

/// Who may sign.
#[derive(Clone, Debug)]
pub struct Holders {
    /// The administrator by configuration.
    pub root: Administrator,
    /// The key that seals secrets.
    pub master: MasterKey,
    /// Where all are kept.
    pub directory: Arc<Directory>,
}

impl Holders {
    /// Loads the accounts that the index has.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn load(
        &self,
        service: &Service,
        stamp: &Stamp,
        metrics: AccountMetrics,
    ) -> Result<Accounts, CliError> {
        let sealer = Sealer::new(&self.master, stamp.cluster);
        let directory = Arc::clone(&self.directory);
        let (root, cluster) = (&self.root, stamp.cluster);
        Accounts::load(service.clone(), directory, root, cluster, sealer, metrics)
            .await
            .map_err(failed("load the accounts"))
    }
}
