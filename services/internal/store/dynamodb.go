package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"cutover/services/internal/account"
)

// dynamoDB keeps items in a table of Amazon DynamoDB. The table's key is pk, the list, and sk, the id. An item
// also has ver, seq, place, and if it has them body, event, and ttl, the second at which DynamoDB may delete the item.
// The table's stream has the event with the body.
//
// All reads are strongly consistent. A write of one change is a conditional PutItem or DeleteItem, a write of
// several is TransactWriteItems, which costs twice as much.
type dynamoDB struct {
	client *dynamodb.Client
	table  string
	http   *http.Client
	patience
}

// network is the transport to DynamoDB.
func network() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
		TLSHandshakeTimeout: 2 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
	}
}

// newDynamoDB returns a table's store. AWS_ENDPOINT_URL_DYNAMODB is where the table is if it is not in AWS.
func newDynamoDB(table string, getenv func(string) string, transport http.RoundTripper) (*dynamoDB, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`).MatchString(table) {
		return nil, fmt.Errorf("%q is no name of a table: take 3 to 255 of a-z, A-Z, 0-9, _, - and .", table)
	}
	signer, err := account.Of(getenv)
	if err != nil {
		return nil, err
	}
	patience, err := patienceOf(getenv)
	if err != nil {
		return nil, err
	}
	account.EmbedRoots()
	client := &http.Client{Transport: transport}
	options := dynamodb.Options{
		Region:      signer.Region,
		Credentials: signer,
		HTTPClient:  client,
		Retryer:     aws.NopRetryer{}, // the methods know which errors leave a write undone
		// The endpoint of the region, which the gateway endpoint of a VPC and the resolver of the VPC know.
		AccountIDEndpointMode: aws.AccountIDEndpointModeDisabled,
	}
	if options.BaseEndpoint, err = account.Endpoint(getenv, "AWS_ENDPOINT_URL_DYNAMODB"); err != nil {
		return nil, err
	}
	return &dynamoDB{dynamodb.New(options), table, client, patience}, nil
}

// Get implements [Store].
func (d *dynamoDB) Get(ctx context.Context, keys ...Key) ([]Item, error) {
	if err := checkKeys(keys...); err != nil {
		return nil, err
	}
	found := map[Key]Item{}
	distinct := slices.Compact(slices.SortedFunc(slices.Values(keys), compareKeys))
	for some := range slices.Chunk(distinct, 100) { // more are refused
		left := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
		for _, k := range some {
			left.Keys = append(left.Keys, k.attributes())
		}
		for len(left.Keys) > 0 {
			err := d.attempts(ctx, func(ctx context.Context) error {
				out, err := d.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{d.table: left}})
				if err != nil {
					return readError(err)
				}
				for _, attributes := range out.Responses[d.table] {
					item, err := itemOf(attributes)
					if err != nil {
						return err
					}
					found[item.Key] = item
				}
				// Some keys are left if the answer is full, all of them if the table is throttled.
				asked := len(left.Keys)
				left.Keys = out.UnprocessedKeys[d.table].Keys
				if len(left.Keys) == asked {
					return busy(errors.New("DynamoDB read none of the keys"))
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	items := make([]Item, len(keys))
	for i, k := range keys {
		items[i] = found[k]
		items[i].Key = k
	}
	return items, nil
}

// List implements [Store].
func (d *dynamoDB) List(ctx context.Context, list, after string, limit int) ([]Item, error) {
	if err := checkList(list, after); err != nil {
		return nil, err
	}
	in := &dynamodb.QueryInput{
		TableName:                 &d.table,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :list"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":list": text(list)},
	}
	if after != "" { // DynamoDB allows no empty value of a key
		in.KeyConditionExpression = aws.String("pk = :list and sk > :after")
		in.ExpressionAttributeValues[":after"] = text(after)
	}
	var items []Item
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(min(limit-len(items), 1<<20))) //nolint:gosec // at most 1<<20
		}
		var out *dynamodb.QueryOutput
		err := d.attempts(ctx, func(ctx context.Context) (err error) {
			if out, err = d.client.Query(ctx, in); err != nil {
				return readError(err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for _, attributes := range out.Items {
			item, err := itemOf(attributes)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 || limit > 0 && len(items) >= limit {
			return items, nil
		}
	}
}

// Write implements [Store]. If the answer to a transaction is lost, the transaction is sent again: by its
// token, DynamoDB does it once
// (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html). A single change
// has no token. Sent again, it would meet itself, and look like a conflict.
func (d *dynamoDB) Write(ctx context.Context, changes ...Change) error {
	if err := Check(changes); err != nil {
		return err
	}
	write, lost := d.single, false
	if len(changes) > 1 {
		write = d.transaction(rand.Text())
	}
	err := d.attempts(ctx, func(ctx context.Context) error {
		err := write(ctx, changes)
		switch {
		case err == nil, errors.As(err, new(*Conflict)):
			return err
		case refused(err):
			return busy(err)
		case unknown(err) && len(changes) > 1:
			lost = true
			return busy(err)
		}
		return err
	})
	if lost && errors.Is(err, ErrBusy) {
		return fmt.Errorf("a write may have been done: %v", err) //nolint:errorlint // the error must not say that nothing was done
	}
	return err
}

// single does one change.
func (d *dynamoDB) single(ctx context.Context, changes []Change) (err error) {
	c := changes[0]
	w := d.action(c)
	if w.Put != nil {
		_, err = d.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: w.Put.TableName, Item: w.Put.Item, ConditionExpression: w.Put.ConditionExpression,
			ExpressionAttributeNames: w.Put.ExpressionAttributeNames, ExpressionAttributeValues: w.Put.ExpressionAttributeValues,
		})
	} else {
		_, err = d.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: w.Delete.TableName, Key: w.Delete.Key, ConditionExpression: w.Delete.ConditionExpression,
			ExpressionAttributeNames: w.Delete.ExpressionAttributeNames, ExpressionAttributeValues: w.Delete.ExpressionAttributeValues,
		})
	}
	if errors.As(err, new(*types.ConditionalCheckFailedException)) {
		return &Conflict{c.Key}
	}
	return err
}

// transaction does several changes under a token.
func (d *dynamoDB) transaction(token string) func(context.Context, []Change) error {
	return func(ctx context.Context, changes []Change) error {
		in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: &token}
		for _, c := range changes {
			in.TransactItems = append(in.TransactItems, d.action(c))
		}
		_, err := d.client.TransactWriteItems(ctx, in)
		var canceled *types.TransactionCanceledException
		if errors.As(err, &canceled) {
			for i, reason := range canceled.CancellationReasons {
				if aws.ToString(reason.Code) == "ConditionalCheckFailed" && i < len(changes) {
					return &Conflict{changes[i].Key}
				}
			}
		}
		return err
	}
}

// action is a change, with the condition that the item has the expected version.
func (d *dynamoDB) action(c Change) types.TransactWriteItem {
	condition, names, values := "attribute_not_exists(pk)", map[string]string(nil), map[string]types.AttributeValue(nil)
	if c.Expected > 0 {
		condition, names, values = "#ver = :ver", map[string]string{"#ver": "ver"}, map[string]types.AttributeValue{":ver": number(c.Expected)}
	}
	if c.Remove {
		return types.TransactWriteItem{Delete: &types.Delete{
			TableName: &d.table, Key: c.Key.attributes(), ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
		}}
	}
	return types.TransactWriteItem{Put: &types.Put{
		TableName: &d.table, Item: c.written().attributes(), ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}}
}

// attempts repeats what wraps [ErrBusy]. If there was no answer, the connections that wait may be as dead as the
// one that was used: the next attempt takes a new one.
func (d *dynamoDB) attempts(ctx context.Context, attempt func(context.Context) error) error {
	return d.call(ctx, func(ctx context.Context) error {
		err := attempt(ctx)
		if err != nil && !errors.As(err, new(smithy.APIError)) {
			d.http.CloseIdleConnections()
		}
		return err
	})
}

// Close implements [Store].
func (d *dynamoDB) Close() error { d.http.CloseIdleConnections(); return nil }

// readError says of a read whether to repeat it.
func readError(err error) error {
	if refused(err) || unknown(err) {
		return busy(err)
	}
	return err
}

// refused says whether DynamoDB did not do a call, for a reason that passes.
func refused(err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	var canceled *types.TransactionCanceledException
	if errors.As(err, &canceled) {
		return slices.ContainsFunc(canceled.CancellationReasons, func(reason types.CancellationReason) bool {
			return slices.Contains([]string{"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}, aws.ToString(reason.Code))
		})
	}
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return false
	}
	_, throttled := retry.DefaultThrottleErrorCodes[answer.ErrorCode()]
	return throttled || answer.ErrorCode() == "TransactionConflictException"
}

// unknown says whether a call may have been done: the answer is that of a failing server, or there is none.
func unknown(err error) bool {
	var answer *awshttp.ResponseError
	return !errors.As(err, new(smithy.APIError)) || errors.As(err, &answer) && answer.HTTPStatusCode() >= http.StatusInternalServerError
}

func compareKeys(a, b Key) int { return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.ID, b.ID)) }

// attributes are a key's in the table.
func (k Key) attributes() map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": text(k.List), "sk": text(k.ID)}
}

// attributes are an item's in the table.
func (i Item) attributes() map[string]types.AttributeValue {
	attributes := i.Key.attributes()
	attributes["ver"], attributes["seq"], attributes["place"] = number(i.Version), number(i.Seq), text(string(i.Place))
	if i.Body != nil {
		attributes["body"] = &types.AttributeValueMemberB{Value: i.Body}
	}
	if i.Event != nil {
		attributes["event"] = &types.AttributeValueMemberB{Value: i.Event}
	}
	if !i.Expires.IsZero() {
		attributes["ttl"] = number(i.Expires.Unix())
	}
	return attributes
}

// itemOf is the item of a row in the table.
func itemOf(attributes map[string]types.AttributeValue) (item Item, err error) {
	for name, value := range attributes {
		var n int64
		switch value := value.(type) {
		case *types.AttributeValueMemberN:
			if n, err = strconv.ParseInt(value.Value, 10, 64); err != nil {
				return item, fmt.Errorf("an item of the table has %s %q", name, value.Value)
			}
			switch name {
			case "ver":
				item.Version = n
			case "seq":
				item.Seq = n
			case "ttl":
				item.Expires = time.Unix(n, 0).UTC()
			}
		case *types.AttributeValueMemberS:
			switch name {
			case "pk":
				item.List = value.Value
			case "sk":
				item.ID = value.Value
			case "place":
				item.Place = Place(value.Value)
			}
		case *types.AttributeValueMemberB:
			if name == "body" { // what the last change told is nobody's business here
				item.Body = value.Value
			}
		}
	}
	return item, nil
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
