//! A fleet's day as that of many fleets and on many days: copies that the engine makes itself, since the lines of all of
//! them would fill no disk that there is.
//!
//! A copy is a fleet of other hosts, servers and applications' names for servers, or another day, or both. Whatever tells
//! one connection, attempt, incident or run from another is another one in each copy, so nothing compresses better than
//! it would, and no two rows replace each other. Rows come to lie in the partitions in which they would.

use anyhow::Result;

use super::database::Database;

/// Which copy of the day.
#[derive(Clone, Copy, Debug)]
struct Copy {
    fleet: u64,
    day: u64,
}

/// Tables with what of a row is another in a copy.
const TABLES: &[(&str, &[(&str, Another)])] = &[
    (
        "logins",
        &[
            ("start", Another::Day),
            ("host", Another::Name),
            ("connection_id", Another::Id),
            ("client_address", Another::Address),
            ("server_address", Another::Address),
            ("k8s_pod", Another::Name),
            ("attempt_id", Another::Id),
            ("connection_guid", Another::Guid),
            ("redirect_address", Another::Address),
            ("incident_id", Another::Id),
        ],
    ),
    (
        "closes",
        &[
            ("start", Another::Day),
            ("ended", Another::Day),
            ("host", Another::Name),
            ("connection_id", Another::Id),
            ("client_address", Another::Address),
            ("server_address", Another::Address),
        ],
    ),
    (
        "attempts",
        &[
            ("start", Another::Day),
            ("host", Another::Name),
            ("attempt_id", Another::Id),
            ("client_address", Another::Address),
            ("target_name", Another::Name),
            ("parts.connection_id", Another::Ids),
        ],
    ),
    (
        "incidents",
        &[
            ("told", Another::Day),
            ("host", Another::Name),
            ("incident_id", Another::Id),
            ("start", Another::Day),
            ("ended", Another::Day),
            ("worst_connection_id", Another::Id),
        ],
    ),
    (
        "agents",
        &[
            ("told", Another::Day),
            ("host", Another::Name),
            ("run_id", Another::Id),
        ],
    ),
    (
        "arrivals",
        &[
            ("day", Another::Day),
            ("host", Another::Name),
            ("run_id", Another::Id),
        ],
    ),
    (
        "logins_by_minute",
        &[
            ("minute", Another::Day),
            ("server_address", Another::Address),
        ],
    ),
];

/// Those of which a partition is a day.
const BY_DAY: [&str; 4] = ["logins", "closes", "attempts", "agents"];

/// How a value differs in a copy.
#[derive(Clone, Copy)]
enum Another {
    Day,
    Name,
    Address,
    Id,
    Ids,
    Guid,
}

impl Another {
    /// The expression of a column's value in a copy; one that is empty stays so.
    fn expression(self, column: &str, Copy { fleet, day }: Copy) -> String {
        let hashed = |value: &str| {
            format!("if(empty({value}), '', lower(hex(sipHash64({value}, {fleet}, {day}))))")
        };
        match self {
            Self::Day => format!("`{column}` + INTERVAL {day} DAY"),
            Self::Name if fleet == 0 => format!("`{column}`"),
            Self::Name => format!("if(`{column}` = '', '', concat(`{column}`, '-{fleet}'))"),
            // All of them begin with 10.
            Self::Address => format!(
                "if(`{column}` = '', '', concat('{}', substring(`{column}`, 3)))",
                10 + fleet
            ),
            Self::Id => hashed(&format!("`{column}`")),
            Self::Ids => format!("arrayMap(x -> {}, `{column}`)", hashed("x")),
            Self::Guid => format!(
                "if(`{column}` = '', '', toString(reinterpretAsUUID(sipHash128(`{column}`, {fleet}, {day}))))"
            ),
        }
    }
}

/// Makes of what is loaded, a day of one fleet, so many days of so many fleets. Each day but the last is one part in the
/// end, as the engine makes of it in time; the last is left as merges in the background leave it.
pub fn multiply(database: &mut Database, fleets: u64, days: u64) -> Result<()> {
    // Its minutes are copied as well: counted anew with each copy, all of them would take longer than the copies.
    database.run("SYSTEM STOP VIEW tds.logins_are_counted")?;
    for (table, _) in TABLES {
        // Parts that were merged are no use to anybody here, and would double what lies on the disk.
        database.run(&format!(
            "ALTER TABLE tds.{table} MODIFY SETTING old_parts_lifetime = 1"
        ))?;
        let first = format!("CREATE TABLE tds.first_{table} AS tds.{table}");
        database.run(&first)?;
        database.run(&format!(
            "ALTER TABLE tds.first_{table} ATTACH PARTITION ALL FROM tds.{table}"
        ))?;
    }
    for day in 0..days {
        let is_last = day + 1 == days;
        // Merged step by step, a day would be written several times.
        let merges = if is_last { "START" } else { "STOP" };
        for table in BY_DAY {
            database.run(&format!("SYSTEM {merges} MERGES tds.{table}"))?;
        }
        for fleet in 0..fleets {
            if (fleet, day) != (0, 0) {
                copy(database, Copy { fleet, day })?;
            }
        }
        if !is_last {
            merge(database)?;
        }
        eprintln!("{} of {days} days", day + 1);
    }
    for (table, _) in TABLES {
        database.run(&format!("DROP TABLE tds.first_{table} SYNC"))?;
    }
    Ok(())
}

/// Makes one part of each partition that has several.
fn merge(database: &mut Database) -> Result<()> {
    for table in BY_DAY {
        database.run(&format!("SYSTEM START MERGES tds.{table}"))?;
        let partitions = database.ask(
            "SELECT partition_id FROM system.parts WHERE database = 'tds' AND table = {table:String} AND active \
             GROUP BY partition_id HAVING count() > 1",
            &[("table", table)],
            "TSV",
        )?;
        for partition in partitions.lines() {
            database.run(&format!(
                "OPTIMIZE TABLE tds.{table} PARTITION ID '{partition}' FINAL"
            ))?;
        }
    }
    Ok(())
}

fn copy(database: &mut Database, which: Copy) -> Result<()> {
    for (table, columns) in TABLES {
        let replaced: Vec<_> = columns
            .iter()
            .map(|(column, another)| format!("{} AS `{column}`", another.expression(column, which)))
            .collect();
        database.run(&format!(
            "INSERT INTO tds.{table} SELECT * REPLACE ({}) FROM tds.first_{table}",
            replaced.join(", ")
        ))?;
    }
    Ok(())
}
