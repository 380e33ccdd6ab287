//! What the kernel says of its own types (BTF, `Documentation/bpf/btf.rst`): where a structure has a field, and
//! what the values of an enumeration are called. All else in it is passed over.

const MAGIC: u16 = 0xEB9F;
/// Structures in structures that are looked into.
const DEPTH: usize = 8;

/// Kinds of types, by their numbers.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FUNCTION_TYPE: u32 = 13;
    pub(super) const VARIABLE: u32 = 14;
    pub(super) const SECTION: u32 = 15;
    pub(super) const TAG: u32 = 17;
    pub(super) const ENUM64: u32 = 19;
}

/// The kernel's types.
pub(super) struct Types<'a> {
    /// Where each begins; the first is of the number 1.
    places: Vec<usize>,
    bytes: &'a [u8],
    names: &'a [u8],
}

/// One of them.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    /// How many members it has.
    members: usize,
    /// Its members' places are not only that.
    packed: bool,
    /// Where what follows it begins.
    rest: usize,
}

impl<'a> Types<'a> {
    /// Those of the kernel that runs, as it shows them; nothing where that can not be read.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let magic = bytes.first_chunk()?;
        if u16::from_ne_bytes(*magic) != MAGIC {
            return None;
        }
        let field = |place: usize| number(bytes, place);
        let header = usize_of(field(4)?)?;
        let part = |place: usize, length: usize| {
            let from = header.checked_add(usize_of(field(place)?)?)?;
            bytes.get(from..from.checked_add(usize_of(field(length)?)?)?)
        };
        let mut types = Self {
            places: Vec::new(),
            bytes: part(8, 12)?,
            names: part(16, 20)?,
        };
        let mut at = 0;
        while at < types.bytes.len() {
            types.places.push(at);
            at = after(types.at(at)?)?;
        }
        Some(types)
    }

    fn at(&self, place: usize) -> Option<Type> {
        let info = number(self.bytes, place + 4)?;
        Some(Type {
            name: number(self.bytes, place)?,
            kind: info >> 24 & 0x1F,
            members: usize_of(info & 0xFFFF)?,
            packed: info >> 31 == 1,
            rest: place + 12,
        })
    }

    fn name(&self, place: u32) -> Option<&'a str> {
        let text = self.names.get(usize_of(place)?..)?;
        let end = text.iter().position(|byte| *byte == 0)?;
        str::from_utf8(&text[..end]).ok()
    }

    fn named(&self, name: &str, kind: u32) -> Option<Type> {
        let mut all = self.places.iter().filter_map(|place| self.at(*place));
        all.find(|one| one.kind == kind && self.name(one.name) == Some(name))
    }

    /// Where a structure has a field, in bytes from its beginning.
    pub(super) fn field(&self, structure: &str, field: &str) -> Option<u32> {
        let structure = self.named(structure, kind::STRUCT)?;
        let bits = self.within(structure, field, DEPTH)?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// Where a structure has a field, in bits: its own, or one of a structure in it that has no name.
    fn within(&self, structure: Type, field: &str, depth: usize) -> Option<u32> {
        for member in 0..structure.members {
            let place = structure.rest + 12 * member;
            let name = self.name(number(self.bytes, place)?)?;
            let offset = number(self.bytes, place + 8)?;
            let offset = if structure.packed {
                offset & 0x00FF_FFFF
            } else {
                offset
            };
            if name == field {
                return Some(offset);
            }
            // The kernel gives groups of fields a name, and none.
            if name.is_empty() && depth > 0 {
                let inner = usize_of(number(self.bytes, place + 4)?)?;
                let inner = inner
                    .checked_sub(1)
                    .and_then(|inner| self.places.get(inner));
                let inner = self.at(*inner?)?;
                let is_group = [kind::STRUCT, kind::UNION].contains(&inner.kind);
                if let Some(found) = is_group
                    .then(|| self.within(inner, field, depth - 1))
                    .flatten()
                {
                    return offset.checked_add(found);
                }
            }
        }
        None
    }

    /// The names of an enumeration's values.
    pub(super) fn values(&self, enumeration: &str) -> Vec<(u32, &'a str)> {
        let Some(one) = self.named(enumeration, kind::ENUM) else {
            return Vec::new();
        };
        let values = (0..one.members).map(|member| {
            let place = one.rest + 8 * member;
            let name = self.name(number(self.bytes, place)?)?;
            Some((number(self.bytes, place + 4)?, name))
        });
        values.flatten().collect()
    }
}

