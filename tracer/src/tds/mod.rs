//! What the bytes of a login mean: pure decoders of MS-TDS, LOGIN7, tokens, TLS, SSPI and SMP.
