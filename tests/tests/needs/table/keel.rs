//! What keel-llm-reliability claims.

use super::Section;
use super::files::{
    AVAILABILITY, BREAKER, BUILD, CATEGORIES, COLLABORATORS, CONTRACT, CUSTOM_BACKEND, DEPENDENCIES, ERROR,
    FAILOVER, FAN_OUT, POLICY, PREEMPTED, QUORUMS, REAL_FAN_OUT, REFUSALS, REPORT,
};
use crate::need::Proof::{LeftOut, Otherwise, Tests, ToCome};

pub const SECTIONS: &[Section] = &[
    (
        "Why it exists",
        &[
            (
                "Errors are typed, and their category says what is done about them.",
                Tests(&[
                    (ERROR, "every_kind_has_its_category_and_its_blame"),
                    (CATEGORIES, "failover_goes_by_the_category"),
                    (CATEGORIES, "fan_out_goes_by_the_category"),
                ]),
            ),
            (
                "A throttled model is healthy: it is deferred, and its circuit does not trip.",
                Tests(&[
                    (AVAILABILITY, "what_is_no_failure_of_the_model_never_opens_the_circuit"),
                    (FAILOVER, "what_the_request_brought_about_never_opens_a_circuit_but_a_wrong_key_does"),
                ]),
            ),
            (
                "So a model that is throttled for a while stays available: ten calls of ten, where a breaker that \
                 counted its refusals would have kept most of them away.",
                Tests(&[(CATEGORIES, "who_is_throttled_stays_in_and_answers_when_he_can")]),
            ),
            (
                "The caller writes no loop of fan-out or failover: it is composed of the error taxonomy and the breaker.",
                Tests(&[
                    (FAILOVER, "every_category_moves_on_visibly"),
                    (DEPENDENCIES, "the_strategies_know_no_vendor_and_no_store"),
                ]),
            ),
        ],
    ),
    (
        "Two strategies",
        &[
            (
                "A client is made of adapters alone, and a request of messages.",
                Tests(&[(FAILOVER, "the_first_that_answers_wins_and_the_rest_are_not_called")]),
            ),
            (
                "There are adapters for OpenAI and for Groq.",
                Tests(&[(BUILD, "the_known_providers_need_nothing_but_a_model")]),
            ),
            (
                "There is an adapter for Gemini.",
                ToCome("`from_env` and TOML know its name already, and say that it is not built yet"),
            ),
            (
                "`failover` asks one after the other, in order, and ends with the first answer.",
                Tests(&[
                    (FAILOVER, "the_first_that_answers_wins_and_the_rest_are_not_called"),
                    (REFUSALS, "failover_leaves_behind_who_refuses"),
                ]),
            ),
            (
                "Its result says whether it succeeded, and has the response.",
                Tests(&[(FAILOVER, "the_first_that_answers_wins_and_the_rest_are_not_called")]),
            ),
            (
                "`fan_out` asks all at once and keeps every answer.",
                Tests(&[
                    (FAN_OUT, "every_seat_is_asked_at_once_and_every_answer_kept"),
                    (REAL_FAN_OUT, "no_seat_waits_for_another"),
                ]),
            ),
            (
                "The successes of a `fan_out` are all those that answered, whatever became of the others.",
                Tests(&[
                    (REAL_FAN_OUT, "one_seat_throttled_one_cut_and_one_good_is_one_answer"),
                    (FAN_OUT, "one_seat_takes_nothing_from_another"),
                ]),
            ),
            (
                "A fan-out with any answer has succeeded, and one without has not.",
                Tests(&[
                    (QUORUMS, "a_failure_is_no_answer_and_any_will_do_for_all"),
                    (FAN_OUT, "no_answer_at_all_misses_the_quorum"),
                ]),
            ),
            (
                "Both strategies are plain functions too, for those who wire the collaborators themselves.",
                LeftOut(
                    "they are methods of a client that takes every collaborator by its builder and is cheap to make and \
                     to clone; a second way to do the same would be one more to keep in step",
                ),
            ),
        ],
    ),
    (
        "Every decision is data",
        &[
            (
                "No silent retries: a model is tried once unless retries were asked for, and each is an attempt.",
                Tests(&[
                    (POLICY, "only_transient_errors_are_retried_and_only_so_often"),
                    (FAILOVER, "transient_errors_are_retried_when_asked_for_and_every_try_is_visible"),
                ]),
            ),
            (
                "No hidden fallbacks: every interaction with a provider is an attempt, in order, and the provider got \
                 no other requests.",
                Tests(&[
                    (FAILOVER, "every_category_moves_on_visibly"),
                    (CATEGORIES, "failover_goes_by_the_category"),
                    (CATEGORIES, "fan_out_goes_by_the_category"),
                ]),
            ),
            (
                "An attempt has its model key, its outcome, how long it took, and its error, if any, with a category.",
                Tests(&[
                    (REPORT, "a_failover_is_written_as_documented"),
                    (CATEGORIES, "failover_goes_by_the_category"),
                ]),
            ),
            (
                "The outcome is one of `success`, `preempted_open`, `preempted_limited`, `deferred_backpressure`, \
                 `failed`.",
                Otherwise(
                    "these are there under the same names, and beside them `preempted_unsupported`, `empty`, \
                     `interrupted` and `cancelled`, for what would otherwise hide behind one of the five",
                    &[(REPORT, "every_outcome_survives_the_way_there_and_back")],
                ),
            ),
            (
                "The category of a failure tells what is flaky (transient) from a broken configuration (terminal).",
                Tests(&[
                    (ERROR, "every_kind_has_its_category_and_its_blame"),
                    (REFUSALS, "failover_leaves_behind_who_refuses"),
                ]),
            ),
            (
                "Degradation can be seen and worked with: how many were asked, how many answered.",
                Tests(&[
                    (QUORUMS, "degraded_is_what_failed_was_deferred_or_passed_over"),
                    (FAN_OUT, "every_seat_is_asked_at_once_and_every_answer_kept"),
                ]),
            ),
        ],
    ),
    (
        "By category",
        &[
            (
                "Backpressure in a fan-out: deferred, contributes nothing, no failure on the breaker.",
                Tests(&[(CATEGORIES, "fan_out_goes_by_the_category")]),
            ),
            (
                "Backpressure in a failover: the next candidate at once, no failure on the breaker.",
                Tests(&[
                    (CATEGORIES, "failover_goes_by_the_category"),
                    (CATEGORIES, "nobody_waits_who_was_not_asked_to"),
                ]),
            ),
            (
                "A transient error (5xx, timeout) in a fan-out: a failure on the breaker, contributes nothing.",
                Tests(&[(CATEGORIES, "fan_out_goes_by_the_category")]),
            ),
            (
                "A transient error in a failover: a failure on the breaker, and the next candidate.",
                Tests(&[(CATEGORIES, "failover_goes_by_the_category")]),
            ),
            (
                "The same model may first be tried again after a transient error, at most `transient_retries` times.",
                Tests(&[
                    (FAILOVER, "transient_errors_are_retried_when_asked_for_and_every_try_is_visible"),
                    ("tests/tests/retries.rs", "two_retries_are_three_requests"),
                    ("tests/tests/retries.rs", "what_would_end_the_same_way_is_not_tried_again"),
                ]),
            ),
            (
                "A timeout is retried like any other transient error.",
                Otherwise(
                    "only where that is asked for by name, as asking a silent route again multiplies the wait",
                    &[
                        ("tests/tests/retries.rs", "a_timeout_is_tried_again_when_that_was_asked_for"),
                        (POLICY, "only_transient_errors_are_retried_and_only_so_often"),
                    ],
                ),
            ),
            (
                "A terminal error in a fan-out: a visible failure, and none on the breaker where the request brought it \
                 about (bad request, context, content).",
                Tests(&[(CATEGORIES, "fan_out_goes_by_the_category")]),
            ),
            (
                "A terminal error in a failover: a visible failure, none on the breaker where the request brought it \
                 about, and the next candidate.",
                Tests(&[
                    (CATEGORIES, "failover_goes_by_the_category"),
                    (POLICY, "terminal_errors_stop_or_move_on_by_policy"),
                ]),
            ),
            (
                "A failed authentication, being terminal, counts on no breaker.",
                Otherwise(
                    "it counts, as do a missing permission, an unpaid bill and an unknown model: every call would fail \
                     until a person acts (keel's own code counts authentication too)",
                    &[
                        (
                            FAILOVER,
                            "what_the_request_brought_about_never_opens_a_circuit_but_a_wrong_key_does",
                        ),
                        (ERROR, "every_kind_has_its_category_and_its_blame"),
                    ],
                ),
            ),
            (
                "Every terminal error fails over, a model's own refusal included.",
                Otherwise(
                    "so it is with `Policy::keel()`; by default a refusal is the end, as whether to ask another vendor \
                     what a model declined is for the caller to decide",
                    &[
                        (FAILOVER, "policies_decide_what_stops"),
                        (FAILOVER, "what_a_model_declines_is_not_taken_to_another_unless_asked"),
                    ],
                ),
            ),
        ],
    ),
    (
        "Preemption",
        &[
            (
                "Before anything is sent, both strategies pass over whose breaker is open (`preempted_open`).",
                Tests(&[
                    (PREEMPTED, "who_is_open_or_full_is_not_sent_anything_by_any_strategy"),
                    (FAILOVER, "an_open_circuit_is_passed_over_and_says_when_it_closes"),
                ]),
            ),
            (
                "They pass over whose limiter predicts that it is full (`preempted_limited`).",
                Tests(&[
                    (PREEMPTED, "who_is_open_or_full_is_not_sent_anything_by_any_strategy"),
                    (AVAILABILITY, "whoever_has_had_what_his_limits_allow_is_passed_over"),
                ]),
            ),
            (
                "They predict and never block: no sleep is hidden anywhere.",
                Tests(&[(CATEGORIES, "nobody_waits_who_was_not_asked_to")]),
            ),
            (
                "When all are used up a failover has no response, and says so.",
                Tests(&[
                    (FAILOVER, "that_nobody_answers_is_a_value_and_an_error_for_those_who_want_one"),
                    (CATEGORIES, "nobody_waits_who_was_not_asked_to"),
                ]),
            ),
            (
                "When all are used up a fan-out has no successes.",
                Tests(&[
                    (FAN_OUT, "no_answer_at_all_misses_the_quorum"),
                    (CATEGORIES, "nobody_waits_who_was_not_asked_to"),
                ]),
            ),
        ],
    ),
    (
        "Injected collaborators",
        &[
            (
                "Nothing has to be set: without a breaker of one's own there is one in this process.",
                Tests(&[
                    (
                        AVAILABILITY,
                        "three_failures_in_a_row_open_the_circuit_and_the_fourth_call_does_not_go_out",
                    ),
                    (BREAKER, "opens_probes_and_closes_and_tells_of_it"),
                ]),
            ),
            (
                "A limiter is optional.",
                Tests(&[(FAILOVER, "the_first_that_answers_wins_and_the_rest_are_not_called")]),
            ),
            (
                "Breaker and limiter are handed in, and asked and told about every attempt.",
                Tests(&[
                    (COLLABORATORS, "verdict_and_cost_follow_what_happened"),
                    (PREEMPTED, "who_is_open_or_full_is_not_sent_anything_by_any_strategy"),
                ]),
            ),
            (
                "They are never owned: several clients may share one, and know what the others found out.",
                Tests(&[(PREEMPTED, "who_shares_a_breaker_knows_what_the_others_found_out")]),
            ),
            (
                "At scale another backend takes their place, for a state that workers share, and nothing else changes.",
                Tests(&[
                    (CUSTOM_BACKEND, "three_workers_share_a_circuit"),
                    (CUSTOM_BACKEND, "the_backend_keeps_to_the_contract"),
                ]),
            ),
            (
                "The protocols are asynchronous, so that a backend may do network I/O.",
                Tests(&[
                    (COLLABORATORS, "a_store_that_hangs_holds_nothing_up_for_long"),
                    (
                        "crates/circuit-breaker/tests/contract/remote.rs",
                        "backends_behind_a_wire_keep_to_the_contract",
                    ),
                ]),
            ),
            (
                "The breaker in process answers at once.",
                Tests(&[
                    (BREAKER, "what_is_known_without_a_lease_is_answered_at_once"),
                    (CONTRACT, "the_breaker_passes_every_rule"),
                ]),
            ),
            (
                "The breaker in process is keel-circuit-breaker's: the same defaults, the same answers (tests with Python, feature `long`).",
                Tests(&[
                    ("tests/tests/keel/calls.rs", "the_defaults_are_the_same"),
                    ("tests/tests/keel/programs.rs", "calls_whose_results_come_in_time_are_answered_alike"),
                ]),
            ),
        ],
    ),
];
