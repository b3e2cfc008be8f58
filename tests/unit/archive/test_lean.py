"""The lean record is aiokafka's own in all that a reader can see."""

from __future__ import annotations

import dataclasses

import aiokafka.consumer.fetcher
import msgspec
import pytest
from aiokafka import ConsumerRecord

from events.lean import NAME, LeanRecord, make_records_lean


def test_it_has_the_fields_of_aiokafkas_record_in_the_same_order() -> None:
    theirs = [each.name for each in dataclasses.fields(ConsumerRecord)]
    assert [each.name for each in msgspec.structs.fields(LeanRecord)] == theirs


def test_the_fetcher_makes_its_records_by_the_name_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = aiokafka.consumer.fetcher
    monkeypatch.setattr(fetcher, NAME, fetcher.ConsumerRecord)  # as it was, when the test is over
    make_records_lean()
    assert NAME in fetcher.PartitionRecords._consumer_record.__code__.co_names
    assert fetcher.ConsumerRecord is LeanRecord
