package cost

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"cutover/internal/model"
)

// databases are instances of a cluster that cost the same, by the hour.
type databases struct {
	service string
	least   float64 // Aurora capacity units of one
}

// table leaves out the prices that a table does not have. Requests cost what a replica takes, once for each.
func (e *environment) table(v *model.Table, keys []string) ([]string, error) {
	if !v.OnDemand {
		keys = without(keys, "tableWrites", "tableReads")
		e.unpriced["table with provisioned capacity"]++
	}
	if len(v.Replicas) > 1 {
		keys = without(keys, "tableWrites")
		e.unpriced["table in several regions"]++
	}
	if !v.PointInTimeRecovery {
		keys = without(keys, "tableBackups")
	}
	return keys, v.Problem("BillingMode", "PointInTimeRecoverySpecification", "Replicas")
}

// cluster leaves out the prices that a cluster does not have. A password that RDS keeps is a secret.
func (e *environment) cluster(v *model.DatabaseCluster, service string, keys []string) ([]string, error) {
	if v.ManagedPassword {
		e.things = append(e.things, thing{"secret", 1, service, ""})
	}
	switch {
	case !strings.HasPrefix(v.Engine, "aurora"):
		e.unpriced["database cluster that is not Aurora"]++
		keys = nil
	case v.Storage != "aurora":
		e.unpriced["database cluster with storage "+v.Storage]++
		keys = without(keys, "databaseStorage", "databaseRequests")
	}
	return keys, v.Problem("Engine", "StorageType", "ManageMasterUserPassword")
}

// database notes the capacity that an instance has at least. Only serverless ones have a price.
func (e *environment) database(v *model.DatabaseInstance, service string, keys []string) ([]string, error) {
	if v.Class != "db.serverless" || v.Cluster == nil || v.Cluster.Storage != "aurora" {
		e.unpriced[strings.TrimSpace("database instance "+v.Class)]++
		return nil, v.Problem("DBInstanceClass", "DBClusterIdentifier")
	}
	e.capacity = append(e.capacity, databases{service, v.Cluster.MinCapacity})
	return keys, v.Cluster.Problem("ServerlessV2ScalingConfiguration")
}

// addDatabases adds a line for the instances of each least capacity.
func (s *sum) addDatabases(e *environment) {
	var done []float64
	for _, first := range e.capacity {
		if slices.Contains(done, first.least) {
			continue
		}
		done = append(done, first.least)
		name := fmt.Sprintf("database instance of %s ACU at least", number(first.least))
		hour, known := e.price(name, nil)
		if !known {
			hour = math.Round(first.least*prices.Traffic["databaseCapacity"].Price*1e9) / 1e9
		}
		n := 0
		for _, d := range e.capacity {
			if d.least != first.least {
				continue
			}
			n++
			if d.service != "" {
				s.service(d.service).Amount += amount(prices.Hours, hour)
			}
		}
		item := count(n, "database instance", "database instances") + strings.TrimPrefix(name, "database instance")
		s.line(name, item, each(n, hour, " an hour"), amount(n*prices.Hours, hour))
	}
}

// Request is something that a client asks of a service with a store, as far as the store is concerned.
type Request struct {
	Name string
	// Writes and Reads are the sizes of the items that the request writes and reads, in bytes, with their
	// keys and attributes. Several writes are one transaction.
	Writes, Reads []int
}

// The sizes in bytes of what a service stores beside the body of a record: the keys, the version, the
// sequence number and the place of a record; an index item; and an idempotency record.
const (
	headBytes  = 100
	indexBytes = 150
	idemBytes  = 300
)

// Requests are those of the forum. A body has this many bytes.
func Requests(body int) []Request {
	head := headBytes + body
	return []Request{
		{Name: "POST of a user", Writes: []int{head, idemBytes}},
		{Name: "POST of a post", Writes: []int{head, indexBytes, indexBytes, idemBytes}},
		{Name: "PUT", Reads: []int{head}, Writes: []int{head}},
		{Name: "DELETE of a post", Reads: []int{head}, Writes: []int{headBytes, indexBytes, indexBytes}},
		{Name: "GET of one", Reads: []int{head}},
		{Name: "GET of a list of 20", Reads: slices.Concat([]int{20 * indexBytes}, slices.Repeat([]int{head}, 20))},
	}
}

// TableUnits are the read and write request units that a request takes of a DynamoDB table. A write
// takes a unit for each KB of an item, and two in a transaction; a strongly consistent read takes one for
// each 4 KB of an item.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
func (r Request) TableUnits() (reads, writes int) {
	for _, size := range r.Reads {
		reads += above(size, 4096)
	}
	for _, size := range r.Writes {
		writes += above(size, 1024)
	}
	if len(r.Writes) > 1 {
		writes *= 2
	}
	return reads, writes
}

// StorageRequests are the writes of a request to the storage of an Aurora PostgreSQL cluster, at most:
// two log records for each row, in the table and in its index, one for the commit, and one more for each 4 KB. Aurora may write
// several small ones at once. Rows in memory are read without a request.
// https://aws.amazon.com/rds/aurora/faqs/ ("What are I/Os in Amazon Aurora and how are they calculated?")
func (r Request) StorageRequests() (writes int) {
	for _, size := range r.Writes {
		writes += storageWrites(size, 0)
	}
	if writes > 0 {
		writes++
	}
	return writes
}

// above divides, and rounds up. An empty item takes a unit.
func above(size, unit int) int { return max(1, (size+unit-1)/unit) }

// StoreTable is what a million of each request costs with each store, in Markdown, for bodies of this many bytes.
func StoreTable(body int) string {
	var b strings.Builder
	b.WriteString("| a million of | DynamoDB: units to read, to write | US$ | Aurora: writes of storage, at most | US$ |\n|---|---|---|---|---|\n")
	for _, r := range Requests(body) {
		reads, writes := r.TableUnits()
		table := float64(reads)*prices.Traffic["tableReads"].Price + float64(writes)*prices.Traffic["tableWrites"].Price
		storage := r.StorageRequests()
		fmt.Fprintf(&b, "| %s | %d, %d | %v | %d | %v |\n", r.Name, reads, writes, amount(1, table), storage, amount(storage, prices.Traffic["databaseRequests"].Price))
	}
	return b.String()
}
