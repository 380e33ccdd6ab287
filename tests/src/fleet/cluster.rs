//! The schema for a cluster, made of the one for a single server: each table keeps its shard's rows under another name,
//! replicated, and its own name asks all shards.

use anyhow::{Context as _, Result, ensure};

use super::database::statements;

const HEAD: &str = "\
-- What a fleet of agents writes, in a cluster of ClickHouse servers: schema.sql, sharded and replicated. Read by 26.9, run by none.
-- Made by `cargo xtask fleet cluster --write`. The macros {cluster}, {shard} and {replica} are the servers' own.
--
-- Both hosts' rows of a connection lie on one shard. `NAME_here` is what lies on the server that is asked.
";

/// By what the rows of a table are spread over the shards.
const SPREAD: &[(&str, &str)] = &[
    ("logins", "cityHash64(connection_id)"),
    ("closes", "cityHash64(connection_id)"),
    ("attempts", "cityHash64(attempt_id)"),
    ("incidents", "cityHash64(host)"),
    ("agents", "cityHash64(host)"),
    ("arrivals", "cityHash64(host)"),
    ("logins_by_minute", "rand()"),
];

/// The cluster's schema.
pub fn schema(single: &str) -> Result<String> {
    let mut out = HEAD.to_owned();
    for statement in statements(single) {
        let statement = without_comments(&statement);
        out.push('\n');
        out.push_str(&spread(&statement)?);
    }
    Ok(out)
}

fn spread(statement: &str) -> Result<String> {
    const EVERYWHERE: &str = " ON CLUSTER '{cluster}'";
    let (head, rest) = statement.split_once('\n').unwrap_or((statement, ""));
    let name = head.split("tds.").nth(1).unwrap_or("tds");
    let name = name.split_whitespace().next().unwrap_or("tds");
    if head.contains("DATABASE") || statement.contains("ENGINE = Null") {
        return Ok(format!("{head}{EVERYWHERE}{}{rest};\n", line_before(rest)));
    }
    if head.contains("MATERIALIZED VIEW") {
        let head = head.replacen(name, &format!("{name}{EVERYWHERE}"), 1);
        let view = format!("{head}{}{rest};\n", line_before(rest));
        // Each shard counts its own.
        let counted = view.contains("REFRESH EVERY");
        return Ok(if counted {
            view.replace("tds.logins_by_minute", "tds.logins_by_minute_here")
                .replace("FROM tds.logins ", "FROM tds.logins_here ")
        } else {
            view
        });
    }
    let (_, key) = SPREAD
        .iter()
        .find(|(table, _)| *table == name)
        .with_context(|| format!("nothing says how {name} is spread"))?;
    ensure!(rest.contains("ENGINE = "), "{name} has no engine");
    let rest = rest.replace("ENGINE = ", "ENGINE = Replicated");
    Ok(format!(
        "CREATE TABLE IF NOT EXISTS tds.{name}_here{EVERYWHERE}\n{rest};\n\n\
         CREATE TABLE IF NOT EXISTS tds.{name}{EVERYWHERE} AS tds.{name}_here\n\
         ENGINE = Distributed('{{cluster}}', tds, {name}_here, {key});\n"
    ))
}

const fn line_before(rest: &str) -> &'static str {
    if rest.is_empty() { "" } else { "\n" }
}

fn without_comments(statement: &str) -> String {
    let lines = statement.lines();
    let kept = lines.filter(|line| !line.trim_start().starts_with("--"));
    kept.collect::<Vec<_>>().join("\n").trim().to_owned()
}
