"""The faults that Dapr's patch notes 1.16 to 1.18 tell of, each with the test that asks: would we have had this bug?

The first two digits of a test's name are the number of its case; `test_the_table.py` holds tests against this table.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["CASES", "Case"]


class Case(NamedTuple):
    """One fault that was mended in Dapr.

    Attributes:
        number: From 1, in the order of the releases.
        release: In which it was mended.
        fault: What happened there.
        test: What has to hold here; the name of its test, without ``test_`` and the number.
        on_every_store: What is stored decides it, so it is tried on each store.
    """

    number: int
    release: str
    fault: str
    test: str
    on_every_store: bool = True


CASES: Final = (
    Case(
        1,
        "1.16.2",
        "infinite loop when state is corrupted or destroyed",
        "a_run_whose_state_is_damaged_or_gone_is_quarantined_and_nobody_keeps_asking_for_it",
    ),
    Case(
        2,
        "1.16.2",
        "APP_API_TOKEN missing in gRPC callbacks",
        "every_callback_of_the_sidecar_has_to_bring_the_app_token",
        on_every_store=False,
    ),
    Case(
        3,
        "1.16.2",
        "CORS default",
        "no_answer_lets_the_pages_of_another_site_read_it_or_call_again",
        on_every_store=False,
    ),
    Case(
        4,
        "1.17.2",
        "pub/sub messages sent to dead letter during graceful shutdown",
        "messages_that_come_while_the_service_shuts_down_are_dead_lettered_nowhere_and_come_again",
        on_every_store=False,
    ),
    Case(
        5,
        "1.17.2",
        "large activity results kill the stream",
        "an_activity_result_that_is_too_large_fails_its_call_and_disturbs_nobody",
    ),
    Case(
        6,
        "1.17.2",
        "timers not removed when the event came first",
        "a_timer_is_gone_once_its_signal_came_first",
    ),
    Case(
        7,
        "1.17.3",
        "gRPC authorization bypass",
        "no_way_to_write_a_path_gets_past_the_token",
        on_every_store=False,
    ),
    Case(
        8,
        "1.17.4",
        "events lost or doubled in continue-as-new under bursts",
        "no_signal_of_a_burst_is_lost_or_doubled_by_continue_as_new",
    ),
    Case(
        9,
        "1.17.5",
        "path traversal around access policies (admin%2F..%2Fpublic)",
        "an_id_that_walks_through_paths_is_refused_before_it_reaches_a_store",
        on_every_store=False,
    ),
    Case(
        10,
        "1.17.6/7",
        "in-flight Kafka messages abandoned and Pulsar ones dead-lettered on SIGTERM",
        "a_delivery_in_flight_at_sigterm_is_acknowledged_if_it_is_durable_and_comes_again_if_not",
        on_every_store=False,
    ),
    Case(
        11,
        "1.17.6/7",
        "inbox of duplicate completions: spin loop",
        "completions_that_come_many_times_count_once_and_nothing_spins",
    ),
    Case(
        12,
        "1.17.6/7",
        "activity body runs N times in parallel on reconnect",
        "an_activity_runs_once_while_its_store_comes_and_goes_and_its_run_leaves_memory",
    ),
    Case(
        13,
        "1.17.6/7",
        "stream torn down by one oversized history",
        "a_history_larger_than_any_message_is_read_back_and_disturbs_nobody",
    ),
    Case(
        14,
        "1.17.6/7",
        "workflows frozen RUNNING after rebalance",
        "runs_that_wait_in_every_way_move_on_with_each_new_owner",
    ),
    Case(
        15,
        "1.17.6/7",
        "purge orphans",
        "a_purge_leaves_nothing_but_a_tombstone_also_where_it_is_cut_short",
    ),
    Case(
        16,
        "1.17.8",
        "stuck after re-using a finished id",
        "a_finished_id_can_be_used_again_and_what_is_late_for_the_old_run_misses_the_new_one",
    ),
    Case(
        17,
        "1.17.11",
        "names with | or @ fail to register",
        "names_with_bars_and_ats_work_everywhere",
    ),
    Case(
        18,
        "1.18.1",
        "hang when a child's completion crosses continue-as-new",
        "a_childs_completion_that_crosses_continue_as_new_hangs_nobody_and_answers_no_other_child",
    ),
    Case(
        19,
        "1.18.1",
        "timer leak when the same event is awaited again",
        "awaiting_the_same_signal_again_and_again_keeps_one_timer",
    ),
    Case(
        20,
        "1.18.2",
        "terminate leaves run RUNNING forever",
        "a_terminated_run_is_terminated_wherever_it_stood_and_stays_so",
    ),
    Case(
        21,
        "1.18.2",
        "child id already in use sticks the parent",
        "a_child_id_in_use_is_an_error_that_its_parent_can_handle",
    ),
    Case(
        22,
        "1.18.2",
        "one slow timer callback delays all others",
        "what_one_timer_sets_off_delays_no_other_however_long_it_takes",
    ),
    Case(
        23,
        "1.18.3",
        "crash on a non-string trace field in a CloudEvent",
        "trace_fields_of_any_json_type_in_a_cloud_event_cost_no_signal",
        on_every_store=False,
    ),
    Case(
        24,
        "1.18.3",
        "stalled runs stuck after last worker leaves",
        "a_stalled_run_goes_on_by_itself_with_the_next_owner_that_knows_its_code",
    ),
    Case(
        25,
        "1.18.3",
        "orphan reminders retry forever",
        "nothing_is_tried_again_for_runs_that_are_gone",
    ),
    Case(
        26,
        "1.18.3",
        "one unbounded trace across iterations",
        "each_run_of_a_chain_has_a_trace_and_a_history_of_its_own",
    ),
)
