//! What robust-llm-chain claims of setting up: installation, ways in, the order of calls, defaults, patterns.

use super::Section;
use super::files::{
    ANTHROPIC_REQUESTS, ASK_SHARED, BUILD, BUILDER, CLOCKS, COLLABORATORS, CONFIG, CONTRACT, CUSTOM_BACKEND,
    DEPENDENCIES, DROPPING, END_TO_END, EXAMPLE_QUICKSTART, FAILOVER, FLEET_TURNS, FROM_ENV,
    MEMCACHED_CONTRACT, NEEDS_CLOCKS, OPENROUTER, ORDERS, QUICKSTART, REDIS_CONTRACT, ROTATION, ROTATION_KEY,
    ROTATIONS, SENT, SHARED, SHARED_TURNS, TIMEOUTS, WAYS_IN, WITHOUT_VENDORS,
};
use crate::need::Proof::{LeftOut, Otherwise, Tests, ToCome};

const BEDROCK: &str = "Bedrock is not built yet; `from_env` and TOML know its name, and say so";

pub const SECTIONS: &[Section] = &[
    (
        "Installation",
        &[
            (
                "The core alone has no provider, and says so.",
                Tests(&[
                    (FROM_ENV, "vendors_that_this_build_leaves_out_are_skipped"),
                    (FROM_ENV, "no_models_are_no_candidates"),
                ]),
            ),
            (
                "Each vendor is an extra of its own: Anthropic, OpenAI, OpenRouter.",
                Otherwise(
                    "cargo features: `anthropic`, and `openai` for every host that speaks its format, OpenRouter among them",
                    &[
                        (WITHOUT_VENDORS, "hosts_that_speak_the_openai_format"),
                        (WITHOUT_VENDORS, "anthropic"),
                        (DEPENDENCIES, "the_adapters_know_the_protocol_alone"),
                    ],
                ),
            ),
            ("AWS Bedrock is an extra.", ToCome(BEDROCK)),
            (
                "Memcached is an extra, for turns that workers share.",
                Tests(&[(SHARED_TURNS, "turns_are_taken_together")]),
            ),
            (
                "Redis is planned.",
                Tests(&[
                    (REDIS_CONTRACT, "the_rotation_keeps_to_the_contract"),
                    (SHARED, "turns_are_taken_together_and_fallback_follows_the_priorities"),
                ]),
            ),
            (
                "One extra brings everything.",
                Otherwise(
                    "the default features do",
                    &[(BUILD, "the_known_providers_need_nothing_but_a_model")],
                ),
            ),
            (
                "What is not needed is not pulled in.",
                Tests(&[
                    (DEPENDENCIES, "the_adapters_know_the_protocol_alone"),
                    (DEPENDENCIES, "the_strategies_know_no_vendor_and_no_store"),
                ]),
            ),
            (
                "LangChain's core comes along, the whole of LangChain does not.",
                LeftOut("nothing of LangChain does, as it is Python"),
            ),
            (
                "Files called `.env` are left to the application.",
                Tests(&[
                    (WAYS_IN, "dotenv_files_are_left_to_the_application"),
                    (WAYS_IN, "the_environment_is_read_by_this_process"),
                ]),
            ),
        ],
    ),
    (
        "Three ways to configure",
        &[
            (
                "Credentials come from the environment with `from_env`, and as values in the builder and in specs.",
                Tests(&[
                    (WAYS_IN, "one_model_of_a_provider_is_the_same_in_all_three"),
                    (FROM_ENV, "the_process_environment_is_what_from_env_reads"),
                    (BUILDER, "two_keys_of_one_vendor_side_by_side"),
                ]),
            ),
            (
                "A spec holds its credential.",
                Otherwise(
                    "it holds the name of a variable at the most, so that it can be written down and shown; the value \
                     is added in code",
                    &[
                        (WAYS_IN, "several_keys_of_one_provider_are_for_the_builder_and_for_specs"),
                        (BUILD, "a_missing_credential_is_named_by_its_variable"),
                    ],
                ),
            ),
            (
                "The model is named beside its provider in each of the three.",
                Tests(&[(WAYS_IN, "one_model_of_a_provider_is_the_same_in_all_three")]),
            ),
            (
                "One provider of a type is possible in all three.",
                Tests(&[(WAYS_IN, "one_model_of_a_provider_is_the_same_in_all_three")]),
            ),
            (
                "Several keys of one type are possible in the builder and in specs, by distinct ids, and not with `from_env`.",
                Tests(&[
                    (WAYS_IN, "several_keys_of_one_provider_are_for_the_builder_and_for_specs"),
                    (BUILDER, "two_of_one_name_are_told_to_take_ids"),
                ]),
            ),
            (
                "Several regions are possible in the builder and in specs, and not with `from_env`.",
                ToCome(BEDROCK),
            ),
            (
                "Several models of one type are possible in the builder and in specs.",
                Tests(&[(WAYS_IN, "several_models_of_one_provider_are_possible_in_all_three")]),
            ),
            (
                "Several models of one type are not possible with `from_env`, whose keys are unique.",
                Otherwise(
                    "it takes pairs, so that they are; all of them go by the one credential that there is",
                    &[(WAYS_IN, "several_models_of_one_provider_are_possible_in_all_three")],
                ),
            ),
            (
                "Priorities are set in the builder and in specs; with `from_env` all have 0.",
                Tests(&[
                    (WAYS_IN, "priorities_are_for_the_builder_and_for_specs"),
                    (BUILDER, "priorities_decide_who_is_asked_first"),
                    (END_TO_END, "priorities_and_what_is_lacking_are_set"),
                ]),
            ),
            (
                "With `from_env` a provider without a credential is skipped in silence, and the others are made.",
                Otherwise(
                    "skipped and listed, with the name of the variable",
                    &[
                        (FROM_ENV, "the_others_stay_in_their_order"),
                        (
                            WAYS_IN,
                            "a_missing_credential_is_skipped_from_the_environment_and_an_error_elsewhere",
                        ),
                    ],
                ),
            ),
            (
                "In the builder and in specs a missing credential is an error.",
                Tests(&[
                    (WAYS_IN, "a_missing_credential_is_skipped_from_the_environment_and_an_error_elsewhere"),
                    (BUILDER, "a_provider_without_a_credential_is_refused"),
                    (BUILD, "a_missing_credential_is_named_by_its_variable"),
                ]),
            ),
            (
                "Specs may come from a loader of configurations.",
                Tests(&[(CONFIG, "every_setting_is_read"), (END_TO_END, "the_sample_configuration_works")]),
            ),
        ],
    ),
    (
        "Two roles: turns and priorities",
        &[
            (
                "Round-robin decides whom a call tries first, over the order of the list, whatever the priorities are.",
                Tests(&[(ORDERS, "calls_begin_with_each_in_turn_and_priorities_say_who_takes_over")]),
            ),
            (
                "It takes one turn a call, whatever becomes of it.",
                Tests(&[(ORDERS, "a_call_takes_one_turn_however_it_goes")]),
            ),
            (
                "Priority decides who comes after the first has failed, the lower value before the higher.",
                Tests(&[
                    (ORDERS, "calls_begin_with_each_in_turn_and_priorities_say_who_takes_over"),
                    (FAILOVER, "lower_priorities_are_asked_first_and_ties_as_listed"),
                ]),
            ),
            (
                "Ties keep the order of the list.",
                Tests(&[
                    (FAILOVER, "lower_priorities_are_asked_first_and_ties_as_listed"),
                    (ORDERS, "calls_begin_with_each_in_turn_and_priorities_say_who_takes_over"),
                ]),
            ),
            (
                "A with 0, B with 1 and C with 2 are asked A, B, C, then B, A, C, then C, A, B.",
                Tests(&[(ORDERS, "calls_begin_with_each_in_turn_and_priorities_say_who_takes_over")]),
            ),
            ("With one provider the two roles change nothing.", Tests(&[(ORDERS, "any_number_is_a_turn")])),
        ],
    ),
    (
        "Environment variables",
        &[
            (
                "`ANTHROPIC_API_KEY` is Anthropic's, `OPENROUTER_API_KEY` OpenRouter's, `OPENAI_API_KEY` OpenAI's.",
                Tests(&[(WAYS_IN, "each_provider_has_its_usual_variable")]),
            ),
            (
                "Bedrock takes `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`: without any of them it is \
                 skipped.",
                Tests(&[(FROM_ENV, "vendors_that_are_still_to_come_are_skipped")]),
            ),
            ("With all three of its variables Bedrock is asked.", ToCome(BEDROCK)),
        ],
    ),
    (
        "Defaults",
        &[
            (
                "Turns are kept in this process, safe for calls side by side.",
                Tests(&[
                    (ORDERS, "calls_side_by_side_take_a_turn_each"),
                    (ROTATION, "threads_share_turns_without_gaps_and_without_repeats"),
                ]),
            ),
            ("A provider has 60 s in all.", Tests(&[(CLOCKS, "a_slow_drip_ends_with_the_attempt_clock")])),
            (
                "The first token has 15 s.",
                Tests(&[(NEEDS_CLOCKS, "slow_but_real_is_waited_for_and_pending_is_not")]),
            ),
            (
                "A call has the time of all its providers and 60 s more, at most 360 s.",
                Tests(&[
                    (CLOCKS, "the_default_total_covers_every_attempt_and_a_minute"),
                    (TIMEOUTS, "the_default_total_is_the_attempts_and_a_minute_at_most_six"),
                ]),
            ),
            (
                "Cleaning up takes 2 s at most.",
                Tests(&[(NEEDS_CLOCKS, "cleaning_up_takes_two_seconds_at_most_and_no_call_waits_for_it")]),
            ),
            (
                "Falling back from a stream waits as long for it to be closed.",
                Otherwise(
                    "it waits for nothing: dropping a request ends it",
                    &[
                        (NEEDS_CLOCKS, "cleaning_up_takes_two_seconds_at_most_and_no_call_waits_for_it"),
                        (DROPPING, "dropped_in_the_middle_of_an_answer"),
                    ],
                ),
            ),
            (
                "The temperature is 0.1.",
                Otherwise(
                    "none is sent that nobody has set: some models refuse any, and a default that cannot be seen \
                     surprises",
                    &[(SENT, "a_temperature_is_sent_where_the_request_has_one")],
                ),
            ),
            (
                "A call may have a temperature of its own.",
                Tests(&[(SENT, "a_temperature_is_sent_where_the_request_has_one")]),
            ),
            (
                "The most tokens of an answer are those of the model's spec, and a call may say otherwise.",
                Tests(&[(
                    SENT,
                    "the_requests_limit_of_tokens_goes_before_the_candidates_and_that_before_the_default",
                )]),
            ),
            (
                "Where neither says, the most tokens of an answer are 4096.",
                Otherwise(
                    "where the vendor wants a number, as Anthropic does; the others are sent none",
                    &[
                        (
                            SENT,
                            "the_requests_limit_of_tokens_goes_before_the_candidates_and_that_before_the_default",
                        ),
                        (ANTHROPIC_REQUESTS, "instructions_go_apart_and_a_limit_of_tokens_always_goes_along"),
                    ],
                ),
            ),
            (
                "Timeouts can be set for the client.",
                Tests(&[
                    (CLOCKS, "limits_of_the_call_go_before_the_candidates_and_these_before_the_clients"),
                    (END_TO_END, "clocks_are_set"),
                ]),
            ),
            (
                "The logger's name and level are `robust_llm_chain` and WARNING.",
                ToCome("targets and levels of `tracing` events"),
            ),
            ("Type hints come along.", LeftOut("types are part of the language")),
            (
                "A synchronous call (`invoke`), which robust itself leaves to the caller.",
                LeftOut("as in robust: a runtime's `block_on` makes one of any call"),
            ),
            (
                "No environment variable and no file is needed for a client to work at once.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (EXAMPLE_QUICKSTART, "it_shows_a_failover_and_a_fan_out_without_keys_or_a_network"),
                ]),
            ),
        ],
    ),
    (
        "Turns that workers share",
        &[
            (
                "Clients that share a backend spread their calls, where each by itself would begin with the same provider.",
                Tests(&[(ORDERS, "clients_of_the_same_candidates_continue_each_others_turns")]),
            ),
            (
                "So do workers in processes of their own.",
                Tests(&[
                    (ASK_SHARED, "each_process_begins_with_the_next_candidate"),
                    (FLEET_TURNS, "turns_of_all_workers_are_unique_and_without_gaps"),
                ]),
            ),
            (
                "The backend may be one's own (`IndexBackend`).",
                Tests(&[
                    (ORDERS, "a_call_takes_one_turn_however_it_goes"),
                    (ROTATIONS, "flawed_rotations_are_found_out"),
                    (CONTRACT, "the_rotation_passes_every_rule"),
                ]),
            ),
            (
                "There is a backend for Memcached.",
                Tests(&[
                    (MEMCACHED_CONTRACT, "the_rotation_keeps_to_the_contract"),
                    (SHARED_TURNS, "turns_are_taken_together"),
                ]),
            ),
            (
                "The keys in the backend have a prefix of one's own.",
                Tests(&[
                    (ORDERS, "clients_of_the_same_candidates_continue_each_others_turns"),
                    (ROTATION_KEY, "other_candidates_have_another_key"),
                ]),
            ),
            (
                "When the backend is away nobody is asked (fail-closed): no turn is made up.",
                Tests(&[(ORDERS, "where_the_rotations_store_is_away_nobody_is_asked")]),
            ),
            (
                "When the backend is back, so are the calls.",
                Tests(&[(ORDERS, "where_the_rotations_store_is_away_nobody_is_asked")]),
            ),
        ],
    ),
    (
        "Paths to an answer",
        &[
            (
                "One model by several vendors: Claude at Anthropic and through OpenRouter.",
                Tests(&[
                    (QUICKSTART, "two_paths_to_claude_take_turns_and_relieve_each_other"),
                    (OPENROUTER, "its_statuses_mean_what_their_metadata_say"),
                ]),
            ),
            ("Claude through Bedrock, as a third way.", ToCome(BEDROCK)),
            ("Several regions of Bedrock, each relieving the other.", ToCome(BEDROCK)),
            (
                "Another vendor's model where any answer will do: Claude, then GPT.",
                Tests(&[(WAYS_IN, "another_vendors_model_answers_where_the_first_ones_does_not")]),
            ),
            (
                "Several keys of one vendor: turns between them, and one takes over when the other is throttled.",
                Tests(&[
                    (WAYS_IN, "several_keys_of_one_provider_are_for_the_builder_and_for_specs"),
                    (BUILDER, "two_keys_of_one_vendor_side_by_side"),
                ]),
            ),
            (
                "Each spec may have prices, and a limit of tokens, of its own.",
                Tests(&[
                    (QUICKSTART, "a_result_has_all_there_is_to_log_of_a_relief"),
                    (BUILDER, "providers_have_their_settings_on_the_wire"),
                ]),
            ),
            (
                "Each of these paths is a runnable example.",
                Otherwise(
                    "they are tests; the examples show a failover, a fan-out, a loop with tools, and calls from the shell",
                    &[
                        (EXAMPLE_QUICKSTART, "it_shows_a_failover_and_a_fan_out_without_keys_or_a_network"),
                        (
                            "examples/tests/tools.rs",
                            "the_second_vendor_answers_with_what_the_first_has_asked_for",
                        ),
                        ("examples/tests/ask/main.rs", "an_answer_is_printed_alone"),
                    ],
                ),
            ),
            (
                "It is one thing that can be plugged in beside others, as behind or before LiteLLM.",
                Tests(&[
                    (BUILD, "unknown_providers_need_a_base_url_and_a_plain_name"),
                    (BUILD, "a_provider_of_ones_own_is_one_like_the_others"),
                ]),
            ),
            (
                "An adapter may be one's own (`ProviderAdapter`).",
                Tests(&[
                    (BUILD, "a_provider_of_ones_own_is_one_like_the_others"),
                    (BUILDER, "a_provider_of_ones_own_hears_what_the_builder_says"),
                ]),
            ),
            (
                "Long-running programs with many workers are what it is for: calls may be made from any thread.",
                Tests(&[
                    ("crates/llm-reliability/tests/bounds.rs", "calls_may_be_spawned"),
                    (CUSTOM_BACKEND, "three_workers_share_a_circuit"),
                    (COLLABORATORS, "stores_are_asked_for_as_long_as_it_may_take_and_told_how_long_it_took"),
                ]),
            ),
        ],
    ),
];
