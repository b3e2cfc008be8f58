"""One alarm to one endpoint: the signature, and what is tried again, given up, or not followed."""

from __future__ import annotations

import asyncio
import base64

import pytest

from processors.posting import Alarm, GivenUp, Patience, Poster, signature
from schemas.webhook import WebhookEndpoint
from tests.unit.webhooks.receiver import SECRET, Receiver, Step, is_signed, receiving

ALARM = Alarm("3f2a", "dossier.clock-breached", '{"id":"3f2a","office":"Một cửa"}'.encode())
QUICK = Patience(attempts=4, timeout_seconds=0.3)


def test_the_signature_is_the_one_the_scheme_publishes() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def deliver(*script: Step) -> tuple[Receiver, list[float], str]:
    """Post to a server that goes by the script: the server, the pauses, and why it was given up (empty: it was not)."""

    async def run() -> tuple[Receiver, list[float], str]:
        pauses: list[float] = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        async with receiving(*script) as receiver:
            async with Poster(receiver.endpoint(), QUICK, sleep=sleep, now=lambda: 1_770_000_000.9) as poster:
                try:
                    await poster.deliver(ALARM)
                except GivenUp as error:
                    return receiver, pauses, str(error)
            return receiver, pauses, ""

    return asyncio.run(run())


def test_it_arrives_as_it_is_on_the_topic_and_signed() -> None:
    receiver, pauses, given_up = deliver(204)
    ((headers, body),) = receiver.taken
    assert (body, pauses, given_up) == (ALARM.body, [], "")
    assert headers["webhook-id"] == ALARM.id
    assert headers["webhook-timestamp"] == "1770000000"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert is_signed(headers, body)


@pytest.mark.parametrize("trouble", [500, 503, 429, 408, "hang", "reset"])
def test_what_may_pass_is_tried_again(trouble: Step) -> None:
    receiver, pauses, given_up = deliver(trouble, trouble, 200)
    assert (len(receiver.asked), len(receiver.taken), given_up) == (3, 1, "")
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0


@pytest.mark.parametrize(("trouble", "told"), [(503, "answers 503"), ("hang", "within 0.3 s"), ("reset", "no answer")])
def test_it_is_given_up_after_so_many_attempts(trouble: Step, told: str) -> None:
    receiver, pauses, given_up = deliver(trouble)
    assert (len(receiver.asked), len(pauses)) == (4, 3)
    assert told in given_up
    assert "after 4 attempts" in given_up


@pytest.mark.parametrize("trouble", [410, 400, 401, 404, "redirect"])
def test_what_will_not_pass_is_given_up_at_once(trouble: Step) -> None:
    receiver, pauses, given_up = deliver(trouble, 200)
    assert (len(receiver.asked), receiver.elsewhere, pauses) == (1, 0, [])
    assert "it answers" in given_up
    assert "127.0.0.1" not in given_up
    assert SECRET not in given_up


def test_the_time_is_bounded_too_but_each_alarm_is_tried_once() -> None:
    async def run() -> int:
        async with receiving(500) as receiver, Poster(receiver.endpoint(), Patience()) as poster:
            with pytest.raises(GivenUp, match="after 1 attempts"):
                await poster.deliver(ALARM, give_up_at=0.0)
            return len(receiver.asked)

    assert asyncio.run(run()) == 1


def test_waiting_for_its_turn_is_no_time_that_an_endpoint_takes() -> None:
    """It answers one after the other: of all together the last would wait for longer than one may take."""
    patience = Patience(attempts=1, timeout_seconds=2.0)

    async def run() -> int:
        turn = asyncio.Lock()

        async def slowly() -> None:
            async with turn:
                await asyncio.sleep(0.04)  # how long this receiver takes

        async with receiving(200) as receiver, Poster(receiver.endpoint(), patience) as poster:
            receiver.before = slowly
            alarms = [Alarm(f"{number}", ALARM.type, ALARM.body) for number in range(100)]
            await asyncio.gather(*map(poster.deliver, alarms))
            return len(receiver.taken)

    assert asyncio.run(run()) == 100


def test_pauses_double_up_to_the_longest_and_differ() -> None:
    patience = Patience(attempts=9, first_pause_seconds=1, longest_pause_seconds=60)
    assert list(patience.pauses(lambda _, longest: longest)) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert list(patience.pauses(lambda shortest, _: shortest)) == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert len({tuple(patience.pauses()) for _ in range(5)}) == 5


def test_a_public_name_that_leads_home_is_not_connected_to() -> None:
    async def run() -> None:
        endpoint = WebhookEndpoint.model_validate(
            {"name": "x", "url": "https://localhost.localdomain:9", "secret": SECRET}
        )
        async with Poster(endpoint, QUICK) as poster:
            with pytest.raises(GivenUp, match="private address"):
                await poster.deliver(ALARM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 9))])
        asyncio.run(run())
