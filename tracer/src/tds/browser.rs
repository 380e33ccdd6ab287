//! What SQL Browser is asked and answers on UDP 1434 (MC-SQLR 2.2).

use super::Malformed;

/// The port of SQL Browser.
pub const PORT: u16 = 1434;
/// What an answer begins with, and no question.
pub const ANSWER: u8 = 5;

/// The longest instance name, in bytes (MC-SQLR 2.2.3).
const MAX_NAME: usize = 32;
/// Before an answer's data: its kind, and the length of what follows.
const ANSWER_HEADER: usize = 3;
/// An answer with the port for administrators is so long, and says so (MC-SQLR 2.2.6).
const DAC_ANSWER: u16 = 6;
/// Version of the protocol for that port.
const DAC_VERSION: u8 = 1;

/// Kinds of questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `CLNT_BCAST_EX`: to all hosts.
    Broadcast,
    /// `CLNT_UCAST_EX`: all instances of a host.
    List,
    /// `CLNT_UCAST_INST`: one instance.
    Instance,
    /// `CLNT_UCAST_DAC`: an instance's port for administrators.
    Dac,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub kind: Kind,
    /// The instance asked for.
    pub instance: Option<String>,
}

impl Question {
    /// Decodes a datagram to SQL Browser.
    pub fn decode(datagram: &[u8]) -> Result<Self, Malformed> {
        let (kind, rest) = match datagram {
            [2, rest @ ..] => (Kind::Broadcast, rest),
            [3, rest @ ..] => (Kind::List, rest),
            [4, rest @ ..] => (Kind::Instance, rest),
            [0x0F, DAC_VERSION, rest @ ..] => (Kind::Dac, rest),
            _ => return Err(malformed(0, "no question that SQL Browser knows")),
        };
        let at = datagram.len() - rest.len();
        let end = rest.iter().position(|byte| *byte == 0);
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        if after.iter().any(|byte| *byte != 0) {
            return Err(malformed(at + name.len(), "something after the question"));
        }
        let is_named = matches!(kind, Kind::Instance | Kind::Dac);
        if is_named == name.is_empty() || name.len() > MAX_NAME {
            return Err(malformed(at, "no name of an instance"));
        }
        Ok(Self {
            kind,
            instance: is_named.then(|| text(name)),
        })
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What it says.
    pub told: Told<'a>,
    /// It is not as long as it says. Drivers differ in whether they believe it then.
    pub lies: bool,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<'a> {
    /// Instances of a host, one at least.
    Instances(Instances<'a>),
    /// The port for administrators.
    Dac(u16),
}

impl<'a> Answer<'a> {
    /// Decodes a datagram of SQL Browser that was `len` bytes long on the wire; `kept` was kept of it.
    pub fn decode(kept: &'a [u8], len: usize) -> Result<Self, Malformed> {
        let [ANSWER, low, high, data @ ..] = kept else {
            return Err(malformed(0, "no answer of SQL Browser"));
        };
        let size = u16::from_le_bytes([*low, *high]);
        if let (DAC_ANSWER, [DAC_VERSION, low, high, after @ ..]) = (size, data) {
            return Ok(Self {
                told: Told::Dac(u16::from_le_bytes([*low, *high])),
                lies: !after.is_empty(),
            });
        }
        let said = &data[..data.len().min(usize::from(size))];
        let instances = Instances { left: said };
        if instances.clone().next().is_none() {
            return Err(malformed(ANSWER_HEADER, "an answer that names no instance"));
        }
        Ok(Self {
            told: Told::Instances(instances),
            lies: usize::from(size) + ANSWER_HEADER != len,
        })
    }
}

/// Instances in an answer, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances<'a> {
    left: &'a [u8],
}

/// What an answer says of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// The host's name.
    pub server_name: Option<String>,
    /// Its own name.
    pub name: Option<String>,
    /// Whether it belongs to a cluster.
    pub clustered: Option<bool>,
    /// Version of the program.
    pub version: Option<String>,
    /// Where it listens, if on TCP.
    pub port: Option<u16>,
    /// The named pipe that it listens on.
    pub pipe: Option<String>,
}

