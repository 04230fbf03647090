"""TFRecord files: the records in one, one after another, each checked to be whole."""

import os
import struct

from pipelines.errors import DataError
from pipelines.images.claims import MAX_BYTES


def records_in(shard):
    """The records of a TFRecord file: (offset of the content, content).

    A record is its length in 8 bytes, a checksum of the length in 4, the content, and a checksum of
    the content in 4.

    Raises:
        DataError: if the file cannot be read, is cut off, is no TFRecord file, or has a record of
            more than `MAX_BYTES`.
    """
    try:
        with open(shard, "rb") as file:
            offset = 0
            while head := file.read(12):
                length = _length(head, shard, offset)
                left = os.fstat(file.fileno()).st_size - file.tell()
                if left < length + 4:
                    raise _cut_off(shard, offset)
                if length > MAX_BYTES:
                    raise DataError(
                        f"{shard} has a record of {length:,} bytes at byte {offset}, more than "
                        f"{MAX_BYTES:,}: write it with smaller images."
                    )
                yield offset + 12, file.read(length)
                file.seek(4, os.SEEK_CUR)
                offset += length + 16
    except OSError as error:
        raise DataError(f"{shard} cannot be read: {error.strerror}.", retry=True) from error


def _length(head, shard, offset):
    if len(head) == 12 and struct.unpack("<I", head[8:])[0] == masked_crc32c(head[:8]):
        return struct.unpack("<Q", head[:8])[0]
    if offset and len(head) < 12:
        raise _cut_off(shard, offset)
    if offset:
        raise DataError(f"{shard} is damaged from byte {offset} on. Copy or write it again.")
    packed = " It seems to be compressed: unpack it." if head.startswith(b"\x1f\x8b") else ""
    raise DataError(f"{shard} is not a TFRecord file.{packed}")


def _cut_off(shard, offset):
    return DataError(f"{shard} is cut off in the record at byte {offset}. Copy or write it again.")


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def masked_crc32c(content):
    """The checksum of TFRecord files: CRC-32C, turned by 15 bits, plus a constant.

    Example:

    >>> hex(masked_crc32c(bytes(8)))
    '0x7980329'
    """
    value = 0xFFFFFFFF
    for byte in content:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
