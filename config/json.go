package config

import (
	"encoding/json"

	"cutover/migration"
)

// computed is what the JSON of a service says of its compute: the kinds alone.
type computed struct {
	Compute string `json:"compute,omitempty"`
	Next    string `json:"next,omitempty"`
}

// MarshalJSON writes the fields that a migration is about.
func (s Service) MarshalJSON() ([]byte, error) {
	type plain Service
	return json.Marshal(struct {
		plain
		computed
	}{plain(s), computed{kindOf(s.Compute), kindOf(s.Next)}})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Service) UnmarshalJSON(text []byte) error {
	type plain Service
	var all struct {
		*plain
		computed
	}
	all.plain = (*plain)(s)
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	kinds := map[string]Compute{migration.EC2: EC2{}, migration.Fargate: Fargate{}, migration.Lambda: Lambda{}}
	s.Compute, s.Next = kinds[all.computed.Compute], kinds[all.computed.Next]
	return nil
}
