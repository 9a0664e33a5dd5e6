"""A tree of files as users have them: many small, a few large, names that break careless code."""
import hashlib
import os
import random
from pathlib import Path

MIB = 1 << 20

# Names that every file system here can hold; a trailing slash and 1,024 bytes in one name it
# cannot: those keys are made through boto3 by the tests, or by nesting (LONG).
AWKWARD = [
    "with space", " leading", "trailing ", "two  spaces", "plus+sign", "per%cent", "%20", "%2F",
    "a%25b", "ünïcödé.txt", "日本語.txt", "emoji-🦀.bin", "e\u0301-decomposed", "é-composed",
    "hash#tag", "question?mark", "amp&ersand", "semi;colon", "comma,", "equals=", "at@", "tilde~",
    "dollar$HOME", "back`tick", "quote'", 'double"quote', "paren(1)", "brack[et]", "brace{}",
    "star*", "pipe|", "caret^", "less<than>", "colon:", "exclaim!", "back\\slash", "...",
    ".hidden", "-dash", "--flag", "CON", "UPPER", "upper", "no.ext.", "x" * 200,
]
# Directories whose path, with the file's name, has exactly 1,024 bytes.
LONG = "/".join(["long" + "d" * 196] * 5) + "/" + "f" * (1024 - 5 * 201)
SMALL_SIZES = [0, 0, 1, 2, 100, 511, 4_095, 4_096, 5_000, 20_000, 65_535, 65_536]
MEDIUM_SIZES = [MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB, 5 * MIB + 1]
LARGE_SIZES = [8 * MIB, 8 * MIB + 1, 16 * MIB + 7, 64 * MIB]


def make(at, count=2000, large=LARGE_SIZES, seed=1):
    """Fills `at` with at least `count` files; returns {relative path: size}."""
    at, chance = Path(at), random.Random(seed)
    sizes = {}
    for index in range(count):
        sizes[f"dir {index % 23:02}/sub-{index % 7}/file-{index:05}"] = (
            chance.choice(SMALL_SIZES) + (index % 3))
    for index, name in enumerate(AWKWARD):
        sizes[f"awkward/{name}"] = SMALL_SIZES[index % len(SMALL_SIZES)]
        sizes[f"awkward dir+{index}/{name}/{name}"] = 10 + index
    for index, size in enumerate(MEDIUM_SIZES * 2):
        sizes[f"medium/{index}"] = size
    for index, size in enumerate(large):
        sizes[f"large/{index}.bin"] = size
    sizes[LONG] = 77
    assert len(LONG.encode()) == 1024
    for path, size in sizes.items():
        _write(at / path, size, chance)
    return sizes


def _write(path, size, chance):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        while size > 0:
            piece = chance.randbytes(min(size, 4 * MIB))
            file.write(piece)
            size -= len(piece)


def digests(at):
    """{relative path: (size, SHA-256)} of every file below `at`."""
    found = {}
    for folder, _, names in os.walk(at):
        for name in names:
            path = Path(folder) / name
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while piece := file.read(4 * MIB):
                    digest.update(piece)
            found[str(path.relative_to(at))] = (path.stat().st_size, digest.hexdigest())
    return found


def differences(left, right):
    """What differs between two results of `digests`, in words; empty when nothing does."""
    return ([f"missing: {p!r}" for p in left.keys() - right.keys()]
            + [f"extra: {p!r}" for p in right.keys() - left.keys()]
            + [f"differs: {p!r}" for p in left.keys() & right.keys() if left[p] != right[p]])
