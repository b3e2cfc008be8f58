"""The board in a real browser, on a whole installation: numbers move, a dossier is told, both languages."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from events.catalogue import Actor, AnyFact, HandoffConfirmed, Received, Returned, Routed
from events.envelope import encode, make_event
from tests.installation import Installation

pytestmark = [pytest.mark.browser, pytest.mark.integration]

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
CLERK = Actor(id="cb-017")


def publish(installation: Installation, dossier_id: str, *facts: AnyFact) -> None:
    """One event an hour, the first at 08:30 on 02/03/2026 in Việt Nam."""
    events = [
        make_event(
            fact,
            id=f"{dossier_id}-{hour}",
            source="urn:browser",
            subject=dossier_id,
            time=START + timedelta(hours=hour),
        )
        for hour, fact in enumerate(facts)
    ]
    done = installation.run("publish", "-", stdin="".join(f"{encode(event).decode()}\n" for event in events))
    assert done.returncode == 0, done.stderr


def received(office: str) -> Received:
    return Received(
        office=office, procedure="1.002809", channel="direct", promised=START + timedelta(days=5), actor=CLERK
    )


def tile(page: Page, name: str) -> int:
    return int(page.locator(f"[data-tile={name}] dd").inner_text().replace(".", ""))


def test_numbers_move_when_events_arrive(board: Page, watched: Installation) -> None:
    expect(board.locator("#connection")).to_have_text("Trực tiếp")
    publish(watched, "B-1", received("Pleiku"))
    row = board.locator("#offices tbody tr", has_text="Pleiku")
    expect(row).to_contain_text("Pleiku")
    before = tile(board, "dossiers")
    publish(watched, "B-2", received("Pleiku"), Routed(office="Pleiku", to="van-tai", step="tham-dinh"))
    expect(board.locator("[data-tile=dossiers] dd")).to_have_text(str(before + 1))
    expect(row.locator("td").first).to_have_text("2")
    expect(board.locator("#queues tbody")).to_contain_text("van-tai")
    expect(board.locator("#freshness")).to_have_text(
        re.compile(r"cập nhật đến \d\d/\d\d/\d{4} \d\d:\d\d:\d\d, chậm 0 sự kiện")
    )


def test_a_dossier_is_told_event_by_event(board: Page, watched: Installation) -> None:
    odd = "H21/18 tiếng Việt"
    publish(
        watched, odd,
        received("Chư Sê"), Routed(office="Chư Sê", to="van-tai"), HandoffConfirmed(office="Chư Sê", room="van-tai"),
        Returned(office="Chư Sê"),
    )  # fmt: skip
    watched.json("replay", odd)  # waits until the archive has it
    board.get_by_label("Mã hồ sơ").fill(odd)
    board.keyboard.press("Enter")
    expect(board.locator("#dossier-title")).to_have_text(odd)
    expect(board.locator(".standing")).to_contain_text("không rõ")  # the finish: no result is known
    expect(board.locator(".standing dt", has_text="Người giữ")).to_have_text("Người giữ cuối")  # it has been returned
    steps = board.locator(".timeline > li")
    expect(steps).to_have_count(4)
    expect(steps.nth(0).locator("time")).to_have_text("02/03/2026 08:30")
    expect(steps.nth(0)).to_contain_text("Tiếp nhận và hẹn trả")
    expect(steps.nth(0)).to_contain_text("cb-017")
    expect(steps.nth(1)).to_contain_text("→ van-tai")
    expect(steps.nth(3)).to_contain_text("A02 Trả khi chưa có kết quả")
    expect(steps.nth(3)).to_contain_text(re.compile(r"ghi sổ \d\d/\d\d/\d{4} .* vị trí \d+@\d+"))


def test_what_is_overdue_is_listed_and_explained(board: Page, watched: Installation) -> None:
    publish(watched, "Q-1", received("Ia Grai"), Routed(office="Ia Grai", to="van-tai", step="tham-dinh"))
    watched.json("replay", "Q-1")
    row = board.locator("#breaches tbody tr", has_text="Q-1")
    expect(row.first).to_contain_text(re.compile(r"quá .* làm việc"), timeout=15_000)
    assert tile(board, "overdue") >= 1
    row.first.get_by_role("link").click()
    explained = board.locator(".deadline")
    expect(explained).to_contain_text("Quá hạn")
    expect(explained).to_contain_text("R2 ngày đầu không tính")
    expect(explained.locator("tbody tr").first).to_contain_text("02/03/2026")
    expect(explained.locator("tbody tr").first).to_contain_text("không")
    expect(explained.locator("tbody tr").last).to_contain_text("quá hạn, không có gì xảy ra")  # months of weeks
    assert explained.locator("tbody tr").count() < 8
    board.get_by_role("button", name="English").click()
    expect(explained).to_contain_text("Why it is due then")
    expect(explained).to_contain_text("the first day does not count")


def test_what_is_overdue_is_listed_as_soon_as_it_is_counted(board: Page, watched: Installation) -> None:
    summary = board.request.get(watched.status()["addresses"]["gateway"] + "/v1/summary").json()
    told = "".join(f"event: summary\ndata: {json.dumps(summary | {'overdue': count})}\n\n" for count in (0, 1))
    breach = {
        "dossier": "S-1", "clock": "overall", "step": "", "due": "2026-03-09T01:30:00Z", "office": "Pleiku", "room": "",
        "person": "", "remaining": {"words": {"vi": "quá 1 giờ", "en": "1 hour late"}},
        "clock_name": {"vi": "tổng thể", "en": "overall"},
    }  # fmt: skip
    answers = iter([{"deadlines": [], "total": 0}])
    found = {"deadlines": [breach], "total": 1}
    board.clock.install(time=START)
    board.clock.pause_at(START + timedelta(seconds=1))  # so the page does not ask of its own accord
    board.route("**/v1/stream", lambda route: route.fulfill(content_type="text/event-stream", body=told))
    board.route("**/v1/breaches*", lambda route: route.fulfill(json=next(answers, found)))
    board.reload()
    expect(board.locator("#breaches tbody tr", has_text="S-1")).to_be_visible()


def test_a_count_leads_to_its_dossiers_and_on_to_one(board: Page, watched: Installation) -> None:
    publish(watched, "L-1", received("Kbang"))
    board.locator("#offices tbody tr", has_text="Kbang").get_by_role("link").first.click()
    board.get_by_role("link", name="L-1").click()
    expect(board.locator("#dossier-title")).to_have_text("L-1")
    board.get_by_role("link", name="← Bảng điều hành").first.click()
    expect(board.locator("#tiles")).to_be_visible()


def test_the_language_changes_at_once_and_is_remembered(board: Page, watched: Installation) -> None:
    publish(watched, "N-1", received("Pleiku"))
    expect(board.locator("#tiles")).to_contain_text("Hồ sơ")
    board.get_by_role("button", name="English").click()
    expect(board.locator("html")).to_have_attribute("lang", "en")
    expect(board.locator("#tiles")).to_contain_text("Dossiers")
    expect(board.locator("#offices thead")).to_contain_text("Received")
    board.reload()
    expect(board.locator("#connection")).to_have_text("Live")


def test_no_share_is_rounded_to_all_or_to_nothing(board: Page) -> None:
    pairs = [[29_999, 30_000], [1, 30_000], [1, 2], [30_000, 30_000], [0, 30_000], [0, 0]]
    shown = board.evaluate(
        "async (pairs) => (({ percent }) => pairs.map((each) => percent(...each)))(await import('/static/words.js'))",
        pairs,
    )
    assert [text.replace("\u00a0", "") for text in shown] == ["99,9%", "0,1%", "50%", "100%", "0%", "–"]


def test_who_searches_for_nothing_stays_where_he_is(board: Page) -> None:
    board.fill("#dossier-id", "   ")
    board.press("#dossier-id", "Enter")
    expect(board.locator("#view-board")).to_be_visible()
    board.evaluate("location.hash = '#/dossier/'")
    expect(board.locator("#view-board")).to_be_visible()
    expect(board.locator("#view-dossier")).to_be_hidden()


def test_a_server_that_is_down_leaves_nothing_loading(board: Page) -> None:
    expect(board.locator("#tiles")).to_contain_text("Hồ sơ")
    # Not by stopping the server: a request that fails is an error on the console, which the fixture takes for one.
    board.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); }")
    board.fill("#dossier-id", "DOWN-1")
    board.press("#dossier-id", "Enter")
    expect(board.locator("#dossier-title")).to_have_text("DOWN-1")
    expect(board.locator("#dossier")).to_have_text("Không tải được: Failed to fetch")


def test_a_dossier_ahead_of_the_clock_is_said_to_be(board: Page, watched: Installation) -> None:
    publish(watched, "A-1", received("Pleiku"), Routed(office="Pleiku", to="van-tai"))
    watched.json("replay", "A-1")
    told = watched.json("explain", "A-1")
    assert told["ahead_of"] is None
    told |= {"at": "2026-03-02T02:30:00Z", "ahead_of": "2020-01-05T13:00:00Z"}
    left = {"late": False, "days": 5, "minutes": 0, "words": {"vi": "còn 5 ngày làm việc", "en": "5 days left"}}
    told["clock"]["remaining"] = left
    board.route("**/v1/dossiers/A-1/clocks", lambda route: route.fulfill(json=told))
    board.evaluate("location.hash = '#/dossier/A-1'")
    explained = board.locator(".deadline")
    expect(explained).to_contain_text("hồ sơ xong sau giờ của đồng hồ (05/01/2020 20:00)")
    expect(explained).to_contain_text("từ lúc này còn 5 ngày làm việc")
    expect(board.locator(".standing dt", has_text="Người giữ")).to_have_text("Người giữ")
    board.get_by_role("button", name="English").click()
    expect(explained).to_contain_text("it is done ahead of the clock (05/01/2020 20:00)")


def test_it_fits_a_phone_and_works_by_keyboard(board: Page, watched: Installation) -> None:
    publish(watched, "P-1", received("Pleiku"))
    board.set_viewport_size({"width": 360, "height": 740})
    expect(board.locator("#offices tbody tr").first).to_be_visible()
    assert board.evaluate("document.documentElement.scrollWidth") == 360
    board.keyboard.press("Tab")
    expect(board.locator(".skip")).to_be_focused()
    names = board.evaluate(
        "[...document.querySelectorAll('button, input, a')].map((e) => e.innerText || e.labels?.[0]?.innerText)"
    )
    assert all(names), json.dumps(names)


def test_a_simulated_clock_is_shown_and_goes_on_by_itself(board: Page) -> None:
    clock = board.locator("#clock")
    told = {"now": "2020-01-06T00:00:00Z", "simulated": True, "speed": 3600.0}
    board.route("**/v1/clock", lambda route: route.fulfill(json=told))
    board.reload()
    expect(clock).to_have_text(re.compile(r"giờ giả lập 06/01/2020 (0[89]|1\d):\d\d, nhanh gấp 3\.600"))
    board.get_by_role("button", name="English").click()
    expect(clock).to_have_text(re.compile(r"simulated time 0\d/01/2020 \d\d:\d\d, 3,600 times as fast"))
    board.unroute("**/v1/clock")
    with board.expect_response("**/v1/clock"):  # the page before has had its answer
        board.reload()
    expect(board.locator("#tiles")).to_contain_text("Dossiers")
    expect(clock).to_be_hidden()
