"""Compares what was sent and answered with everything that came of it.

    evidence = await collect(ledger, deployment)
    judge(ledger, evidence).require_clean()

`check` does both and adds the totals to `build/faults.json`.
"""

import itertools
from dataclasses import dataclass
from typing import Any

from tests.faults.checks.accounts import check_accounts
from tests.faults.checks.arrivals import check_arrivals
from tests.faults.checks.publishing import check_publishing
from tests.faults.checks.report import WRONGS, Report
from tests.faults.checks.sends import check_sends
from tests.faults.checks.states import check_states
from tests.faults.deployment import Deployment
from tests.faults.evidence import Evidence, take_evidence
from tests.faults.journal import Journal
from tests.faults.ledger import Ledger
from tests.faults.settling import settle
from tests.faults.totals import KEPT, add_run

_SHOWN = 5
_LOOKS = 5


@dataclass(frozen=True)
class Verdict:
    """What a run came to: its numbers, and what is wrong, by kind (`WRONGS`)."""

    totals: dict[str, Any]
    findings: dict[str, list[str]]

    @property
    def wrongs(self) -> set[str]:
        """The kinds of which something was found."""
        return {wrong for wrong, found in self.findings.items() if found}

    def require_clean(self) -> None:
        """Raise with examples of everything that is wrong, if anything is."""
        if not self.wrongs:
            return
        lines = [
            f"{wrong}: {len(self.findings[wrong])}" for wrong in WRONGS if wrong in self.wrongs
        ]
        for wrong in WRONGS:
            lines += [f"  {wrong}: {each}" for each in self.findings[wrong][:_SHOWN]]
        raise AssertionError("\n".join([*lines, str(self.totals)]))


async def check(
    ledger: Ledger,
    deployment: Deployment,
    *,
    name: str,
    settle_seconds: float = 120.0,
    advance_clock: bool = False,
    expected_dead_letters: frozenset[str] = frozenset(),
) -> Verdict:
    """Wait until all is settled, judge, and add the totals to those of other runs."""
    evidence = await collect(
        ledger, deployment, settle_seconds=settle_seconds, advance_clock=advance_clock
    )
    verdict = judge(ledger, evidence, expected_dead_letters=expected_dead_letters)
    add_run(name, verdict.totals)
    if verdict.wrongs:
        evidence.keep(KEPT / f"{name}.evidence.json")
    return verdict


async def collect(
    ledger: Ledger,
    deployment: Deployment,
    *,
    settle_seconds: float = 120.0,
    advance_clock: bool = False,
) -> Evidence:
    """Wait until nothing is under way and read everything about the ledger's accounts."""
    journal = Journal([])
    accounts = [entry["account"] for entry in ledger.of("account")]
    looks = itertools.count(1)
    while True:
        unsettled = await settle(
            deployment, journal, seconds=settle_seconds, advance_clock=advance_clock
        )
        evidence = await take_evidence(deployment, accounts, journal)
        evidence.unsettled = unsettled
        # A timer may have told something since, that had no time to be published.
        told = all(event["position"] for event in evidence.of("events"))
        if unsettled or told or next(looks) == _LOOKS:
            return evidence


def judge(
    ledger: Ledger,
    evidence: Evidence,
    *,
    expected_dead_letters: frozenset[str] = frozenset(),
) -> Verdict:
    """Compare; nothing is asked of anybody any more."""
    report = Report()
    sources = {entry["source"] for entry in ledger.of("channel")}
    report.count("sandbox_webhooks", evidence.journal.webhooks_taken(sources))
    for blow in ledger.of("blow"):
        report.count(f"{blow['blow']}s.{blow['role']}")
    for back in ledger.of("back"):
        report.note_longest(f"longest_absence.{back['role']}", back["seconds"])
    check_arrivals(ledger, evidence, report)
    check_accounts(evidence, report, sources=sources, expected_dead_letters=expected_dead_letters)
    check_sends(ledger, evidence, report)
    check_states(evidence, report)
    check_publishing(ledger, evidence, report)
    return Verdict(report.totals(), report.findings)
