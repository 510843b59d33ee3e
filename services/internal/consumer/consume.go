package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"cutover/services/internal/emf"
	"cutover/services/internal/events"
	"cutover/services/internal/queue"
	"cutover/services/internal/server"
)

// Taker takes events: a [Projection].
type Taker interface {
	Take(ctx context.Context, e events.Event) error
	// Oldest is how many events are parked, and since when the oldest is.
	Oldest(ctx context.Context) (n int, since time.Time, err error)
	// Clean is called now and then.
	Clean(ctx context.Context) error
}

// Consume lets a module take the events of its queue: with the command consume, if the variable QUEUE of the module names it, and as a
// function that Lambda calls with messages.
func Consume(rt *server.Router, module string, into Taker) error {
	rt.Records("aws:sqs", func(ctx context.Context, event []byte) ([]string, error) {
		log := slog.New(slog.NewJSONHandler(os.Stdout, nil)).With("service", module)
		return worker(into, nil, newMeasures(module, source(event)), log).Function(ctx, event)
	})
	name := rt.Getenv(strings.ToUpper(module) + "_QUEUE")
	if name == "" {
		return nil
	}
	q, err := queue.Open(name, rt.Getenv)
	if err != nil {
		return err
	}
	rt.Worker("consume", func(ctx context.Context, log *slog.Logger) error {
		return worker(into, q, newMeasures(module, name), log).Work(ctx)
	})
	return nil
}

// worker takes the events of a queue.
func worker(into Taker, from queue.Queue, seen *measures, log *slog.Logger) queue.Worker {
	return queue.Worker{
		Queue: from, Log: log, Place: place,
		Handle: func(ctx context.Context, m queue.Message) error {
			e, err := events.Decode(m.Body)
			if err == nil {
				err = into.Take(ctx, e)
			}
			seen.event(e, err)
			return err
		},
		Between: func(ctx context.Context) {
			if err := into.Clean(ctx); err != nil {
				log.Warn("an old generation was not removed", "error", err.Error())
			}
			seen.tell(ctx, into, log)
		},
	}
}

// place is where a message of a queue stands that keeps no order: with those of its key, by their numbers.
func place(m queue.Message) queue.Place {
	e, err := events.Decode(m.Body)
	if err != nil {
		return queue.Place{Lane: "id " + m.ID}
	}
	return queue.Place{Lane: e.Subject, Order: e.Sequence}
}

// source is the name of the queue that an event of Lambda comes from.
func source(event []byte) string {
	var in struct {
		Records []struct {
			ARN string `json:"eventSourceARN"`
		}
	}
	if err := json.Unmarshal(event, &in); err != nil || len(in.Records) == 0 {
		return ""
	}
	return in.Records[0].ARN[strings.LastIndex(in.Records[0].ARN, ":")+1:]
}

// measures are the metrics of a consumer. They are told as lines of the log from which CloudWatch takes metrics.
type measures struct {
	environment, service string

	mu     sync.Mutex
	lag    time.Duration
	poison int
	told   time.Time
}

// newMeasures reads the environment from the name of the queue, as in dev-feed.fifo.
func newMeasures(module, queue string) *measures {
	return &measures{environment: strings.TrimSuffix(strings.TrimSuffix(queue, ".fifo"), "-"+module), service: module}
}

// period is how often the metrics are told.
const period = time.Minute

func (m *measures) event(e events.Event, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil && !e.IsSnapshot():
		m.lag = max(m.lag, time.Since(e.Time))
	case err != nil && !errors.As(err, new(*Gap)) && !errors.Is(err, queue.ErrUnavailable):
		m.poison++
	}
}

func (m *measures) tell(ctx context.Context, from Taker, log *slog.Logger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.told) < period && m.poison == 0 {
		return
	}
	_, since, err := from.Oldest(ctx)
	if err != nil {
		log.Warn("the age of parked events is not known", "error", err.Error())
		return
	}
	age := 0.0
	if !since.IsZero() {
		age = time.Since(since).Seconds()
	}
	log.Info("measured", metrics(m.environment, m.service, time.Now(), age, m.lag.Seconds(), m.poison)...)
	m.lag, m.poison, m.told = 0, 0, time.Now()
}

// metrics are the attributes of a line with metrics.
func metrics(environment, service string, now time.Time, parkedAge, lag float64, poison int) []any {
	return emf.Attributes(environment, service, now, emf.Metric{Name: "ParkedAge", Unit: "Seconds", Value: parkedAge},
		emf.Metric{Name: "ProjectionLag", Unit: "Seconds", Value: lag}, emf.Metric{Name: "Poison", Unit: "Count", Value: poison})
}
