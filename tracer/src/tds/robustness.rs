//! No decoder panics: on arbitrary bytes, and on real messages cut and altered anywhere.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    browser::{Answer, Question, Told},
    certificate::Certificate,
    login7::Login7,
    ntlm::Ntlm,
    pre7::Pre7Login,
    prelogin::Prelogin,
    smp::Smp,
    spnego::Spnego,
    tls::{Fingerprints, TlsSide},
    token::Tokens,
};

const SAMPLES: &[&[u8]] = &[
    b"\x04SQLEXPRESS\0",
    b"\x05\x6A\0ServerName;S;InstanceName;A;IsClustered;No;Version;15.0;np;\\\\S\\pipe\\a;;\
      ServerName;S;InstanceName;B;tcp;1500;;",
    include_bytes!("samples/prelogin_odbc18_client.bin"),
    include_bytes!("samples/prelogin_opencanary_server.bin"),
    include_bytes!("samples/login7_odbc18_kerberos.bin"),
    include_bytes!("samples/login7_mssqltds_fedauth.bin"),
    include_bytes!("samples/reply_login.bin"),
    include_bytes!("samples/reply_routing.bin"),
    include_bytes!("samples/reply_opencanary.bin"),
    include_bytes!("samples/ntlm_authenticate_freetds.bin"),
    include_bytes!("samples/spnego_kerberos_odbc18.bin"),
    include_bytes!("samples/tls12_client_1.bin"),
    include_bytes!("samples/tls12_server_1.bin"),
    include_bytes!("samples/tls13_server.bin"),
    include_bytes!("samples/certificate_ec_self_signed.bin"),
];

/// Every decoder over the same bytes, whatever they were meant to be.
fn decode_all(bytes: &[u8]) {
    let _ = Prelogin::decode(bytes);
    if let Ok(Login7 {
        sspi: Some(sspi), ..
    }) = Login7::decode(bytes)
    {
        assert!(sspi.end <= bytes.len());
    }
    let _ = Pre7Login::decode(bytes);
    let _ = Question::decode(bytes);
    if let Ok(Answer {
        told: Told::Instances(instances),
        ..
    }) = Answer::decode(bytes, bytes.len())
    {
        assert!(instances.count() <= bytes.len());
    }
    let _ = Smp::decode(bytes);
    let _ = Ntlm::decode(bytes);
    if let Ok(Spnego {
        token: Some(token), ..
    }) = Spnego::decode(bytes)
    {
        assert!(token.end <= bytes.len());
    }
    let _ = Certificate::decode(bytes);
    assert!(Tokens::new(bytes, None).count() <= bytes.len() + 1);
    let mut side = TlsSide::default();
    side.extend(bytes, &mut Fingerprints::default());
    side.gap();
}

proptest! {
    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(bytes in vec(any::<u8>(), 0..512)) {
        decode_all(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_a_message_cut_and_altered(
        sample in any::<Index>(),
        cut in any::<Index>(),
        changes in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        let sample = sample.get(SAMPLES);
        let mut bytes = sample[..=cut.index(sample.len())].to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        decode_all(&bytes);
    }
}
