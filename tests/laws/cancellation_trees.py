"""Trees of combinators, scopes and shields over refs: their shapes, and the workflow that each of them stands for.

A tree has no names: everything is known by its path from the root. The ref of the leaf at ``r.0.1`` has that id, and
the one that its clean-up awaits is ``r.0.1/undo``. A leaf says ``+`` and its path as it begins, ``-`` when it is
cancelled, and ``~`` when its clean-up is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from hypothesis import strategies as st

from holdfast import CancelToken, WorkflowContext, workflow
from holdfast.core.combinators import Settled
from holdfast.core.scopes import CancellationScope
from tests.play import Code

Kind = Literal["race", "all", "any", "all_settled"]
KINDS: tuple[Kind, ...] = ("race", "all", "any", "all_settled")
ROOT = "r"


@dataclass(frozen=True)
class Leaf:
    """Awaits a ref.

    Attributes:
        cleans_up: Awaits another one when it is cancelled.
        ends_by: What it does after that.
    """

    cleans_up: bool
    ends_by: Literal["going", "returning", "raising"]


@dataclass(frozen=True)
class Bare:
    """A ref that nothing is wrapped around."""


@dataclass(frozen=True)
class Combine:
    """Branches under a combinator, which is a branch of what is around it by itself or within a coroutine."""

    kind: Kind
    branches: tuple[Tree, ...]
    by_itself: bool


@dataclass(frozen=True)
class Scope:
    """A body in a scope of its own, beside work that is started in it and that nobody waits for.

    Attributes:
        is_early: It is made as the run begins, so that it belongs to no other.
    """

    is_early: bool
    body: Tree
    beside: tuple[Tree, ...]


@dataclass(frozen=True)
class Group:
    """Branches that are started in a scope, and combined in its body."""

    is_early: bool
    kind: Kind
    branches: tuple[Tree, ...]


@dataclass(frozen=True)
class Shield:
    work: Tree


@dataclass(frozen=True)
class Then:
    """Something, and whatever becomes of it, something else."""

    first: Tree
    second: Tree


Tree: TypeAlias = "Leaf | Bare | Combine | Scope | Group | Shield | Then"


def parts(tree: Tree) -> tuple[Tree, ...]:
    """Give what a tree is made of; the number of a part is its place in here."""
    match tree:
        case Combine() | Group():
            return tree.branches
        case Scope():
            return (tree.body, *tree.beside)
        case Shield():
            return (tree.work,)
        case Then():
            return (tree.first, tree.second)
        case _:
            return ()


def places(tree: Tree, path: str = ROOT) -> Iterator[tuple[str, Tree]]:
    """Iterate over a tree and all that it is made of, with their paths."""
    yield path, tree
    for number, part in enumerate(parts(tree)):
        yield from places(part, f"{path}.{number}")


def ends_at_once(tree: Tree) -> bool:
    """Say whether something in a tree settles as it begins, before anything happens."""
    return any(
        isinstance(part, Combine | Group) and not part.branches and part.kind != "race" for _, part in places(tree)
    )


_LEAVES: st.SearchStrategy[Tree] = st.one_of(
    st.builds(Leaf, st.booleans(), st.sampled_from(("going", "going", "returning", "raising"))),
    st.builds(Leaf, st.just(value=True), st.just("going")),
    st.just(Bare()),
    st.builds(Combine, st.just("race"), st.just(()), st.booleans()),
)
_EMPTY: st.SearchStrategy[Tree] = st.builds(Combine, st.sampled_from(KINDS), st.just(()), st.booleans())


_DEEPEST = 4


def _trees(depth: int) -> st.SearchStrategy[Tree]:
    """Make trees of a certain depth at most, and not less than two below that; scopes are as likely as combinators."""
    if depth == 0:
        return _LEAVES
    inner, kinds = _trees(depth - 1), st.sampled_from(KINDS)
    some = st.lists(inner, min_size=1, max_size=2 if depth > 1 else 3).map(tuple)
    return st.one_of(
        *([_LEAVES] if depth < _DEEPEST - 1 else []),
        st.builds(Combine, kinds, some, st.booleans()),
        st.builds(Combine, kinds, some, st.just(value=True)),
        st.builds(Scope, st.booleans(), inner, st.lists(inner, max_size=1).map(tuple)),
        st.builds(Scope, st.just(value=False), inner, st.lists(inner, min_size=1, max_size=1).map(tuple)),
        st.builds(Group, st.booleans(), kinds, some),
        st.builds(Shield, inner),
        st.builds(Then, inner, inner),
    )


TREES: st.SearchStrategy[Tree] = _trees(_DEEPEST)

TREES_WITH_SOMETHING_EMPTY: st.SearchStrategy[Tree] = st.builds(
    Then,
    _trees(1),
    st.builds(Combine, st.sampled_from(KINDS), st.tuples(_EMPTY, _trees(2)), st.booleans()),
)
"""Trees with one combinator that has no branches; of two of them the table does not say which settles first."""


def workflow_of(tree: Tree) -> Code:
    """Make the workflow of a tree. On signal ``cancel`` it cancels the scopes whose paths that names, in that order."""

    @workflow(outputs=["seen"])
    async def grow(ctx: WorkflowContext) -> Any:  # noqa: ANN401 - any JSON value
        grown = _Grown(ctx)
        for path, part in places(tree):
            if isinstance(part, Scope | Group) and part.is_early:
                grown.scopes[path] = ctx.cancellation_scope()
        obeying = asyncio.create_task(grown.obey())
        try:
            return await grown.run(tree, ROOT)
        finally:
            obeying.cancel()

    return grow


class _Grown:
    """A tree as it runs."""

    def __init__(self, ctx: WorkflowContext) -> None:
        self.ctx = ctx
        self.scopes: dict[str, CancellationScope] = {}

    async def obey(self) -> None:
        async for paths in self.ctx.signal_channel("cancel"):
            for path in paths:
                self.scopes[path].cancel()

    async def run(self, tree: Tree, path: str) -> Any:  # noqa: ANN401 - any JSON value
        match tree:
            case Leaf():
                return await self._leaf(tree, path)
            case Scope():
                async with self._scope(path) as scope:
                    for number, work in enumerate(tree.beside, 1):
                        scope.start(self._branch(work, f"{path}.{number}"))
                    return await self.run(tree.body, f"{path}.0")
            case Group():
                async with self._scope(path) as scope:
                    return await self._combined(tree, [scope.start(branch) for branch in self._branches(tree, path)])
            case Shield():
                return shown(await self.ctx.shield(self._branch(tree.work, f"{path}.0")))
            case Then():
                with suppress(Exception, CancelToken):
                    await self.run(tree.first, f"{path}.0")
                return await self.run(tree.second, f"{path}.1")
            case _:
                return shown(await self._future(tree, path))

    def _branch(self, tree: Tree, path: str) -> Awaitable[Any]:
        if isinstance(tree, Bare) or (isinstance(tree, Combine) and tree.by_itself):
            return self._future(tree, path)
        return self.run(tree, path)

    def _branches(self, tree: Combine | Group, path: str) -> list[Awaitable[Any]]:
        return [self._branch(branch, f"{path}.{number}") for number, branch in enumerate(tree.branches)]

    def _future(self, tree: Bare | Combine, path: str) -> Awaitable[Any]:
        return self.ctx.ref_id(path) if isinstance(tree, Bare) else self._combined(tree, self._branches(tree, path))

    def _combined(self, tree: Combine | Group, branches: list[Any]) -> Awaitable[Any]:
        combine = getattr(self.ctx, tree.kind)
        return _shown_later(combine(branches)) if isinstance(tree, Group) else combine(branches)

    def _scope(self, path: str) -> CancellationScope:
        if path not in self.scopes:
            self.scopes[path] = self.ctx.cancellation_scope()
        return self.scopes[path]

    async def _leaf(self, leaf: Leaf, path: str) -> Any:  # noqa: ANN401 - any JSON value
        self.ctx.output("seen", f"+{path}")
        try:
            return await self.ctx.ref_id(path)
        except CancelToken:
            self.ctx.output("seen", f"-{path}")
            if leaf.cleans_up:
                await self.ctx.ref_id(f"{path}/undo")
                self.ctx.output("seen", f"~{path}")
            if leaf.ends_by == "returning":
                return f"{path} kept"
            if leaf.ends_by == "raising":
                raise ValueError(path) from None
            raise


async def _shown_later(combined: Awaitable[Any]) -> Any:  # noqa: ANN401 - any JSON value
    return shown(await combined)


def shown(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Put what combinators give into JSON."""
    if isinstance(value, Settled):
        reason = value.reason
        return value.status, shown(value.value) if reason is None else f"{type(reason).__name__}: {reason}"
    return [shown(item) for item in value] if isinstance(value, list) else value
