"""Audit packs: the page says what the records say, overrides first; a file that pack.json does not name is refused."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from events.catalogue import Actor, AnyFact, Corrected, DueOverridden, Processed, Received
from events.envelope import encode, make_event
from projections.rules import SINCE_EVER
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer
from replay.leaf import leaf_bytes, leaf_hash
from replay.merkle import Leaves, inclusion_proof, root_of
from replay.pack import Pack, PackedRecord, PackRefused, packed, read_pack, write_pack
from replay.page import page
from schemas.rulebook import shipped

KEY = Signer.from_seed("gia-lai", bytes(range(32)))
TOPIC, DOSSIER = "dossier.events.v1", "H21.18-260302-0042"
ICT = timezone(timedelta(hours=7))
RECEIVED = datetime(2026, 3, 2, 8, 30, tzinfo=ICT)
PROMISED = datetime(2026, 3, 9, 17, tzinfo=ICT)


@dataclass
class History:
    """Facts of one dossier, a day apart, as records of a log."""

    values: list[bytes] = field(default_factory=list)

    def add(self, fact: AnyFact) -> History:
        number = len(self.values)
        at = RECEIVED + timedelta(days=number)
        self.values.append(encode(make_event(fact, id=f"e{number}", source="motcua", subject=DOSSIER, time=at)))
        return self

    def pack(self) -> Pack:
        key, size = DOSSIER.encode(), len(self.values)
        times = [round((RECEIVED + timedelta(days=n, minutes=1)).timestamp() * 1_000) for n in range(size)]
        tree = Leaves(
            [leaf_hash(leaf_bytes(TOPIC, 0, n, times[n], key, value, [])) for n, value in enumerate(self.values)]
        )
        records = tuple(
            PackedRecord(
                n,
                times[n],
                packed(key),
                packed(value),
                (),
                tuple(str(packed(p)) for p in inclusion_proof(tree, n, size)),
            )
            for n, value in enumerate(self.values)
        )
        note = SignedCheckpoint(Checkpoint(f"gia-lai/{TOPIC}/0", size, root_of(tree, 0, size))).signed_by(KEY, 0)
        rulebook = {"known_at_us": SINCE_EVER, "version": shipped().version, "content": shipped().content}
        return Pack(DOSSIER, TOPIC, 0, records, note.text, rulebooks=(rulebook,))


def overridden() -> Pack:
    return (
        History()
        .add(Received(office="H21.18", procedure="1.002809", channel="direct", promised=PROMISED))
        .add(
            DueOverridden(
                office="H21.18", new_due=PROMISED + timedelta(days=30), old_due=PROMISED,
                reason="<script>alert(1)</script>", approver=Actor(id="pgd-07"), actor=Actor(id="cv-12"),
            )
        )
        .add(Processed(office="H21.18", outcome="issued"))
        .pack()
    )  # fmt: skip


def rewritten(pack: bytes, changes: dict[str, bytes | None]) -> bytes:
    """The zip file with other contents; None takes a file out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(pack)) as old, zipfile.ZipFile(file, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()} | changes
        for name, content in contents.items():
            if content is not None:
                new.writestr(name, content)
    return file.getvalue()


def test_an_override_stands_before_all_else_and_says_who_approved_what() -> None:
    html = page(overridden())
    begin, timeline = html.index("Hạn bị đặt lại bằng tay"), html.index("Diễn biến")
    told = html[begin : html.index("</section>")]
    assert begin < html.index("trạng thái ·") < timeline
    assert "09/03/2026 17:00:00" in told
    assert "08/04/2026 17:00:00" in told
    assert "pgd-07" in told
    assert "cv-12" in told


def test_that_there_was_no_override_is_said_where_it_would_stand() -> None:
    html = page(History().add(Received(office="H21.18", procedure="1.002809", channel="direct")).pack())
    begin = html.index("Hạn bị đặt lại bằng tay")
    none = 'không có · <span lang="en">none</span>'
    assert none in html[begin : html.index("trạng thái ·")]
    assert "</section>" not in html
    assert none not in page(overridden())


