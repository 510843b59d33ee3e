package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"cutover/internal/build"
	"cutover/internal/local/backing/programs"
)

const (
	// storeReads and storeWrites are the requests of a round. DynamoDB Local does some hundred writes a second.
	storeReads, storeWrites = 2000, 500
	// writers is the number of connections that write.
	writers = 8
	// storeWarmup is the number of requests of each kind after which Node.js has compiled its hot code.
	storeWarmup = 1000
	// newUser is what a write creates.
	newUser = `{"username":"bench","name":"Bench Mark","bio":"Writes what is measured, and measures what is written."}`
)

// storeKinds are the stores, as the setting names them.
var storeKinds = []string{"file", "dynamodb", "postgres"}

// stores compares the service users with the same in Express, by store.
func (b *bench) stores(out io.Writer) (err error) {
	fmt.Println("Starting the databases, and loading a service with each store")
	databases, stop, err := b.databases()
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	subjects, err := b.storeSubjects(databases)
	if err != nil {
		return err
	}
	placed, release, err := b.oneCore(subjects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	addresses, err := freeAddresses(len(subjects))
	if err != nil {
		return err
	}
	stopServers, err := b.startAll(subjects, addresses)
	defer func() { err = errors.Join(err, stopServers()) }()
	if err != nil {
		return err
	}
	r, err := b.loadStores(subjects)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The service users, %s, the databases beside it. %d rounds of %d reads of a record\n"+
		"over %d connections, of %d new records over %d, and of a start:\n\n", placed, b.rounds, storeReads, connections, storeWrites, writers)
	if err := r.compare(b.ctx, out, b.work, "server", "service", "express"); err != nil {
		return err
	}
	return b.upWithStores(out)
}

// databases starts DynamoDB Local with tables for users and the feed, and PostgreSQL. The environments of a service are by store.
// Call stop even after an error.
func (b *bench) databases() (environments map[string][]string, stop func() error, err error) {
	var started []*programs.Program
	stop = func() (err error) {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		for _, p := range started {
			err = errors.Join(err, p.Stop(ctx))
		}
		return errors.Join(err, programs.Remove(filepath.Join(b.work, "postgres")))
	}
	table, err := programs.StartDynamoDB(b.ctx, filepath.Join(b.work, "dynamodb"))
	if err != nil {
		return nil, stop, err
	}
	started = append(started, table)
	database, err := programs.StartPostgreSQL(b.ctx, filepath.Join(b.work, "postgres"))
	if err != nil {
		return nil, stop, err
	}
	started = append(started, database)
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: &table.URL, Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("bench", "bench", ""),
	})
	for _, name := range []string{"bench-users", "bench-feed"} {
		_, one := client.CreateTable(b.ctx, &dynamodb.CreateTableInput{
			TableName: &name, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
			},
		})
		err = errors.Join(err, one)
	}
	return map[string][]string{
		"file": nil,
		"dynamodb": {
			"USERS_TABLE=bench-users", "FEED_TABLE=bench-feed", "AWS_ENDPOINT_URL_DYNAMODB=" + table.URL, "AWS_REGION=eu-central-1",
			"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench",
		},
		"postgres": {"USERS_DATABASE_URL=" + database.URL + "?sslmode=disable"},
	}, stop, err
}

// storeSubjects returns the service and its peer for each store, with the first records in it.
func (b *bench) storeSubjects(environments map[string][]string) (subjects []*subject, err error) {
	node, err := pinnedNode()
	if err != nil {
		return nil, err
	}
	express := filepath.Join("bench", "peer", "express")
	if _, err := os.Stat(filepath.Join(express, "node_modules", "express")); errors.Is(err, fs.ErrNotExist) {
		if err := b.command("npm", "ci", "--prefix", express); err != nil {
			return nil, err
		}
	}
	var image float64
	for _, dir := range []string{node, express} {
		bytes, err := size(dir)
		if err != nil {
			return nil, err
		}
		image += bytes
	}
	built, err := b.programs(build.Service{Name: "users", Dir: "services/users"})
	if err != nil {
		return nil, err
	}
	service := built[0]
	for _, kind := range storeKinds {
		// Whom the service asks before it deletes a user: nobody deletes one here.
		environment := append(environments[kind], "STORE_TIMEOUT=1m", "GOMAXPROCS=1", "NODE_ENV=production", "THREADS_URL=http://127.0.0.1:1", "POSTS_URL=http://127.0.0.1:1")
		if kind != "file" {
			seed := exec.CommandContext(b.ctx, service.command("")[0], "seed")
			seed.Env = append(os.Environ(), environment...)
			if output, err := seed.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("users seed in %s: %w\n%s", kind, err, output)
			}
		}
		subjects = append(subjects,
			&subject{name: kind + "-service", env: environment, image: service.image, command: service.command},
			&subject{name: kind + "-express", env: environment, image: image, command: func(string) []string { return []string{node, filepath.Join(express, "app.js")} }})
	}
	return subjects, nil
}

