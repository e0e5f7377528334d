//! The mocks fail a test where they should, and in a way that leaves the other tests alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use circuit_breaker::testing::{MockBreaker, MockLimiter, Sequence, predicate};
use circuit_breaker::{
    Admission, Ask, Breaker, Circuit, Cost, LeaseId, Limiter, Quota, Reservation, Verdict,
};
use futures::FutureExt;

fn breaker() -> MockBreaker {
    let mut breaker = MockBreaker::new();
    breaker.expect_acquire().returning(|_, _| Ok(Admission::closed(1)));
    breaker
}

fn limiter() -> MockLimiter {
    let mut limiter = MockLimiter::new();
    limiter.expect_acquire().returning(|_, _, cost| Ok(Reservation::new(*cost)));
    limiter
}

/// If they did not, the process would end: a panic while another one unwinds aborts it.
#[tokio::test]
async fn a_failing_assertion_drops_what_it_holds_in_peace() {
    let fails = async {
        let circuit = Circuit::new(Arc::new(breaker()), "key");
        let quota = Quota::new(Arc::new(limiter()), "key");
        let _permit = circuit.admit().await.unwrap();
        let _slot = quota.admit(Cost::REQUEST).await.unwrap();
        let mut dispatched = quota.admit(Cost::REQUEST).await.unwrap();
        dispatched.dispatched();
        panic!("the test's own");
    };
    let panic = AssertUnwindSafe(fails).catch_unwind().await.unwrap_err();
    assert_eq!(*panic.downcast::<&str>().unwrap(), "the test's own");
}

/// What is done, and the doing.
type Unexpected = (&'static str, Box<dyn FnOnce()>);

#[tokio::test]
async fn what_is_not_expected_fails_the_test() {
    let circuit = Circuit::new(Arc::new(breaker()), "key");
    let quota = Quota::new(Arc::new(limiter()), "key");
    let unexpected: [Unexpected; 4] = [
        ("abandoning", {
            let breaker = breaker();
            Box::new(move || breaker.abandon("key", LeaseId::new(), None))
        }),
        ("settling", {
            let permit = circuit.admit().await.unwrap();
            Box::new(move || permit.settle(Verdict::Success))
        }),
        ("abandoning a slot", {
            let limiter = limiter();
            Box::new(move || limiter.abandon("key", LeaseId::new(), None))
        }),
        ("settling a slot", {
            let slot = quota.admit(Cost::REQUEST).await.unwrap();
            Box::new(move || slot.settle(&Cost::REQUEST))
        }),
    ];
    for (what, call) in unexpected {
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err(), "{what}");
    }
}

#[tokio::test]
async fn predicates_and_sequences_come_along() {
    let (mut breaker, mut order) = (MockBreaker::new(), Sequence::new());
    for key in ["first", "second"] {
        breaker
            .expect_acquire()
            .with(predicate::eq(key), predicate::always())
            .times(1)
            .in_sequence(&mut order)
            .returning(|_, _| Ok(Admission::closed(1)));
    }
    for key in ["first", "second"] {
        assert!(breaker.acquire(key, &Ask::new(LeaseId::new())).await.is_ok());
    }
}
