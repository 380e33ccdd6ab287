//! FEDAUTHINFO (MS-TDS 2.2.7.12): where a federated token is to be fetched.

use super::reader::{Reader, slice, utf16};

/// What FEDAUTHINFO says, as far as it may be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FedAuthInfo {
    /// Host of the token service's URL. The path names a tenant and is dropped.
    pub sts_host: Option<String>,
    /// The service principal name to fetch a token for: the server's, not the client's.
    pub spn: Option<String>,
}

impl FedAuthInfo {
    /// Decodes the token's value: what follows its 32-bit length.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let count = reader.u32()?;
        let mut info = Self::default();
        // Bounded by the value: each turn consumes nine bytes of it.
        for _ in 0..count {
            let (id, len, at) = (reader.u8()?, reader.u32()?, reader.u32()?);
            let data = slice(value, at as usize, len as usize);
            match id {
                STS_URL => info.sts_host = data.and_then(host),
                SPN => info.spn = data.and_then(spn),
                _ => {}
            }
        }
        Some(info)
    }
}

fn spn(name: &[u8]) -> Option<String> {
    let name = utf16(name.get(..MAX_URL).unwrap_or(name));
    (!name.is_empty()).then_some(name)
}

fn host(url: &[u8]) -> Option<String> {
    // Far more than scheme, host and port can take.
    let url = utf16(url.get(..MAX_URL).unwrap_or(url));
    let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    (!host.is_empty()).then(|| host.to_owned())
}

const STS_URL: u8 = 1;
const SPN: u8 = 2;
const MAX_URL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str, spn: &str) -> Vec<u8> {
        let url: Vec<u8> = url.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let spn: Vec<u8> = spn.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut value = 2_u32.to_le_bytes().to_vec();
        let mut at = 4 + 2 * 9;
        for (id, data) in [(STS_URL, &url), (SPN, &spn)] {
            value.push(id);
            value.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
            value.extend(u32::try_from(at).unwrap().to_le_bytes());
            at += data.len();
        }
        value.extend(url);
        value.extend(spn);
        value
    }

    #[test]
    fn only_the_host_of_the_token_service_is_kept() {
        let value = info(
            "https://login.windows.net/common-tenant-id",
            "https://database.windows.net/",
        );
        let info = FedAuthInfo::decode(&value).unwrap();
        assert_eq!(info.sts_host.as_deref(), Some("login.windows.net"));
        assert_eq!(info.spn.as_deref(), Some("https://database.windows.net/"));
        assert!(!format!("{info:?}").contains("tenant"));
    }

    #[test]
    fn data_outside_the_value_is_unknown() {
        let whole = info("https://login.windows.net/t", "spn");
        let info = FedAuthInfo::decode(&whole[..30]).unwrap();
        assert_eq!((info.sts_host, info.spn), (None, None));
    }

    #[test]
    fn a_count_larger_than_the_value_is_refused() {
        assert_eq!(FedAuthInfo::decode(&u32::MAX.to_le_bytes()), None);
    }
}
