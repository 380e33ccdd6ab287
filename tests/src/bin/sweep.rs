//! Sweeps some connections through some kinds of variants, shows what is wrong, and writes variants
//! as captures.

use std::{fs, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use harness::{
    pcap::{self, link},
    sweep::{
        engine,
        kinds::{Kind, Variant},
        packet::Packet,
        sources::{Connection, connections},
        sweep,
    },
};

/// Options of the command line.
#[derive(Parser)]
struct Options {
    /// Captures whose name contains this.
    #[arg(default_value = "")]
    capture: String,
    /// Kinds of variants; all of them where none is named.
    #[arg(long)]
    kind: Vec<Kind>,
    /// Only variants whose label ends so: `@12` stands for packet 12.
    #[arg(long)]
    at: Option<String>,
    /// Shows what is read from the connections' bytes, and varies nothing.
    #[arg(long)]
    truth: bool,
    /// Writes what is said wrongly as a capture into this folder, beside it what is expected and said.
    #[arg(long)]
    write: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let kinds = if options.kind.is_empty() {
        Kind::ALL.to_vec()
    } else {
        options.kind.clone()
    };
    let connections = connections(&options.capture)?;
    if options.truth {
        connections.iter().for_each(show);
        return Ok(());
    }
    if options.write.is_none() && options.at.is_none() {
        print!("{}", sweep(&connections, &kinds, 2));
        return Ok(());
    }
    for connection in &connections {
        for kind in &kinds {
            let mut number = 0;
            kind.each(connection, &mut |variant| {
                number += 1;
                let is_meant = options
                    .at
                    .as_ref()
                    .is_none_or(|at| variant.label.ends_with(at));
                let said = engine::lines(&variant.input, connection.port);
                let wrong = variant.expected.judge(&said);
                if !is_meant || wrong.is_empty() && options.at.is_none() {
                    return;
                }
                let name = format!("{}-{kind}-{number}", connection.name.replace('#', "-"));
                println!(
                    "{name} {} {}\n  {}",
                    variant.group,
                    variant.label,
                    wrong.join("\n  ")
                );
                if let Some(folder) = &options.write {
                    let text = format!("{:#?}\n{wrong:#?}\n{said:#?}\n", variant.expected);
                    write(folder, &name, &variant, &text).expect("the folder can be written to");
                }
            });
        }
    }
    Ok(())
}

/// What its bytes say of a connection, packet by packet.
fn show(connection: &Connection) {
    let truth = &connection.truth;
    let first = connection
        .packets
        .first()
        .map_or(0, |packet| packet.time_ns);
    println!(
        "{} {} decided {:?} sealed {} reply {} encryption {:?} begins {:?}",
        connection.name,
        first,
        truth.decided,
        truth.sealed,
        truth.sealed_reply,
        truth.encryption,
        truth.begins
    );
    for (index, (packet, state)) in connection.packets.iter().zip(&truth.states).enumerate() {
        println!(
            "{index:>4} {:>13} {} {:02x} {:>5} {} {:?} over {} sound {}",
            packet.time_ns - first,
            packet.side.name(),
            packet.flags,
            packet.payload().len(),
            state.phase,
            state.debtor,
            state.over,
            state.sound
        );
    }
}

fn write(folder: &std::path::Path, name: &str, variant: &Variant, text: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let packets = variant.input.packets.iter().map(network);
    let tick = variant.input.until_ns.map(|time_ns| pcap::Packet {
        time_ns,
        ethertype: 0x0800,
        bytes: engine::TICK.to_vec(),
    });
    let packets: Vec<_> = packets.chain(tick).collect();
    let framed = pcap::framed(&packets, |packet| pcap::ethernet(packet, &[]));
    fs::write(
        folder.join(format!("{name}.pcap")),
        pcap::file(link::ETHERNET, &framed),
    )?;
    fs::write(folder.join(format!("{name}.txt")), text)?;
    Ok(())
}

fn network(packet: &Packet) -> pcap::Packet {
    pcap::Packet {
        time_ns: packet.time_ns,
        ethertype: packet.ethertype,
        bytes: packet.bytes.to_vec(),
    }
}
