//! Arbitrary bytes as a capture: read to the end, every packet walked and tracked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tds_tracer_fuzz::Heard;
use tracer::{
    capture::{
        link::network_layer,
        reader::CaptureReader,
        tracker::{Sighted, Tracker},
        tunnel::decapsulate,
    },
    ports::Ports,
    session::{Config, Engine},
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = CaptureReader::new(bytes) else {
        return;
    };
    let mut tracker = Tracker::new(Ports::default(), true);
    let mut engine = Engine::new(Config::default());
    let mut heard = Heard::default();
    let mut last_ns = 0;
    while let Ok(Some(packet)) = reader.next() {
        assert!(packet.data.len() <= bytes.len());
        last_ns = last_ns.max(packet.time_ns);
        engine.pass_time(packet.time_ns, &mut heard);
        let Ok(layer) = network_layer(packet.link, packet.data) else {
            continue;
        };
        let outer = (layer.ethertype, &packet.data[layer.offset..]);
        for network in [outer, decapsulate(outer)] {
            let before = (packet.data.len() - network.1.len()) as u32;
            let sighted = Sighted {
                network,
                wire_len: packet.orig_len.saturating_sub(before),
                time_ns: packet.time_ns,
                untimed: packet.untimed,
                point: Sighted::point(&layer, packet.interface),
            };
            tracker.packet(&sighted, &mut engine, &mut heard);
        }
        for decided in heard.decided.drain(..) {
            tracker.decided(decided);
        }
        for server in heard.announced.drain(..) {
            tracker.announced(server);
        }
    }
    tracker.finish(&mut engine, &mut heard);
    engine.finish(last_ns, &mut heard);
    heard.assert_complete(engine.standing());
});
