//! Installs the clients that are not in Debian nor in Cargo's registry.

use harness::drivers::{ensure_clickhouse, ensure_node, ensure_python};

fn main() -> anyhow::Result<()> {
    let python = ensure_python(|step| println!("{step}"))?;
    println!("Python clients: {}", python.display());
    let clickhouse = ensure_clickhouse(|step| println!("{step}"))?;
    println!("ClickHouse's engine: {}", clickhouse.display());
    let node = ensure_node(|step| println!("{step}"))?;
    println!("JavaScript client: {}", node.display());
    Ok(())
}
