// The round trip of ../README.md through the AWS SDK for JavaScript, version 3.
//
// Owns: nothing but the calls. Leaves to others: what is in the bucket (the test looks).
// Always: a step that is printed as `ok` was checked here.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { pipeline } = require("node:stream/promises");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const SMALL = "small, but not empty\n";
const AWKWARD = "dir/a b+c/ünï 日本 %2B.txt";
const COPY = "copies/kopié + 1";
const PAGED = Array.from({ length: 12 }, (_, i) => `page/${String(i).padStart(2, "0")}`);
const RANGE = [5_000_000, 5_700_000];

const [phase, Bucket, directory] = process.argv.slice(2);
const client = new s3.S3Client({ forcePathStyle: true });
const ok = (step) => console.log(`ok ${step}`);
const put = (Key, Body, more = {}) =>
  client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...more }));
const text = async (Key, more = {}) => {
  const got = await client.send(new s3.GetObjectCommand({ Bucket, Key, ...more }));
  return got.Body.transformToString();
};

async function fill() {
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  ok("create-bucket");
  await put("empty", "");
  await put("small.txt", SMALL, { ContentType: "text/plain", Metadata: { origin: "sdk" } });
  await put(AWKWARD, SMALL);
  for (const key of PAGED) await put(key, key);
  ok("put");
  const Body = fs.createReadStream(path.join(directory, "large"));
  await new Upload({ client, params: { Bucket, Key: "large.bin", Body } }).done();
  ok("put-in-parts");
  const CopySource = encodeURIComponent(`${Bucket}/${AWKWARD}`);
  await client.send(new s3.CopyObjectCommand({ Bucket, Key: COPY, CopySource }));
  ok("copy");
  const status = (error) => error.$metadata?.httpStatusCode;
  const refused = (error) => status(error) === 412 && error.name === "PreconditionFailed";
  await assert.rejects(put("small.txt", "other", { IfNoneMatch: "*" }), refused);
  await assert.rejects(put("small.txt", "other", { IfMatch: '"0123"' }), refused);
  ok("conditional-put");
}

async function read() {
  const top = await client.send(new s3.ListObjectsV2Command({ Bucket, Delimiter: "/" }));
  assert.deepEqual(top.CommonPrefixes.map((p) => p.Prefix), ["copies/", "dir/", "page/"]);
  assert.deepEqual(top.Contents.map((c) => c.Key), ["empty", "large.bin", "small.txt"]);
  ok("list-by-delimiter");
  const seen = [];
  let pages = 0;
  const asked = { Bucket, Prefix: "page/" };
  for await (const page of s3.paginateListObjectsV2({ client, pageSize: 5 }, asked)) {
    seen.push(...page.Contents.map((c) => c.Key));
    pages += 1;
  }
  assert.deepEqual([seen, pages], [PAGED, 3]);
  ok("list-pages");
  const head = await client.send(new s3.HeadObjectCommand({ Bucket, Key: "small.txt" }));
  assert.deepEqual(
    [head.ContentLength, head.ContentType, head.Metadata],
    [SMALL.length, "text/plain", { origin: "sdk" }],
  );
  const missing = new s3.HeadObjectCommand({ Bucket, Key: "none" });
  await assert.rejects(client.send(missing), s3.NotFound);
  ok("head");
  const texts = [await text("empty"), await text(AWKWARD), await text(COPY)];
  assert.deepEqual(texts, ["", SMALL, SMALL]);
  await assert.rejects(text("none"), s3.NoSuchKey);
  const whole = await client.send(new s3.GetObjectCommand({ Bucket, Key: "large.bin" }));
  await pipeline(whole.Body, fs.createWriteStream(path.join(directory, "back")));
  ok("get");
  const Range = `bytes=${RANGE[0]}-${RANGE[1]}`;
  const part = await client.send(new s3.GetObjectCommand({ Bucket, Key: "large.bin", Range }));
  fs.writeFileSync(path.join(directory, "range"), await part.Body.transformToByteArray());
  ok("get-range");
  const get = new s3.GetObjectCommand({ Bucket, Key: AWKWARD });
  const send = new s3.PutObjectCommand({ Bucket, Key: "presigned" });
  console.log(`get ${await getSignedUrl(client, get, { expiresIn: 300 })}`);
  console.log(`put ${await getSignedUrl(client, send, { expiresIn: 300 })}`);
  ok("presign");
}

async function clear() {
  await client.send(new s3.DeleteObjectCommand({ Bucket, Key: AWKWARD }));
  ok("delete");
  const all = await client.send(new s3.ListObjectsV2Command({ Bucket }));
  const Objects = all.Contents.map(({ Key }) => ({ Key }));
  const done = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  assert.equal(done.Errors, undefined);
  assert.equal(done.Deleted.length, Objects.length);
  ok("delete-many");
  await client.send(new s3.DeleteBucketCommand({ Bucket }));
  ok("delete-bucket");
}

({ fill, read, clear })[phase]().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
