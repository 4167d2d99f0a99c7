"""What a tree of combinators, scopes and shields should do, written from the table of their meanings.

There is no event loop in here, and nothing of the engine: nodes tell each other that they are cancelled, at once, and
that they have settled, in turn. An event goes on until nobody has anything left to tell.

| | settles on | cancels | and is |
|---|---|---|---|
| race | the first that settles | the others | what that one was |
| all | all fulfilled, or the first rejected | the others | their values, or its reason |
| any | the first fulfilled, or all rejected | the others | its value, or all reasons |
| all_settled | all settled | none | how each settled |

In each row those that are cancelled have settled too before anybody hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.laws.cancellation_trees import ROOT, Bare, Combine, Group, Leaf, Scope, Shield, Then, Tree


@dataclass(frozen=True)
class Value:
    """Fulfilled."""

    value: Any


@dataclass(frozen=True)
class Reason:
    """Rejected."""

    type: str
    message: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


CANCELLED = Reason("CancelledError")
Outcome = Value | Reason


class Model:
    """A run of a tree.

    Attributes:
        said: What it has put out during the event.
        refs: The refs that somebody waits for.
        closed: Those that had been awaited, and were cancelled.
        scopes: Those that have been made.
        outcome: How it has ended.
    """

    def __init__(self, tree: Tree, early: list[str]) -> None:
        self.said: list[str] = []
        self.refs: dict[str, LeafNode] = {}
        self.closed: list[str] = []
        self.scopes = {path: ScopeState(None) for path in early}
        self.outcome: Outcome | None = None
        self.to_tell: deque[Callable[[], None]] = deque()
        self._root = node(self, tree, ROOT, None)
        self._root.owner = self

    def begin(self) -> list[str]:
        return self._event(self._root.start)

    def answer(self, ref: str, outcome: Outcome) -> list[str]:
        waiting = self.refs.pop(ref, None)
        return [] if waiting is None else self._event(partial(waiting.answered, outcome))

    def cancel_scopes(self, paths: list[str]) -> list[str]:
        return self._event(*(self.scopes[path].cancel for path in paths))

    def cancel(self) -> list[str]:
        return self._event(self._root.cancel)

    def settled(self, root: Node) -> None:
        self.outcome = root.outcome

    def _event(self, *what: Callable[[], None]) -> list[str]:
        self.said = []
        for one in what:
            one()
        while self.to_tell:
            self.to_tell.popleft()()
        return sorted(self.said)


@dataclass
class ScopeState:
    """A scope: who is in it, what was started in it, and which ones belong to it."""

    outer: ScopeState | None
    is_cancelled: bool = False
    inner: list[ScopeState] = field(default_factory=list)
    bodies: list[Node] = field(default_factory=list)
    started: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.outer is not None:
            self.outer.inner.append(self)

    def cancel(self) -> None:
        """Cancel whatever is in here, and in those that belong to it; another time nothing happens."""
        if not self.is_cancelled:
            for scope in self.family():
                scope.is_cancelled = True
                for work in [*scope.started, *scope.bodies]:
                    work.cancel()

    def family(self) -> Iterator[ScopeState]:
        for scope in self.inner:
            yield from scope.family()
        yield self


class Node:
    """Something that begins, may be cancelled, and settles."""

    owner: Node | Model | None = None

    def __init__(self, model: Model, tree: Any, path: str, scope: ScopeState | None) -> None:  # noqa: ANN401 - each has its own
        self.model, self.tree, self.path, self.scope = model, tree, path, scope
        self.outcome: Outcome | None = None

    def start(self) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError

    def settled(self, part: Node) -> None:
        raise NotImplementedError

    def part(self, tree: Tree, number: int, scope: ScopeState | None) -> Node:
        made = node(self.model, tree, f"{self.path}.{number}", scope)
        made.owner = self
        return made

    def settle(self, outcome: Outcome | None) -> None:
        self.outcome = outcome
        if self.owner is not None:
            owner = self.owner
            self.model.to_tell.append(lambda: owner.settled(self))


class LeafNode(Node):
    """Waits for a ref; cancelled it may wait for another, and that wait can be cancelled too."""

    waits_for = ""
    is_told = False

    def start(self) -> None:
        self._say("+")
        self._wait_for(self.path)

    def _wait_for(self, ref: str) -> None:
        self.waits_for = ref
        self.model.refs[ref] = self

    def _say(self, sign: str) -> None:
        if isinstance(self.tree, Leaf):
            self.model.said.append(f"{sign}{self.path}")

    def cancel(self) -> None:
        if self.outcome is None and not self.is_told:
            self.is_told = True
            self.model.to_tell.append(self._cancelled)

    def _cancelled(self) -> None:
        self.is_told = False
        del self.model.refs[self.waits_for]
        self.model.closed.append(self.waits_for)
        if self.waits_for != self.path:
            self.settle(CANCELLED)
            return
        self._say("-")
        if isinstance(self.tree, Leaf) and self.tree.cleans_up:
            self._wait_for(f"{self.path}/undo")
        else:
            self._end()

    def answered(self, outcome: Outcome) -> None:
        if self.waits_for == self.path or isinstance(outcome, Reason):
            self.settle(outcome)
        else:
            self._say("~")
            self._end()

    def _end(self) -> None:
        ends_by = self.tree.ends_by if isinstance(self.tree, Leaf) else "going"
        ends: dict[str, Outcome] = {
            "going": CANCELLED,
            "returning": Value(f"{self.path} kept"),
            "raising": Reason("ValueError", self.path),
        }
        self.settle(ends[ends_by])


class CombineNode(Node):
    """The table."""

    def start(self) -> None:
        self.branches = [self.part(branch, number, self.scope) for number, branch in enumerate(self.tree.branches)]
        self.open = list(self.branches)
        self.winner: Node | None = None
        self.is_cancelled = False
        for branch in self.branches:
            branch.start()
        if not self.branches and self.tree.kind != "race":
            self.settle(self._of_all())

    def cancel(self) -> None:
        if self.outcome is None:
            self.is_cancelled = True
            self._cancel_open()
            if not self.branches:
                self.settle(CANCELLED)

    def _cancel_open(self) -> None:
        for branch in self.open:
            branch.cancel()

    def settled(self, part: Node) -> None:
        self.open.remove(part)
        if self.winner is None and not self.is_cancelled and self._decides(part):
            self.winner = part
            self._cancel_open()
        if not self.open:
            decided = self.winner.outcome if self.winner is not None else self._of_all()
            self.settle(CANCELLED if self.is_cancelled else decided)

    def _decides(self, branch: Node) -> bool:
        is_fulfilled = isinstance(branch.outcome, Value)
        return {"race": True, "all": not is_fulfilled, "any": is_fulfilled, "all_settled": False}[self.tree.kind]

    def _of_all(self) -> Outcome:
        outcomes = [branch.outcome for branch in self.branches]
        if self.tree.kind == "any":
            named = "; ".join(str(outcome).removesuffix(": ") for outcome in outcomes)
            return Reason("AggregateError", f"no branch was fulfilled: {named or 'there was none'}")
        if self.tree.kind == "all":
            return Value([outcome.value for outcome in outcomes if isinstance(outcome, Value)])
        return Value([["fulfilled", o.value] if isinstance(o, Value) else ["rejected", str(o)] for o in outcomes])


class ScopeNode(Node):
    """Enters a scope, and is what its body is."""

    def start(self) -> None:
        inside = self.model.scopes.get(self.path)
        if inside is None:
            inside = self.model.scopes[self.path] = ScopeState(self.scope)
        self.inside = inside
        inside.bodies.append(self)
        self._start_parts(inside)
        if inside.is_cancelled:
            self.model.to_tell.append(self._cancel_what_was_started)

    def _start_parts(self, inside: ScopeState) -> None:
        if isinstance(self.tree, Group):
            self.body: Node = CombineNode(self.model, self.tree, self.path, inside)
            self.body.owner = self
            self.body.start()
            self.own = self.body.branches
        else:
            self.own = [self.part(work, number, inside) for number, work in enumerate(self.tree.beside, 1)]
            self.body = self.part(self.tree.body, 0, inside)
            for work in self.own:
                work.owner = None
                work.start()
            self.body.start()
        inside.started.extend(self.own)

    def _cancel_what_was_started(self) -> None:
        for work in [*self.own, self.body]:
            work.cancel()

    def cancel(self) -> None:
        self.body.cancel()

    def settled(self, part: Node) -> None:
        self.inside.bodies.remove(self)
        self.settle(part.outcome)


class ShieldNode(Node):
    """Is cancelled only once its work has settled; there is no scope around what begins in it."""

    is_cancelled = False

    def start(self) -> None:
        work = self.tree.work
        begins_before = isinstance(work, Combine) and work.by_itself
        self.work = self.part(work, 0, self.scope if begins_before else None)
        self.work.start()

    def cancel(self) -> None:
        self.is_cancelled = True

    def settled(self, part: Node) -> None:
        self.settle(CANCELLED if self.is_cancelled else part.outcome)


class ThenNode(Node):
    """One thing, and another whatever becomes of the first."""

    def start(self) -> None:
        self.now = self.part(self.tree.first, 0, self.scope)
        self.is_second = False
        self.now.start()

    def cancel(self) -> None:
        self.now.cancel()

    def settled(self, part: Node) -> None:
        if self.is_second:
            self.settle(part.outcome)
        else:
            self.is_second = True
            self.now = self.part(self.tree.second, 1, self.scope)
            self.now.start()


NODES: dict[type[Tree], type[Node]] = {
    Leaf: LeafNode,
    Bare: LeafNode,
    Combine: CombineNode,
    Scope: ScopeNode,
    Group: ScopeNode,
    Shield: ShieldNode,
    Then: ThenNode,
}


def node(model: Model, tree: Tree, path: str, scope: ScopeState | None) -> Node:
    return NODES[type(tree)](model, tree, path, scope)
