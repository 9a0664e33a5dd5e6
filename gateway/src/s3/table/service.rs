//! The service's part of the table of what is served.
//!
//! Owns: one row per operation that is done.
//! Leaves to others: the verbs.
//! Always: a row's operation is `Served` in `auth::operation`.

macro_rules! service_verbs {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            list_buckets: ListBucketsInput => ListBucketsOutput = buckets::list;
        }
    };
}
