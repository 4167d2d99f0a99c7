"""The contract of a `StateStore` as a suite of checks, for the adapters here and those of third parties.

    class Factory(StoreFactory):
        def create(self) -> StateStore:
            return MyStore(...)

    report = await run_conformance(Factory())

What a store's capabilities do not claim is not checked; the report says what was left out and why. With a test
framework, run each of `CHECKS` as a test of its own: a check raises AssertionError with a sentence, or
`CheckNotApplicableError`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from holdfast.testing.conformance_data import DATA_CHECKS
from holdfast.testing.conformance_guards import GUARD_CHECKS
from holdfast.testing.conformance_kit import Check, CheckNotApplicableError, StoreFactory
from holdfast.testing.conformance_lifecycle import LIFECYCLE_CHECKS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHECKS",
    "Check",
    "CheckNotApplicableError",
    "ConformanceError",
    "ConformanceReport",
    "StoreFactory",
    "run_conformance",
]

CHECKS: Final[tuple[Check, ...]] = (*DATA_CHECKS, *GUARD_CHECKS, *LIFECYCLE_CHECKS)
"""Every check; its ``__name__`` says what holds when it passes."""

_CHECK_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """What was checked.

    Attributes:
        passed: The names of the checks that passed.
        left_out: The others, each with the reason.
    """

    passed: tuple[str, ...]
    left_out: Mapping[str, str]


class ConformanceError(AssertionError):
    """A store breaks the contract.

    Attributes:
        failures: The names of the checks that failed, each with what was wrong.
    """

    def __init__(self, failures: Mapping[str, str]) -> None:
        """List the failures in the message, one a line."""
        lines = [f"{name}: {sentence}" for name, sentence in failures.items()]
        super().__init__("\n".join([f"{len(failures)} of {len(CHECKS)} checks failed", *lines]))
        self.failures = failures


async def run_conformance(factory: StoreFactory, *, waived: Mapping[str, str] | None = None) -> ConformanceReport:
    """Run every check on stores of a factory.

    Args:
        factory: Makes the stores.
        waived: Checks that are known not to hold on this backend, by name, each with the reason; they are not run.

    Raises:
        ConformanceError: One check or more failed.
        ValueError: A waived check does not exist.
    """
    left_out = dict(waived or {})
    unknown = left_out.keys() - {check.__name__ for check in CHECKS}
    if unknown:
        msg = f"no such checks: {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    passed: list[str] = []
    failures: dict[str, str] = {}
    for check in CHECKS:
        name = check.__name__
        if name in left_out:
            continue
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                await check(factory)
        except CheckNotApplicableError as reason:
            left_out[name] = str(reason)
        except AssertionError as failure:
            failures[name] = str(failure)
        except Exception as error:  # noqa: BLE001 - whatever a store raises that it must not is its failure
            failures[name] = f"{type(error).__name__}: {error}"
        else:
            passed.append(name)
    if failures:
        raise ConformanceError(failures)
    return ConformanceReport(tuple(passed), left_out)
