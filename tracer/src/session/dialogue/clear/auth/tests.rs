use super::*;

const CHALLENGE: &[u8] = b"NTLMSSP\0\x02\0\0\0";

/// Windows' offer where `NegoEx` is on: `NegoEx`, both names of Kerberos, NTLM.
const OFFER: &[u8] = b"\x60\x3e\x06\x06\x2b\x06\x01\x05\x05\x02\xa0\x34\x30\x32\xa0\x30\x30\x2e\
    \x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x1e\
    \x06\x09\x2a\x86\x48\x82\xf7\x12\x01\x02\x02\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\
    \x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a";

const SEALED: SealedAuth = SealedAuth {
    login: true,
    rounds: 0,
    token_fetch: None,
};

fn facts(evidence: &AuthEvidence) -> Auth {
    let facts = evidence.facts(Some(Encryption::Full), Outcome::Success, &SEALED, true);
    facts.unwrap()
}

#[test]
fn ntlm_after_an_offer_of_negoex_and_kerberos_falls_back_from_kerberos() {
    let mut evidence = AuthEvidence::default();
    evidence.client_token(Readings::new(OFFER, OFFER), 10, &Policy::Hide);
    assert_eq!(facts(&evidence).kind, AuthKind::Kerberos);
    evidence.server_token(Readings::new(CHALLENGE, CHALLENGE), &Policy::Hide);
    let facts = facts(&evidence);
    assert_eq!(facts.kind, AuthKind::Ntlm);
    assert_eq!(facts.fallback_from, Some(AuthKind::Kerberos));
}

#[test]
fn an_offer_of_several_mechanisms_is_none_of_them_before_the_server_has_answered() {
    let mut evidence = AuthEvidence::default();
    evidence.client_token(Readings::new(OFFER, OFFER), 10, &Policy::Hide);
    for (outcome, whole, kind) in [
        (Outcome::Success, true, AuthKind::Kerberos),
        (Outcome::Failed, true, AuthKind::Kerberos),
        (Outcome::Timeout, true, AuthKind::Spnego),
        // The server may have chosen another in what was lost.
        (Outcome::Success, false, AuthKind::Spnego),
    ] {
        let facts = evidence.facts(Some(Encryption::None), outcome, &SEALED, whole);
        assert_eq!(facts.unwrap().kind, kind, "{outcome:?}, {whole}");
    }
}

#[test]
fn what_was_not_seen_of_a_token_names_no_mechanism() {
    let mut evidence = AuthEvidence::default();
    let withheld = [0xFF; 12];
    evidence.server_token(Readings::new(CHALLENGE, &withheld), &Policy::Hide);
    assert_eq!(facts(&evidence).kind, AuthKind::Spnego);
}

#[test]
fn a_nonce_and_a_principal_name_belong_to_a_federated_login() {
    let mut evidence = AuthEvidence::default();
    evidence.nonce_exchanged();
    assert_eq!(facts(&evidence).entra, None);
    let info = FedAuthInfo {
        sts_host: None,
        spn: Some("https://database.lab.test/".to_owned()),
    };
    evidence.federated_info(&info, 10);
    let entra = facts(&evidence).entra.unwrap();
    assert_eq!(entra.nonce, Some(true));
    assert_eq!(entra.spn, Some("https://database.lab.test/".into()));
}
