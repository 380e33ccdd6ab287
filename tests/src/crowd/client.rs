//! The end that connects, and what it says of how it fared.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::Args;
use socket2::{Domain, Socket, Type};

use super::{Common, Exchange, moves_to};

/// Connections that are made at a time, unless said otherwise.
const THREADS: usize = 8;

/// Makes connections, says when all are made, and how long each took up to its last answer.
#[derive(Args)]
pub struct Connect {
    /// Where to connect to
    address: SocketAddr,
    /// How many connections
    count: usize,
    /// Keeps them open until standard input ends
    #[arg(long)]
    hold: bool,
    /// So many a second; as fast as it goes without
    #[arg(long)]
    rate: Option<f64>,
    /// At a time
    #[arg(long, default_value_t = THREADS)]
    threads: usize,
    /// The address to connect from
    #[arg(long)]
    from: Option<IpAddr>,
    /// The first of as many ports to connect from, each once
    #[arg(long)]
    from_port: Option<u16>,
    /// Goes to another processor, of two, between any two things that it does
    #[arg(long)]
    moving: bool,
    #[command(flatten)]
    common: Common,
}

/// A connection that was made.
struct Made {
    took: Duration,
    /// Open for as long as this is kept.
    _held: Option<TcpStream>,
}

impl Connect {
    /// Makes them.
    pub fn run(&self) -> Result<()> {
        let exchanges = self.common.begin()?;
        let next = AtomicUsize::new(0);
        let started = Instant::now();
        let made = thread::scope(|scope| {
            let work = |thread| {
                let (next, exchanges) = (&next, &exchanges);
                move || self.work(thread, next, started, exchanges)
            };
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(work(thread)))
                .collect();
            let joined = threads.into_iter().map(|thread| {
                let made = thread.join();
                made.map_err(|_panic| anyhow!("a thread panicked"))?
            });
            joined.collect::<Result<Vec<_>>>()
        })?;
        let took = started.elapsed();
        let made: Vec<_> = made.into_iter().flatten().collect();
        let mut each: Vec<_> = made.iter().map(|one| one.took).collect();
        each.sort_unstable();
        let at = |part: usize| each[(each.len() - 1) * part / 100].as_nanos();
        println!(
            "made {} in {} p50 {} p99 {}",
            self.count,
            took.as_nanos(),
            at(50),
            at(99)
        );
        // Held until standard input ends.
        std::io::stdin().read_to_end(&mut Vec::new())?;
        drop(made);
        Ok(())
    }

    fn work(
        &self,
        thread: usize,
        next: &AtomicUsize,
        started: Instant,
        exchanges: &[Exchange],
    ) -> Result<Vec<Made>> {
        let mut made = Vec::new();
        let mut turn = thread;
        let mut moves = || -> Result<()> {
            turn += 1;
            if self.moving {
                moves_to(turn % 2)
            } else {
                Ok(())
            }
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                return Ok(made);
            }
            if let Some(rate) = self.rate {
                let due = started + Duration::from_secs_f64(number as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            made.push(self.one(number, exchanges, &mut moves)?);
        }
    }

    fn one(
        &self,
        number: usize,
        exchanges: &[Exchange],
        moves: &mut impl FnMut() -> Result<()>,
    ) -> Result<Made> {
        moves()?;
        let begun = Instant::now();
        let mut stream = self.connect(number)?;
        for [question, answer] in exchanges {
            moves()?;
            stream.write_all(question)?;
            stream.read_exact(&mut vec![0; answer.len()])?;
        }
        let took = begun.elapsed();
        if !self.hold {
            moves()?;
            stream.shutdown(std::net::Shutdown::Write)?;
            while stream.read(&mut [0; 64])? > 0 {}
        }
        let held = self.hold.then_some(stream);
        Ok(Made { took, _held: held })
    }

    fn connect(&self, number: usize) -> Result<TcpStream> {
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        let port = self.from_port.map_or(0, |first| first + number as u16);
        if port != 0 || self.from.is_some() {
            let any = SocketAddr::from(([0, 0, 0, 0], port));
            let from = self.from.map_or(any, |from| (from, port).into());
            socket.set_reuse_address(true)?;
            socket.bind(&from.into())?;
        }
        socket.connect(&self.address.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Asks again and again on one connection, and says how long the middle one of the answers took.
#[derive(Args)]
pub struct Ping {
    /// Where to connect to
    address: SocketAddr,
    /// How many questions
    count: usize,
    #[command(flatten)]
    common: Common,
}

impl Ping {
    /// Asks them.
    pub fn run(&self) -> Result<()> {
        let exchanges = self.common.begin()?;
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; 4096];
        let mut ask = |[question, answer]: &Exchange| -> Result<Duration> {
            let asked = Instant::now();
            stream.write_all(question)?;
            stream.read_exact(&mut bytes[..answer.len()])?;
            Ok(asked.elapsed())
        };
        for exchange in &exchanges {
            ask(exchange)?;
        }
        let last = &exchanges[exchanges.len() - 1];
        let mut each = (0..self.count)
            .map(|_| ask(last))
            .collect::<Result<Vec<_>>>()?;
        each.sort_unstable();
        println!(
            "asked {} p50 {}",
            self.count,
            each[self.count / 2].as_nanos()
        );
        Ok(())
    }
}
