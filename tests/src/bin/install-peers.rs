//! Installs the clients that are not in Debian nor in Cargo's registry.

use harness::drivers::ensure_python;

fn main() -> anyhow::Result<()> {
    let python = ensure_python(|step| println!("{step}"))?;
    println!("Python clients: {}", python.display());
    Ok(())
}
