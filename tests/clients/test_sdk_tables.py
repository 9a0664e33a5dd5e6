"""Goal: DuckDB and pyarrow write tables and read back what they wrote, whole and by filter.

Method: both as their documentation says, with endpoint, keys and path style; rows are compared,
and the objects are looked at through boto3.
"""
import random
from pathlib import Path

import pytest

from harness import s3 as h
from harness.s3 import MIB

ROWS = 400_000
# DuckDB's parts have 80 MB; less goes up as one PUT.
MANY = 1_000_000


@pytest.fixture
def duck(server, space):
    """A connection with the S3 extension; it comes by package, not from DuckDB's own server."""
    import duckdb
    import duckdb_extension_httpfs

    place = Path(duckdb_extension_httpfs.__file__).parent
    extension = next(place.rglob(f"v{duckdb.__version__}/httpfs.duckdb_extension"))
    with duckdb.connect(config={"home_directory": str(space)}) as made:
        made.execute(f"LOAD '{extension}'")
        made.execute(f"""
            CREATE SECRET (TYPE s3, KEY_ID '{server.access_key}', SECRET '{server.secret_key}',
                REGION '{server.region}', ENDPOINT '{server.s3_url.split("//")[1]}',
                URL_STYLE 'path', USE_SSL false)""")
        yield made


def test_duckdb_copies_to_parquet_and_reads_it_back(duck, s3, bucket):
    duck.execute("SELECT setseed(0.5)")
    duck.execute(f"""
        CREATE TABLE t AS SELECT i AS id, i % 7 AS kind, md5(i::VARCHAR) AS name, random() AS x,
            md5(random()::VARCHAR) || md5(random()::VARCHAR) AS noise
        FROM range({MANY}) r(i)""")
    at = f"s3://{bucket}/a b+c/ünï.parquet"
    duck.execute(f"COPY t TO '{at}' (FORMAT parquet)")
    head = s3.head_object(Bucket=bucket, Key="a b+c/ünï.parquet")
    assert head["ContentLength"] > 80 * MIB and head["ETag"].count("-") == 1, "it went up in parts"
    want = duck.execute("SELECT count(*), sum(id), max(x) FROM t WHERE kind = 3").fetchone()
    got = duck.execute(f"SELECT count(*), sum(id), max(x) FROM '{at}' WHERE kind = 3").fetchone()
    assert got == want
    differs = f"(SELECT * FROM t EXCEPT SELECT * FROM '{at}')"
    assert duck.execute(f"SELECT count(*) FROM {differs}").fetchone() == (0,)


def test_duckdb_writes_partitions_and_finds_them_by_a_pattern(duck, s3, bucket):
    duck.execute("CREATE TABLE t AS SELECT i AS id, i % 3 AS kind FROM range(3000) r(i)")
    at = f"s3://{bucket}/parts"
    duck.execute(f"COPY t TO '{at}' (FORMAT parquet, PARTITION_BY (kind))")
    folders = {key.split("/")[1] for key in h.all_keys(s3, bucket)}
    assert folders == {"kind=0", "kind=1", "kind=2"}
    rows = duck.execute(f"""SELECT count(*), sum(id) FROM
        read_parquet('{at}/*/*.parquet', hive_partitioning = true) WHERE kind = 1""").fetchone()
    assert rows == (1000, sum(range(1, 3000, 3)))
    duck.execute(f"COPY (SELECT 1 AS one) TO 's3://{bucket}/one.csv'")
    assert h.get(s3, bucket, "one.csv") == b"one\n1\n"


def test_duckdb_finds_more_than_a_page(duck, s3, bucket):
    keys = h.put_more_than_a_page(s3, bucket)
    found = duck.execute(f"SELECT file FROM glob('s3://{bucket}/many/*') ORDER BY file").fetchall()
    assert [name for name, in found] == [f"s3://{bucket}/{key}" for key in keys]


def test_duckdb_says_what_is_missing(duck, bucket):
    import duckdb
    with pytest.raises(duckdb.Error, match="404|No files found"):
        duck.execute(f"SELECT * FROM 's3://{bucket}/none.parquet'")


@pytest.fixture
def files(server):
    from pyarrow import fs
    return fs.S3FileSystem(
        access_key=server.access_key, secret_key=server.secret_key, region=server.region,
        endpoint_override=server.s3_url.split("//")[1], scheme="http",
        allow_bucket_creation=True, allow_bucket_deletion=True)


def test_pyarrow_writes_a_dataset_and_reads_it_by_filter(files, s3, bucket):
    import pyarrow
    from pyarrow import dataset

    numbers = random.Random(1)
    table = pyarrow.table({
        "id": list(range(ROWS)), "kind": [i % 3 for i in range(ROWS)],
        "x": [numbers.random() for _ in range(ROWS)]})
    dataset.write_dataset(table, f"{bucket}/data", filesystem=files, format="parquet",
                          partitioning=dataset.partitioning(
                              pyarrow.schema([("kind", pyarrow.int64())]), flavor="hive"))
    assert {key.split("/")[1] for key in h.all_keys(s3, bucket, Prefix="data/kind")} == {
        "kind=0", "kind=1", "kind=2"}
    back = dataset.dataset(f"{bucket}/data", filesystem=files, partitioning="hive")
    assert back.count_rows() == ROWS
    some = back.to_table(filter=dataset.field("kind") == 2, columns=["id", "x"]).sort_by("id")
    want = table.filter(pyarrow.compute.equal(table["kind"], 2)).select(["id", "x"])
    assert some.equals(want)


def test_pyarrow_lists_and_deletes_more_than_a_page(files, s3, bucket):
    from pyarrow import fs
    keys = h.put_more_than_a_page(s3, bucket)
    found = files.get_file_info(fs.FileSelector(f"{bucket}/many"))
    assert sorted(info.path for info in found) == [f"{bucket}/{key}" for key in keys]
    files.delete_dir_contents(f"{bucket}/many")
    assert [key for key in h.all_keys(s3, bucket) if key in keys] == []


def test_pyarrow_files_streams_and_folders(files, s3, server):
    from pyarrow import fs

    bucket = "pyarrow-" + h.sha256(h.body(16))[:16]
    files.create_dir(bucket)
    data = h.body(23 * MIB)
    name = f"{bucket}/a b+c/ünï %2B.bin"
    with files.open_output_stream(name) as out:
        out.write(data)
    assert s3.head_object(Bucket=bucket, Key="a b+c/ünï %2B.bin")["ETag"].count("-") == 1
    with files.open_input_file(name) as back:
        back.seek(5_000_000)
        assert back.read(700_001) == data[5_000_000:5_700_001]
    with files.open_input_stream(name) as back:
        assert back.read() == data
    with files.open_output_stream(f"{bucket}/empty"):
        pass
    files.copy_file(name, f"{bucket}/copy")
    files.move(f"{bucket}/copy", f"{bucket}/moved")
    found = {info.path: (info.type, info.size)
             for info in files.get_file_info(fs.FileSelector(bucket, recursive=True))}
    file, folder = fs.FileType.File, fs.FileType.Directory
    assert found == {f"{bucket}/a b+c": (folder, None), name: (file, len(data)),
                     f"{bucket}/empty": (file, 0), f"{bucket}/moved": (file, len(data))}
    files.delete_file(f"{bucket}/empty")
    files.delete_dir(f"{bucket}/a b+c")
    with pytest.raises(FileNotFoundError):
        files.open_input_file(name)
    files.delete_dir(bucket)
    with h.error(status=404):
        s3.head_bucket(Bucket=bucket)