impl Instance {
    /// Whether it is the one with this name. Case does not matter.
    pub fn is_named(&self, name: &str) -> bool {
        let own = self.name.as_deref();
        own.is_some_and(|own| own.to_lowercase() == name.to_lowercase())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"ServerName" => self.server_name = Some(text(value)),
            b"InstanceName" => self.name = Some(text(value)),
            b"IsClustered" => self.clustered = yes_or_no(value),
            b"Version" => self.version = Some(text(value)),
            b"tcp" => self.port = port(value),
            b"np" => self.pipe = Some(text(value)),
            // Transports that nobody has any more: via, rpc, spx, adsp, bv.
            _ => {}
        }
    }
}

impl Iterator for Instances<'_> {
    type Item = Instance;

    /// The next one: names and values by turns, each with a semicolon after it, and one more after the
    /// last (MC-SQLR 2.2.5).
    fn next(&mut self) -> Option<Instance> {
        let mut instance = Instance::default();
        while !self.left.is_empty() {
            let (key, _) = self.part();
            if !key.is_empty() {
                // A value that is cut off is another one than was meant.
                if let (value, true) = self.part() {
                    instance.take(key, value);
                }
            } else if instance != Instance::default() {
                break;
            }
        }
        let is_one = instance.name.is_some() || instance.server_name.is_some();
        is_one.then_some(instance)
    }
}

impl<'a> Instances<'a> {
    /// What is before the next semicolon, and whether there is one.
    fn part(&mut self) -> (&'a [u8], bool) {
        let end = self.left.iter().position(|byte| *byte == b';');
        let part = &self.left[..end.unwrap_or(self.left.len())];
        self.left = self.left.get(part.len() + 1..).unwrap_or_default();
        (part, end.is_some())
    }
}

fn yes_or_no(value: &[u8]) -> Option<bool> {
    match value {
        b"Yes" => Some(true),
        b"No" => Some(false),
        _ => None,
    }
}

/// A port that somebody can listen on.
fn port(value: &[u8]) -> Option<u16> {
    let number = str::from_utf8(value).ok()?.parse().ok()?;
    (number != 0).then_some(number)
}

