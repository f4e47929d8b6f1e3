"""Pictures as PNG, in memory: what a page embeds and a conversion writes, without a library that hides a full disk."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

GREY, COLOUR, INDEXED = 0, 2, 3
"""PNG's kinds of pixels."""


def encode(pixels: NDArray[np.uint8], palette: bytes = b"") -> bytes:
    """A picture of 8 bit: (rows, columns) grey, (rows, columns, 3) colour, or numbers of a palette's RGB triples."""
    rows, columns = pixels.shape[:2]
    kind = COLOUR if pixels.ndim == 3 else INDEXED if palette else GREY
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1).tobytes()
    chunks = [(b"IHDR", struct.pack(">2I5B", columns, rows, 8, kind, 0, 0, 0))]
    if palette:
        chunks.append((b"PLTE", palette))
    chunks += [(b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
