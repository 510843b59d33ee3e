package assembly

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// ExistingFile is the name of a template beside the others that describes what exists already, such as a load balancer of
// somebody else. Nobody deploys it. `cutover adopt` writes it, with the account and region in the metadata of the template, and
// the ARN of each resource in that of the resource.
const ExistingFile = "existing.template.json"

// existingStack is the name of its stack.
const existingStack = "existing"

// ExistingMetadata is the key of the metadata with the account and the region, and ARNMetadata that of a resource with its ARN.
const (
	ExistingMetadata = "cutover:existing"
	ARNMetadata      = "cutover:arn"
)

// balancing is the ARN of a part of Elastic Load Balancing.
var balancing = regexp.MustCompile(`^arn:[^:]+:elasticloadbalancing:`)

// ReadExisting reads the [ExistingFile] of a directory as an assembly that has nothing else; nil if there is no such file.
func ReadExisting(dir string) (*Assembly, error) {
	a := &Assembly{Dir: dir}
	if err := a.readExisting(); err != nil || a.Existing == nil {
		return nil, err
	}
	return a, nil
}

// Described returns the resource of Existing with an ARN; nil if there is none.
func (a *Assembly) Described(arn string) *Resource { return a.arns[arn] }

// readExisting reads the file of the assembly's directory, if it is there.
func (a *Assembly) readExisting() error {
	file := filepath.Join(a.Dir, ExistingFile)
	if info, err := os.Stat(a.Dir); err != nil || !info.IsDir() { // a template alone
		return nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	stack := &Stack{Name: existingStack, Existing: true}
	if err := stack.readTemplate(a.Dir, ExistingFile); err != nil {
		return fmt.Errorf("%s: %w: write it anew with `cutover adopt`", a.Dir, err)
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s: write it anew with `cutover adopt`", file, fmt.Sprintf(format, args...))
	}
	metadata, _ := stack.Template["Metadata"].(map[string]any)
	place, ok := metadata[ExistingMetadata].(map[string]any)
	if !ok {
		return refuse("its Metadata have no %s, which says where all this exists", ExistingMetadata)
	}
	stack.Account, _ = place["account"].(string)
	stack.Region, _ = place["region"].(string)
	a.arns = map[string]*Resource{}
	for _, r := range stack.Resources {
		arn, _ := r.Metadata[ARNMetadata].(string)
		switch other := a.arns[arn]; {
		case arn == "":
			return refuse("resource %q has no %s in its Metadata", r.LogicalID, ARNMetadata)
		case other != nil:
			return refuse("resources %q and %q have one ARN, %s", other.LogicalID, r.LogicalID, arn)
		}
		a.arns[arn] = r
	}
	for _, other := range a.Stacks {
		if other.Name == existingStack {
			return fmt.Errorf("%s: a stack is called %q, too: give it another name", file, existingStack)
		}
	}
	a.Existing = stack
	return nil
}