/// Where the next one begins.
fn after(one: Type) -> Option<usize> {
    let each = match one.kind {
        kind::INT | kind::VARIABLE | kind::TAG => return Some(one.rest + 4),
        kind::ARRAY => return Some(one.rest + 12),
        kind::STRUCT | kind::UNION | kind::SECTION | kind::ENUM64 => 12,
        kind::ENUM | kind::FUNCTION_TYPE => 8,
        _ => 0,
    };
    one.rest.checked_add(each * one.members)
}

fn number(bytes: &[u8], place: usize) -> Option<u32> {
    let bytes = bytes.get(place..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn usize_of(number: u32) -> Option<usize> {
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types with these names: an integer, a group without name that has a field, a structure that has the group
    /// eight bytes from its beginning, and an enumeration.
    fn some() -> Vec<u8> {
        let names = b"\0int\0outer\0inner\0why\0NO\0YES\0";
        let name = |wanted: &str| {
            let text = String::from_utf8_lossy(names);
            let place = text.find(&format!("\0{wanted}\0")).expect("a name") + 1;
            u32::try_from(place).expect("short")
        };
        let types: Vec<u32> = [
            &[name("int"), kind::INT << 24, 4, 32][..],
            &[0, kind::STRUCT << 24 | 1, 8, name("inner"), 1, 32],
            &[name("outer"), kind::STRUCT << 24 | 2, 16],
            &[name("int"), 1, 0],
            &[0, 2, 64],
            &[name("why"), kind::ENUM << 24 | 2, 4],
            &[name("NO"), 0, name("YES"), 7],
        ]
        .concat();
        let length = |bytes: usize| u32::try_from(bytes).expect("short");
        let header = [24, 0, length(4 * types.len()), length(4 * types.len())];
        let mut bytes = Vec::from(MAGIC.to_ne_bytes());
        bytes.extend([1, 0]);
        for number in header.into_iter().chain([length(names.len())]).chain(types) {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(names);
        bytes
    }

    #[test]
    fn a_field_is_found_where_it_is_also_in_a_group_without_name() {
        let bytes = some();
        let types = Types::of(&bytes).expect("types");
        assert_eq!(types.field("outer", "int"), Some(0));
        assert_eq!(types.field("outer", "inner"), Some(12));
        assert_eq!(types.field("outer", "other"), None);
        assert_eq!(types.field("why", "inner"), None);
    }

    #[test]
    fn values_have_names() {
        let bytes = some();
        let types = Types::of(&bytes).expect("types");
        assert_eq!(types.values("why"), [(0, "NO"), (7, "YES")]);
        assert_eq!(types.values("outer"), []);
    }

    #[test]
    fn what_is_cut_anywhere_is_passed_over() {
        let bytes = some();
        let look = |bytes: &[u8]| {
            if let Some(types) = Types::of(bytes) {
                types.field("outer", "inner");
                types.values("why");
            }
        };
        (0..bytes.len()).for_each(|length| look(&bytes[..length]));
        for place in 0..bytes.len() {
            let mut odd = bytes.clone();
            odd[place] = 0xFF;
            look(&odd);
        }
        assert!(Types::of(&bytes[..20]).is_none());
    }

    #[test]
    fn this_kernels_packets_are_found_where_it_tells_its_types() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            return;
        };
        let types = Types::of(&bytes).expect("the kernel's own types");
        let fields = ["head", "network_header", "protocol"];
        let places = fields.map(|field| types.field("sk_buff", field).expect(field));
        assert!(places.iter().all(|place| (1..512).contains(place)));
    }
}
