//! The table of what is served: S3's operations and our verbs.
//!
//! Owns: which verb does which operation. The rows are in a file per family.
//! Leaves to others: the verbs; the operations that are not done, which never come so far
//! ([`super::prepare`]).
//! Always: one row, one verb; an operation without a row is answered `NotImplemented` by the
//! library, too.

#[macro_use]
mod service;
#[macro_use]
mod bucket;
#[macro_use]
mod object;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::prepare::Prepared;
use super::{Gateway, bucket as buckets, listing, multipart, object as objects};

macro_rules! table {
    (; $($method:ident: $input:ident => $output:ident = $verb:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Gateway {
            $(
                async fn $method(
                    &self,
                    request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    let prepared = Prepared::of(&request)?;
                    let done = $verb(self, request).await;
                    self.rights.told(&prepared.asking, done).await
                }
            )*
        }
        /// The names of the rows.
        #[cfg(test)]
        pub(super) const VERBS: &[&str] = &[$(stringify!($method),)*];
    };
}

service_verbs! { bucket_verbs! object_verbs! table! ; }
