//! The object's part of the table of what is served.
//!
//! Owns: one row per operation that is done.
//! Leaves to others: the verbs.
//! Always: a row's operation is `Served` in `auth::operation`.

macro_rules! object_verbs {
    ($then:ident! $($more:ident!)* ; $($rows:tt)*) => {
        $then! { $($more!)* ; $($rows)*
            put_object: PutObjectInput => PutObjectOutput = objects::put;
            get_object: GetObjectInput => GetObjectOutput = objects::get;
            head_object: HeadObjectInput => HeadObjectOutput = objects::head;
            delete_object: DeleteObjectInput => DeleteObjectOutput = objects::delete;
            copy_object: CopyObjectInput => CopyObjectOutput = objects::copy;
            get_object_attributes:
                GetObjectAttributesInput => GetObjectAttributesOutput
                = objects::attributes;
            get_object_acl: GetObjectAclInput => GetObjectAclOutput = objects::get_acl;
            put_object_acl: PutObjectAclInput => PutObjectAclOutput = objects::put_acl;
            get_object_tagging: GetObjectTaggingInput => GetObjectTaggingOutput
                = objects::get_tagging;
            put_object_tagging: PutObjectTaggingInput => PutObjectTaggingOutput
                = objects::put_tagging;
            delete_object_tagging: DeleteObjectTaggingInput => DeleteObjectTaggingOutput
                = objects::delete_tagging;
            get_object_retention: GetObjectRetentionInput => GetObjectRetentionOutput
                = objects::get_retention;
            put_object_retention: PutObjectRetentionInput => PutObjectRetentionOutput
                = objects::put_retention;
            get_object_legal_hold: GetObjectLegalHoldInput => GetObjectLegalHoldOutput
                = objects::get_legal_hold;
            put_object_legal_hold: PutObjectLegalHoldInput => PutObjectLegalHoldOutput
                = objects::put_legal_hold;
            create_multipart_upload:
                CreateMultipartUploadInput => CreateMultipartUploadOutput
                = multipart::create;
            upload_part: UploadPartInput => UploadPartOutput = multipart::put_part;
            upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput = multipart::copy_part;
            complete_multipart_upload:
                CompleteMultipartUploadInput => CompleteMultipartUploadOutput
                = multipart::complete;
            abort_multipart_upload:
                AbortMultipartUploadInput => AbortMultipartUploadOutput
                = multipart::abort;
            list_parts: ListPartsInput => ListPartsOutput = multipart::list_parts;
        }
    };
}
