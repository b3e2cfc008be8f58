"""A small rulebook to change, one thing at a time."""

from __future__ import annotations

from schemas.rulebook import Rulebook, parse_rulebook

SMALL = """\
name: small
title: {vi: Nhỏ, en: Small}
effective_from: 2026-01-01
basis: test
calendar: vn
calendars:
  - code: vn
    windows: ["07:00-11:30", "13:30-17:00"]
    announcements:
      - basis: the law
        announced: 2019-11-20
        off: [2026-01-01]
      - basis: the swap
        announced: 2025-12-25
        off: [2026-01-02]
        working: [2026-01-10]
  - code: reception
    windows: ["08:00-12:00"]
offices:
  - code: so
    name: {vi: Sở, en: Department}
    rooms:
      - {code: mot-cua, name: {vi: Một cửa, en: Counter}}
  - {code: xa, name: {vi: Xã, en: Commune}, calendar: reception}
fields:
  - {code: f, name: {vi: Lĩnh vực, en: Field}, procedures: 2}
mechanisms: {mot-cua: 1, mot-cua-lien-thong: 1}
procedures:
  - {code: P1, name: {vi: Một, en: One}, field: f, legal_time: 5d, steps: {appraise: 3d}}
  - {code: P2, name: {vi: Hai, en: Two}, field: f, mechanism: mot-cua-lien-thong, same_day_cutoff: "15:00"}
"""


def small(*changes: tuple[str, str]) -> Rulebook:
    """The small rulebook with some of its text replaced; each text must be there."""
    return parse_rulebook(changed(*changes), "small.yaml")


def changed(*changes: tuple[str, str]) -> str:
    text = SMALL
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
