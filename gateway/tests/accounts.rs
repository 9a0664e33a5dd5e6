//! Goal: accounts and keys are there again after a kill and after the loss of the index, with the
//! right master key; what was deleted stays deleted; what failed never counted.
//!
//! Method: changes of accounts over drives in memory; the index is opened again, and made anew from
//! the drives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[allow(dead_code, reason = "other tests use more of it")]
mod operations;
#[path = "../../workers/tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use holdfast_gateway::accounts::{Accounts, Directory, MasterKey, Sealer};
use holdfast_gateway::auth::{Administrator, Credentials, Secret};
use holdfast_gateway::metrics::AccountMetrics;
use holdfast_gateway::object::{Objects, Service};
use holdfast_gateway::settings::Settings;
use holdfast_gateway::{BucketName, GatewayError};
use holdfast_index::Index;
use operations::service;
use prometheus::Registry;
use support::{CLUSTER, Cluster, Running};

struct Gateway {
    accounts: Accounts,
    directory: Arc<Directory>,
    service: Service,
    registry: Registry,
}

async fn load(running: &Running, master: u8) -> Gateway {
    let root = Administrator::new("ROOT", Secret::new("12345678")).unwrap();
    let directory = Arc::new(Directory::new(&root));
    let service = service(running);
    let registry = Registry::new();
    let metrics = AccountMetrics::register(&registry).unwrap();
    let sealer = Sealer::new(&MasterKey::new([master; 32]), CLUSTER);
    let loaded = Arc::clone(&directory);
    let accounts = Accounts::load(service.clone(), loaded, &root, CLUSTER, sealer, metrics);
    Gateway {
        accounts: accounts.await.unwrap(),
        directory,
        service,
        registry,
    }
}

impl Gateway {
    async fn account(&self, name: &str) -> String {
        let made = self.accounts.create(name.to_owned(), None, false).await;
        made.unwrap().account.id.to_string()
    }

    async fn key(&self, account: &str) -> (String, String) {
        let made = self.accounts.create_key(account.to_owned(), None, None);
        let (_, key) = made.await.unwrap();
        (key.access_key, key.secret.expose().to_owned())
    }

    fn secret(&self, access_key: &str) -> Option<String> {
        let (secret, _) = self.directory.find(access_key)?;
        Some(secret.expose().to_owned())
    }

    fn gauge(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let found = families.iter().find(|family| family.name() == name);
        found.unwrap().get_metric()[0].get_gauge().get_value()
    }
}

