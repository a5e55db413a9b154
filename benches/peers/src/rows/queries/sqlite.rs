//! The same records in `SQLite`.

use std::path::Path;

use rusqlite::{Connection, params};
use serde_json::Value as Json;

use crate::workload;

/// A database of tasks.
pub(super) struct Sqlite(Connection);

impl Sqlite {
    /// As applications on one device use it: a write-ahead log, which is not waited for.
    pub(super) fn create(file: &Path) -> anyhow::Result<Self> {
        let database = Connection::open(file)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.pragma_update(None, "synchronous", "OFF")?;
        database.execute_batch(
            "CREATE TABLE tasks (id BLOB PRIMARY KEY, assignee TEXT, done INTEGER, due INTEGER, body TEXT)
                 WITHOUT ROWID;
             CREATE TABLE tags (tag TEXT, id BLOB);",
        )?;
        Ok(Self(database))
    }

    pub(super) fn fill(&mut self, records: &[(usize, Json)]) -> anyhow::Result<()> {
        let work = self.0.transaction()?;
        {
            let mut task = work.prepare("INSERT INTO tasks VALUES (?1, ?2, ?3, ?4, ?5)")?;
            let mut tagged = work.prepare("INSERT INTO tags VALUES (?1, ?2)")?;
            for (number, record) in records {
                let id = workload::id(*number);
                let field = |name: &str| record.get(name).cloned().unwrap_or_default();
                task.execute(params![
                    id.as_bytes(),
                    field("assignee").as_str(),
                    field("done").as_bool(),
                    field("due").as_i64(),
                    record.to_string()
                ])?;
                for tag in field("tags").as_array().into_iter().flatten() {
                    tagged.execute(params![tag.as_str(), id.as_bytes()])?;
                }
            }
        }
        work.commit()?;
        Ok(())
    }

    pub(super) fn index(&self) -> anyhow::Result<()> {
        self.0.execute_batch(
            "CREATE INDEX open_by_due ON tasks (assignee, done, due);
             CREATE INDEX by_tag ON tags (tag, id);",
        )?;
        Ok(())
    }

    /// The records that a statement finds.
    pub(super) fn ask(
        &self,
        sql: &str,
        (text, limit): &(String, usize),
    ) -> anyhow::Result<Vec<Json>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let limit = i64::try_from(*limit)?;
        let rows = statement.query_map(params![text, limit], |row| row.get::<_, String>(0))?;
        rows.map(|it| Ok(serde_json::from_str(&it?)?)).collect()
    }

    /// Changes when a task is due, in its column and its text.
    pub(super) fn move_to(&self, number: usize, due: usize) -> anyhow::Result<()> {
        let mut statement = self.0.prepare_cached(
            "UPDATE tasks SET due = ?2, body = json_set(body, '$.due', ?2) WHERE id = ?1",
        )?;
        let due = i64::try_from(due)?;
        statement.execute(params![workload::id(number).as_bytes(), due])?;
        Ok(())
    }
}
