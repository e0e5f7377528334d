//! Mocks of the traits. Provided methods keep their defaults, so that a test need not expect them.
//!
//! A mocked trait is a private one that says the same, so that the real one can keep quiet where a panic would end the
//! process: permits and slots tell their backend something when they are dropped, also by the panic of an assertion.
#![allow(clippy::disallowed_types, reason = "what the macro writes")]

use std::thread::panicking;
use std::time::Duration;

use async_trait::async_trait;
use mockall::mock;

use crate::breaker::{Admission, Breaker, Settlement};
use crate::lease::{Ask, LeaseId};
use crate::limiter::{Cost, Limiter, Reservation};
use crate::refusal::{Limited, Rejection};
use crate::rotation::{Rotation, RotationError};
use crate::status::Status;

mock! {
    /// A breaker that answers what a test tells it to, made with [`mockall`].
    ///
    /// It panics when it is told or asked what was not expected. That includes [`abandon`](Breaker::abandon), which
    /// dropping a permit calls: expect it where permits are dropped. What it is told while the test panics already is
    /// let pass.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::Arc;
    /// use circuit_breaker::testing::MockBreaker;
    /// use circuit_breaker::{Admission, Circuit, RejectReason, Rejection, Verdict};
    ///
    /// let mut breaker = MockBreaker::new();
    /// breaker.expect_acquire().withf(|key, _| key == "up").returning(|_, _| Ok(Admission::closed(1)));
    /// breaker.expect_acquire().returning(|_, _| Err(Rejection::new(RejectReason::Open)));
    /// breaker
    ///     .expect_settle()
    ///     .withf(|key, _, _, settlement| key == "up" && settlement.verdict == Verdict::Success)
    ///     .times(1)
    ///     .return_const(());
    /// let breaker = Arc::new(breaker);
    ///
    /// let up = Circuit::new(breaker.clone(), "up");
    /// assert_eq!(up.call(async { Ok::<_, ()>(7) }, Verdict::of).await, Ok(7));
    /// let down = Circuit::new(breaker, "down");
    /// assert_eq!(down.admit().await.unwrap_err().reason, RejectReason::Open);
    /// # }
    /// ```
    pub Breaker {}

    #[async_trait]
    impl BreakerCalls for Breaker {
        async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection>;
        fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement);
        fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>);
        async fn status(&self, key: &str) -> Status;
    }
}

#[async_trait]
trait BreakerCalls {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection>;
    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement);
    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>);
    async fn status(&self, key: &str) -> Status;
}

#[async_trait]
impl Breaker for MockBreaker {
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        BreakerCalls::acquire(self, key, ask).await
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        if !panicking() {
            BreakerCalls::settle(self, key, lease, admission, settlement);
        }
    }

    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        if !panicking() {
            BreakerCalls::abandon(self, key, lease, admission);
        }
    }

    async fn status(&self, key: &str) -> Status {
        BreakerCalls::status(self, key).await
    }
}

mock! {
    /// A limiter that answers what a test tells it to, made with [`mockall`].
    ///
    /// It panics when it is told or asked what was not expected. That includes [`abandon`](Limiter::abandon), which
    /// dropping a slot calls whose call did not go out: expect it where slots are dropped. What it is told while the
    /// test panics already is let pass.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use circuit_breaker::testing::MockLimiter;
    /// use circuit_breaker::{Cost, LimitReason, Limited, Quota};
    ///
    /// let mut limiter = MockLimiter::new();
    /// let hint = Duration::from_secs(7);
    /// limiter.expect_defer().withf(move |_, delay| *delay == hint).times(1).return_const(());
    /// limiter.expect_acquire().returning(|_, _, _| Err(Limited::new(LimitReason::Deferred)));
    ///
    /// let quota = Quota::new(Arc::new(limiter), "search");
    /// quota.defer(hint);
    /// assert_eq!(quota.admit(Cost::REQUEST).await.unwrap_err().reason, LimitReason::Deferred);
    /// # }
    /// ```
    pub Limiter {}

    #[async_trait]
    impl LimiterCalls for Limiter {
        async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited>;
        fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost);
        fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>);
        fn defer(&self, key: &str, delay: Duration);
    }
}

#[async_trait]
trait LimiterCalls {
    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited>;
    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost);
    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>);
    fn defer(&self, key: &str, delay: Duration);
}

#[async_trait]
impl Limiter for MockLimiter {
    async fn acquire(&self, key: &str, ask: &Ask, cost: &Cost) -> Result<Reservation, Limited> {
        LimiterCalls::acquire(self, key, ask, cost).await
    }

    fn settle(&self, key: &str, lease: LeaseId, reservation: Reservation, actual: &Cost) {
        if !panicking() {
            LimiterCalls::settle(self, key, lease, reservation, actual);
        }
    }

    fn abandon(&self, key: &str, lease: LeaseId, reservation: Option<Reservation>) {
        if !panicking() {
            LimiterCalls::abandon(self, key, lease, reservation);
        }
    }

    fn defer(&self, key: &str, delay: Duration) {
        LimiterCalls::defer(self, key, delay);
    }
}

mock! {
    /// A rotation that answers what a test tells it to, made with [`mockall`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use circuit_breaker::testing::MockRotation;
    /// use circuit_breaker::{Rotation, RotationError};
    ///
    /// let mut rotation = MockRotation::new();
    /// rotation.expect_next().returning(|_| Err(RotationError::StoreUnavailable));
    /// assert_eq!(rotation.next("hosts").await, Err(RotationError::StoreUnavailable));
    /// # }
    /// ```
    pub Rotation {}

    #[async_trait]
    impl Rotation for Rotation {
        async fn next(&self, key: &str) -> Result<u64, RotationError>;
        async fn reset(&self, key: &str) -> Result<(), RotationError>;
    }
}