// loadStores loads the servers in turns. The first round compiles hot code.
func (b *bench) loadStores(subjects []*subject) (*results, error) {
	r := &results{}
	return r, turns(b, b.rounds+1, subjects, func(round int, s *subject) error {
		store, program, _ := strings.Cut(s.name, "-")
		name := "store=" + store + "/server=" + program
		reads, writes := int64(storeReads), int64(storeWrites)
		if round == 0 && b.rounds >= comparable {
			reads, writes = storeWarmup, storeWarmup
		}
		loads := map[string]func() error{"read": func() error { _, err := s.server.client.closedLoop(b.ctx, reads); return err }}
		if store != "file" {
			loads["write"] = func() error { return s.server.client.create(b.ctx, writes) }
		}
		for _, kind := range []string{"read", "write"} {
			load, requests := loads[kind], map[string]int64{"read": reads, "write": writes}[kind]
			if load == nil {
				continue
			}
			pid := s.server.process.Process.Pid
			before, err := processorTime(pid, true)
			if err != nil {
				return err
			}
			if err := load(); err != nil {
				return err
			}
			after, err := processorTime(pid, true)
			if err != nil {
				return err
			}
			if round > 0 {
				r.add("Stores/do="+kind+"/"+name, figure{float64(requests) / (after - before).Seconds(), "req/cpu-sec"})
			}
		}
		if round == 0 {
			return nil
		}
		loaded, err := resident(s.server.process.Process.Pid)
		if err != nil {
			return err
		}
		again, err := b.startAgain(s)
		r.add("Stores/"+name, append([]figure{{loaded, "loaded-B"}}, again...)...)
		return err
	})
}

// create sends requests that create a record, over few connections: many would wait for DynamoDB Local.
func (c *client) create(ctx context.Context, requests int64) error {
	var claimed atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for claimed.Add(1) <= requests {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/api/users", strings.NewReader(newUser))
				if err != nil {
					return err
				}
				request.Header.Set("Content-Type", "application/json")
				response, err := c.http.Do(request)
				if err != nil {
					return err
				}
				text, err := io.ReadAll(response.Body)
				if err := errors.Join(err, response.Body.Close()); err != nil {
					return err
				}
				if response.StatusCode != http.StatusCreated {
					return fmt.Errorf("POST /api/users: %s: %s, want 201", response.Status, text)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// upWithStores measures how long the forum takes until it is up with each store, once as nothing is there, and
// once as its data are.
func (b *bench) upWithStores(out io.Writer) error {
	fmt.Println("Bringing the forum up with each store")
	tool, err := b.compile("./cmd/cutover")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nTime until cutover up has the forum ready, in s:\n\n%-10s%8s%8s\n", "store", "first", "again")
	kinds := storeKinds
	if b.rounds < comparable {
		kinds = kinds[2:] // it can be measured
	}
	for _, kind := range kinds {
		assembly, state := filepath.Join(b.work, "up-"+kind), filepath.Join(b.work, "state-"+kind)
		if err := b.command("npx", "cdk", "synth", "--quiet", "--output", assembly, "-c", "store="+kind); err != nil {
			return err
		}
		var took [2]float64
		for i := range took {
			addresses, err := freeAddresses(1)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := b.command(tool, "up", "--detach", "--app", assembly, "--state", state, "--port", "80="+portOf(addresses[0])); err != nil {
				return err
			}
			took[i] = time.Since(began).Seconds()
			down := []string{"down", "--state", state}
			if i > 0 && kind != "file" {
				down = append(down, "--data")
			}
			if err := b.command(tool, down...); err != nil {
				return err
			}
		}
		fmt.Fprintf(out, "%-10s%8.1f%8.1f\n", kind, took[0], took[1])
	}
	return nil
}
