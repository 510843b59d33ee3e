package storetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/jackc/pgx/v5"

	"cutover/internal/local/backing/programs/programstest"
	"cutover/services/internal/store"
)

// busyMachine is how long an attempt may take in tests.
const busyMachine = "1m"

// DynamoDB starts DynamoDB Local with a table for each module, until the test ends. The variables open their
// stores.
func DynamoDB(t testing.TB, modules ...string) (getenv func(string) string) {
	t.Helper()
	variables := map[string]string{
		"STORE_TIMEOUT": busyMachine,
		"AWS_REGION":    "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_ENDPOINT_URL_DYNAMODB": programstest.DynamoDB(t).URL,
	}
	client := dynamodb.New(dynamodb.Options{
		Region: variables["AWS_REGION"], BaseEndpoint: aws.String(variables["AWS_ENDPOINT_URL_DYNAMODB"]),
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""), HTTPClient: http.DefaultClient,
	})
	for _, module := range modules {
		table := "test-" + module
		variables[prefix(module)+"_TABLE"] = table
		_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: &table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
				{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			},
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) string { return variables[name] }
}

// PostgreSQL starts PostgreSQL with a database for each module, until the test ends. The variables open their
// stores.
func PostgreSQL(t testing.TB, modules ...string) (getenv func(string) string) {
	t.Helper()
	url := programstest.PostgreSQL(t).URL + "?sslmode=disable"
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	variables := map[string]string{"STORE_TIMEOUT": busyMachine}
	for _, module := range modules {
		database := strings.ReplaceAll(module, "-", "_")
		if _, err := conn.Exec(t.Context(), "create database "+pgx.Identifier{database}.Sanitize()); err != nil {
			t.Fatal(err)
		}
		variables[prefix(module)+"_DATABASE_URL"] = strings.Replace(url, "/postgres?", fmt.Sprintf("/%s?", database), 1)
	}
	return func(name string) string { return variables[name] }
}

// Open opens a module's store until the test ends.
func Open(t testing.TB, module string, getenv func(string) string) store.Store {
	t.Helper()
	s, err := store.Open(module, getenv)
	if err != nil || s == nil {
		t.Fatal(s, err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func prefix(module string) string { return strings.ToUpper(strings.ReplaceAll(module, "-", "_")) }
