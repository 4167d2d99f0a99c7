"""Taking in what comes from topics: applied to its run, held until it can be, or kept as a dead letter.

Whatever the verdict, it is durable before the deliverer hears of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from holdfast.engine.records.letters import Letter
from holdfast.engine.work.gate import Delivery

if TYPE_CHECKING:
    from holdfast.engine.work.dead_letters import DeadLetters
    from holdfast.engine.work.gate import Gate, Verdict
    from holdfast.engine.work.holding import Holding
    from holdfast.ports import Clock

__all__ = ["Intake"]


class Intake:
    """Takes messages in."""

    def __init__(self, clock: Clock, gate: Gate, holding: Holding, dead: DeadLetters) -> None:
        """Stand between the gate, those who wait before it, and those who will never get in."""
        self._clock = clock
        self._gate = gate
        self._holding = holding
        self._dead = dead

    async def deliver(self, topic: str, key: str, value: bytes, id: str) -> Delivery:
        """Take a record in; what has become of it is durable when this returns.

        Raises:
            StoreError: The engine is closed, or closes before that.
            FencedError: Another process owns the runs.
        """
        letter = Letter(topic=topic, key=key, value=value, id=id, at=self._clock.now(), reason="")
        verdict = await self._gate.attempt(letter)
        if verdict.error is not None:
            await self._dead.bury(letter, verdict.reason, verdict.message)
            return Delivery.DEAD
        return await self._accept(letter, verdict)

    async def redeliver(self, letter: Letter) -> Delivery:
        """Take in a dead letter again.

        Raises:
            HoldfastError: It is as dead as before.
        """
        letter = replace(letter, at=self._clock.now())
        verdict = await self._gate.attempt(letter)
        if verdict.error is not None:
            raise verdict.error
        return await self._accept(letter, verdict)

    async def _accept(self, letter: Letter, verdict: Verdict) -> Delivery:
        if verdict.delivery is Delivery.HELD and verdict.message is not None:
            return await self._holding.hold(letter, verdict.message, verdict.reason)
        return verdict.delivery
