//! The round trip of ../README.md through the AWS SDK for Rust.
//!
//! Owns: nothing but the calls. Leaves to others: what is in the bucket (the test looks).
//! Always: a step that is printed as `ok` was checked here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};

const SMALL: &str = "small, but not empty\n";
const AWKWARD: &str = "dir/a b+c/ünï 日本 %2B.txt";
const COPY: &str = "copies/kopié + 1";
const RANGE: &str = "bytes=5000000-5700000";
const PART: u64 = 8 << 20;

type Done = Result<(), Box<dyn std::error::Error>>;

struct Trip {
    client: Client,
    bucket: String,
    directory: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [phase, bucket, directory] = arguments.as_slice() else {
        return Err("usage: sdk-rust fill|read|clear BUCKET DIRECTORY".into());
    };
    let settings = aws_config::load_from_env().await;
    let settings = aws_sdk_s3::config::Builder::from(&settings).force_path_style(true);
    let trip = Trip {
        client: Client::from_conf(settings.build()),
        bucket: bucket.clone(),
        directory: PathBuf::from(directory),
    };
    match phase.as_str() {
        "fill" => trip.fill().await,
        "read" => trip.read().await,
        "clear" => trip.clear().await,
        other => Err(format!("no phase {other:?}").into()),
    }
}

fn ok(step: &str) {
    println!("ok {step}");
}

