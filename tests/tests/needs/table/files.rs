//! Where the tests are that prove something.

pub const CATEGORIES: &str = "tests/tests/needs/categories.rs";
pub const NEEDS_CLOCKS: &str = "tests/tests/needs/clocks.rs";
pub const PREEMPTED: &str = "tests/tests/needs/preempted.rs";
pub const QUICKSTART: &str = "tests/tests/needs/quickstart.rs";
pub const SENT: &str = "tests/tests/needs/sent.rs";
pub const WAYS_IN: &str = "tests/tests/needs/ways_in.rs";

pub const AVAILABILITY: &str = "tests/tests/availability.rs";
pub const BROKEN_STREAMS: &str = "tests/tests/broken_streams.rs";
pub const CROWD: &str = "tests/tests/crowd.rs";
pub const DEPENDENCIES: &str = "tests/tests/dependencies.rs";
pub const DROPPING: &str = "tests/tests/dropping.rs";
pub const REAL_CLOCKS: &str = "tests/tests/clocks.rs";
pub const REAL_FAN_OUT: &str = "tests/tests/fan_out.rs";
pub const REFUSALS: &str = "tests/tests/refusals.rs";
pub const SECRETS: &str = "tests/tests/secrets.rs";
pub const TOLD: &str = "tests/tests/told.rs";

pub const CLOCKS: &str = "crates/llm-reliability/tests/clocks.rs";
pub const COLLABORATORS: &str = "crates/llm-reliability/tests/collaborators.rs";
pub const FAILOVER: &str = "crates/llm-reliability/tests/failover.rs";
pub const FAN_OUT: &str = "crates/llm-reliability/tests/fan_out.rs";
pub const MONEY: &str = "crates/llm-reliability/src/money.rs";
pub const ORDERS: &str = "crates/llm-reliability/tests/orders.rs";
pub const POLICY: &str = "crates/llm-reliability/src/policy/tests.rs";
pub const QUORUMS: &str = "crates/llm-reliability/tests/quorums.rs";
pub const REPORT: &str = "crates/llm-reliability/src/report/tests.rs";
pub const STREAMING: &str = "crates/llm-reliability/tests/streaming.rs";
pub const TIMEOUTS: &str = "crates/llm-reliability/src/timeouts.rs";

pub const ERROR: &str = "crates/llm-protocol/src/error/tests.rs";
pub const SCRUB: &str = "crates/llm-protocol/src/scrub.rs";
pub const USAGE: &str = "crates/llm-protocol/src/usage.rs";

pub const BREAKER: &str = "crates/circuit-breaker/tests/breaker.rs";
pub const CONTRACT: &str = "crates/circuit-breaker/tests/contract/in_process.rs";
pub const FLEET_TURNS: &str = "crates/circuit-breaker/tests/fleet/turns.rs";
pub const MEMCACHED_CONTRACT: &str = "crates/circuit-breaker/tests/memcached/contract.rs";
pub const REDIS_CONTRACT: &str = "crates/circuit-breaker/tests/redis/contract.rs";
pub const ROTATION: &str = "crates/circuit-breaker/tests/rotation.rs";
pub const ROTATION_KEY: &str = "crates/circuit-breaker/src/rotation.rs";
pub const ROTATIONS: &str = "crates/circuit-breaker/tests/contract/rotations.rs";

pub const BUILD: &str = "crates/llm-client/tests/build.rs";
pub const BUILDER: &str = "crates/llm-client/tests/builder.rs";
pub const CLIENT_SECRETS: &str = "crates/llm-client/tests/secrets.rs";
pub const CONFIG: &str = "crates/llm-client/tests/config.rs";
pub const END_TO_END: &str = "crates/llm-client/tests/end_to_end.rs";
pub const FROM_ENV: &str = "crates/llm-client/tests/from_env.rs";
pub const SHARED: &str = "crates/llm-client/tests/shared.rs";
pub const SHARED_TURNS: &str = "crates/llm-client/tests/shared_turns.rs";
pub const WITHOUT_VENDORS: &str = "crates/llm-client/tests/without_vendors.rs";

pub const ANTHROPIC_REQUESTS: &str = "crates/adapters/tests/wire/facts/anthropic_requests.rs";
pub const OPENROUTER: &str = "crates/adapters/tests/wire/facts/openrouter.rs";
pub const OVERLOADS: &str = "crates/adapters/tests/wire/facts/anthropic.rs";

pub const ASK_SHARED: &str = "examples/tests/ask/shared.rs";
pub const CUSTOM_BACKEND: &str = "examples/tests/custom_backend.rs";
pub const EXAMPLE_QUICKSTART: &str = "examples/tests/quickstart.rs";
