//! The store of the example: a table in a database, played by a map that is a round trip away.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;

/// From here to the database, or back.
const ONE_WAY: Duration = Duration::from_millis(1);

/// Rows by key, each with a version that says whether it was written since it was read.
pub(crate) struct Table<Row> {
    rows: Mutex<HashMap<String, (u64, Row)>>,
}

impl<Row> Default for Table<Row> {
    fn default() -> Self {
        Self { rows: Mutex::default() }
    }
}

impl<Row: Clone + Default> Table<Row> {
    /// `SELECT version, row FROM circuits WHERE key = $1`
    pub(crate) async fn read(&self, key: &str) -> (u64, Row) {
        sleep(ONE_WAY).await;
        let row = self.rows.lock().get(key).cloned().unwrap_or_default();
        sleep(ONE_WAY).await;
        row
    }

    /// `UPDATE circuits SET row = $3, version = version + 1 WHERE key = $1 AND version = $2`, and whether there was
    /// such a row.
    pub(crate) async fn write(&self, key: &str, version: u64, row: Row) -> bool {
        sleep(ONE_WAY).await;
        let written = {
            let mut rows = self.rows.lock();
            let current = rows.entry(key.to_owned()).or_default();
            let same = current.0 == version;
            if same {
                *current = (version + 1, row);
            }
            same
        };
        sleep(ONE_WAY).await;
        written
    }
}
