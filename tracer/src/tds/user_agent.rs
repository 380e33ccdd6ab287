//! LOGIN7's USERAGENT feature (0x10): what Microsoft's drivers say of themselves and their platform.
//!
//! MS-TDS does not describe it. ODBC 18.6 and mssql-rs send, in UTF-16,
//! `1|MS-ODBC|18.6.2.1|x86_64|Linux|Linux 6.18.44|Unknown`: the format's version, driver, its
//! version, architecture, kind of system, system, runtime. mssql-jdbc's description (microsoft/mssql-jdbc#2848)
//! has the architecture after the system, and version 2 (dotnet/SqlClient#4632) appends more.

use super::reader::utf16;

/// What a driver says of itself. What it calls unknown is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserAgent {
    /// The driver's name, such as `MS-ODBC`.
    pub driver: Option<String>,
    /// The driver's version.
    pub version: Option<String>,
    /// Processor architecture.
    pub architecture: Option<String>,
    /// Operating system, with its version where the driver knows it.
    pub os: Option<String>,
    /// What the driver runs in, such as a Java virtual machine.
    pub runtime: Option<String>,
}

impl UserAgent {
    /// Decodes the feature's data; nothing where it is in another format.
    pub(super) fn decode(data: &[u8]) -> Option<Self> {
        let text = utf16(data.get(..MAX_LEN).unwrap_or(data));
        let mut parts = text.split('|');
        let format = parts.next()?;
        if format.is_empty() || !format.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let mut next = || parts.next().and_then(known);
        let (driver, version) = (next(), next());
        let platform = [next(), next(), next()];
        let runtime = next();
        let (architecture, kind, details) = match platform {
            [Some(kind), details, architecture] if is_system(&kind) => {
                (architecture, Some(kind), details)
            }
            [architecture, kind, details] => (architecture, kind, details),
        };
        driver.is_some().then_some(Self {
            driver,
            version,
            architecture,
            os: details.or(kind),
            runtime,
        })
    }
}

fn known(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.eq_ignore_ascii_case("unknown")).then(|| text.to_owned())
}

fn is_system(kind: &str) -> bool {
    let systems = [
        "windows", "linux", "macos", "mac", "darwin", "freebsd", "android",
    ];
    systems
        .iter()
        .any(|system| kind.eq_ignore_ascii_case(system))
}

/// Drivers send at most 256 characters.
const MAX_LEN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::UserAgent;

    fn decode(text: &str) -> Option<UserAgent> {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        UserAgent::decode(&bytes)
    }

    #[test]
    fn odbc_says_its_version_and_its_platform() {
        let said = decode("1|MS-ODBC|18.6.2.1|x86_64|Linux|Linux 6.18.44|Unknown").unwrap();
        assert_eq!(said.driver.as_deref(), Some("MS-ODBC"));
        assert_eq!(said.version.as_deref(), Some("18.6.2.1"));
        assert_eq!(said.architecture.as_deref(), Some("x86_64"));
        assert_eq!(said.os.as_deref(), Some("Linux 6.18.44"));
        assert_eq!(said.runtime, None);
    }

    #[test]
    fn the_architecture_may_come_after_the_system_and_more_after_the_runtime() {
        let runtime = "OpenJDK 64-Bit Server VM 21.0.4";
        let jdbc = format!("2|MS-JDBC|13.2.0|Windows|Windows 10.0|amd64|{runtime}|0001|1");
        let said = decode(&jdbc).unwrap();
        assert_eq!(said.architecture.as_deref(), Some("amd64"));
        assert_eq!(said.os.as_deref(), Some("Windows 10.0"));
        assert_eq!(said.runtime.as_deref(), Some(runtime));
    }

    #[test]
    fn a_system_without_details_is_its_kind() {
        let said = decode("1|MS-TDS|0.3.0||Linux|Unknown").unwrap();
        assert_eq!(said.os.as_deref(), Some("Linux"));
        assert_eq!((said.architecture, said.runtime), (None, None));
    }

    #[test]
    fn what_is_in_another_format_says_nothing() {
        assert_eq!(UserAgent::decode(b"{\"driver\":\"MS-MDS\"}"), None);
        assert_eq!(UserAgent::decode(&[0; 64]), None);
        assert_eq!(UserAgent::decode(&[]), None);
        assert_eq!(decode("1|Unknown|2"), None);
    }
}
