//! Reports that no call can have made are not read.

use super::*;

#[test]
fn a_report_that_contradicts_itself_is_refused() {
    let good = serde_json::to_value(report(Strategy::Failover, Ended::Answered, vec![answered()])).unwrap();
    let broken = |change: fn(&mut Value)| {
        let mut json = good.clone();
        change(&mut json);
        serde_json::from_value::<Report>(json).unwrap_err().to_string()
    };
    assert!(broken(|json| json["schema"] = json!(2)).contains("schema 2"));
    assert!(broken(|json| json["response"] = Value::Null).contains("without its answer"));
    assert!(broken(|json| json["attempts"] = json!([])).contains("more answers"));
    assert!(broken(|json| json["attempts"][0]["outcome"] = json!("splendid")).contains("splendid"));
    assert!(broken(|json| json["attempts"][0]["outcome"] = json!("failed")).contains("without its error"));
    assert!(broken(|json| json["response"]["model_key"] = json!("p:other")).contains("p:other"));
    assert!(broken(|json| json["ended"] = json!("exhausted")).contains("do not agree"));
    assert!(
        broken(|json| (json["attempts"], json["response"]) = (json!([]), Value::Null))
            .contains("do not agree")
    );
    assert!(broken(|json| json["elapsed_ms"] = json!(-1.0)).contains("-1"));
}

#[test]
fn a_report_that_no_call_can_have_made_is_refused() {
    let failed = || attempt(Outcome::Failed(Error::new(ErrorKind::Server, "")));
    let open = || attempt(Outcome::PreemptedOpen { retry_after: None, reason: RejectReason::Open });
    let no_store =
        || attempt(Outcome::PreemptedOpen { retry_after: None, reason: RejectReason::StoreUnavailable });
    let given_up = |handed_out| Attempt { handed_out, ..attempt(Outcome::Cancelled) };
    let handed_out = |attempt| Attempt { handed_out: true, ..attempt };
    let good = |ended, attempts| {
        let report = report(Strategy::Failover, ended, attempts);
        (serde_json::to_value(&report).unwrap(), report)
    };
    let read = |json: Value| serde_json::from_value::<Report>(json);
    for (ended, attempts) in [
        (Ended::TotalTimeout, vec![]),
        (Ended::TotalTimeout, vec![open()]),
        (Ended::Stopped, vec![open(), failed()]),
        (Ended::Exhausted, vec![open(), failed()]),
        (Ended::Unavailable, vec![open(), no_store()]),
        (Ended::StoreUnavailable, vec![no_store()]),
        (Ended::Interrupted, vec![cut("one"), open(), given_up(false)]),
        (Ended::Interrupted, vec![given_up(true)]),
        (Ended::Answered, vec![cut("one"), handed_out(answered())]),
    ] {
        let (json, report) = good(ended, attempts);
        read(json).unwrap_or_else(|error| panic!("{error}: {report:?}"));
    }
    for (ended, attempts) in [
        (Ended::Exhausted, vec![]),
        (Ended::Unavailable, vec![failed()]),
        (Ended::Unavailable, vec![no_store()]),
        (Ended::StoreUnavailable, vec![open()]),
        (Ended::Exhausted, vec![open()]),
        (Ended::Exhausted, vec![cut("one")]),
        (Ended::Exhausted, vec![answered()]),
        (Ended::Stopped, vec![open()]),
        (Ended::TotalTimeout, vec![cut("one"), failed()]),
        (Ended::TotalTimeout, vec![given_up(true)]),
        (Ended::Interrupted, vec![failed()]),
        (Ended::Interrupted, vec![given_up(false)]),
        (Ended::Interrupted, vec![given_up(true), failed()]),
        (Ended::Interrupted, vec![handed_out(failed())]),
        (Ended::Answered, vec![failed()]),
        (Ended::Answered, vec![answered(), failed()]),
        (Ended::QuorumMet, vec![answered()]),
        (Ended::QuorumNotMet, vec![failed()]),
    ] {
        let (json, report) = good(ended, attempts);
        assert!(read(json).is_err(), "{report:?}");
    }
    let changed = |strategy, ended, change: fn(&mut Value)| {
        let mut json = serde_json::to_value(report(strategy, ended, vec![failed(), answered()])).unwrap();
        read(json.clone()).unwrap();
        change(&mut json);
        assert!(read(json.clone()).is_err(), "{json}");
    };
    for change in [
        |json: &mut Value| json["attempts"][1]["ordinal"] = json!(2),
        |json: &mut Value| json["attempts"][0]["ordinal"] = json!(1),
        |json: &mut Value| json["attempts"][1]["launch"] = json!("panel"),
        |json: &mut Value| json["attempts"][1]["launch"] = json!("primary"),
        |json: &mut Value| json["attempts"][1]["launch"] = json!("retry"),
        |json: &mut Value| json["attempts"][0]["launch"] = json!("failover"),
        |json: &mut Value| json["attempts"][0]["handed_out"] = json!(true),
        |json: &mut Value| {
            json["quorum"] = json!({"policy": "all", "required": 1, "seats": 2, "answered": 1});
        },
    ] {
        changed(Strategy::Failover, Ended::Answered, change);
    }
    for change in [
        |json: &mut Value| json["attempts"][1]["ordinal"] = json!(0),
        |json: &mut Value| json["attempts"][1]["launch"] = json!("failover"),
        |json: &mut Value| json["attempts"][1]["handed_out"] = json!(true),
        |json: &mut Value| json["quorum"]["required"] = json!(0),
        |json: &mut Value| json["quorum"]["seats"] = json!(3),
        |json: &mut Value| json["quorum"] = Value::Null,
        |json: &mut Value| json["ended"] = json!("unavailable"),
    ] {
        changed(Strategy::FanOut, Ended::QuorumMet, change);
    }
}
