package main

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/listing"
	"cutover/internal/model"
)

// The settings that say that a listener and a monolith exist already.
const (
	listenerSetting     = "listenerArn"
	monolithTargetGroup = "monolithTargetGroupArn"
)

// checkExisting says before a synthesis for which target groups that exist already nothing stands, if the settings in cdk.json and
// in pairs KEY=VALUE name a listener. The file beside cdk.json has what the assembly will have.
func (r *runner) checkExisting(ctx context.Context, g *global, pairs []string) error {
	settings := contextOf(cdkFile)
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		settings[key] = value
	}
	if settings[listenerSetting] == nil || settings[listenerSetting] == "" {
		return nil
	}
	a, err := assembly.ReadExisting(".")
	if err != nil || a == nil { // the synthesis says what is to be done without the file
		return err
	}
	monolith, _ := settings[monolithTargetGroup].(string)
	return r.standIn(ctx, g, a, monolith)
}

// checkAssembly says for which target groups that exist already nothing stands in an assembly, before anything starts.
func (r *runner) checkAssembly(ctx context.Context, g *global, a *assembly.Assembly) error {
	list, err := existingList(a)
	if err != nil {
		return err
	}
	return r.standIn(ctx, g, a, list.Existing)
}

// existingList is the list of services beside an assembly that describes what exists already. It is empty without a list, and
// for any other assembly.
func existingList(a *assembly.Assembly) (listing.List, error) {
	if a.Existing == nil {
		return listing.List{}, nil
	}
	list, err := listing.Read(a.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return list, err
}

// standIn checks what stands for target groups that exist already: that of the monolith, by its ARN, among them.
func (r *runner) standIn(ctx context.Context, g *global, a *assembly.Assembly, monolith string) error {
	options, err := r.options(g)
	if err != nil {
		return err
	}
	standIns := options.StandIns()
	if err := standIns.Check(model.Read(a), monolith); err != nil {
		return err
	}
	return standIns.Dial(ctx)
}
