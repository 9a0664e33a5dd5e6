//! Where a change comes from, as events tell it.
//!
//! Owns: what is known of the request that is being answered, for as long as it is.
//! Leaves to others: what comes of the request (`s3`), events ([`super::event`]).
//! Always: a change that no request asked for has none.

use std::future::Future;
use std::net::IpAddr;

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
