"""Content codings: what was packed comes out again, in pieces of bounded size, or a clear error."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.clickhouse.compression import PIECE_BYTES, Decoder, compressor_for
from deploy.embedded.clickhouse.errors import Code, ServerError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


def unpacked(coding: str, body: bytes, cut: int) -> bytes:
    decoder = Decoder(coding)
    output = b"".join(piece for at in range(0, len(body), cut) for piece in decoder.feed(body[at : at + cut]))
    decoder.finish()
    return output


@pytest.mark.parametrize("coding", PACK)
@given(blocks=st.lists(st.binary(max_size=200), min_size=1, max_size=5), cut=st.integers(min_value=1, max_value=300))
def test_frames_in_a_row_are_one_body(coding: str, blocks: list[bytes], cut: int) -> None:
    body = b"".join(PACK[coding](block) for block in blocks)
    assert unpacked(coding, body, cut) == b"".join(blocks)


@pytest.mark.parametrize("coding", PACK)
@given(blocks=st.lists(st.binary(max_size=200), max_size=5))
def test_what_we_pack_is_of_the_coding(coding: str, blocks: list[bytes]) -> None:
    found = compressor_for(coding)
    assert found is not None
    name, compressor = found
    packed = b"".join(map(compressor.compress, blocks)) + compressor.flush()
    assert unpacked(name, packed, 1000) == b"".join(blocks)


@pytest.mark.parametrize("coding", PACK)
def test_a_small_body_that_unpacks_to_much_comes_in_bounded_pieces(coding: str) -> None:
    bomb = PACK[coding](bytes(40 * PIECE_BYTES))
    sizes = [len(piece) for piece in Decoder(coding).feed(bomb)]
    assert sum(sizes) == 40 * PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize("coding", PACK)
def test_half_a_frame_is_an_error(coding: str) -> None:
    decoder = Decoder(coding)
    list(decoder.feed(PACK[coding](b"some text" * 100)[:-1]))
    with pytest.raises(ServerError) as caught:
        decoder.finish()
    assert caught.value.code == Code.CANNOT_DECOMPRESS


@pytest.mark.parametrize("coding", PACK)
def test_other_bytes_are_an_error(coding: str) -> None:
    with pytest.raises(ServerError) as caught:
        list(Decoder(coding).feed(b"SELECT 1 FROM somewhere"))
    assert caught.value.code == Code.CANNOT_DECOMPRESS


def test_an_unknown_coding_is_an_error() -> None:
    with pytest.raises(ServerError) as caught:
        Decoder("br")
    assert caught.value.code == Code.UNKNOWN_COMPRESSION_METHOD


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("lz4,zstd,gzip,deflate", "lz4"),
        ("br, gzip;q=1.0", "gzip"),
        ("gzip;q=0, zstd", "zstd"),
        ("identity", None),
        ("", None),
    ],
)
def test_the_first_coding_we_have_is_taken(header: str, coding: str | None) -> None:
    found = compressor_for(header)
    assert (found and found[0]) == coding
