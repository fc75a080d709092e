//! A Postgres in memory, asked by commands in pods as a sandbox asks it, and the programs that migrate it.

use std::collections::BTreeSet;

/// Its only database.
pub(crate) const DATABASE: &str = "flyte_development";
/// The list of admin's migrations; what it has as made is not made again.
const MIGRATIONS: &str = "migrations";
const OF_ADMIN: [&str; 4] = [MIGRATIONS, "executions", "projects", "task_executions"];
/// Datacatalog has no such list, and makes what is not there.
const OF_DATACATALOG: [&str; 2] = ["artifacts", "datasets"];

pub(crate) struct Database {
    pub(crate) tables: BTreeSet<String>,
    /// Executions that have not ended.
    pub(crate) unfinished: u64,
    /// When an execution changed last, in seconds since 1970.
    pub(crate) last_change: u64,
    /// Tables in the schema where migrations run once more, where there is one.
    elsewhere: Option<BTreeSet<String>>,
    /// Whether admin's client library reads `PGOPTIONS`, as that of v0.6.13 does and later ones do not.
    pub(crate) reads_options: bool,
    /// How often it was emptied.
    pub(crate) emptied: usize,
    /// What happens when it is emptied.
    pub(crate) when_emptied: Option<Box<dyn FnOnce() + Send>>,
}

impl Database {
    pub(crate) fn migrated() -> Self {
        let tables = OF_ADMIN.iter().chain(&OF_DATACATALOG).map(|table| (*table).to_owned()).collect();
        Self {
            tables,
            unfinished: 0,
            last_change: 0,
            elsewhere: None,
            reads_options: true,
            emptied: 0,
            when_emptied: None,
        }
    }

    /// What a command in a pod prints, or its last words where it fails.
    pub(crate) fn run(&mut self, command: &[String]) -> Result<String, String> {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        match words[..] {
            ["sh", "-c", each, "sh", names, sql] if each.contains("while IFS= read -r name") => {
                let names = self.query("postgres", names)?;
                names.lines().map(|database| self.query(database, sql)).collect()
            }
            ["sh", "-c", query, "sh", database, sql] if query.contains("psql") => self.query(database, sql),
            ["env", options, "flyteadmin", .., "migrate", "run"] => {
                assert_eq!(options, "PGOPTIONS=-csearch_path=sandbox_migrated");
                let into = if self.reads_options { self.elsewhere.as_mut() } else { None };
                let into = into.unwrap_or(&mut self.tables);
                if !into.contains(MIGRATIONS) {
                    into.extend(OF_ADMIN.map(str::to_owned));
                }
                Ok(String::new())
            }
            ["env", _, "datacatalog", .., "migrate", "run"] => {
                self.tables.extend(OF_DATACATALOG.map(str::to_owned));
                Ok(String::new())
            }
            _ => Err(format!("not found: {words:?}")),
        }
    }

    fn query(&mut self, database: &str, sql: &str) -> Result<String, String> {
        let lines = |tables: &BTreeSet<String>| tables.iter().map(|table| format!("{database}.{table}\n")).collect();
        match sql {
            _ if sql.contains("server_version_num") => Ok("100016\n".to_owned()),
            _ if sql.contains("from pg_database") => Ok(format!("{DATABASE}\npostgres\n")),
            _ if database == "postgres" && sql.starts_with("select count(") => Ok("0\n".to_owned()),
            _ if database == "postgres" => Ok(String::new()),
            _ if sql.contains("to_regclass('public.executions')") => {
                Ok(format!("{}\n", u8::from(self.tables.contains("executions"))))
            }
            _ if sql.starts_with("select count(*) from public.executions where") => {
                Ok(format!("{}\n", self.unfinished))
            }
            _ if sql.contains("truncate table") && database != DATABASE => Ok(String::new()),
            _ if sql.contains("truncate table") => {
                assert!(sql.contains("tablename <> 'migrations'") && sql.contains("restart identity"), "{sql}");
                self.emptied += 1;
                (self.unfinished, self.last_change) = (0, 0);
                self.when_emptied.take().into_iter().for_each(|happens| happens());
                Ok(String::new())
            }
            _ if sql.contains("max(updated_at)") => Ok(format!("{}\n", self.last_change)),
            _ if sql.contains("schemaname = 'public'") => Ok(lines(&self.tables)),
            _ if sql.starts_with("drop schema if exists sandbox_migrated cascade; create schema sandbox_migrated") => {
                self.elsewhere = Some(BTreeSet::new());
                Ok(String::new())
            }
            _ if sql.starts_with("select count(") && sql.contains("schemaname = 'sandbox_migrated'") => {
                Ok(format!("{}\n", self.elsewhere.as_ref().map(BTreeSet::len).unwrap_or_default()))
            }
            _ if sql.starts_with("do $$") && sql.ends_with("drop schema sandbox_migrated cascade") => {
                self.tables.extend(self.elsewhere.take().ok_or("schema \"sandbox_migrated\" does not exist")?);
                Ok(String::new())
            }
            _ => Err(format!("syntax error at {sql:?}")),
        }
    }
}
