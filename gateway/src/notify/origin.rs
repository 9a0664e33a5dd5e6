//! Where a change comes from, as events tell it.
//!
//! Owns: what is known of the request that is being answered, for as long as it is.
//! Leaves to others: what comes of the request (`s3`), events ([`super::event`]).
//! Always: a change that no request asked for has none.

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::auth::Caller;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// The request that a change comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The peer of the connection.
    pub peer: IpAddr,
    /// `x-amz-request-id`.
    pub request: String,
    /// `x-amz-id-2`.
    pub host: String,
    /// Who asks, once that is known.
    pub by: Caller,
    /// Whether it is a form of a browser.
    pub is_form: bool,
    /// The canonical id of who signed, once that is known.
    signer: Signer,
}

/// Who signed a request, for who waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct Signer(Arc<OnceLock<String>>);

impl Signer {
    /// The canonical id, if it is known.
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

impl Origin {
    /// A request by nobody in particular.
    pub fn new(peer: IpAddr, request: &str, host: &str) -> Self {
        Self {
            peer,
            request: request.to_owned(),
            host: host.to_owned(),
            by: Caller::Anonymous,
            is_form: false,
            signer: Signer::default(),
        }
    }

    /// Does `work` as what this request asked for.
    pub async fn within<F: Future>(self, work: F) -> F::Output {
        ORIGIN.scope(self, work).await
    }

    /// The request that is being answered, if one is. What goes on in a task of its own has to be
    /// told before.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Clone::clone).ok()
    }

    /// Where it is noted who signed the request.
    pub fn signer(&self) -> Signer {
        self.signer.clone()
    }

    /// Notes who signed the request that is being answered.
    pub fn note_signer(by: &Caller) {
        let Some(identity) = by.identity() else {
            return;
        };
        let id = identity.account.to_string();
        // The first one counts; there is no other.
        let _ = ORIGIN.try_with(|origin| origin.signer.0.set(id));
    }

    /// The same request, by who signed it.
    #[must_use]
    pub fn by(mut self, by: &Caller) -> Self {
        self.by = by.clone();
        self
    }

    /// The same request, which is a form.
    #[must_use]
    pub fn form(mut self) -> Self {
        self.is_form = true;
        self
    }
}
