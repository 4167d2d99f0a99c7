"""The engine's numbers as metrics: one table, which the collector reads and the reference prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from holdfast import EngineStats, RunStatus
from holdfast.engine.histogram import Distribution
from holdfast.engine.records.outbox import OutgoingKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from holdfast.engine.work.numbers import ActivityStats

__all__ = ["NUMBERS", "Family", "Number", "bounded"]

OTHER: Final = "other"
"""Stands for the workflows that are not registered here: what is stored may name any number of them."""

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily
Samples = Iterable[tuple[tuple[str, ...], float | Distribution]]
"""Values, each with those of its labels."""


@dataclass(frozen=True, slots=True)
class Number:
    """One metric.

    Attributes:
        name: What it is called; that of a counter has ``_total`` behind it.
        help: What it says, in a sentence.
        labels: The names of its labels.
        read: Gives its values.
        kind: The kind of metric.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[EngineStats], Samples]
    kind: type[Family] = GaugeMetricFamily

    def family(self, stats: EngineStats) -> Family:
        """Give its values in the client library's form."""
        family = self.kind(self.name, self.help, labels=self.labels)
        for labels, value in self.read(stats):
            if isinstance(value, Distribution):
                assert isinstance(family, HistogramMetricFamily)  # noqa: S101 - said by the table
                family.add_metric(labels, _buckets(value), value.total)
            else:
                assert not isinstance(family, HistogramMetricFamily)  # noqa: S101 - as above
                family.add_metric(labels, value)
        return family


def _buckets(distribution: Distribution) -> list[tuple[str, float]]:
    """Give how many values are within each bound: those of the buckets before it count as well."""
    bounds = [*(str(float(bound)) for bound in distribution.bounds), "+Inf"]
    within = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip(bounds, distribution.counts, strict=True):
        within += count
        buckets.append((bound, within))
    return buckets


def bounded(stats: EngineStats, known: Collection[str]) -> EngineStats:
    """Put the runs of workflows that are not registered here together, so that there are no more labels than names."""
    began: Counter[str] = Counter()
    ended: Counter[tuple[str, RunStatus]] = Counter()
    for name, count in stats.began.items():
        began[name if name in known else OTHER] += count
    for (name, status), count in stats.ended.items():
        ended[name if name in known else OTHER, status] += count
    return replace(stats, began=began, ended=ended)


def _plain(read: Callable[[EngineStats], float | Distribution]) -> Callable[[EngineStats], Samples]:
    return lambda stats: [((), read(stats))]


def _named(read: Callable[[EngineStats], Mapping[str, float]]) -> Callable[[EngineStats], Samples]:
    return lambda stats: [((name,), value) for name, value in sorted(read(stats).items())]


def _of_activities(
    read: Callable[[ActivityStats], Mapping[str, float] | float | Distribution],
) -> Callable[[EngineStats], Samples]:
    def samples(stats: EngineStats) -> Samples:
        for name, activity in sorted(stats.activities.items()):
            value = read(activity)
            if isinstance(value, (float, int, Distribution)):
                yield (name,), value
            else:
                yield from (((name, label), count) for label, count in value.items())

    return samples


def _outcomes(activity: ActivityStats) -> dict[str, float]:
    names = ("completed", "failed", "timed_out", "canceled")
    return {name: getattr(activity, name) for name in names}


_COUNTER, _HISTOGRAM = CounterMetricFamily, HistogramMetricFamily

