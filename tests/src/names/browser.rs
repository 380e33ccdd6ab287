//! SQL Browser (MC-SQLR): answers what it knows, and is silent otherwise.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::pair;

/// What it knows.
#[derive(Args)]
pub struct Options {
    /// Where it listens.
    #[arg(long)]
    listen: SocketAddr,
    /// An instance and its TCP port, `NAME=PORT`.
    #[arg(long = "instance", value_parser = pair)]
    instances: Vec<(String, String)>,
    /// Answers only the second question and those that follow.
    #[arg(long)]
    not_the_first: bool,
    /// Thinks for so many milliseconds before it answers.
    #[arg(long, default_value_t = 0)]
    late: u64,
}

/// Of all hosts; some clients ask one of them so.
const EACH: u8 = 0x02;
const LIST: u8 = 0x03;
const INSTANCE: u8 = 0x04;
const ANSWER: u8 = 0x05;

/// Answers for ever.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(options: &Options) -> Result<()> {
    let socket = UdpSocket::bind(options.listen)?;
    println!("listening {}", socket.local_addr()?);
    let mut buffer = [0; 1024];
    let mut asked = 0_u32;
    loop {
        let (len, from) = socket.recv_from(&mut buffer)?;
        asked += 1;
        if options.not_the_first && asked == 1 {
            continue;
        }
        let told = options.told(&buffer[..len]);
        std::thread::sleep(Duration::from_millis(options.late));
        if !told.is_empty() {
            let size = u16::try_from(told.len())?.to_le_bytes();
            let answer = [&[ANSWER], &size[..], told.as_bytes()].concat();
            socket.send_to(&answer, from)?;
        }
    }
}

impl Options {
    /// What the instances say that are asked for.
    fn told(&self, question: &[u8]) -> String {
        let wanted = match question {
            [EACH | LIST, ..] => None,
            [INSTANCE, name @ ..] => Some(String::from_utf8_lossy(name)),
            _ => return String::new(),
        };
        let wanted = wanted.as_deref().map(|name| name.trim_end_matches('\0'));
        let instances = self.instances.iter();
        let asked = |name: &str| wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(name));
        let mut told = String::new();
        for (name, port) in instances.filter(|(name, _)| asked(name)) {
            told += "ServerName;SERVER;InstanceName;";
            told += name;
            told += ";IsClustered;No;Version;16.0.1000.6;tcp;";
            told += port;
            told += ";;";
        }
        told
    }
}
