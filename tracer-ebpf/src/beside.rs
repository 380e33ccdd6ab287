//! Services beside SQL Server and name servers that a login may wait for, by their ports.

/// Ports of services, by TCP; those of Kerberos and LDAP by UDP too.
pub mod port {
    /// Name resolution, where a datagram is too small for it.
    pub const DNS: u16 = 53;
    /// Hosts of revocation lists, and where Azure gives a machine its tokens (169.254.169.254).
    pub const HTTP: u16 = 80;
    /// Kerberos (RFC 4120).
    pub const KERBEROS: u16 = 88;
    /// The endpoint mapper of Windows' RPC, by which a domain controller is reached.
    pub const RPC: u16 = 135;
    /// LDAP (RFC 4511); of a domain controller by UDP too (MS-ADTS section 6.3.3).
    pub const LDAP: u16 = 389;
    /// Hosts of tokens.
    pub const HTTPS: u16 = 443;
    /// SMB, by which a domain controller is reached.
    pub const SMB: u16 = 445;
    /// LDAP inside TLS.
    pub const LDAPS: u16 = 636;
    /// LDAP of a whole forest.
    pub const CATALOG: u16 = 3268;
    /// The same inside TLS.
    pub const CATALOG_TLS: u16 = 3269;
    /// Where Azure Arc gives a machine its tokens, on the machine itself.
    pub const ARC: u16 = 40342;
}

/// Whether connections to a port are looked at.
#[inline(always)]
pub const fn is_service(at: u16) -> bool {
    matches!(
        at,
        port::DNS
            | port::HTTP
            | port::KERBEROS
            | port::RPC
            | port::LDAP
            | port::HTTPS
            | port::SMB
            | port::LDAPS
            | port::CATALOG
            | port::CATALOG_TLS
            | port::ARC
    )
}

/// Whether datagrams to a port are, those of [`crate::datagram::service`] aside.
#[inline(always)]
pub const fn is_datagram_service(at: u16) -> bool {
    at == port::KERBEROS || at == port::LDAP
}