NUMBERS: Final = (
    Number(
        "holdfast_runs",
        "Runs by status, the newest of each workflow id.",
        ("status",),
        lambda stats: [((status.value,), stats.runs[status.value]) for status in RunStatus],
    ),
    Number(
        "holdfast_runs_started",
        "Runs that have begun; each of a chain of continue-as-new counts.",
        ("workflow",),
        _named(lambda stats: stats.began),
        _COUNTER,
    ),
    Number(
        "holdfast_runs_ended",
        "Runs that have ended.",
        ("workflow", "status"),
        lambda stats: [((name, status.value), count) for (name, status), count in sorted(stats.ended.items())],
        _COUNTER,
    ),
    Number("holdfast_runs_live", "Runs in memory.", (), _plain(lambda stats: stats.live)),
    Number("holdfast_runs_loaded", "Runs read into memory.", (), _plain(lambda stats: stats.loaded), _COUNTER),
    Number(
        "holdfast_runs_evicted",
        "Runs that have left memory to make room.",
        (),
        _plain(lambda stats: stats.evicted),
        _COUNTER,
    ),
    Number(
        "holdfast_attempts",
        "Attempts of activities that run or wait for a place.",
        (),
        _plain(lambda stats: stats.attempts),
    ),
    Number(
        "holdfast_attempts_abandoned",
        "Attempts on threads that were given up on and have not returned.",
        (),
        _plain(lambda stats: stats.abandoned),
    ),
    Number(
        "holdfast_activity_attempts",
        "Attempts of activities that have come to an end.",
        ("activity", "outcome"),
        _of_activities(_outcomes),
        _COUNTER,
    ),
    Number(
        "holdfast_activity_retries",
        "Attempts that failed and were, or will be, followed by another.",
        ("activity",),
        _of_activities(lambda activity: activity.retried),
        _COUNTER,
    ),
    Number(
        "holdfast_activity_attempt_seconds",
        "How long attempts took that returned, raised or timed out.",
        ("activity",),
        _of_activities(lambda activity: activity.seconds),
        _HISTOGRAM,
    ),
    Number("holdfast_commits", "Batches written.", (), _plain(lambda stats: stats.commits), _COUNTER),
    Number("holdfast_changes", "Changes of runs in those batches.", (), _plain(lambda stats: stats.written), _COUNTER),
    Number(
        "holdfast_commit_seconds",
        "How long each batch took, from the first call of the store until it was proved to be written.",
        (),
        _plain(lambda stats: stats.commit.seconds),
        _HISTOGRAM,
    ),
    Number(
        "holdfast_commit_changes",
        "How many changes of runs each batch held.",
        (),
        _plain(lambda stats: stats.commit.changes),
        _HISTOGRAM,
    ),
    Number(
        "holdfast_commit_documents",
        "How many documents each batch wrote or deleted.",
        (),
        _plain(lambda stats: stats.commit.documents),
        _HISTOGRAM,
    ),
    Number(
        "holdfast_last_commit_timestamp_seconds",
        "When the last batch was written, in seconds since 1970; 0 before the first.",
        (),
        _plain(lambda stats: stats.last_commit_at.timestamp() if stats.last_commit_at is not None else 0),
    ),
    Number(
        "holdfast_commit_queue",
        "Changes of runs that wait for a batch.",
        (),
        _plain(lambda stats: stats.commit.waiting),
    ),
    Number(
        "holdfast_commit_chores",
        "Documents of the engine's own that wait for a batch.",
        (),
        _plain(lambda stats: stats.commit.chores),
    ),
    Number(
        "holdfast_commit_conflicts",
        "Calls that met something that was there already: what an earlier try had written, or another.",
        (),
        _plain(lambda stats: stats.commit.conflicts),
        _COUNTER,
    ),
    Number(
        "holdfast_changes_lost",
        "Changes of runs that gave way to something else that had been written.",
        (),
        _plain(lambda stats: stats.commit.lost),
        _COUNTER,
    ),
    Number(
        "holdfast_changes_refused",
        "Changes of runs that the store would not take; their runs are stalled.",
        (),
        _plain(lambda stats: stats.commit.refused),
        _COUNTER,
    ),
    Number(
        "holdfast_store_retries",
        "Calls of the store that got no answer and were made again; the outcome of a write is unknown until then.",
        ("call",),
        _named(lambda stats: {"read": stats.read_retries, "write": stats.commit.unknown}),
        _COUNTER,
    ),
    Number("holdfast_index_entries", "Workflow ids in the index.", (), _plain(lambda stats: stats.index.entries)),
    Number(
        "holdfast_index_segments",
        "Documents that the index takes.",
        (),
        _plain(lambda stats: stats.index.segments),
    ),
    Number(
        "holdfast_index_segments_changed",
        "Documents of the index that have changed since they were last written.",
        (),
        _plain(lambda stats: stats.index.changed),
    ),
    Number("holdfast_checkpoints", "Checkpoints written.", (), _plain(lambda stats: stats.index.checkpoints), _COUNTER),
    Number(
        "holdfast_checkpoint_behind_commits",
        "Commits that a restart would have to read after the newest checkpoint.",
        (),
        _plain(lambda stats: stats.index.behind),
    ),
    Number(
        "holdfast_messages_held",
        "Messages from topics that wait for their run, or for those before them.",
        (),
        _plain(lambda stats: stats.held),
    ),
    Number(
        "holdfast_dead_letters",
        "Messages from topics that have ever found no run; this goes on over restarts.",
        (),
        _plain(lambda stats: stats.dead_letters),
        _COUNTER,
    ),
    Number(
        "holdfast_ref_answers_dropped",
        "Answers to refs that were answered or cancelled before.",
        (),
        _plain(lambda stats: stats.dropped_answers),
        _COUNTER,
    ),
    Number(
        "holdfast_refs_dropped",
        "Refs that had no answer when their run ended.",
        (),
        _plain(lambda stats: stats.dropped_refs),
        _COUNTER,
    ),
    Number(
        "holdfast_outbox_entries",
        "Effects on the world outside a run that are on their way.",
        ("kind",),
        lambda stats: [((kind.value,), stats.outbox.get(kind.value, 0)) for kind in OutgoingKind],
    ),
    Number(
        "holdfast_outputs_waiting",
        "Outputs that wait to leave.",
        (),
        _plain(lambda stats: stats.outputs),
    ),
    Number(
        "holdfast_outputs_published",
        "Outputs that the publisher has taken.",
        (),
        _plain(lambda stats: stats.published),
        _COUNTER,
    ),
    Number(
        "holdfast_outputs_stuck",
        "Workflow ids whose next output could not leave when it was last tried; not counted while nothing can leave.",
        (),
        _plain(lambda stats: stats.stuck),
    ),
)
"""All numbers of the engine."""
