//! The operations, and what each needs.
//!
//! Owns: the closed list of operations; for each the action that has to be allowed, on what, and
//! whether it is served. The rows are in a file per family.
//! Leaves to others: finding the operation of a request (`http::route`), deciding (the crate
//! `policy`).
//! Always: an operation without an action and a resource does not compile; one without a name here
//! is denied; one that is not served is refused as such, after it was allowed.

#[macro_use]
mod service;
#[macro_use]
mod bucket;
#[macro_use]
mod object;

use super::Action;

/// What an operation is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// The service.
    Service,
    /// The bucket.
    Bucket,
    /// The object, or one of its versions.
    Object,
    /// The objects that the document names: each is asked about by itself.
    Named,
}

/// Whether an operation is done here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It is.
    Served,
    /// It is S3's, but not done here: a request that may do it is answered so.
    Later,
}

macro_rules! operations {
    (; $($(#[$doc:meta])* $name:ident: $action:ident $(/ $version:ident)? on $resource:ident,
        $served:ident;)*) => {
        /// What a request asks for, by S3's own names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }
        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// S3's name: also the value of the label `op`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
            /// The operation of that name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
            /// The action that has to be allowed, for the current version.
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)*
                }
            }
            /// The action that has to be allowed when the request names a version.
            pub const fn version_action(self) -> Action {
                match self {
                    $(Self::$name => operations!(@last $action $($version)?),)*
                }
            }
            /// What it is done to.
            pub const fn resource(self) -> Resource {
                match self {
                    $(Self::$name => Resource::$resource,)*
                }
            }
            /// Whether it is done here.
            pub const fn served(self) -> Served {
                match self {
                    $(Self::$name => Served::$served,)*
                }
            }
        }
    };
    (@last $action:ident) => { Action::$action };
    (@last $action:ident $version:ident) => { Action::$version };
}

service_operations! { bucket_operations! object_operations! operations! ; }
