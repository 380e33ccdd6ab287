//! A file to begin with: every option with what it is for, and none set.

use std::fmt::Write as _;

use clap::Command;

use super::definition::{is_switch, settable};

/// Columns of the text.
const WIDTH: usize = 98;

/// What comes first.
const HEAD: &str = "\
# What `tds-tracer run` does. `tds-tracer config check` says whether this file is right, `config show` what is in
# effect and by whose word; `systemctl reload tds-tracer` takes what can be taken at once. Files in conf.d beside
# this one go before it, the environment (TDS_TRACER_MAX_FLOWS) before files, the command line before all.
";

/// See the module.
pub(in crate::cli) fn template(options: &Command) -> String {
    let mut text = HEAD.to_owned();
    for (name, arg) in settable(options) {
        text.push('\n');
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        for line in wrapped(&help) {
            // Writing to a string does not fail.
            let _: Result<_, _> = writeln!(text, "# {line}");
        }
        let default = match arg.get_default_values() {
            [value] if !is_switch(arg) => as_toml(&value.to_string_lossy()),
            _ if is_switch(arg) => "false".to_owned(),
            _ => "...".to_owned(),
        };
        let _: Result<_, _> = writeln!(text, "#{name} = {default}");
    }
    text
}

/// Lines no longer than [`WIDTH`].
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A value as it stands in a file.
pub(in crate::cli) fn as_toml(value: &str) -> String {
    let is_plain = value.parse::<u64>().is_ok() || value == "true" || value == "false";
    if is_plain {
        value.to_owned()
    } else {
        // TOML's basic strings escape as JSON's do.
        serde_json::Value::from(value).to_string()
    }
}
