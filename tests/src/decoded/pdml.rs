//! tshark, run on a capture, and its account of every packet (PDML) read.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A protocol or a field that tshark names.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// How deep it is nested: 0 for a protocol of the packet.
    pub depth: usize,
    /// Its name, such as `tds.length`.
    pub name: String,
    /// Its value, as a display filter would have it.
    pub show: String,
    /// Its value with its label, for a person.
    pub label: String,
    /// Its bytes, in hexadecimal digits.
    pub bytes: String,
}

impl Field {
    /// Its number, decimal or hexadecimal.
    pub fn number(&self) -> Option<u32> {
        match self.show.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => self.show.parse().ok(),
        }
    }
}

/// The account of each packet of a capture, in its order.
pub fn packets(capture: &Path, options: &[String]) -> Result<Vec<Vec<Field>>> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(capture);
    command.args(["-T", "pdml", "-J", "tcp tds tls smp"]);
    let output = command
        .args(options)
        .output()
        .context("cannot run tshark")?;
    ensure!(
        output.status.success(),
        "tshark on {}: {}",
        capture.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// The first number of this name.
pub fn number(fields: &[Field], name: &str) -> Option<u32> {
    let field = fields.iter().find(|field| field.name == name);
    field.and_then(Field::number)
}

/// One element a line, as tshark writes it.
fn read(pdml: &str) -> Vec<Vec<Field>> {
    let mut packets = Vec::new();
    let mut fields = Vec::new();
    let mut depth = 0;
    for line in pdml.lines().map(str::trim) {
        if line == "<packet>" {
            fields = Vec::new();
            depth = 0;
        } else if line == "</packet>" {
            packets.push(std::mem::take(&mut fields));
        } else if line.starts_with("</") {
            depth = usize::saturating_sub(depth, 1);
        } else if line.starts_with("<field ") || line.starts_with("<proto ") {
            fields.push(Field {
                depth,
                name: attribute(line, "name"),
                show: attribute(line, "show"),
                label: attribute(line, "showname"),
                bytes: attribute(line, "value"),
            });
            depth += usize::from(!line.ends_with("/>"));
        }
    }
    packets
}

fn attribute(element: &str, name: &str) -> String {
    let start = format!(" {name}=\"");
    let value = element
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once('"'));
    let escaped = value.map_or("", |(value, _)| value);
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(escaped.to_owned(), |text, (entity, character)| {
        text.replace(entity, character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_with_their_depth() {
        let packets = read(
            r#"<packet>
  <proto name="tds" showname="Tabular Data Stream" size="8" pos="66">
    <field name="tds.type" showname="Type: Response (4)" show="4" value="04"/>
    <field name="tds.status" show="0x01" value="01">
      <field name="tds.status.eom" show="1" value="1"/>
    </field>
    <field name="tds.error.servername" showname="&lt;a &amp;amp; b&gt;" show="&lt;"/>
  </proto>
</packet>
<packet>
</packet>"#,
        );
        assert_eq!(packets.len(), 2);
        let depths: Vec<_> = packets[0].iter().map(|field| field.depth).collect();
        assert_eq!(depths, [0, 1, 1, 2, 1]);
        assert_eq!(packets[0][2].number(), Some(1));
        assert_eq!(packets[0][4].label, "<a &amp; b>");
        assert!(packets[1].is_empty());
    }
}
