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
	of := computed{Kind(s.Compute), s.nextKind()}
	if of.Compute == migration.EC2 {
		of.Compute = ""
	}
	return json.Marshal(struct {
		plain
		computed
	}{plain(s), of})
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
	kinds := map[string]Compute{migration.EC2: EC2{}, migration.Fargate: Fargate{}}
	s.Compute, s.Next = kinds[all.computed.Compute], kinds[all.computed.Next]
	if s.Compute == nil {
		s.Compute = EC2{}
	}
	return nil
}
