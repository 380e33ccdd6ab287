#!/bin/sh
# Fills the corpora with the samples of the decoders and the captures of the tests.
set -eu
cd "$(dirname "$0")"
samples=../tracer/src/tds/samples
seed() {
    target=$1
    shift
    mkdir -p "corpus/$target"
    cp "$@" "corpus/$target/"
}
seed prelogin "$samples"/prelogin_*.bin
seed login7 "$samples"/login7_*.bin
seed token "$samples"/reply_*.bin
seed tls "$samples"/tls*.bin
seed ntlm "$samples"/ntlm_*.bin
seed spnego "$samples"/spnego_*.bin "$samples"/ntlm_*.bin
seed certificate "$samples"/certificate_*.bin
seed capture_reader ../tests/fixtures/captures/*.pcap ../tests/fixtures/sequences/*.pcap
