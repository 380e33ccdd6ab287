//! ClickHouse with the project's schema: the engine itself, without a server.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{bench::processor, drivers, peer::workspace};

/// What a question is asked about.
pub type Parameters<'a> = &'a [(&'static str, &'a str)];

/// A question of the pack.
pub struct Question {
    /// The name of its file, without its ending.
    pub name: String,
    /// Its text.
    pub sql: String,
}

/// A database in a folder of its own.
pub struct Database {
    engine: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Database {
    /// Opens the database of a folder, or makes it, with the schema as it is handed out: but `kept_for_good`, rows stay
    /// however long ago they were.
    pub fn open(folder: &Path, kept_for_good: bool) -> Result<Self> {
        let python = drivers::ensure_clickhouse(|step| eprintln!("{step}"))?;
        let mut engine = Command::new(python)
            .arg(workspace().join("tests/engines/clickhouse.py"))
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the engine")?;
        let requests = engine.stdin.take().context("no way in")?;
        let answers = engine.stdout.take().context("no way out")?;
        let mut database = Self {
            engine,
            requests,
            answers: BufReader::new(answers),
        };
        for statement in statements(&schema()?) {
            if kept_for_good {
                database.run(&without_ttl(&statement))?;
            } else {
                database.run(&statement)?;
            }
        }
        Ok(database)
    }

    /// Runs a statement that answers nothing.
    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.ask(sql, &[], "TSV").map(drop)
    }

    /// The answer to a question, in one of ClickHouse's formats.
    pub fn ask(&mut self, sql: &str, parameters: Parameters<'_>, format: &str) -> Result<String> {
        let params: serde_json::Map<_, _> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let request = json!({ "sql": sql, "params": params, "format": format });
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line).context("the engine ended")?;
        match (&answer["text"], &answer["error"]) {
            (Value::String(text), _) => Ok(text.clone()),
            (_, error) => bail!("{error}\n{sql}"),
        }
    }

    /// Processor time that the engine has taken, merges in the background included.
    pub fn processor(&self) -> Result<Duration> {
        processor(self.engine.id())
    }

    /// Takes in a file of lines.
    pub fn load(&mut self, lines: &Path) -> Result<()> {
        let path = lines.display();
        self.run(&format!(
            "INSERT INTO tds.lines SELECT * FROM file('{path}', 'JSONAsString')"
        ))
    }

    /// Counts logins by the minute now, as the view does by itself once a minute.
    pub fn count_minutes(&mut self) -> Result<()> {
        self.run("SYSTEM REFRESH VIEW tds.logins_are_counted")?;
        self.run("SYSTEM WAIT VIEW tds.logins_are_counted")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The folder is the caller's; nothing is left to say to the engine.
        drop(self.engine.kill());
        drop(self.engine.wait());
    }
}

/// The folder of what ClickHouse is given.
pub fn handed_out() -> PathBuf {
    workspace().join("packaging/clickhouse")
}

/// The schema for one server.
pub fn schema() -> Result<String> {
    let path = handed_out().join("schema.sql");
    fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The pack's questions, by name.
pub fn questions() -> Result<Vec<Question>> {
    let mut questions = Vec::new();
    for file in fs::read_dir(handed_out().join("queries"))? {
        let path = file?.path();
        let name = path.file_stem().context("no name")?.to_string_lossy();
        questions.push(Question {
            name: name.into_owned(),
            sql: fs::read_to_string(&path)?,
        });
    }
    questions.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(questions)
}

/// The statements of a file, which end at a line's end.
pub fn statements(sql: &str) -> Vec<String> {
    let all = sql.split(";\n").map(str::trim);
    all.filter(|one| !one.is_empty()).map(Into::into).collect()
}

fn without_ttl(statement: &str) -> String {
    let kept = statement.lines().filter(|line| !line.starts_with("TTL "));
    kept.collect::<Vec<_>>().join("\n")
}
