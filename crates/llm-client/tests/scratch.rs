#![allow(missing_docs, clippy::unwrap_used)]
use llm_client::*;
#[test]
fn show() {
    for t in [
        "x = 1", "[failover]\nhedge = 1", "[failover]\nhedge_after = '1s'", "[failover]\norder = 'random'", "[failover]\norder = 'round_robin'",
        "[fan_out]\nquorum = 2", "[fan_out]\nquorum = 'some'", "[timeouts]\nfirst_token = 15", "[timeouts]\nfirst_token = '15'",
        "[breaker]\nprobes = 0", "[breaker]\nprobes = 'x'", "[breaker]\nfailure_threshold = 0", "[limits.\"a:b\"]\nin_flight = 3",
        "[store]", "[[candidate]]\nprovider='a'\nmodel='b'\n\n[[candidate]]\n  provider='a'\nmodle='b'", "[[candidate]]\nprovider='a'\nmodel='b'\n[[candidate]]\nprovider='a'\nmodel='b'\npriority = 1",
        "[[candidate]]\nmodel='b'\n", "[[candidate]]\nprovider='a'\nmodel='b'\ntimeouts={total='1s'}", "[[candidate]]\nprovider='a'\nmodel='b'\nprice={currency='USD',input_per_1m='a'}",
        "[[candidate]]\nprovider='a'\nmodel='b'\nprice={currency='USD',input_per_1m=0.8, output_per_1m = 4}",
        "[[candidate]]\nprovider='a'\nmodel='b'\nprice={currency='USD',input_per_1m=nan, output_per_1m = 4}",
        "[failover]\na = \n", "a = 1\na = 2", "[[candidate]]\nprovider='a'\nmodel='b'\nmax_output_tokens=0", "[[candidate]]\nprovider='a'\nmodel='b'\nstream='always'", "candidate = 3", "[failover]\ntransient_retries = -1", "\u{feff}[failover]", "\0",
        "[[candidate]]\nprovider='a'\nmodel='b'\napi_key = 'sk-abcdefghijk'",
    ] {
        println!("{:?}\n     {}", t, match Config::from_toml(t) { Ok(c) => format!("OK {c:?}"), Err(e) => e.to_string() });
    }
}
