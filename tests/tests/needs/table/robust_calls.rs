//! What robust-llm-chain claims of calls: why they fail over, what a result has, streams, errors, and what is logged.

use super::Section;
use super::files::{
    BROKEN_STREAMS, BUILD, CATEGORIES, CLIENT_SECRETS, CLOCKS, COLLABORATORS, CROWD, ERROR,
    EXAMPLE_QUICKSTART, FAILOVER, FROM_ENV, MONEY, NEEDS_CLOCKS, ORDERS, OVERLOADS, POLICY, QUICKSTART,
    REAL_CLOCKS, REPORT, SCRUB, SECRETS, STREAMING, TOLD, USAGE, WITHOUT_VENDORS,
};
use crate::need::Proof::{LeftOut, Otherwise, Tests, ToCome};

pub const SECTIONS: &[Section] = &[
    (
        "Why it exists",
        &[
            (
                "When a vendor answers 529, the same request goes to the next one, with nothing more to configure.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (OVERLOADS, "overload_has_three_disguises"),
                ]),
            ),
            (
                "When a vendor accepts the request and never sends the first token, the next one is asked as well.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (REAL_CLOCKS, "failover_gives_up_on_whoever_is_silent"),
                ]),
            ),
            (
                "When a vendor throttles, the next one is asked as well.",
                Tests(&[(QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other")]),
            ),
            (
                "A refusal is noticed at once, so that it takes seconds and not minutes.",
                Tests(&[(CATEGORIES, "nobody_waits_who_was_not_asked_to")]),
            ),
            (
                "It goes to another vendor, and not to the same one again.",
                Tests(&[
                    (FAILOVER, "every_category_moves_on_visibly"),
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                ]),
            ),
            (
                "The first token has a limit of its own, 15 s, and when it has passed the next vendor is asked.",
                Tests(&[
                    (CLOCKS, "a_silent_provider_is_given_up_after_the_first_token_limit"),
                    (REAL_CLOCKS, "failover_stream_gives_up_on_whoever_is_silent"),
                ]),
            ),
            (
                "Keep-alives and other bytes that are no answer do not count as one: pending is pending.",
                Tests(&[
                    (CLOCKS, "other_bytes_do_not_stop_the_first_token_clock"),
                    (REAL_CLOCKS, "failover_gives_up_on_whoever_is_silent"),
                ]),
            ),
            (
                "An answer that is slow but real is not given up for it.",
                Tests(&[(NEEDS_CLOCKS, "slow_but_real_is_waited_for_and_pending_is_not")]),
            ),
            (
                "The limit of one provider, 60 s, is counted once the first token has come.",
                Otherwise(
                    "it is counted from dispatch, so that it is the whole budget of an attempt, as the table of \
                     robust's defaults has it",
                    &[(CLOCKS, "a_slow_drip_ends_with_the_attempt_clock")],
                ),
            ),
            (
                "A limit on the whole call holds across all attempts.",
                Tests(&[
                    (CLOCKS, "the_total_ends_the_call_and_is_not_held_against_the_model"),
                    (REAL_CLOCKS, "the_deadline_of_the_call_ends_it_and_is_not_held_against_the_model"),
                ]),
            ),
        ],
    ),
    (
        "Quickstart",
        &[
            (
                "Two providers and their credentials are enough for a client that fails over between them.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (EXAMPLE_QUICKSTART, "it_shows_a_failover_and_a_fan_out_without_keys_or_a_network"),
                ]),
            ),
            (
                "Round-robin distributes the first attempts: call 1 begins with the first provider, call 2 with the second.",
                Tests(&[(QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other")]),
            ),
            (
                "Round-robin is what a client does unless told otherwise.",
                Otherwise(
                    "the order of the list is, as in keel; `RoundRobin` is a line in the builder",
                    &[(ORDERS, "listed_is_what_a_client_does_by_itself")],
                ),
            ),
            (
                "Credentials are values, and the builder never looks into the environment for them.",
                Tests(&[(QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other")]),
            ),
            (
                "A call gives the answer together with its metadata (`acall`).",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call"),
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                ]),
            ),
            (
                "Those who only want the message get it (`ainvoke`).",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call"),
                    (FAILOVER, "that_nobody_answers_is_a_value_and_an_error_for_those_who_want_one"),
                ]),
            ),
            (
                "It is a LangChain Runnable, and drops into existing chains.",
                LeftOut("LangChain is Python; the calls are futures, and compose as such"),
            ),
            (
                "An environment variable that is missing fails at once, by its exact name.",
                Otherwise(
                    "`from_env` names it among those skipped, and TOML and specs in an error",
                    &[
                        (FROM_ENV, "the_process_environment_is_what_from_env_reads"),
                        (BUILD, "a_missing_credential_is_named_by_its_variable"),
                    ],
                ),
            ),
        ],
    ),
    (
        "Anatomy of a result",
        &[
            (
                "`output`: the model's response, and its text.",
                Tests(&[(QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call")]),
            ),
            (
                "`input`: the messages as they were sent.",
                Otherwise(
                    "the caller has them; a report holds no prompt, so that it can be logged as it is",
                    &[(SECRETS, "prompts_and_answers_are_in_no_debug_output_and_in_no_error")],
                ),
            ),
            (
                "`usage`: input, output, cache read, cache write and total tokens.",
                Tests(&[
                    (TOLD, "tokens_are_counted_in_one_way_for_all_vendors"),
                    (USAGE, "the_total_is_known_when_input_and_output_are"),
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call"),
                ]),
            ),
            (
                "`cost`: a sum for each kind of tokens, where prices were given.",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                    (MONEY, "cached_input_has_its_own_prices"),
                ]),
            ),
            (
                "A cost is in US dollars.",
                Otherwise(
                    "in whatever currency the prices are, one sum for each, never mixed",
                    &[(MONEY, "currencies_are_never_mixed")],
                ),
            ),
            (
                "Without prices there is no cost.",
                Tests(&[(QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call")]),
            ),
            (
                "`provider_used` and `model_used`: who gave the answer.",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call"),
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                ]),
            ),
            (
                "Credentials are masked wherever a provider is shown.",
                Tests(&[
                    (CLIENT_SECRETS, "no_debug_shows_a_credential"),
                    (SECRETS, "a_key_and_a_prompt_that_the_provider_repeats_are_shown_nowhere"),
                ]),
            ),
            (
                "`attempts`: every attempt, good and failed, in order.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (FAILOVER, "every_category_moves_on_visibly"),
                ]),
            ),
            (
                "`elapsed_ms`: the time of the whole call.",
                Tests(&[
                    (CLOCKS, "a_silent_provider_is_given_up_after_the_first_token_limit"),
                    (STREAMING, "the_time_of_a_call_stands_still_when_it_is_over"),
                ]),
            ),
            (
                "An attempt says who it was, its phase, its time, its error's type and message, and whether another may \
                 be asked after it (`fallback_eligible`).",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                    (REPORT, "a_failover_is_written_as_documented"),
                ]),
            ),
            (
                "A provider that is asked leaves two records, one for the creation of its model and one for its first token.",
                Otherwise(
                    "one attempt, with the phase in which it ended and the times of its first token and its end; the \
                     creation of the model is the phase `prepare`",
                    &[
                        (FAILOVER, "what_fails_before_it_is_sent_moves_on_and_says_so"),
                        (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_good_call"),
                    ],
                ),
            ),
            (
                "The message of an error has the keys in it masked.",
                Tests(&[
                    (SCRUB, "what_looks_like_a_credential_goes"),
                    (SECRETS, "a_key_and_a_prompt_that_the_provider_repeats_are_shown_nowhere"),
                ]),
            ),
            (
                "The message of an error is cut to 200 characters.",
                Tests(&[(SCRUB, "texts_are_cut_between_characters_and_stay_on_one_line")]),
            ),
            (
                "The last result of a task can be read off the chain afterwards (`last_result`).",
                LeftOut(
                    "a call returns what it came to; a result that is kept beside it can be taken for another call's",
                ),
            ),
            (
                "Calls side by side do not see each other's results.",
                Tests(&[(CROWD, "fifty_calls_at_a_time_are_all_accounted_for")]),
            ),
            (
                "The tokens of all calls of a client are summed up (`total_token_usage`).",
                ToCome("until then an observer is told of every attempt with its usage, and can add them up"),
            ),
            (
                "The cost of all calls of a client is summed up (`total_cost`).",
                ToCome("until then an observer is told of every attempt with its cost, and can add them up"),
            ),
        ],
    ),
    (
        "Logging",
        &[
            (
                "There are log lines for failures and fallbacks, at WARN and ERROR and nothing below.",
                ToCome(
                    "as `tracing` events; until then nothing is logged at all, and an observer hears of everything",
                ),
            ),
            (
                "Loggers have hierarchical names, and go by the application's handlers, formats and levels.",
                ToCome("targets of `tracing` events, which subscribers filter"),
            ),
            ("Log lines have structured fields for aggregators.", ToCome("the fields of `tracing` events")),
            (
                "A logger of one's own can be handed in for each chain.",
                Otherwise(
                    "an observer can: it is told of every attempt and every transition of a circuit, and cannot break a call",
                    &[
                        (COLLABORATORS, "the_observer_hears_of_every_transition_of_the_clients_own_breaker"),
                        (FAILOVER, "an_observer_that_panics_changes_nothing"),
                        (FAILOVER, "who_cannot_carry_the_request_is_passed_over_before_anything_is_sent"),
                    ],
                ),
            ),
            (
                "A provider that cannot be set up is reported.",
                Tests(&[
                    ("crates/llm-client/tests/named.rs", "errors_call_a_provider_by_its_name"),
                    (FROM_ENV, "errors_say_which_model_it_was"),
                ]),
            ),
            (
                "A provider whose type is unknown is reported.",
                Tests(&[(FROM_ENV, "unknown_providers_are_skipped")]),
            ),
            (
                "Runs at LangSmith are cleaned up, and trouble with that is logged.",
                LeftOut("LangSmith takes OTLP, which is the way telemetry will go"),
            ),
            (
                "Prompts and answers are never logged.",
                Tests(&[
                    (SECRETS, "prompts_and_answers_are_in_no_debug_output_and_in_no_error"),
                    (SECRETS, "a_stream_under_way_shows_nothing_of_what_it_carries"),
                    (FAILOVER, "a_provider_that_quotes_the_prompt_does_not_bring_it_into_the_report"),
                ]),
            ),
            (
                "Keys and AWS credentials are never logged.",
                Tests(&[
                    (SECRETS, "a_key_and_a_prompt_that_the_provider_repeats_are_shown_nowhere"),
                    (SECRETS, "a_key_is_not_shown_when_there_is_no_connection_either"),
                    (CLIENT_SECRETS, "no_error_shows_a_credential"),
                    (SCRUB, "what_looks_like_a_credential_goes"),
                ]),
            ),
            (
                "Nothing is logged of attempts that go well.",
                ToCome(
                    "as long as nothing is logged, nothing is of these; their tests come with the `tracing` events",
                ),
            ),
        ],
    ),
    (
        "Streaming",
        &[
            (
                "The answer is handed out piece by piece, as it comes.",
                Tests(&[
                    (STREAMING, "failures_before_the_first_token_move_on_silently"),
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                ]),
            ),
            (
                "Failing over before the first token, a stream shows nothing of it but in its attempts.",
                Tests(&[(STREAMING, "failures_before_the_first_token_move_on_silently")]),
            ),
            (
                "After its end its attempts and its cost are there.",
                Tests(&[
                    (STREAMING, "usage_and_cost_are_readable_while_it_streams"),
                    (STREAMING, "nobody_answering_is_an_error_and_a_report"),
                ]),
            ),
            (
                "An answer that has begun to be handed out is never replayed by another vendor unasked.",
                Tests(&[
                    (STREAMING, "a_cut_after_the_first_token_is_an_interruption_and_never_a_replay"),
                    (
                        BROKEN_STREAMS,
                        "failover_stream_keeps_what_came_and_asks_nobody_else_after_the_first_token",
                    ),
                ]),
            ),
        ],
    ),
    (
        "Errors",
        &[
            (
                "`AllProvidersFailed`: nobody answered, with every attempt.",
                Tests(&[
                    (FAILOVER, "that_nobody_answers_is_a_value_and_an_error_for_those_who_want_one"),
                    (STREAMING, "nobody_answering_is_an_error_and_a_report"),
                ]),
            ),
            (
                "`ProviderTimeout`: the time of the whole call is up, and it says in which phase.",
                Tests(&[
                    (NEEDS_CLOCKS, "the_error_of_a_call_without_time_says_what_it_was_waiting_for"),
                    (STREAMING, "a_stream_error_says_which_clock"),
                ]),
            ),
            (
                "`FallbackNotApplicable`: a wrong credential or an unknown error ends the call, and nobody else is asked.",
                Otherwise(
                    "so it is with `Policy::robust()`; by default the next candidate is asked, as in keel",
                    &[
                        (FAILOVER, "policies_decide_what_stops"),
                        (POLICY, "terminal_errors_stop_or_move_on_by_policy"),
                    ],
                ),
            ),
            (
                "`BackendUnavailable`: the store of the turns does not answer, which is an error of its own.",
                Tests(&[
                    (ORDERS, "where_the_rotations_store_is_away_nobody_is_asked"),
                    (ORDERS, "a_rotation_that_hangs_is_not_waited_for_longer_than_five_seconds_or_the_total"),
                ]),
            ),
            (
                "`ProviderInactive`: the provider's part was not installed, which is said at once and not tried again.",
                Tests(&[
                    (WITHOUT_VENDORS, "hosts_that_speak_the_openai_format"),
                    (WITHOUT_VENDORS, "anthropic"),
                    (WITHOUT_VENDORS, "what_no_build_has"),
                ]),
            ),
            (
                "`ProviderModelCreationFailed`: whatever goes wrong with an adapter before it sends has one type.",
                Tests(&[
                    (FAILOVER, "what_fails_before_it_is_sent_moves_on_and_says_so"),
                    (BUILD, "a_provider_of_ones_own_is_one_like_the_others"),
                ]),
            ),
            (
                "The original error stays on an error of ours as its cause.",
                Tests(&[
                    (ERROR, "nobody_can_make_an_error_that_shows_a_key"),
                    (NEEDS_CLOCKS, "the_error_of_a_call_without_time_says_what_it_was_waiting_for"),
                ]),
            ),
            (
                "An adapter that cannot send fails over: one vendor's configuration is not the others' trouble.",
                Tests(&[(FAILOVER, "what_fails_before_it_is_sent_moves_on_and_says_so")]),
            ),
            (
                "A setting that no adapter can be made with is found by the first call that needs it.",
                Otherwise(
                    "it is an error when the client is made, before anybody relies on it",
                    &[
                        (BUILD, "what_has_no_sense_is_refused_by_its_path"),
                        (BUILD, "a_provider_of_ones_own_is_one_like_the_others"),
                    ],
                ),
            ),
            (
                "A provider that is always broken shows in the attempts of calls that go well, by its phase.",
                Tests(&[
                    (FAILOVER, "what_fails_before_it_is_sent_moves_on_and_says_so"),
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                ]),
            ),
        ],
    ),
];
