"""The five checksums of S3 in its notation (base64), whole and combined over parts."""
import base64
import hashlib

import awscrt.checksums as crt

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")


def raw(algorithm, data):
    """The digest's bytes."""
    if algorithm == "CRC32":
        return crt.crc32(data).to_bytes(4, "big")
    if algorithm == "CRC32C":
        return crt.crc32c(data).to_bytes(4, "big")
    if algorithm == "CRC64NVME":
        return crt.crc64nvme(data).to_bytes(8, "big")
    return hashlib.new(algorithm.lower(), data).digest()


def value(algorithm, data):
    return base64.b64encode(raw(algorithm, data)).decode()


def composite(algorithm, parts):
    """The checksum of checksums of a multipart object, with its part count."""
    joined = b"".join(raw(algorithm, part) for part in parts)
    return f"{value(algorithm, joined)}-{len(parts)}"


def header(algorithm):
    return f"x-amz-checksum-{algorithm.lower()}"


def field(algorithm):
    """The name in boto3's answers."""
    return f"Checksum{algorithm}"


def md5_header(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()
