"""HTTP content codings, both ways, piece by piece and never more than a piece in memory."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import lz4.frame

from deploy.embedded.clickhouse.errors import Code, ServerError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 20
_GZIP, _DEFLATE = 31, 15  # zlib's names for the two envelopes: gzip header, zlib header


class Decompressor(Protocol):
    """What the decompressors of lz4 and of the standard library have in common."""

    eof: bool
    unused_data: bytes | None

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class Compressor(Protocol):
    def compress(self, data: bytes) -> bytes: ...
    def flush(self) -> bytes: ...


class Decoder:
    """Undoes one content coding; a body may hold several frames one after another."""

    def __init__(self, coding: str) -> None:
        if coding not in _DECOMPRESSORS:
            raise ServerError.of(Code.UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method: {coding}.")
        self._coding = coding
        self._frame: Decompressor | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of at most PIECE_BYTES; raises CANNOT_DECOMPRESS where the bytes are not of this coding."""
        try:
            while data or (self._frame and not self._frame.eof):
                self._frame = self._frame or _DECOMPRESSORS[self._coding]()
                piece = self._frame.decompress(data, PIECE_BYTES)
                data = b""
                if piece:
                    yield piece
                elif not self._frame.eof:
                    return  # needs more input
                if self._frame.eof:
                    data = self._frame.unused_data or b""
                    self._frame = None
        except (zlib.error, zstd.ZstdError, RuntimeError, EOFError) as error:
            raise ServerError.of(Code.CANNOT_DECOMPRESS, f"Cannot decompress {self._coding} body: {error}.") from None

    def finish(self) -> None:
        """Refuse a body that ends inside a frame: half of an insert must not count."""
        if self._frame is not None:
            raise ServerError.of(Code.CANNOT_DECOMPRESS, f"The {self._coding} body ends before its last frame does.")


class _Zlib:
    """zlib's decompressor with the manners of the others: it keeps the input it has not used."""

    def __init__(self, envelope: int) -> None:
        self._zlib = zlib.decompressobj(envelope)

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max(0, max_length))

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


class _Lz4:
    """One lz4 frame for each block of output, which is how ClickHouse clients read it too."""

    def __init__(self) -> None:
        self._lz4 = lz4.frame.LZ4FrameCompressor()
        self._begun = False

    def compress(self, data: bytes) -> bytes:
        begin = b"" if self._begun else self._lz4.begin()
        self._begun = True
        return bytes(begin + self._lz4.compress(data))

    def flush(self) -> bytes:
        return bytes(self.compress(b"") + self._lz4.flush())


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
    "gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(_DEFLATE),
}
_COMPRESSORS: dict[str, Callable[[], Compressor]] = {
    "lz4": _Lz4,
    "zstd": lambda: zstd.ZstdCompressor(level=1),
    "gzip": lambda: zlib.compressobj(level=1, wbits=_GZIP),
    "deflate": lambda: zlib.compressobj(level=1, wbits=_DEFLATE),
}


def compressor_for(accept_encoding: str) -> tuple[str, Compressor] | None:
    """The first coding of an Accept-Encoding header that we have, with a fresh compressor; None: send it plain."""
    for offer in accept_encoding.split(","):
        coding, _, parameters = offer.strip().partition(";")
        if coding in _COMPRESSORS and parameters.replace(" ", "") not in ("q=0", "q=0.0"):
            return coding, _COMPRESSORS[coding]()
    return None
