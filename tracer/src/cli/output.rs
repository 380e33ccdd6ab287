//! What `run` and `replay` say, and how.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::values;
use crate::{
    record::{Naming, Nanos, RunId, identity::Policy},
    session::IncidentLimits,
    sink::{Bound, Destination, EventSet, Filter, Format, Overflow, Settings},
};

/// What the output is called, among sinks.
pub(super) const OUTPUT: &str = "output";

/// Options of the output, as typed.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// For a program, or for a person
    #[arg(long, value_enum, default_value_t = FormatName::Json)]
    format: FormatName,

    /// Which events: `login,close` names all of them, `+phase,-close` changes the usual ones
    /// (login, pending, close, mars, lookup, attempt, incident, loss, agent)
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    events: Option<EventSet>,

    /// Only logins that took longer than this, such as `250ms` or `2s`, failed or are pending, with their
    /// close; lookups and attempts likewise. What took longer is a warning. Logins that took so long,
    /// or a second where it is not given, are told why. A bare number is of milliseconds
    #[arg(long, value_name = "TIME", value_parser = values::milliseconds)]
    slow: Option<Nanos>,

    /// Tell a login as pending that is undecided after this time, such as `90s` or `2m`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    pending: Duration,

    /// An incident opens when so many logins go wrong for the same cause
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(2..=100))]
    incident_logins: u32,

    /// Within this time, such as `30s` or `5m`; it is over when hardly any did for as long
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = values::duration)]
    incident_window: Duration,

    /// Names of users, domains and workstations: left out, as hashes that are comparable within
    /// this run, or in clear
    #[arg(long, value_enum, default_value_t = IdentitiesName::Hide)]
    identities: IdentitiesName,

    /// Whose names the JSON lines use
    #[arg(long, value_enum, default_value_t = SchemaName::Native)]
    schema: SchemaName,

    /// Append to a file instead of standard output; SIGHUP opens it anew
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Move the output file away before it gets longer than this, such as `64M` or `1G`
    #[arg(long, value_name = "BYTES", value_parser = values::output_bytes)]
    output_max_bytes: Option<u64>,

    /// Move the output file away before a line that comes when it is older than this, such as `24h`
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    output_max_age: Option<Duration>,

    /// Keep so many that were moved away: `FILE.1` is the youngest
    #[arg(long, value_name = "COUNT", default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    output_keep: u32,

    /// The run's name in every line, instead of a random one
    #[arg(long, value_name = "HEX", hide = true)]
    run_id: Option<RunId>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Json,
    Pretty,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IdentitiesName {
    Hide,
    Hash,
    Show,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum SchemaName {
    Native,
    Otel,
    Ecs,
}

impl SchemaName {
    pub(super) const fn naming(self) -> Naming {
        match self {
            Self::Native => Naming::Native,
            Self::Otel => Naming::Otel,
            Self::Ecs => Naming::Ecs,
        }
    }
}

impl OutputArgs {
    pub(super) fn settings(&self, overflow: Overflow) -> anyhow::Result<Settings> {
        let naming = self.schema.naming();
        Ok(Settings {
            name: OUTPUT.to_owned(),
            destination: self.destination(),
            format: match self.format {
                FormatName::Json => Format::Json(naming),
                FormatName::Pretty => Format::Pretty,
            },
            run: self.run()?,
            filter: Filter {
                events: self.events.unwrap_or_default(),
                slow: self.slow,
            },
            overflow,
        })
    }

    fn destination(&self) -> Destination {
        let bound = Bound::new(self.output_max_bytes, self.output_max_age, self.output_keep);
        match &self.output {
            Some(path) => Destination::File(path.clone(), bound),
            None => Destination::Stdout,
        }
    }

    /// Whether it goes to a file that is named.
    pub(super) fn names_file(&self) -> bool {
        self.output.is_some()
    }

    fn run(&self) -> anyhow::Result<RunId> {
        let Some(run) = self.run_id else {
            return getrandom::u64()
                .map(RunId)
                .context("no random name for the run");
        };
        Ok(run)
    }

    /// How long a login may be undecided before it is told as pending.
    pub(super) fn pending(&self) -> Nanos {
        Nanos(u64::try_from(self.pending.as_nanos()).unwrap_or(u64::MAX))
    }

    /// What makes an incident.
    pub(super) fn incidents(&self) -> IncidentLimits {
        IncidentLimits {
            logins: self.incident_logins,
            window: u64::try_from(self.incident_window.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn identities(&self) -> anyhow::Result<Policy> {
        Ok(match self.identities {
            IdentitiesName::Hide => Policy::Hide,
            IdentitiesName::Show => Policy::Show,
            IdentitiesName::Hash => {
                let mut key = [0; 32];
                getrandom::fill(&mut key).context("no random key for --identities hash")?;
                Policy::Hash { key }
            }
        })
    }
}
