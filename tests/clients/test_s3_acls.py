"""Goal: ACLs, object ownership and the public access block are S3's, closed by default.

Method: boto3 with default settings as the owner, as another account and unsigned; a server whose
new buckets are closed, and one that is told to give them ACLs; a rebuild of the index.
"""
import secrets

import pytest
from botocore import UNSIGNED

from conftest import new_bucket
from harness import s3 as h
from harness.accounts import Account, name
from harness.server import Embedded

ALL = "http://acs.amazonaws.com/groups/global/AllUsers"


def unsigned(server):
    return h.client(server.s3_url, "none", "none-none", server.region,
                    signature_version=UNSIGNED)


@pytest.fixture(scope="module")
def open_server(session_space):
    server = Embedded(session_space / "acls", args=["--bucket-acls", "on"])
    yield server
    server.close()


@pytest.fixture
def owner(open_server):
    return Account(open_server, name())


@pytest.fixture
def other(open_server):
    return Account(open_server, name(), "--email", f"{secrets.token_hex(5)}@example.org")


def grantees(answer):
    return {(g["Grantee"].get("ID") or g["Grantee"].get("URI"), g["Permission"])
            for g in answer["Grants"]}


def test_new_buckets_are_closed_and_can_be_opened(server):
    client, nobody = Account(server, name()).client(), unsigned(server)
    bucket = new_bucket(client)
    rules = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    block = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True} and len(block) == 4
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    for call in [lambda: client.put_bucket_acl(Bucket=bucket, ACL="public-read"),
                 lambda: client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
                 lambda: client.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")]:
        with h.error("AccessControlListNotSupported", 400):
            call()
    client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    with h.error("AccessDenied", 403):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    client.delete_public_access_block(Bucket=bucket)
    client.put_object_acl(Bucket=bucket, Key="k", ACL="public-read")
    assert h.get(nobody, bucket, "k") == b"data"
    with h.error("NoSuchPublicAccessBlockConfiguration", 404):
        client.get_public_access_block(Bucket=bucket)
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={
        "IgnorePublicAcls": True})
    with h.error("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="k")
    client.delete_bucket_ownership_controls(Bucket=bucket)
    with h.error("OwnershipControlsNotFoundError", 404):
        client.get_bucket_ownership_controls(Bucket=bucket)


@pytest.mark.parametrize("write", ["put", "copy", "multipart", "acl"])
def test_every_write_of_an_object_takes_an_acl(open_server, owner, write):
    client, nobody = owner.client(), unsigned(open_server)
    bucket = new_bucket(client)
    where = {"Bucket": bucket, "Key": "k"}
    if write == "put":
        client.put_object(**where, Body=b"data", ACL="public-read")
    elif write == "copy":
        client.put_object(Bucket=bucket, Key="from", Body=b"data", ACL="authenticated-read")
        client.copy_object(**where, CopySource={"Bucket": bucket, "Key": "from"},
                           ACL="public-read")
    elif write == "multipart":
        upload = client.create_multipart_upload(**where, ACL="public-read")["UploadId"]
        part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"data")
        client.complete_multipart_upload(
            **where, UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    else:
        client.put_object(**where, Body=b"data")
        client.put_object_acl(**where, ACL="public-read")
    assert h.get(nobody, bucket, "k") == b"data"
    acl = client.get_object_acl(**where)
    assert acl["Owner"]["ID"] == owner.id
    assert grantees(acl) == {(ALL, "READ"), (owner.id, "FULL_CONTROL")}
    client.copy_object(Bucket=bucket, Key="copy", CopySource=where)
    with h.error("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="copy")
    client.put_object(**where, Body=b"anew")
    with h.error("AccessDenied", 403):
        nobody.get_object(**where)


def test_grants_name_accounts_by_id_and_address(open_server, owner, other):
    client, theirs = owner.client(), other.client()
    bucket = new_bucket(client)
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    email = other.view["email"]
    client.put_object_acl(Bucket=bucket, Key="k", GrantRead=f'emailAddress="{email}"')
    assert grantees(client.get_object_acl(Bucket=bucket, Key="k")) == {(other.id, "READ")}
    assert h.get(theirs, bucket, "k") == b"data"
    assert h.get(client, bucket, "k") == b"data"
    with h.error("AccessDenied", 403):
        theirs.get_object_acl(Bucket=bucket, Key="k")
    client.put_bucket_acl(Bucket=bucket, GrantWrite=f"id={other.id}", GrantRead=f"id={other.id}")
    theirs.put_object(Bucket=bucket, Key="theirs", Body=b"theirs")
    assert [e["Key"] for e in theirs.list_objects_v2(Bucket=bucket)["Contents"]] == ["k", "theirs"]
    with h.error("AccessDenied", 403):
        client.get_object(Bucket=bucket, Key="theirs")
    listed = client.list_objects_v2(Bucket=bucket, FetchOwner=True)["Contents"]
    assert [e["Owner"]["ID"] for e in listed] == [owner.id, other.id]
    client.delete_object(Bucket=bucket, Key="theirs")
    with h.error("UnresolvableGrantByEmailAddress", 400):
        client.put_object_acl(Bucket=bucket, Key="k", GrantRead='emailAddress="x@y.example"')
    with h.error("InvalidArgument", 400):
        client.put_bucket_acl(Bucket=bucket, GrantRead="id=nobody")
    policy = client.get_object_acl(Bucket=bucket, Key="k")
    client.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={
        "Owner": policy["Owner"], "Grants": policy["Grants"] + [
            {"Grantee": {"Type": "Group", "URI": ALL}, "Permission": "READ_ACP"}]})
    unsigned(open_server).get_object_acl(Bucket=bucket, Key="k")
    with h.error("AccessDenied", 403):
        client.put_object_acl(Bucket=bucket, Key="k", AccessControlPolicy={
            "Owner": {"ID": other.id}, "Grants": policy["Grants"]})


def test_a_version_has_an_acl_of_its_own(open_server, owner):
    client, nobody = owner.client(), unsigned(open_server)
    bucket = new_bucket(client)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = client.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    new = client.put_object(Bucket=bucket, Key="k", Body=b"new")["VersionId"]
    client.put_object_acl(Bucket=bucket, Key="k", VersionId=old, ACL="public-read")
    assert nobody.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"
    for version in ({}, {"VersionId": new}):
        with h.error("AccessDenied", 403):
            nobody.get_object(Bucket=bucket, Key="k", **version)
    client.delete_object(Bucket=bucket, Key="k")
    with h.error("MethodNotAllowed", 405):
        client.put_object_acl(Bucket=bucket, Key="k", ACL="private")


def test_without_a_key_one_writes_where_everyone_may(open_server, owner):
    client, nobody = owner.client(), unsigned(open_server)
    bucket = new_bucket(client)
    client.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    nobody.put_object(Bucket=bucket, Key="k", Body=b"from nobody")
    acl = client.get_object_acl(Bucket=bucket, Key="k")
    assert acl["Owner"]["ID"] == owner.id
    assert [e["Key"] for e in nobody.list_objects(Bucket=bucket)["Contents"]] == ["k"]
    with h.error("NoSuchKey", 404):
        nobody.get_object(Bucket=bucket, Key="gone")
    with h.error("AccessDenied", 403):
        nobody.get_object(Bucket=bucket, Key="k")


def test_acls_and_policies_outlast_the_index(own_server):
    server = own_server(Embedded, env={"HOLDFAST_BUCKET_ACLS": "on"})
    owner, other = Account(server, name()), Account(server, name())
    client, theirs = owner.client(), other.client()
    bucket = new_bucket(client)
    client.put_bucket_acl(Bucket=bucket, GrantWrite=f"id={other.id}")
    theirs.put_object(Bucket=bucket, Key="theirs", Body=b"theirs", ACL="public-read")
    client.put_object(Bucket=bucket, Key="k", Body=b"data")
    client.put_object_acl(Bucket=bucket, Key="k", ACL="authenticated-read")
    before = [grantees(c.get_object_acl(Bucket=bucket, Key=k))
              for c, k in ((theirs, "theirs"), (client, "k"))]
    server.rebuild_index()
    server.admin.assert_index_clean()
    client, theirs = owner.client(), other.client()
    after = [grantees(c.get_object_acl(Bucket=bucket, Key=k))
             for c, k in ((theirs, "theirs"), (client, "k"))]
    assert before == after
    assert theirs.get_object_acl(Bucket=bucket, Key="theirs")["Owner"]["ID"] == other.id
    assert h.get(theirs, bucket, "k") == b"data"
