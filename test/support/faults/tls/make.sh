#!/bin/sh
# Made the certificates of this directory, for test/support/faults/origin.ts. They are for tests on 127.0.0.1 alone, so their
# one key is no secret; all but `expired` last 100 years.
set -eu
cd "$(dirname "$0")"
days=36500
openssl ecparam -name prime256v1 -genkey -noout -out key.pem
openssl req -x509 -new -key key.pem -subj "/CN=labelmill test authority" -days $days -out authority.pem \
  -addext "basicConstraints=critical,CA:TRUE"

# sign NAME SUBJECT-ALTERNATIVE-NAMES START END
sign() {
  openssl req -new -key key.pem -subj "/CN=labelmill test $1" -addext "subjectAltName=$2" -out request.pem
  : >index.txt
  printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nrand_serial=yes\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n' >ca.conf
  openssl ca -batch -notext -config ca.conf -cert authority.pem -keyfile key.pem -in request.pem -out "$1.pem" \
    -startdate "$3" -enddate "$4"
}
sign good "DNS:localhost,DNS:*.localhost,IP:127.0.0.1" 20200101000000Z 21190101000000Z
sign expired "DNS:localhost,DNS:*.localhost,IP:127.0.0.1" 20200101000000Z 20210101000000Z
sign other-name "DNS:other.test" 20200101000000Z 21190101000000Z
openssl req -x509 -new -key key.pem -subj "/CN=labelmill test self-signed" -days $days -out self-signed.pem \
  -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
rm -f ca.conf index.txt* request.pem serial* [0-9A-F]*[0-9A-F].pem