/// Text in a code page that nothing names: nearly always ASCII.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn malformed(at: usize, what: &'static str) -> Malformed {
    Malformed { at, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(data: &[u8]) -> Vec<u8> {
        let [low, high] = (data.len() as u16).to_le_bytes();
        [&[ANSWER, low, high], data].concat()
    }

    fn instances(datagram: &[u8]) -> Vec<Instance> {
        match Answer::decode(datagram, datagram.len()).unwrap().told {
            Told::Instances(instances) => instances.collect(),
            Told::Dac(port) => panic!("port {port}"),
        }
    }

    #[test]
    fn what_odbc_asks_of_a_server_and_what_that_answers() {
        // odbc18-lab-instance: the first two packets.
        let question = Question::decode(b"\x04sqlexpress\0").unwrap();
        assert_eq!(question.kind, Kind::Instance);
        assert_eq!(question.instance.as_deref(), Some("sqlexpress"));
        let answer = b"\x05\x58\0ServerName;LABSQL;InstanceName;SQLEXPRESS;IsClustered;No;\
            Version;16.0.4139.1;tcp;57139;;";
        let [instance] = &instances(answer)[..] else {
            panic!("one instance")
        };
        assert!(instance.is_named("sqlexpress"));
        assert_eq!(instance.server_name.as_deref(), Some("LABSQL"));
        assert_eq!(instance.clustered, Some(false));
        assert_eq!(instance.version.as_deref(), Some("16.0.4139.1"));
        assert_eq!(
            (instance.port, instance.pipe.as_deref()),
            (Some(57139), None)
        );
        assert!(!Answer::decode(answer, answer.len()).unwrap().lies);
    }

    #[test]
    fn every_question_is_told_from_the_others() {
        for (datagram, kind, instance) in [
            (&b"\x02"[..], Kind::Broadcast, None),
            (b"\x03", Kind::List, None),
            (b"\x03\0", Kind::List, None),
            (b"\x04A\0", Kind::Instance, Some("A")),
            (b"\x04A", Kind::Instance, Some("A")),
            (b"\x0F\x01A\0", Kind::Dac, Some("A")),
        ] {
            let question = Question::decode(datagram).unwrap();
            assert_eq!(question.kind, kind);
            assert_eq!(question.instance.as_deref(), instance);
        }
    }

    #[test]
    fn what_is_no_question_is_none() {
        let worm = [&[4][..], &[1; 375]].concat();
        for datagram in [
            &b""[..],
            b"\x01",
            b"\x05",
            b"\x02A",
            b"\x03\0A",
            b"\x04",
            b"\x04\0",
            b"\x04A\0B\0",
            b"\x0F",
            b"\x0F\x02A\0",
            b"\x0F\x01",
            &worm,
        ] {
            assert!(Question::decode(datagram).is_err(), "{datagram:?}");
        }
    }

    #[test]
    fn several_instances_are_told_apart() {
        let listed = answer(
            b"ServerName;S;InstanceName;A;IsClustered;Yes;Version;15.0;np;\\\\S\\pipe\\a;;\
              ServerName;S;InstanceName;B;IsClustered;No;Version;15.0;tcp;1500;np;\\\\S\\pipe\\b;;",
        );
        let all = instances(&listed);
        let said: Vec<_> = all
            .iter()
            .map(|one| (one.name.as_deref(), one.port))
            .collect();
        assert_eq!(said, [(Some("A"), None), (Some("B"), Some(1500))]);
        assert_eq!(all[0].clustered, Some(true));
        assert_eq!(all[1].pipe.as_deref(), Some("\\\\S\\pipe\\b"));
    }

    #[test]
    fn the_port_for_administrators_is_an_answer_of_its_own() {
        let datagram = [5, 6, 0, 1, 0x9A, 5];
        let expected = Answer {
            told: Told::Dac(1434),
            lies: false,
        };
        assert_eq!(Answer::decode(&datagram, 6), Ok(expected));
        let longer = [&datagram[..], &[0]].concat();
        assert!(Answer::decode(&longer, 7).unwrap().lies);
        assert!(Answer::decode(&datagram[..5], 5).is_err());
    }

    #[test]
    fn a_length_that_is_not_so_is_seen_and_what_is_there_is_read() {
        let whole = answer(b"ServerName;S;InstanceName;A;tcp;1500;;");
        let len = whole.len();
        for (said, name) in [(200, Some("A")), (29, Some("A")), (14, None)] {
            let mut lying = whole.clone();
            lying[1] = said;
            let answer = Answer::decode(&lying, len).unwrap();
            assert!(answer.lies, "{said}");
            assert_eq!(instances(&lying)[0].name.as_deref(), name, "{said}");
        }
        // A snap length does not make a liar of it.
        assert!(!Answer::decode(&whole[..20], len).unwrap().lies);
    }

    #[test]
    fn what_is_cut_in_the_middle_of_a_value_is_without_it() {
        let whole = answer(b"ServerName;S;InstanceName;A;tcp;1500;;");
        let cut = &whole[..whole.len() - 4];
        assert!(cut.ends_with(b"tcp;15"));
        let Told::Instances(mut instances) = Answer::decode(cut, whole.len()).unwrap().told else {
            panic!("instances")
        };
        let instance = instances.next().unwrap();
        assert_eq!((instance.name.as_deref(), instance.port), (Some("A"), None));
    }

    #[test]
    fn a_port_that_nobody_can_listen_on_is_none() {
        for value in ["0", "65536", "-1", "x", "", "1433 "] {
            let datagram = answer(format!("InstanceName;A;tcp;{value};;").as_bytes());
            assert_eq!(instances(&datagram)[0].port, None, "{value}");
        }
    }

    #[test]
    fn what_names_no_instance_is_no_answer() {
        for datagram in [
            &b""[..],
            b"\x05",
            b"\x05\0\0",
            b"\x04A\0",
            b"\x05\x02\0;;",
            b"\x05\x09\0tcp;1433;",
            b"HTTP/1.1 200 OK",
        ] {
            assert!(
                Answer::decode(datagram, datagram.len()).is_err(),
                "{datagram:?}"
            );
        }
    }
}
