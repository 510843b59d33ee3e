package stacks_test

import (
	"slices"
	"strings"
	"testing"

	"cutover/internal/analysis/cost"
	"cutover/internal/analysis/isolation"
	"cutover/internal/model"
)

// TestControlsOfOwn: a service with every option meets the controls as the forum does.
func TestControlsOfOwn(t *testing.T) {
	a := synthOwn(t)
	meetsControls(t, a)
	m := model.Read(a)
	if len(m.FileSystems) != 1 || len(m.AccessPoints) != 2 {
		t.Errorf("there are %d file systems and %d access points to check", len(m.FileSystems), len(m.AccessPoints))
	}
}

// TestIsolationOfOwn: the document has each secret, directory, link and image, and each permission. No
// wildcard is without a reason.
func TestIsolationOfOwn(t *testing.T) {
	i := isolated(t, synthOwn(t))
	equal(t, "too wide", []string(nil), i.TooWide())
	text := isolation.Document(i, i, []string{"shop", "orders", "pages", "users"})
	for _, want := range []string{
		"| shop | the login of its registry | `arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf` |  |",
		"| orders | `PASSWORD` | `arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/orders` | `password` |",
		"| orders | `SESSION` | `arn:aws:secretsmanager:us-east-1:123456789012:secret:session-AbCdEf` |  |",
		"| orders | `LICENCE` | `arn:aws:ssm:us-east-1:123456789012:parameter/shop/licence` |  |",
		"| orders: cache | `KEY` | `arn:aws:ssm:us-east-1:123456789012:parameter/cache-key` |  |",
		"| orders | `/data` | read and write |",
		"| orders: cache | `/data` | read |",
		"| orders: cache | `/pictures` | read and write |",
		"| shop | `/pictures` | read |",
		"| that of `fsap-0123456789abcdef0` of `fs-0123456789abcdef0` | orders | `/archive` | read |",
		"| orders | orders: statsd | tcp 8126, udp 8125 |",
		"| orders | orders: cache | tcp 6379 |",
		"| orders: cache | orders: statsd | tcp 8126, udp 8125 |",
		"| orders: statsd | `123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/statsd:2.1` |",
		"| pages | `public.ecr.aws/nginx/nginx:1.29` |",
		"| orders: task | may | `dynamodb:GetItem`<br>`dynamodb:PutItem` | `arn:aws:dynamodb:us-east-1:123456789012:table/orders` |  |",
		"| orders: execution | may | `kms:Decrypt` | `arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000` |  |",
		"| `s3:GetObject` | `arn:aws:s3:::shop-pictures/*` | The pictures have the names that customers give them |",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the document lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	// An image that is built here is not from elsewhere.
	for _, image := range i.Images {
		if slices.Contains([]string{"orders", "orders: cache", "users"}, image.Container) {
			t.Errorf("%s has the image %s from elsewhere", image.Container, image.Name)
		}
	}
}

// TestCostOfOwn: all of a service with every option has a price or is free. Its sidecars take room.
func TestCostOfOwn(t *testing.T) {
	estimates, err := cost.Read(model.Read(synthOwn(t)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "environments", 1, len(estimates))
	equal(t, "without a price", []string(nil), estimates[0].Unpriced)
	for _, price := range []string{"GB in a file system and month", "GB read from a file system", "GB of backups", "10,000 reads of secrets"} {
		if !strings.Contains(strings.Join(estimates[0].Traffic, "\n"), price) {
			t.Errorf("no price by %s", price)
		}
	}
	// 128 + 32 + 64 + 64 units of 4,096, and 192 + 32 + 64 + 64 MiB of 4,096: memory is more.
	i := slices.IndexFunc(estimates[0].Services, func(s cost.Service) bool { return s.Name == "orders" })
	equal(t, "share of the instances", 352.0/4096, estimates[0].Services[i].Share)
}
