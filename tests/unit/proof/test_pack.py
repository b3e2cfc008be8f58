"""Audit packs: the page says what the records say, overrides first; a file that pack.json does not name is refused."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.catalogue import Actor, AnyFact, Corrected, DueOverridden, Processed, Received, Voided
from events.envelope import encode, make_event, microseconds
from projections.rules import SINCE_EVER
from replay.checkpoint import Checkpoint, SignedCheckpoint, Signer
from replay.leaf import leaf_bytes, leaf_hash
from replay.merkle import EMPTY_ROOT, Leaves, consistency_proof, inclusion_proof, root_of
from replay.pack import (
    Held,
    Older,
    Pack,
    PackedRecord,
    PackRefused,
    packed,
    packed_name,
    read_pack,
    unpacked_name,
    write_pack,
)
from replay.page import page
from schemas.rulebook import shipped, version_of

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

    @property
    def times_ms(self) -> list[int]:
        return [round((RECEIVED + timedelta(days=n, minutes=1)).timestamp() * 1_000) for n in range(len(self.values))]

    @property
    def tree(self) -> Leaves:
        key, times = DOSSIER.encode(), self.times_ms
        return Leaves(
            [leaf_hash(leaf_bytes(TOPIC, 0, n, times[n], key, value, [])) for n, value in enumerate(self.values)]
        )

    def note(self, size: int, signer: Signer = KEY, root: bytes | None = None) -> SignedCheckpoint:
        """What was signed when the log had so many leaves, or another root."""
        found = root_of(self.tree, 0, size) if root is None else root
        return SignedCheckpoint(Checkpoint(f"gia-lai/{TOPIC}/0", size, found)).signed_by(signer, 0)

    def pack(self, *since: int) -> Pack:
        """Of the whole log; `since`: sizes of the logs that the auditor knew, the newest first."""
        tree, size = self.tree, len(self.values)
        records = tuple(
            PackedRecord(
                n,
                self.times_ms[n],
                packed(DOSSIER.encode()),
                packed(value),
                (),
                tuple(str(packed(p)) for p in inclusion_proof(tree, n, size)),
            )
            for n, value in enumerate(self.values)
        )
        rulebook = {"known_at_us": SINCE_EVER, "version": shipped().version, "content": shipped().content}
        olders = [
            Older(self.note(each).text, tuple(str(packed(p)) for p in consistency_proof(tree, each, size)))
            for each in since
        ]
        newest = olders[0] if olders else Older("", ())
        return Pack(
            DOSSIER, TOPIC, 0, records, self.note(size).text, newest.checkpoint or None, newest.consistency,
            rulebooks=(rulebook,), earlier=tuple(olders[1:]),
        )  # fmt: skip


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


def test_corrections_and_voids_stand_before_all_else_and_the_first_promise_beside_what_it_was_made() -> None:
    void = Voided(
        office="H21.18", target_source="motcua", target_id="e1", reason="<b>", approver=Actor(id="gd-01"),
        actor=Actor(id="cv-13"),
    )  # fmt: skip
    html = page(
        History()
        .add(Received(office="H21.18", procedure="1.002809", channel="direct", promised=PROMISED))
        .add(Processed(office="H21.18", outcome="issued"))
        .add(corrects("promised", (PROMISED + timedelta(days=3)).isoformat(), target="e0"))
        .add(void)
        .pack()
    )
    told = html[html.index("Đính chính, hủy") : html.index("</section>")]
    assert html.index("Đính chính, hủy") < html.index("trạng thái ·")
    for words in ("<code>promised</code> 12/03/2026 17:00:00", "pgd-07", "gd-01", "cv-13", "&lt;b&gt;", "0@3"):
        assert words in told
    assert "first promise</span><td>09/03/2026 17:00:00" in html
    assert "Đính chính, hủy" not in page(overridden())


def corrects(field: str, new: str, target: str = "e1") -> Corrected:
    return Corrected(
        office="H21.18", target_source="motcua", target_id=target, field=field, new=new, reason="nhầm",
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


def test_rulebooks_are_told_with_when_they_were_announced_and_their_order_in_the_pack_decides_nothing() -> None:
    made = overridden()
    announced = {**made.rulebooks[0], "known_at_us": microseconds(RECEIVED)}
    told = page(replace(made, rulebooks=(*made.rulebooks, announced)))
    rows = told[told.index("công bố lúc") : told.index("Bản ghi gốc")]
    assert rows.index("có sẵn") < rows.index("02/03/2026 08:30:00")
    swapped = page(replace(made, rulebooks=(announced, *made.rulebooks)))
    assert told[: told.index("công bố lúc")] == swapped[: swapped.index("công bố lúc")]


@pytest.mark.parametrize("known_at", [10**30, "hôm qua", None, [1]])
def test_a_page_is_made_of_whatever_a_pack_says_of_a_rulebook(known_at: Any) -> None:
    strange = replace(overridden(), rulebooks=({"known_at_us": known_at, "version": "v", "content": {}},))
    assert "không đọc được sổ quy tắc" in page(strange)


def test_a_rulebook_that_is_not_what_its_version_says_is_named() -> None:
    made = overridden()
    lenient = shipped().content | {"late_calendar": "never"}
    forged = replace(made, rulebooks=({**made.rulebooks[0], "content": lenient},))
    assert lenient != shipped().content
    assert [each["kind"] for each in forged.verify([KEY.public])["failures"]] == ["rulebook"]


@pytest.mark.parametrize("content", [{}, {"name": 5}, {"title": {}}, [], "x", None])
def test_what_is_no_rulebook_is_named_though_its_version_is_its_hash(content: Any) -> None:
    forged = replace(overridden(), rulebooks=({"known_at_us": 0, "version": version_of(content), "content": content},))
    assert [each["kind"] for each in forged.verify([KEY.public])["failures"]] == ["rulebook"]


def test_a_rulebook_of_a_later_release_makes_no_proof_false() -> None:
    content = {"name": "of-the-year-3000", "zones": 4}
    later = replace(overridden(), rulebooks=({"known_at_us": 0, "version": version_of(content), "content": content},))
    assert later.verify([KEY.public])["ok"]
    assert "of-the-year-3000" in page(later)


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


# -- What the auditor holds ------------------------------------------------------------------------------------------

LOG = History([b"%d" % number for number in range(21)])


def found(pack: Pack, *held: SignedCheckpoint) -> list[str]:
    """The kinds of failures of a pack, for who holds these."""
    answer = pack.verify([KEY.public], [Held("held.txt note 1", each) for each in held])
    assert answer["ok"] is not bool(answer["failures"])
    return [each["kind"] for each in answer["failures"]]


@pytest.mark.parametrize("since", [(), (13,), (13, 8, 1)])
def test_a_pack_shows_that_the_log_of_each_older_checkpoint_was_continued(since: tuple[int, ...]) -> None:
    pack = LOG.pack(*since)
    held = [LOG.note(each) for each in (21, *since)]
    assert read_pack(write_pack(pack, "")) == pack
    answer = pack.verify([KEY.public], [Held("held.txt note 1", each) for each in held])
    assert (answer["ok"], answer["checkpoints"]) == (True, 2 * len(held))


@pytest.mark.parametrize("size", [21, 13, 8])
def test_a_checkpoint_held_of_the_same_size_and_another_root_is_a_fork(size: int) -> None:
    other = LOG.note(size, root=bytes(range(32)))
    assert found(LOG.pack(13, 8), other) == ["forked"]


def test_a_checkpoint_held_that_the_pack_does_not_speak_of_is_no_evidence_and_the_way_to_some_is_told() -> None:
    for held in (LOG.note(8), LOG.note(8, root=bytes(32))):
        assert found(LOG.pack(13), LOG.note(13), held) == ["inconsistent"]
    (told,) = LOG.pack().verify([KEY.public], [Held("held.txt note 1", LOG.note(13))])["failures"]
    assert (told["position"], "held.txt note 1" in told["message"]) == ("0@13", True)
    assert f"dossier prove {DOSSIER} --since" in told["message"]


def test_a_pack_of_fewer_leaves_than_were_signed_before_is_refused() -> None:
    rolled_back = History(LOG.values[:13])
    assert found(rolled_back.pack(), LOG.note(21)) == ["inconsistent"]


def test_a_checkpoint_held_that_another_key_signed_is_none() -> None:
    stranger = Signer.from_seed("gia-lai", bytes(range(1, 33)))
    assert found(LOG.pack(), LOG.note(21, stranger)) == ["signature"]


def test_every_log_continues_the_empty_one() -> None:
    assert found(LOG.pack(), LOG.note(0, root=EMPTY_ROOT)) == []
    assert found(LOG.pack(), LOG.note(0, root=bytes(32))) == ["forked"]


@pytest.mark.parametrize("place", [0, 1], ids=["older", "earlier"])
def test_a_proof_of_growth_that_was_tampered_with_is_refused(place: int) -> None:
    pack = LOG.pack(13, 8)
    good = pack.olders[place]

    def rewritten(**changes: Any) -> Pack:
        other = replace(good, **changes)
        olders = [*pack.olders]
        olders[place] = other
        return replace(
            pack, older=olders[0].checkpoint, consistency=olders[0].consistency, earlier=tuple(olders[1:])
        )  # fmt: skip

    assert found(rewritten()) == []
    forged = str(packed(bytes(32)))
    for number in range(len(good.consistency)):
        other = (*good.consistency[:number], forged, *good.consistency[number + 1 :])
        assert found(rewritten(consistency=other)) == ["consistency"]
    assert found(rewritten(consistency=good.consistency[:-1])) == ["consistency"]
    assert found(rewritten(consistency=(*good.consistency, forged))) == ["consistency"]
    assert found(rewritten(consistency=("no base64",))) == ["consistency"]
    assert found(rewritten(checkpoint=LOG.note(12).text)) == ["consistency"]
    assert found(rewritten(checkpoint=LOG.note(13, root=bytes(32)).text)) == ["consistency"]
    stranger = Signer.from_seed("gia-lai", bytes(range(1, 33)))
    assert found(rewritten(checkpoint=LOG.note(13, stranger).text)) == ["signature"]


def test_a_pack_without_records_proves_nothing() -> None:
    assert found(replace(LOG.pack(), records=())) == ["empty"]


def test_a_record_that_a_pack_names_twice_is_refused() -> None:
    """Else the page would tell of something that was sent again, and no proof would show it."""
    pack = LOG.pack()
    assert found(replace(pack, records=(pack.records[0], *pack.records))) == ["order"]
    assert found(replace(pack, records=pack.records[::-1])) == ["order"] * (len(pack.records) - 1)


def test_a_file_that_was_damaged_is_refused_or_its_proofs_do_not_hold() -> None:
    whole = write_pack(LOG.pack(), "")
    refused = 0
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        try:
            read_pack(bytes(damaged)).verify([KEY.public])
        except PackRefused:
            refused += 1
    assert refused > 100, "and nothing else was raised"


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2], ids=["lzma", "bzip2"])
def test_a_file_of_another_compression_that_was_damaged_is_refused(method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as other:
        other.writestr("pack.json", b"{}" * 500)
    whole = file.getvalue()
    for place in range(39, whole.index(b"PK\x01\x02")):  # behind the name of the file, to its end
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        with pytest.raises(PackRefused):
            read_pack(bytes(damaged))


@pytest.mark.parametrize("name", ["ce_id", "", "tên", "\udcff\udcfe", "\0base64:", "\0base64:/w=="])
def test_every_name_of_a_header_survives_its_pack(name: str) -> None:
    """Else the leaf would be another one."""
    text = packed_name(name)
    assert msgspec.json.decode(msgspec.json.encode(text)) == text
    assert unpacked_name(text) == name
    assert (text == name) is ("\udcff" not in name and "\0" not in name)
