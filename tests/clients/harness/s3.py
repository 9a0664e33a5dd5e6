"""boto3 with its default settings, and the few helpers every S3 suite needs."""
import contextlib
import hashlib
import os
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

KIB, MIB = 1 << 10, 1 << 20
PART_MIN = 5 * MIB


def client(url, access_key, secret_key, region="us-east-1", **options):
    """A client as a user would make it; `options` are botocore Config fields.

    Only timeouts and retries differ from the defaults: a test must see the first answer.
    """
    options.setdefault("retries", {"total_max_attempts": 1})
    options.setdefault("connect_timeout", 10)
    options.setdefault("read_timeout", 120)
    session = boto3.session.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key,
                                    region_name=region)
    return session.client("s3", endpoint_url=url, config=Config(**options))


def body(length, seed=None):
    """`length` bytes that differ from stripe to stripe; the same for the same seed."""
    if seed is None:
        return os.urandom(length)
    return random.Random(seed).randbytes(length)


def md5(data):
    return hashlib.md5(data).hexdigest()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class _Raised:
    """Filled when the block of `error` ends."""

    status = code = response = headers = None


@contextlib.contextmanager
def error(code=None, status=None):
    """The block must raise a ClientError with this S3 code (one, or a tuple) and status."""
    raised = _Raised()
    try:
        yield raised
    except ClientError as failure:
        raised.response = failure.response
        raised.code = failure.response["Error"].get("Code")
        raised.status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
        raised.headers = failure.response["ResponseMetadata"]["HTTPHeaders"]
    else:
        raise AssertionError(f"succeeded, expected {code or status}")
    codes = (code,) if isinstance(code, str) else code
    seen = f"{raised.status} {raised.code}, expected {status} {codes}: {raised.response}"
    assert codes is None or raised.code in codes, seen
    assert status is None or raised.status == status, seen


def keys(answer):
    return [entry["Key"] for entry in answer.get("Contents", [])]


def prefixes(answer):
    return [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]


def all_keys(s3, bucket, **filters):
    """Every key of the bucket, page after page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **filters)
    return [key for page in pages for key in keys(page)]


def put_more_than_a_page(s3, bucket):
    """Fills a bucket with more small objects than one answer lists; returns their keys."""
    names = [f"many/é {number:04}+" for number in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=b"x"), names))
    return names


def get(s3, bucket, key, **more):
    """The body of an object, read to its end."""
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def status_of(s3, bucket, key):
    """The status of a HEAD: 200, 404, …"""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as failure:
        return failure.response["ResponseMetadata"]["HTTPStatusCode"]
    return 200


def multipart(s3, bucket, key, parts, **create):
    """Uploads `parts` in order and completes; returns (upload id, part list, answer)."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key, **create)["UploadId"]
    done = [put_part(s3, bucket, key, upload, number, data)
            for number, data in enumerate(parts, 1)]
    answer = s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    return upload, done, answer


def put_part(s3, bucket, key, upload, number, data, **more):
    """One part, in the form that Complete wants it: with its checksum if one was asked for."""
    answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data,
                            **more)
    part = {"PartNumber": number, "ETag": answer["ETag"]}
    if "ChecksumAlgorithm" in more:
        name = "Checksum" + more["ChecksumAlgorithm"]
        part[name] = answer[name]
    return part


def multipart_etag(parts):
    """What S3 answers for an object of these part bodies."""
    joined = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{md5(joined)}-{len(parts)}"'


@contextlib.contextmanager
def resolving(domain, address="127.0.0.1"):
    """Names under `domain` resolve to `address` in this process, as a wildcard record would."""
    real = socket.getaddrinfo

    def resolve(host, *args, **kwargs):
        name = host.decode() if isinstance(host, bytes) else host
        if name and (name == domain or name.endswith("." + domain)):
            host = address
        return real(host, *args, **kwargs)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = real
