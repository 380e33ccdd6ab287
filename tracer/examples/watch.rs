use tracer::probe::{Options, Probe, Record};
#[tokio::main(flavor = "current_thread")]
async fn main() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
    let ports = std::env::args().nth(1).map_or(1433, |p| p.parse().unwrap());
    let include = std::env::args().nth(2).map(|i| vec![i]).unwrap_or_default();
    let mut probe = match Probe::start(&Options {
        ports: vec![ports],
        include,
        ..Options::default()
    })
    .await
    {
        Ok(p) => p,
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(2)
        }
    };
    for n in probe.notices() {
        println!("{n:?}");
    }
    let end = tokio::time::Instant::now()
        + std::time::Duration::from_secs(std::env::args().nth(3).map_or(5, |s| s.parse().unwrap()));
    while tokio::time::timeout_at(end, probe.ready()).await.is_ok() {
        for n in probe.notices() {
            println!("{n:?}");
        }
        probe.drain(10000, |r| match r {
            Record::Event(e, run) => println!("{:?} dir {} #{} if {} marks {:x} seq {} len {} run {}@{} fr {} plen {} c{}/{} s{}/{} {:?}", tracer_ebpf::event::Kind::of(e.kind).unwrap(), e.direction, e.number, e.ifindex, e.marks, e.seq.0, e.payload_len, e.run_len, e.run_seq.0, e.framing, e.packet_len, e.client.bytes, e.client.packets, e.server.bytes, e.server.packets, &run[..run.len().min(16)]),
            other => println!("{other:?}"),
        });
    }
    println!("losses {:?}", probe.losses());
    probe.stop().await;
}
