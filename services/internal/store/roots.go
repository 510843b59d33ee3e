package store

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"sync"
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

// hasRoots says whether rds has the authorities of a region. Regions are added from time to time.
func hasRoots(region string) bool {
	for rest := rds; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return false
		}
		if bytes.Contains(block.Bytes, []byte("Amazon RDS "+region+" Root CA")) { // a name in a certificate is text
			return true
		}
	}
}
