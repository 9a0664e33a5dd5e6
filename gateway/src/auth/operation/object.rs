//! Operations on objects and uploads.
//!
//! Owns: the objects' rows of the table of operations.
//! Leaves to others: what a row means ([`super`]).
//! Always: a row names the permission that S3 documents for its operation.

macro_rules! object_operations {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            /// PUT of an object.
            PutObject: PutObject on Object, Served;
            /// POST of a bucket with a form, whose file becomes an object.
            PostObject: PutObject on Object, Served;
            /// GET of an object.
            GetObject: GetObject / GetObjectVersion on Object, Served;
            /// HEAD of an object.
            HeadObject: GetObject / GetObjectVersion on Object, Served;
            /// DELETE of an object.
            DeleteObject: DeleteObject / DeleteObjectVersion on Object, Served;
            /// PUT of an object with a source, which is asked about by itself.
            CopyObject: PutObject on Object, Served;
            /// PUT of `?renameObject`; the object that is renamed is asked about by itself.
            RenameObject: PutObject on Object, Served;
            /// GET of `?attributes`.
            GetObjectAttributes: GetObjectAttributes / GetObjectVersionAttributes on Object, Served;
            /// GET of `?acl` of an object.
            GetObjectAcl: GetObjectAcl / GetObjectVersionAcl on Object, Served;
            /// PUT of `?acl` of an object.
            PutObjectAcl: PutObjectAcl / PutObjectVersionAcl on Object, Served;
            /// GET of `?tagging` of an object.
            GetObjectTagging: GetObjectTagging / GetObjectVersionTagging on Object, Served;
            /// PUT of `?tagging` of an object.
            PutObjectTagging: PutObjectTagging / PutObjectVersionTagging on Object, Served;
            /// DELETE of `?tagging` of an object.
            DeleteObjectTagging: DeleteObjectTagging / DeleteObjectVersionTagging on Object, Served;
            /// GET of `?retention`.
            GetObjectRetention: GetObjectRetention on Object, Served;
            /// PUT of `?retention`.
            PutObjectRetention: PutObjectRetention on Object, Served;
            /// GET of `?legal-hold`.
            GetObjectLegalHold: GetObjectLegalHold on Object, Served;
            /// PUT of `?legal-hold`.
            PutObjectLegalHold: PutObjectLegalHold on Object, Served;
            /// GET of `?torrent`.
            GetObjectTorrent: GetObjectTorrent / GetObjectVersionTorrent on Object, Later;
            /// POST of `?restore`.
            RestoreObject: RestoreObject on Object, Later;
            /// POST of `?select`.
            SelectObjectContent: GetObject on Object, Later;
            /// POST of an object with `?uploads`.
            CreateMultipartUpload: PutObject on Object, Served;
            /// PUT of a part.
            UploadPart: PutObject on Object, Served;
            /// PUT of a part with a source, which is asked about by itself.
            UploadPartCopy: PutObject on Object, Served;
            /// POST of an upload.
            CompleteMultipartUpload: PutObject on Object, Served;
            /// DELETE of an upload.
            AbortMultipartUpload: AbortMultipartUpload on Object, Served;
            /// GET of an upload.
            ListParts: ListMultipartUploadParts on Object, Served;
        }
    };
}
