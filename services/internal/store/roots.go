package store

import (
	"crypto/x509"
	_ "embed"
	"sync"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rds has the certificates of the authorities that sign those of Amazon RDS, of all regions. A test says where
// they come from.
//
//go:embed rds.pem
var rds []byte

// rdsRoots are the authorities of Amazon RDS
// (https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.SSL.html).
var rdsRoots = sync.OnceValue(func() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(rds)
	return roots
})

// embedRoots lets the program trust the public authorities if its image has no certificates, as an image from
// scratch has none. It takes milliseconds, so that only a service with a table calls it.
var embedRoots = sync.OnceFunc(func() {
	roots := x509.NewCertPool()
	for root := range bundle.Roots() {
		cert, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			continue
		}
		if root.Constraint == nil {
			roots.AddCert(cert)
		} else {
			roots.AddCertWithConstraint(cert, root.Constraint)
		}
	}
	x509.SetFallbackRoots(roots)
})
