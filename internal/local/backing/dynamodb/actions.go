package dynamodb

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// use is an action of IAM on a table. A table is empty for actions that are about no table.
type use struct {
	action, table string
	// below is what follows the table's name in the ARN of the resource: "/index/NAME", or "".
	below string
}

// request has the members of all requests that name tables. A table's name may be an ARN.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html
type request struct {
	TableName, IndexName, ResourceArn, Statement string
	StreamArn, ShardIterator                     string
	RequestItems                                 map[string]json.RawMessage
	TransactItems                                []map[string]request
	Statements, TransactStatements               []request
}

// transacted are the actions of IAM for the parts of a transaction.
var transacted = map[string]string{"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem", "Get": "GetItem"}

// uses lists what a request needs to be allowed, each once.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
func uses(operation string, body []byte) ([]use, *refusal) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, refuse("SerializationException", "the body is not a request: %v", err)
	}
	var all []use
	add := func(action, table, below string) {
		u := use{"dynamodb:" + action, tableOf(table), below}
		if !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	switch operation {
	case "TransactGetItems", "TransactWriteItems":
		for _, item := range r.TransactItems {
			for part, of := range item {
				if action, ok := transacted[part]; ok {
					add(action, of.TableName, "")
				}
			}
		}
	case "BatchGetItem", "BatchWriteItem":
		for table := range r.RequestItems {
			add(operation, table, "")
		}
	case "ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction":
		for _, s := range slices.Concat([]request{r}, r.Statements, r.TransactStatements) {
			if s.Statement != "" {
				add(partiQL(s.Statement))
			}
		}
	case "DescribeStream", "GetShardIterator", "GetRecords":
		arn := r.StreamArn
		for part := range strings.SplitSeq(r.ShardIterator, "|") {
			if strings.HasPrefix(part, "arn:") {
				arn = part
			}
		}
		_, stream, _ := strings.Cut(arn, "/stream/")
		add(operation, arn, "/stream/"+stream)
	default:
		below := ""
		if r.IndexName != "" {
			below = "/index/" + r.IndexName
		}
		add(operation, r.TableName+r.ResourceArn, below)
	}
	if len(all) == 0 {
		return nil, refuse("ValidationException", "the request names no table")
	}
	return all, nil
}

// tableOf is the name of a table, which may be given as an ARN.
func tableOf(name string) string {
	if _, rest, ok := strings.Cut(name, ":table/"); ok {
		name, _, _ = strings.Cut(rest, "/")
	}
	return name
}

var statement = regexp.MustCompile(`(?is)^\s*(SELECT|INSERT|UPDATE|DELETE)\b(?:.*?\b(?:FROM|INTO))?\s+"?([\w.-]+)"?(?:\."([\w.-]+)")?`)

// partiQL is the action of a statement, its table and its index.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
func partiQL(text string) (action, table, below string) {
	match := statement.FindStringSubmatch(text)
	if match == nil {
		return "PartiQLSelect", "", ""
	}
	verb := strings.ToUpper(match[1])
	if match[3] != "" {
		below = "/index/" + match[3]
	}
	return "PartiQL" + verb[:1] + strings.ToLower(verb[1:]), match[2], below
}