fn paged() -> Vec<String> {
    (0..12).map(|number| format!("page/{number:02}")).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(got: &T, want: &T) -> Done {
    if got == want {
        return Ok(());
    }
    Err(format!("got {got:?}, want {want:?}").into())
}

/// Is fine if the answer was this error, and nothing else.
fn refused<T, E>(answer: Result<T, SdkError<E>>, status: u16, code: &str) -> Done
where
    SdkError<E>: ProvideErrorMetadata,
{
    let Err(error) = answer else {
        return Err(format!("succeeded, want {status} {code}").into());
    };
    let seen = error.raw_response().map(|raw| raw.status().as_u16());
    same(&(seen, error.code()), &(Some(status), Some(code)))
}

impl Trip {
    fn put(&self, key: &str, body: &str) -> PutObjectFluentBuilder {
        let body = ByteStream::from(body.as_bytes().to_vec());
        let put = self.client.put_object().bucket(&self.bucket);
        put.key(key).body(body)
    }

    async fn get(&self, key: &str) -> Result<GetObjectOutput, Box<dyn std::error::Error>> {
        let asked = self.client.get_object().bucket(&self.bucket).key(key);
        Ok(asked.send().await?)
    }

    async fn fill(&self) -> Done {
        let made = self.client.create_bucket().bucket(&self.bucket);
        made.send().await?;
        ok("create-bucket");
        self.put("empty", "").send().await?;
        let described = self.put("small.txt", SMALL).content_type("text/plain");
        described.metadata("origin", "sdk").send().await?;
        self.put(AWKWARD, SMALL).send().await?;
        for key in paged() {
            self.put(&key, &key).send().await?;
        }
        ok("put");
        self.put_in_parts(&self.directory.join("large")).await?;
        ok("put-in-parts");
        // The SDK escapes the header's value as a header, not as the path that it holds.
        let source = format!(
            "{}/dir/a%20b%2Bc/%C3%BCn%C3%AF%20%E6%97%A5%E6%9C%AC%20%252B.txt",
            self.bucket
        );
        let copy = self.client.copy_object().copy_source(source);
        copy.bucket(&self.bucket).key(COPY).send().await?;
        ok("copy");
        let none = self.put("small.txt", "other").if_none_match("*");
        refused(none.send().await, 412, "PreconditionFailed")?;
        let other = self.put("small.txt", "other").if_match("\"0123\"");
        refused(other.send().await, 412, "PreconditionFailed")?;
        ok("conditional-put");
        Ok(())
    }

    /// The SDK has no transfer manager of its own; its users write this.
    async fn put_in_parts(&self, file: &Path) -> Done {
        let create = self.client.create_multipart_upload().bucket(&self.bucket);
        let upload = create.key("large.bin").send().await?;
        let upload = upload.upload_id().ok_or("no upload id")?;
        let len = tokio::fs::metadata(file).await?.len();
        let mut done = CompletedMultipartUpload::builder();
        for (number, start) in (1..).zip((0..len).step_by(PART as usize)) {
            let read = ByteStream::read_from().path(file).offset(start);
            let body = read
                .length(Length::Exact(PART.min(len - start)))
                .build()
                .await?;
            let part = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key("large.bin");
            let part = part.upload_id(upload).part_number(number).body(body);
            let answer = part.send().await?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32);
            done = done.parts(part.build());
        }
        let complete = self.client.complete_multipart_upload();
        let complete = complete.bucket(&self.bucket).key("large.bin");
        let complete = complete.upload_id(upload).multipart_upload(done.build());
        complete.send().await?;
        Ok(())
    }

    async fn read(&self) -> Done {
        self.list().await?;
        self.head().await?;
        for (key, want) in [("empty", ""), (AWKWARD, SMALL), (COPY, SMALL)] {
            let body = self.get(key).await?.body.collect().await?.to_vec();
            same(&body, &want.as_bytes().to_vec())?;
        }
        let missing = self.client.get_object().bucket(&self.bucket).key("none");
        refused(missing.send().await, 404, "NoSuchKey")?;
        let whole = self.get("large.bin").await?;
        self.save("back", whole).await?;
        ok("get");
        let part = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key("large.bin");
        self.save("range", part.range(RANGE).send().await?).await?;
        ok("get-range");
        self.presign().await
    }

    /// Writes what was got to a file, for the test to compare.
    async fn save(&self, name: &str, got: GetObjectOutput) -> Done {
        let mut file = tokio::fs::File::create(self.directory.join(name)).await?;
        tokio::io::copy(&mut got.body.into_async_read(), &mut file).await?;
        file.sync_all().await?;
        Ok(())
    }

    async fn list(&self) -> Done {
        let top = self.client.list_objects_v2().bucket(&self.bucket);
        let top = top.delimiter("/").send().await?;
        let prefixes = top.common_prefixes().iter().filter_map(|p| p.prefix());
        let names: Vec<&str> = prefixes
            .chain(top.contents().iter().filter_map(|c| c.key()))
            .collect();
        let want = [
            "copies/",
            "dir/",
            "page/",
            "empty",
            "large.bin",
            "small.txt",
        ];
        same(&names, &want.to_vec())?;
        ok("list-by-delimiter");
        let asked = self.client.list_objects_v2().bucket(&self.bucket);
        let mut pages = asked.prefix("page/").into_paginator().page_size(5).send();
        let (mut count, mut seen) = (0, Vec::new());
        while let Some(page) = pages.try_next().await? {
            count += 1;
            seen.extend(
                page.contents()
                    .iter()
                    .filter_map(|c| c.key().map(String::from)),
            );
        }
        same(&(count, seen), &(3, paged()))?;
        ok("list-pages");
        Ok(())
    }

    async fn head(&self) -> Done {
        let asked = self.client.head_object().bucket(&self.bucket);
        let head = asked.key("small.txt").send().await?;
        let origin = head.metadata().and_then(|all| all.get("origin"));
        same(
            &(
                head.content_length(),
                head.content_type(),
                origin.map(String::as_str),
            ),
            &(
                i64::try_from(SMALL.len()).ok(),
                Some("text/plain"),
                Some("sdk"),
            ),
        )?;
        let missing = self.client.head_object().bucket(&self.bucket).key("none");
        refused(missing.send().await, 404, "NotFound")?;
        ok("head");
        Ok(())
    }

    async fn presign(&self) -> Done {
        let lasts = PresigningConfig::expires_in(Duration::from_secs(300))?;
        let get = self.client.get_object().bucket(&self.bucket).key(AWKWARD);
        println!("get {}", get.presigned(lasts.clone()).await?.uri());
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key("presigned");
        println!("put {}", put.presigned(lasts).await?.uri());
        ok("presign");
        Ok(())
    }

    async fn clear(&self) -> Done {
        let one = self.client.delete_object().bucket(&self.bucket);
        one.key(AWKWARD).send().await?;
        ok("delete");
        let all = self.client.list_objects_v2().bucket(&self.bucket);
        let all = all.send().await?;
        let names: Result<Vec<_>, _> = all
            .contents()
            .iter()
            .map(|object| {
                ObjectIdentifier::builder()
                    .set_key(object.key.clone())
                    .build()
            })
            .collect();
        let wanted = Delete::builder().set_objects(Some(names?)).build()?;
        let many = self.client.delete_objects().bucket(&self.bucket);
        let done = many.delete(wanted).send().await?;
        same(&done.errors().len(), &0)?;
        same(&done.deleted().len(), &all.contents().len())?;
        ok("delete-many");
        let gone = self.client.delete_bucket().bucket(&self.bucket);
        gone.send().await?;
        ok("delete-bucket");
        Ok(())
    }
}
