package queues

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"cutover/internal/local/provider"
)

// depth asks the program for what is in a queue, without receiving it. It is nil if the program does not tell.
func depth(ctx context.Context, url, queue string, now time.Time) *provider.Depth {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/_fauxqs/queues/"+queue, nil)
	if err != nil {
		return nil
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	type message struct{ SentTimestamp int64 }
	var of struct {
		Messages struct {
			Ready, Delayed []message
			InFlight       []struct{ Message message }
		}
	}
	if response.StatusCode != http.StatusOK || json.NewDecoder(response.Body).Decode(&of) != nil {
		return nil
	}
	d := &provider.Depth{Waiting: len(of.Messages.Ready), Delayed: len(of.Messages.Delayed), InFlight: len(of.Messages.InFlight)}
	all := append(of.Messages.Ready, of.Messages.Delayed...)
	for _, one := range of.Messages.InFlight {
		all = append(all, one.Message)
	}
	for _, one := range all {
		d.Oldest = max(d.Oldest, now.Sub(time.UnixMilli(one.SentTimestamp)))
	}
	return d
}
