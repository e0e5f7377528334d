//! A breaker whose circuits are rows of a table that all workers share.
//!
//! A row is read, changed here, and written back only if no other worker has written it meanwhile. That is all the
//! store has to be able to do, so any database will serve. A real one adds what becomes of a call when the database is
//! slow or gone: a timeout around every request, and an answer without it that says so (`degraded`).

use std::collections::HashMap;
use std::sync::Arc;

use circuit_breaker::{
    Admission, Ask, Breaker, LeaseId, Rejection, Settlement, Status, Verdict, async_trait,
};
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::row::{End, Row, Rules};
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
    Ended(String, End),
    Flush(oneshot::Sender<()>),
}

/// So many reports may wait while the table is written. See [`TableBreaker::report`].
const WAITING: usize = 1024;

/// One worker's breaker.
pub(crate) struct TableBreaker {
    table: Arc<Table<Row>>,
    rules: Rules,
    reports: mpsc::Sender<Report>,
}

impl TableBreaker {
    pub(crate) fn start(table: Arc<Table<Row>>, rules: Rules) -> Arc<dyn Breaker> {
        let (reports, mut inbox) = mpsc::channel(WAITING);
        let (store, by) = (Arc::clone(&table), rules.clone());
        tokio::spawn(async move {
            let mut gathered = Vec::new();
            while inbox.recv_many(&mut gathered, WAITING).await > 0 {
                let (mut rows, mut flushed) = (HashMap::<_, Vec<_>>::new(), Vec::new());
                for report in gathered.drain(..) {
                    match report {
                        Report::Ended(key, end) => rows.entry(key).or_default().push(end),
                        Report::Flush(done) => flushed.push(done),
                    }
                }
                // One update for each row, however many calls have ended, and all rows at a time.
                join_all(rows.iter().map(|(key, ends)| {
                    update(&store, key, |row| ends.iter().for_each(|end| row.end(end, &by)))
                }))
                .await;
                for done in flushed {
                    let _ = done.send(());
                }
            }
        });
        Arc::new(Self { table, rules, reports })
    }

    /// Never waits. The bound is on what ends within one update, some milliseconds, or for as long as the table hangs:
    /// what ends beyond that is lost. A failure is then not counted, and a lease ends with its hold.
    fn report(&self, key: &str, end: End) {
        let _ = self.reports.try_send(Report::Ended(key.to_owned(), end));
    }
}

#[async_trait]
impl Breaker for TableBreaker {
    // Every call asks the table; `try_acquire` could answer from a view of it that is a moment old.
    async fn acquire(&self, key: &str, ask: &Ask) -> Result<Admission, Rejection> {
        update(&self.table, key, |row| row.admit(ask, &self.rules)).await
    }

    fn settle(&self, key: &str, lease: Option<LeaseId>, admission: Admission, settlement: Settlement) {
        let verdict = settlement.verdict;
        // Where nothing is held, a verdict that says nothing changes nothing.
        if admission.probe || verdict != Verdict::Neutral {
            self.report(key, End { lease, epoch: Some(admission.epoch), verdict });
        }
    }

    // Also where the caller has gone before the answer came. What is granted only after this ends with its hold.
    fn abandon(&self, key: &str, lease: LeaseId, admission: Option<Admission>) {
        if admission.is_none_or(|admission| admission.probe) {
            self.report(key, End { lease: Some(lease), epoch: None, verdict: Verdict::Neutral });
        }
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
