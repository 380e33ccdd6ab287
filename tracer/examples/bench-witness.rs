//! What the host's witness costs: microseconds of a look as a login begins, of a second in which logins are
//! open, and of a question about a login that was slow.

use std::{
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tracer::{
    host::Witness,
    record::Process,
    session::{HostFacts, Question},
};

/// Turns, of which the median is told.
const TURNS: usize = 41;
/// Longer than nothing is looked at again.
const REST: Duration = Duration::from_millis(260);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    let client = TcpStream::connect(server)?;
    let client = client.local_addr()?;
    let pid = std::process::id();
    let process = Process {
        pid,
        ..Process::default()
    };
    let mut witness = Witness::new(false);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        std::thread::sleep(REST);
        let mut time = |place: usize, what: &mut dyn FnMut()| {
            let start = Instant::now();
            what();
            times[place].push(start.elapsed());
        };
        time(0, &mut || witness.begins(pid, [server, client]));
        time(1, &mut || witness.tick());
        std::thread::sleep(REST);
        let question = Question {
            client: (client.ip(), client.port()),
            server: (server.ip(), server.port()),
            process: Some(&process),
            from: 0,
            to: u64::MAX,
            owed: Some((0, u64::MAX)),
        };
        let mut facts = HostFacts::default();
        time(2, &mut || facts = witness.says(&question));
        assert!(facts.listener.is_some(), "{facts:?}");
        witness.decided([server, client]);
    }
    for (what, times) in ["begins", "second", "asked"].iter().zip(&mut times) {
        times.sort_unstable();
        println!("{what}: {:.0?}", times[TURNS / 2]);
    }
    Ok(())
}
