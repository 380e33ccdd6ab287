//! Servers that say where others are.

pub mod browser;
pub mod dns;

use anyhow::{Context, Result};

/// Both sides of `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("not NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
