"""The chunks that lie in a stopped disk's blob files, found to be damaged on purpose.

A blob file of RocksDB is a header, records and a footer, all little-endian:

    header 30 B: magic 4, version 4, family 4, flags 1, compression 1, expiration 16, checksum 4
    record     : key length 8, value length 8, expiration 8, checksums 8, key, value
    footer 32 B: magic 4, records 8, expiration 16, checksum 4

The key of a chunk is its shard's sequence (8 B) and its stripe (4 B).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = 2395959
HEADER, RECORD, FOOTER = 30, 32, 32


@dataclass(frozen=True)
class StoredChunk:
    """Where a chunk's value lies."""

    file: Path
    offset: int
    length: int
    shard: int  # the sequence that all chunks of one shard have
    stripe: int

    def flip(self, bit: int) -> None:
        """Flips one bit of the chunk's bytes, behind the 33 bytes of version and digest."""
        at = self.offset + 33 + bit // 8 % (self.length - 33)
        with self.file.open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << bit % 8)]))


def chunks(disk: Path) -> Iterator[StoredChunk]:
    """All chunks in the blob files of a disk whose process does not run; those in its log are left out."""
    for file in sorted((disk / "db").glob("*.blob")):
        data = file.read_bytes()
        assert struct.unpack_from("<I", data)[0] == MAGIC, file
        at = HEADER
        while at + RECORD <= len(data):
            if struct.unpack_from("<I", data, at)[0] == MAGIC and at + FOOTER == len(data):
                break
            key_length, length = struct.unpack_from("<QQ", data, at)
            assert key_length == 12, (file, at, key_length)
            key = at + RECORD
            shard, stripe = struct.unpack_from(">QI", data, key)
            yield StoredChunk(file, key + key_length, length, shard, stripe)
            at = key + key_length + length
