//! Why a request is refused before it is an operation.
//!
//! Owns: the reasons, in our own words.
//! Leaves to others: S3's codes (`s3/error.rs`).
//! Always: the text is safe to show: it carries no secret and nothing about what is stored.

/// Why a request is refused before it is an operation. The text is what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header that matters is not signed.
    #[error("There were headers present in the request which were not signed: {name}")]
    UnsignedHeader {
        /// The header.
        name: String,
    },
    /// A header that is said to be signed is not there.
    #[error("The header {name} is said to be signed, but the request lacks it")]
    SignedHeaderMissing {
        /// The header.
        name: String,
    },
    /// `host` must be signed.
    #[error("The header host must be signed")]
    HostNotSigned,
    /// The Authorization header cannot be understood.
    #[error("The authorization header is malformed: {why}")]
    MalformedHeader {
        /// Why.
        why: &'static str,
    },
    /// The signature in the query cannot be understood.
    #[error("Error parsing the X-Amz-* query parameters: {why}")]
    MalformedQuery {
        /// Why.
        why: &'static str,
    },
    /// Signed for another region.
    #[error(
        "The authorization is malformed; the region '{given}' is wrong; expecting '{expected}'"
    )]
    WrongRegion {
        /// The region of the scope.
        given: String,
        /// Ours.
        expected: String,
        /// Whether the claim is in the query.
        presigned: bool,
    },
    /// Signature version 2.
    #[error(
        "The authorization mechanism you have provided is not supported. \
         Please use AWS4-HMAC-SHA256."
    )]
    SignatureV2,
    /// An Authorization header of version 2 that cannot be understood.
    #[error("AWS authorization header is invalid. Expected AwsAccessKeyId:signature")]
    MalformedV2,
    /// A query that is signed by version 2 in part.
    #[error(
        "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
    )]
    PartOfV2,
    /// Version 2 leaves unsigned what is asked for.
    #[error("{what} is not covered by signature version 2. Please use AWS4-HMAC-SHA256.")]
    NotCovered {
        /// What.
        what: String,
    },
    /// Nobody has that key.
    #[error("The AWS Access Key Id you provided does not exist in our records.")]
    UnknownKey,
    /// Signed with another secret, or changed since.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check \
         your key and signing method."
    )]
    WrongSignature,
    /// Signed too long ago, or later.
    #[error("The difference between the request time and the current time is too large.")]
    Skewed,
    /// The end that was signed has passed.
    #[error("Request has expired")]
    Expired,
    /// Some other kind of authorization.
    #[error("Unsupported Authorization Type")]
    UnsupportedScheme,
    /// Signed by header and by query.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature \
         query string parameter or the Authorization header should be specified"
    )]
    TwoMechanisms,
    /// No date to sign with.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    NoDate,
    /// The lifetime of a presigned URL.
    #[error("X-Amz-Expires must be a number of seconds from 1 to 604800 (a week)")]
    BadExpires,
    /// There are no temporary keys.
    #[error("The provided token is malformed or otherwise invalid.")]
    SecurityToken,
    /// `x-amz-content-sha256` is none of the known forms.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
         STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a \
         valid sha256 value."
    )]
    BadContentSha256,
    /// A query parameter is given twice.
    #[error("The query parameter {name} is given more than once")]
    DuplicateQuery {
        /// The parameter.
        name: String,
    },
    /// A parameter of the query has a value it must not have.
    #[error("{name}: {why}")]
    BadQuery {
        /// The parameter.
        name: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// The URI cannot be understood.
    #[error("Couldn't parse the specified URI.")]
    InvalidUri,
    /// What is asked for does not exist here.
    #[error("A header you provided implies functionality that is not implemented: {what}")]
    Unsupported {
        /// What.
        what: String,
    },
    /// POST of a bucket is a form or nothing.
    #[error(
        "At least one of the pre-conditions you specified did not hold: Bucket POST must be of \
         the enclosure-type multipart/form-data"
    )]
    NotAForm,
    /// Neither S3 nor we know the method here.
    #[error("The specified method is not allowed against this resource.")]
    MethodNotAllowed,
    /// There is no CORS configuration.
    #[error("CORSResponse: CORS is not enabled for this bucket.")]
    NoCors,
    /// No rule of the CORS configuration allows the request that is to follow.
    #[error(
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of \
         Origin, request method / Access-Control-Request-Method or \
         Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
    )]
    CorsDenied,
    /// A preflight request lacks what it is about.
    #[error("{why}")]
    BadPreflight {
        /// What is missing.
        why: &'static str,
    },
    /// A length that is no number, or a Host header too many.
    #[error("{why}")]
    AmbiguousFraming {
        /// What.
        why: &'static str,
    },
    /// A document is too large.
    #[error("Your request was too big: at most {max} bytes are allowed")]
    DocumentTooLarge {
        /// Bytes.
        max: usize,
    },
    /// The gateway is starting or stopping.
    #[error("{why}")]
    NotServing {
        /// Why.
        why: String,
    },
    /// Too much is going on.
    #[error("Please reduce your request rate: {why}")]
    Busy {
        /// What is exhausted.
        why: &'static str,
    },
}

impl Refusal {
    /// A small, closed set of words for the label `reason`.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::UnsignedHeader { .. } => "unsigned_header",
            Self::SignedHeaderMissing { .. } | Self::HostNotSigned => "signed_headers",
            Self::MalformedHeader { .. }
            | Self::MalformedQuery { .. }
            | Self::MalformedV2
            | Self::PartOfV2
            | Self::NoDate
            | Self::BadContentSha256 => "malformed_signature",
            Self::WrongRegion { .. } => "region",
            Self::SignatureV2 | Self::UnsupportedScheme | Self::TwoMechanisms => "mechanism",
            Self::NotCovered { .. } => "not_covered",
            Self::UnknownKey | Self::WrongSignature => "signature",
            Self::BadExpires | Self::Skewed | Self::Expired => "expires",
            Self::SecurityToken => "token",
            Self::DuplicateQuery { .. } | Self::BadQuery { .. } | Self::InvalidUri => "query",
            Self::Unsupported { .. } | Self::NotAForm | Self::MethodNotAllowed => "unsupported",
            Self::NoCors | Self::CorsDenied | Self::BadPreflight { .. } => "cors",
            Self::AmbiguousFraming { .. } => "framing",
            Self::DocumentTooLarge { .. } => "too_large",
            Self::NotServing { .. } => "not_serving",
            Self::Busy { .. } => "busy",
        }
    }
}
