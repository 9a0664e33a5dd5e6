//! Settings of commands that speak to a running cluster.
//!
//! Owns: their keys, defaults and documentation.
//! Leaves to others: sources and text forms ([`crate::config`]).
//! Always: the keys of the administrator are the same variables as the server's.

use std::time::Duration;

use crate::config::{Secret, settings};

settings! {
    /// Commands such as `holdfast heal status`.
    pub struct ClientConfig {
        /// The gateway's admin URL.
        admin_url: String = "http://127.0.0.1:9001",
        /// The gateway's S3 URL.
        s3_url: String = "http://127.0.0.1:9000",
        /// The region that requests are signed for.
        region: String = "us-east-1",
        /// The administrator's access key.
        access_key: Option<String> = "",
        /// The administrator's secret.
        secret_key: Option<Secret<String>> = "",
        /// A token instead of the two keys.
        admin_token: Option<Secret<String>> = "",
        /// How long to wait for an answer.
        timeout: Duration = "5m",
    }
}
