package local

import (
	"context"

	queueprovider "cutover/internal/local/backing/queues"
	"cutover/internal/local/provider"
	"cutover/internal/model"
	"cutover/internal/queues"
)

// Messaging is how the user of this deployment asks for its topics and queues.
type Messaging struct {
	queues.Names
	// Variables are those that SDKs read: endpoints, a region and credentials.
	Variables map[string]string `json:"variables"`
}

// Messaging returns the topics and queues of what is deployed. There are none before the first deployment, and where nothing stands for
// them since no task may use them.
func (r *Runner) Messaging() Messaging {
	all := Messaging{Variables: map[string]string{}}
	for _, v := range r.access.UserVariables() {
		all.Variables[v.Name] = v.Value
	}
	if a := r.Assembly(); a != nil && all.Variables[queueprovider.SQSVariable] != "" {
		m := model.Read(a)
		for _, t := range m.Topics {
			all.Topics = append(all.Topics, provider.ARN("sns", t.Name))
		}
		for _, q := range m.Queues {
			all.Queues = append(all.Queues, q.Name)
		}
	}
	return all
}

// Messaging is that of the runner. See [Runner.Messaging].
func (c *Client) Messaging(ctx context.Context) (Messaging, error) {
	return ask[Messaging](ctx, c, "/messaging", nil)
}