def test_a_corrected_override_shows_what_was_said_and_what_counts() -> None:
    html = page(
        History()
        .add(Received(office="H21.18", procedure="1.002809", channel="direct", promised=PROMISED))
        .add(DueOverridden(office="H21.18", new_due=PROMISED + timedelta(days=30), reason="lũ", approver=Actor(id="p")))
        .add(corrects("new_due", (PROMISED + timedelta(days=3)).isoformat()))
        .add(corrects("time", (RECEIVED + timedelta(hours=1)).isoformat()))
        .pack()
    )
    told = html[html.index("Hạn bị đặt lại bằng tay") : html.index("</section>")]
    assert "<td>–<td>" in told, "an old due that nobody named"
    assert "<s>08/04/2026 17:00:00</s> 12/03/2026 17:00:00" in told
    assert "<s>03/03/2026 08:30:00</s> 02/03/2026 09:30:00" in told
    assert told.count("đã đính chính · corrected") == 2
    assert "lũ" in told
    assert "đã đính chính" not in page(overridden())


def corrects(field: str, new: str) -> Corrected:
    return Corrected(
        office="H21.18", target_source="motcua", target_id="e1", field=field, new=new, reason="nhầm",
        approver=Actor(id="pgd-07"),
    )  # fmt: skip


def test_what_a_record_holds_is_text_and_nothing_else() -> None:
    html = page(overridden())
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_it_tells_state_deadline_and_proof_in_the_offices_time() -> None:
    pack = overridden()
    html = page(pack)
    assert "02/03/2026 08:30:00" in html  # received, in Vietnam
    assert "R2 ngày đầu không tính" in html
    assert pack.checkpoint.split("\n", 1)[0] in html
    assert all(pack.leaf(each).hex() in html for each in pack.records)


def test_rulebooks_that_this_program_cannot_read_give_no_due_instead_of_a_wrong_one() -> None:
    made = overridden()
    strange = Pack(
        made.dossier, made.topic, 0, made.records, made.checkpoint,
        rulebooks=({"known_at_us": SINCE_EVER, "version": "v", "content": {"name": "of the year 3000"}},),
    )  # fmt: skip
    html = page(strange)
    assert "không đọc được sổ quy tắc" in html
    assert "Thời hạn ·" not in html


def test_a_rulebook_that_is_not_what_its_version_says_is_named() -> None:
    made = overridden()
    lenient = shipped().content | {"late_calendar": "never"}
    forged = replace(made, rulebooks=({**made.rulebooks[0], "content": lenient},))
    assert lenient != shipped().content
    assert [each["kind"] for each in forged.verify([KEY.public])["failures"]] == ["rulebook"]


def test_a_pack_is_the_same_bytes_and_is_read_back() -> None:
    pack = overridden()
    data = write_pack(pack, page(pack))
    assert data == write_pack(pack, page(pack))
    assert read_pack(data) == pack
    assert read_pack(data).verify([KEY.public])["ok"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"records/1.json": b"{}"}, "records/1.json is not the record"),
        ({"records/1.json": None}, "differ: records/1.json"),
        ({"records/9.json": b"{}"}, "differ: records/9.json"),
        ({"letter.pdf": b"believe me"}, "differ: letter.pdf"),
        ({"dossier.html": None}, "differ: dossier.html"),
        ({"pack.json": b"{"}, "no audit pack"),
        ({"pack.json": b'{"format": "dossier-pack/2"}'}, "no audit pack"),
    ],
)
def test_files_that_are_not_what_is_proved_are_refused(changes: dict[str, bytes | None], message: str) -> None:
    pack = overridden()
    with pytest.raises(PackRefused, match=message):
        read_pack(rewritten(write_pack(pack, page(pack)), changes))


def test_a_file_that_is_there_twice_is_refused() -> None:
    pack = overridden()
    file = io.BytesIO(write_pack(pack, page(pack)))
    with zipfile.ZipFile(file, "a") as more, pytest.warns(UserWarning, match="Duplicate name"):
        more.writestr("records/1.json", b"{}")
    with pytest.raises(PackRefused, match=r"twice|is not the record"):
        read_pack(file.getvalue())


def test_the_page_is_not_what_is_checked() -> None:
    """And so the command makes it anew; whoever forges it changes nothing that is proved."""
    pack = overridden()
    assert read_pack(rewritten(write_pack(pack, page(pack)), {"dossier.html": b"all was in time"})) == pack


def test_times_are_the_offices_own_though_the_ledger_has_another_zone() -> None:
    at = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    made = make_event(Received(office="H21.18", procedure="1.002809", channel="direct"), id="z", source="motcua",
                      subject=DOSSIER, time=at)  # fmt: skip
    assert "02/03/2026 08:30:00" in page(History([encode(made)]).pack())
