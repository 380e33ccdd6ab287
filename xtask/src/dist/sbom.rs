//! Which packages are in the binary: a bill of materials as `CycloneDX` has it, from cargo's own list.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{VERSION, named};
use crate::{
    arch::Arch,
    process::{cargo, output},
};

pub(super) fn write(arch: Arch, into: &Path) -> Result<PathBuf> {
    let mut tree = cargo([
        "tree",
        "--package",
        "tracer",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    tree.args(["--target", arch.triple(), "--locked", "--format", "{p}|{l}"]);
    let listed = output(&mut tree)?;
    // A package is there once for each that needs it.
    let listed: BTreeSet<&str> = listed
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .collect();
    let components: Vec<Value> = listed.into_iter().filter_map(component).collect();
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "name": "tds-tracer", "version": VERSION,
                "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            },
        },
        "components": components,
    });
    let file = named(
        into,
        &format!("tds-tracer-{VERSION}-{}.cdx.json", arch.debian()),
    );
    fs::write(&file, format!("{bill:#}\n"))?;
    Ok(file)
}

/// A line such as `anyhow v1.0.104|MIT OR Apache-2.0`. The workspace's own have a path behind.
fn component(line: &str) -> Option<Value> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split_whitespace();
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    if words.any(|word| word.starts_with("(/")) {
        return None;
    }
    let mut component = json!({
        "type": "library",
        "name": name,
        "version": version,
        "purl": format!("pkg:cargo/{name}@{version}"),
    });
    if !licence.is_empty() {
        // As written before SPDX had operators.
        let expression = licence.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    Some(component)
}

#[cfg(test)]
mod tests {
    use super::component;

    #[test]
    fn a_line_of_cargo_is_a_component_unless_it_is_of_this_workspace() {
        let found = component("caps v0.5.6|MIT/Apache-2.0").expect("a component");
        assert_eq!(found["purl"], "pkg:cargo/caps@0.5.6");
        assert_eq!(found["licenses"][0]["expression"], "MIT OR Apache-2.0");
        let macros = component("serde_derive v1.0.1 (proc-macro)|MIT").expect("a component");
        assert_eq!(macros["version"], "1.0.1");
        assert!(component("tracer v0.1.0 (/somewhere/tracer)|MIT").is_none());
    }
}
