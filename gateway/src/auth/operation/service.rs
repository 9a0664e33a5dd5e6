//! Operations on the service.
//!
//! Owns: the service's rows of the table of operations.
//! Leaves to others: what a row means ([`super`]).
//! Always: a row names the permission that S3 documents for its operation.

macro_rules! service_operations {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            /// GET of the service.
            ListBuckets: ListAllMyBuckets on Service, Served;
        }
    };
}
