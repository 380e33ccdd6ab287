//! The published frames.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// One of the four sequences.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) client: Ipv4Addr,
    pub(super) server: Ipv4Addr,
    pub(super) ports: (u16, u16),
    pub(super) frames: Vec<Frame>,
}

/// One frame, as far as it was published.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) number: u64,
    /// From the start of the trace.
    pub(super) time_ns: u64,
    pub(super) source: Ipv4Addr,
    pub(super) phase: String,
    pub(super) kind: String,
    pub(super) flags: u8,
    pub(super) window: Option<u16>,
    pub(super) seq: Option<u32>,
    pub(super) ack: Option<u32>,
    pub(super) payload_len: Option<usize>,
    pub(super) bad_checksum: bool,
    pub(super) tds_version: Option<u32>,
    pub(super) spid: u16,
    pub(super) packet_id: u8,
    pub(super) ntlm: Option<[String; 3]>,
}

impl Scenario {
    pub(super) fn is_from_client(&self, frame: &Frame) -> bool {
        frame.source == self.client
    }

    /// Whether a host leaves its checksums to the network card. One that does leaves all of them.
    pub(super) fn offloads(&self, client: bool) -> bool {
        let mut frames = self.frames.iter();
        frames.any(|frame| frame.bad_checksum && self.is_from_client(frame) == client)
    }
}

pub(super) fn load(path: &Path, name: &str) -> Result<Scenario> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let all: Value = serde_json::from_str(&text)?;
    let scenario = all
        .as_array()
        .into_iter()
        .flatten()
        .find(|scenario| scenario["scenario"] == name)
        .with_context(|| format!("{name} is not in {}", path.display()))?;
    let frames = scenario["frames"].as_array().context("frames")?;
    let syn = frames.first().context("a first frame")?;
    let port = |side: &str| number(&syn[side]).context("ports of the first frame");
    Ok(Scenario {
        name: name.to_owned(),
        client: address(&scenario["client"])?,
        server: address(&scenario["server"])?,
        ports: (port("src_port")? as u16, port("dst_port")? as u16),
        frames: frames.iter().map(frame).collect::<Result<_>>()?,
    })
}

fn frame(published: &Value) -> Result<Frame> {
    let text = |field: &str| published[field].as_str().unwrap_or_default().to_owned();
    let version = text("tds_version_raw");
    let ntlm = published.get("ntlm").map(|ntlm| {
        ["domain", "user", "workstation"].map(|name| ntlm[name].as_str().unwrap_or("x").to_owned())
    });
    Ok(Frame {
        number: number(&published["frame"]).context("a frame without a number")?,
        time_ns: nanoseconds(&text("time_offset_s")).context("a frame without a time")?,
        source: address(&published["src"])?,
        phase: text("phase"),
        kind: text("kind"),
        flags: flags(published["tcp_flags"].as_str().unwrap_or("...AP...")),
        window: number(&published["window"]).map(|window| window as u16),
        seq: number(&published["seq"]).map(|seq| seq as u32),
        ack: number(&published["ack"]).map(|ack| ack as u32),
        payload_len: number(&published["payload_len"]).map(|length| length as usize),
        bad_checksum: published["bad_checksum"] == true,
        tds_version: u32::from_str_radix(version.trim_start_matches("0x"), 16).ok(),
        spid: number(&published["spid"]).unwrap_or(0) as u16,
        packet_id: number(&published["packet_id"]).unwrap_or(1) as u8,
        ntlm,
    })
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}

fn address(value: &Value) -> Result<Ipv4Addr> {
    Ok(value.as_str().context("an address")?.parse()?)
}

/// Seconds with seven decimals, without going through floating point.
fn nanoseconds(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some(whole.parse::<u64>().ok()? * 1_000_000_000 + fraction)
}

/// Flags as the source prints them: a letter or a dot for CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
fn flags(printed: &str) -> u8 {
    printed
        .bytes()
        .fold(0, |flags, letter| flags << 1 | u8::from(letter != b'.'))
}