fn is_refused<T: std::fmt::Debug>(outcome: Result<T, GatewayError>) {
    assert!(
        matches!(outcome, Err(GatewayError::InvalidRequest { .. })),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_there_after_a_kill_and_a_rebuild() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let first = load(&running, 7).await;
    let id = first.account("alice").await;
    let (kept, secret) = first.key("alice").await;
    let (off, _) = first.key(&id).await;
    let (gone, _) = first.key("alice").await;
    first.account("other").await;
    first.key("other").await;
    let off_key = first.accounts.set_active(off.clone(), false).await;
    assert!(!off_key.unwrap().is_active);
    first.accounts.delete_key(gone.clone()).await.unwrap();
    first.accounts.delete("other".to_owned()).await.unwrap();
    let root_key = first.accounts.create_key(
        "root".to_owned(),
        Some("AKROOT2".to_owned()),
        Some(Secret::new("another-of-root")),
    );
    root_key.await.unwrap();
    let check = |gateway: &Gateway| {
        assert_eq!(gateway.secret(&kept).as_ref(), Some(&secret));
        assert_eq!(
            gateway.secret("AKROOT2").as_deref(),
            Some("another-of-root")
        );
        assert!(gateway.directory.find("AKROOT2").unwrap().1.is_admin);
        assert_eq!(gateway.secret(&off), None);
        assert_eq!(gateway.secret(&gone), None);
        let found = gateway.accounts.find("alice").unwrap();
        assert_eq!(
            (found.account.id.as_str(), found.keys.len()),
            (id.as_str(), 2)
        );
        assert!(gateway.accounts.find("other").is_err());
        let root = gateway.accounts.find("root").unwrap().account;
        assert_eq!(first.accounts.find("root").unwrap().account, root);
        assert_eq!(gateway.gauge("holdfast_auth_accounts"), 2.0);
        assert_eq!(gateway.gauge("holdfast_auth_keys"), 4.0);
        assert_eq!(gateway.gauge("holdfast_auth_unusable_keys"), 0.0);
    };
    check(&first);
    running.index.flush().await.unwrap();
    cluster.kill(running).await;
    let running = cluster.start().await;
    check(&load(&running, 7).await);
    cluster.kill(running).await;
    cluster.rebuild(2).await.unwrap();
    let running = cluster.start().await;
    check(&load(&running, 7).await);

    // With another master key they are there, but nobody can sign with them.
    let lost = load(&running, 8).await;
    assert_eq!(lost.secret(&kept), None);
    assert_eq!(lost.secret("ROOT").as_deref(), Some("12345678"));
    assert_eq!(lost.gauge("holdfast_auth_unusable_keys"), 3.0);
    assert_eq!(lost.accounts.find("alice").unwrap().keys.len(), 2);
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_buckets_stays_and_a_deleted_one_makes_none() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let gateway = load(&running, 7).await;
    let id = gateway.account("alice").await;
    let name = BucketName::parse("alices").unwrap();
    let service = &gateway.service;
    service
        .create_bucket(&name, &id, Settings::default())
        .await
        .unwrap();
    is_refused(gateway.accounts.delete("alice".to_owned()).await);
    is_refused(gateway.accounts.delete("root".to_owned()).await);
    service.delete_bucket(&name).await.unwrap();
    gateway.accounts.delete(id.clone()).await.unwrap();
    // Its request was let in before that.
    let made = service.create_bucket(&name, &id, Settings::default()).await;
    assert!(
        matches!(made, Err(GatewayError::AccessDenied { .. })),
        "{made:?}"
    );
    assert!(service.bucket(&name).await.is_err());
    let again = gateway.account("alice").await;
    assert_ne!(again, id, "an id is never used again");
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_addresses_and_keys_are_given_once() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let gateway = load(&running, 7).await;
    let accounts = &gateway.accounts;
    let make =
        |name: &str, email: &str| accounts.create(name.to_owned(), Some(email.to_owned()), false);
    make("alice", "a@example.com").await.unwrap();
    is_refused(make("alice", "b@example.com").await);
    is_refused(make("root", "b@example.com").await);
    is_refused(make("bob", "A@example.com").await);
    make("bob", "b@example.com").await.unwrap();
    let key = |account: &str, access: &str| {
        let secret = Some(Secret::new("12345678"));
        accounts.create_key(account.to_owned(), Some(access.to_owned()), secret)
    };
    key("alice", "AKONE").await.unwrap();
    is_refused(key("bob", "AKONE").await);
    is_refused(key("alice", "ROOT").await);
    is_refused(accounts.delete_key("ROOT".to_owned()).await);
    is_refused(accounts.set_active("ROOT".to_owned(), false).await);
    for missing in [
        key("nobody", "AKTWO").await.map(drop),
        accounts.delete_key("AKTWO".to_owned()).await.map(drop),
        accounts.delete("nobody".to_owned()).await.map(drop),
    ] {
        assert!(
            matches!(missing, Err(GatewayError::NoSuchEntity { .. })),
            "{missing:?}"
        );
    }
    accounts.delete_key("AKONE".to_owned()).await.unwrap();
    key("bob", "AKONE").await.unwrap();
    assert_eq!(gateway.directory.find("AKONE").unwrap().1.name, "bob");
    running.workers.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_fails_never_counted() {
    let mut cluster = Cluster::new("2+1", 4);
    let running = cluster.start().await;
    let gateway = load(&running, 7).await;
    gateway.account("alice").await;
    let (kept, secret) = gateway.key("alice").await;
    for drive in &cluster.drives {
        drive.fail_seals(1_000_000);
    }
    let accounts = &gateway.accounts;
    assert!(
        accounts
            .create("bob".to_owned(), None, false)
            .await
            .is_err()
    );
    assert!(accounts.set_active(kept.clone(), false).await.is_err());
    assert!(accounts.delete("alice".to_owned()).await.is_err());
    let new = accounts.create_key("alice".to_owned(), Some("AKNEW".to_owned()), None);
    assert!(new.await.is_err());
    for drive in &cluster.drives {
        drive.fail_seals(0);
    }
    assert!(accounts.find("bob").is_err());
    assert_eq!(gateway.secret("AKNEW"), None);
    assert_eq!(gateway.secret(&kept), Some(secret));
    gateway.account("bob").await;
    running.workers.stop().await;
}
