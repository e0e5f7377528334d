//! A breaker whose circuits are rows of a table that all workers share.
//!
//! A row is read, changed here, and written back only if no other worker has written it meanwhile. That is all the
//! store has to be able to do, so any database will serve.

use std::sync::Arc;

use circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Rejection, Settlement, Status, Verdict, async_trait,
};
use tokio::sync::{mpsc, oneshot};

use super::row::{Row, Rules};
use super::table::Table;

/// Changes a row; from the start again where another worker was faster.
async fn update<T>(table: &Table<Row>, key: &str, change: impl Fn(&mut Row) -> T) -> T {
    loop {
        let (version, before) = table.read(key).await;
        let mut row = before.clone();
        let answer = change(&mut row);
        if row == before || table.write(key, version, row).await {
            return answer;
        }
    }
}

/// What is reported later, off the way of the call.
enum Report {
    Ended { key: String, lease: Option<LeaseId>, epoch: Option<u64>, verdict: Verdict },
    Flush(oneshot::Sender<()>),
}

/// One worker's breaker.
pub(crate) struct TableBreaker {
    table: Arc<Table<Row>>,
    rules: Rules,
    reports: mpsc::Sender<Report>,
}

impl TableBreaker {
    pub(crate) fn start(table: Arc<Table<Row>>, rules: Rules) -> Arc<dyn Breaker> {
        let (reports, mut inbox) = mpsc::channel(1024);
        let (store, by) = (Arc::clone(&table), rules.clone());
        tokio::spawn(async move {
            while let Some(report) = inbox.recv().await {
                match report {
                    Report::Ended { key, lease, epoch, verdict } => {
                        update(&store, &key, |row| row.end(lease, epoch, verdict, &by)).await;
                    }
                    Report::Flush(done) => _ = done.send(()),
                }
            }
        });
        Arc::new(Self { table, rules, reports })
    }

    /// Never waits. What a full queue has no room for is lost: a failure is not counted, and a lease ends with its hold.
    fn report(&self, key: &str, lease: Option<LeaseId>, epoch: Option<u64>, verdict: Verdict) {
        let _ = self.reports.try_send(Report::Ended { key: key.to_owned(), lease, epoch, verdict });
    }
}

#[async_trait]
impl Breaker for TableBreaker {
    // Every call asks the table; `try_acquire` could answer from a view of it that is a moment old.
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        update(&self.table, key, |row| row.admit(ask, &self.rules)).await
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        self.report(key, lease, Some(admission.epoch), settlement.verdict);
    }

    // Also where the caller has gone before the answer came. What is granted only after this ends with its hold.
    fn abandon(&self, key: &str, lease: LeaseId, _: Option<Admission>) {
        self.report(key, Some(lease), None, Verdict::Neutral);
    }

    async fn status(&self, key: &str) -> Status {
        self.table.read(key).await.1.status()
    }

    async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.reports.send(Report::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}
