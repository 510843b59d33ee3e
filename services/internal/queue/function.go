package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Function handles the messages of an event that Lambda has from a queue, and returns the ids of those that stay in the queue: those that
// failed, and in a FIFO queue those of their groups behind them, so that the order is kept.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func (w Worker) Function(ctx context.Context, event []byte) (failed []string, err error) {
	var in struct {
		Records []struct {
			MessageID     string `json:"messageId"`
			ReceiptHandle string `json:"receiptHandle"`
			Body          string `json:"body"`
			ARN           string `json:"eventSourceARN"`
			Attributes    struct {
				MessageGroupID          string `json:"MessageGroupId"`
				ApproximateReceiveCount string
			} `json:"attributes"`
		}
	}
	if err := json.Unmarshal(event, &in); err != nil {
		return nil, fmt.Errorf("the event is none of a queue: %w", err)
	}
	var messages []Message
	ordered := false
	for _, r := range in.Records {
		receives, _ := strconv.Atoi(r.Attributes.ApproximateReceiveCount)
		messages = append(messages, Message{r.MessageID, r.ReceiptHandle, r.Attributes.MessageGroupID, []byte(r.Body), receives})
		ordered = ordered || strings.HasSuffix(r.ARN, ".fifo")
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, lane := range lanes(messages, ordered, w.Place) {
		all.Go(func() {
			r := drive(ctx, lane, func(ctx context.Context, m Message) error { return handle(ctx, w.Handle, m) })
			mu.Lock()
			defer mu.Unlock()
			if r.Failed != nil {
				failed = append(failed, r.Failed.ID)
				w.Log.Warn("a message was not done", "message", r.Failed.ID, "group", r.Failed.Group, "receives", r.Failed.Receives, "behind", len(r.Behind), "error", r.Err.Error())
			}
			for _, m := range r.Behind {
				failed = append(failed, m.ID)
			}
		})
	}
	all.Wait()
	if w.Between != nil {
		w.Between(ctx)
	}
	return failed, nil
}
