"""Where an INSERT ends and its data begins, however the text is written and cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.embedded.clickhouse.statement import _TOKEN, Incomplete, insert_head

HEADS = [
    (b"INSERT INTO t FORMAT CSV\n", b"INSERT INTO t ", "CSV"),
    (b"insert into t format CSV\r\n", b"insert into t ", "CSV"),
    (b"INSERT INTO t FORMAT CSV  \t\n", b"INSERT INTO t ", "CSV"),
    (b"INSERT INTO t(a,b)FORMAT CSV\n", b"INSERT INTO t(a,b)", "CSV"),
    (b"INSERT INTO t VALUES", b"INSERT INTO t ", "Values"),
    (b"INSERT INTO TABLE d.t (a) VALUES", b"INSERT INTO TABLE d.t (a) ", "Values"),
    (b"INSERT INTO `a FORMAT x` FORMAT CSV\n", b"INSERT INTO `a FORMAT x` ", "CSV"),
    (b"INSERT INTO format FORMAT CSV\n", b"INSERT INTO format ", "CSV"),
    (b"INSERT INTO values.format FORMAT CSV\n", b"INSERT INTO values.format ", "CSV"),
    (b"INSERT INTO {t:Identifier} FORMAT CSV\n", b"INSERT INTO {t:Identifier} ", "CSV"),
    (b"/* FORMAT a */ INSERT INTO t -- FORMAT b\n FORMAT CSV\n", b"/* FORMAT a */ INSERT INTO t -- FORMAT b\n ", "CSV"),
    (b"INSERT INTO t SETTINGS a = 'it''s FORMAT \\' x', b = 1 FORMAT CSV\n",
     b"INSERT INTO t SETTINGS a = 'it''s FORMAT \\' x', b = 1 ", "CSV"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "head", "input_format"), HEADS)
@given(data=st.binary(min_size=2, max_size=50))
def test_the_head_is_found_and_the_data_left_alone(
    statement: bytes, head: bytes, input_format: str, data: bytes
) -> None:
    if input_format == "Values":
        data = b" " + data  # VALUES followed by a letter would be another word
    text = statement + data
    found = insert_head(text, whole=True)
    assert found is not None
    assert (text[: found.end], found.input_format, text[found.data :]) == (head, input_format, data)


@pytest.mark.parametrize(("statement", "head", "input_format"), HEADS)
@given(data=st.binary(max_size=50), cut=st.integers(min_value=0, max_value=200))
def test_a_beginning_gives_the_same_answer_or_none_yet(
    statement: bytes, head: bytes, input_format: str, data: bytes, cut: int
) -> None:
    text = statement + b" " + data
    try:
        found = insert_head(text[:cut], whole=False)
    except Incomplete:
        return
    assert found == insert_head(text, whole=True)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"",
        b"-- INSERT INTO t FORMAT CSV",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"WITH 1 AS x INSERT INTO t SELECT x",
        b"INSERT INTO FUNCTION file('x') VALUES (1)",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"EXPLAIN INSERT INTO t VALUES (1)",
        b"INSERT",
        b"INSERT INTO t FORMAT",
        b"INSERT INTO t ('never closed FORMAT CSV",
    ],
)
def test_other_statements_have_no_head(text: bytes) -> None:
    assert insert_head(text, whole=True) is None


@pytest.mark.parametrize("opening", [b"/* ", b"\\'", b"'\\", b"\\`", b'"\\'])
def test_what_is_opened_and_never_closed_is_gone_through_once(opening: bytes) -> None:
    """Looked for from each opening anew, the end of a quarter of a mebibyte of them took minutes."""
    text = b"INSERT INTO t " + opening * 80_000 + b"\\"
    assert sum(1 for _ in _TOKEN.finditer(text)) < 10
    assert insert_head(text, whole=True) is None
    with pytest.raises(Incomplete):
        insert_head(text, whole=False)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_an_answer(text: bytes, whole: bool) -> None:
    try:
        found = insert_head(b"INSERT INTO t " + text, whole=whole)
    except Incomplete:
        assert not whole
        return
    assert found is None or found.end <= found.data <= len(text) + len(b"INSERT INTO t ")
