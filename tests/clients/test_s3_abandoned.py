"""Goal: an upload that nobody continues goes, with its parts; one that is continued stays.

Method: a server of its own with a short `abandoned_upload_age`; boto3; metrics and the index check.
"""
import time

from conftest import new_bucket
from harness import s3 as h
from harness.s3 import PART_MIN
from harness.server import Embedded
from harness.wait import until

AGE_SECONDS = 15


def test_an_upload_that_nobody_continues_is_aborted(own_server):
    server = own_server(Embedded, env={"HOLDFAST_ABANDONED_UPLOAD_AGE": f"{AGE_SECONDS}s"})
    client = server.client()
    bucket = new_bucket(client)

    def opened(key):
        made = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=made, PartNumber=1,
                           Body=h.body(PART_MIN))
        return made

    def still_open():
        listed = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [each["UploadId"] for each in listed]

    left, continued = opened("left"), opened("continued")
    part, end = h.body(200_000), time.monotonic() + 4 * AGE_SECONDS
    while left in still_open():
        assert time.monotonic() < end, "the upload that was left is still there"
        etag = client.upload_part(Bucket=bucket, Key="continued", UploadId=continued,
                                  PartNumber=2, Body=part)["ETag"]
        time.sleep(0.2)
    assert still_open() == [continued]
    assert server.admin.metrics().total("holdfast_sweep_abandoned_uploads_total") == 1
    assert "abandoned upload aborted" in server.logs()
    with h.error("NoSuchUpload", 404):
        client.upload_part(Bucket=bucket, Key="left", UploadId=left, PartNumber=2, Body=part)
    first = client.list_parts(Bucket=bucket, Key="continued", UploadId=continued)["Parts"][0]
    client.complete_multipart_upload(
        Bucket=bucket, Key="continued", UploadId=continued,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": first["ETag"]},
                                   {"PartNumber": 2, "ETag": etag}]})
    assert client.get_object(Bucket=bucket, Key="continued")["Body"].read()[-len(part):] == part
    backlog = "holdfast_purge_backlog_entries"
    until(lambda: server.admin.metrics().total(backlog) == 0, 60, "the parts are purged")
    server.admin.assert_index_clean()
