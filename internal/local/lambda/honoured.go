//go:build unix

package lambda

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs/process"
	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// forAWS are settings without an effect here, each with its one value, or "" for any.
var forAWS = map[string]string{
	"Description": "", "Tags": "", "Role": "", "KmsKeyArn": "", "SourceKMSKeyArn": "", "S3ObjectVersion": "", "LoggingConfig": "", "CodeSigningConfigArn": "",
	"RuntimeManagementConfig": "", "RuntimePolicy": "", "RecursiveLoop": "", "CodeSha256": "", "SourceAccount": "",
	// Of permissions for others than load balancers and APIs.
	"EventSourceToken": "", "FunctionUrlAuthType": "", "InvokedViaFunctionUrl": "", "PrincipalOrgID": "",
}

// listed are settings that are passed over, with the reason.
var listed = map[string]string{
	"VpcConfig":                    "the network is this machine's: a function reaches everything",
	"EphemeralStorage":             "files of a function are on the disk of this machine, without a limit",
	"TracingConfig":                "there is no X-Ray here",
	"DeadLetterConfig":             "it is for asynchronous invocations: a load balancer waits for the result",
	"ProvisionedConcurrencyConfig": "nothing starts before the first invocation here, which is a cold start",
}

// notHonoured says why for the settings that other apps are most likely to have.
var notHonoured = map[string]string{
	"ZipFile":                "code in the template is for a runtime of Lambda, which is not here: give an asset with the file bootstrap",
	"Layers":                 "layers are not unpacked here: put what is in them into the asset",
	"FileSystemConfigs":      "no file system is mounted here",
	"DurableConfig":          "an invocation is not kept here",
	"CapacityProviderConfig": "there are no managed instances here",
	"TenancyConfig":          "environments are not separated by tenants here",
	"FunctionScalingConfig":  "there are no managed instances here",
}

// Settings that are honoured with some values.
var limits = []provider.Limit[*model.Function]{
	{Property: "Runtime", Value: func(f *model.Function) string { return f.Runtime }, Values: []string{"provided.al2023", "provided.al2"},
		Why: "the runtimes of Lambda are not here: only provided.al2023 and provided.al2, for a program that speaks the Runtime API itself, run here. Start a program that does with --run FUNCTION=COMMAND"},
	{Property: "SnapStart.ApplyOn", Value: func(f *model.Function) string { return f.SnapStart }, Values: []string{"None"}, Why: "no snapshot is taken here"},
}

// Compatibility is what becomes of the settings of functions, versions, aliases and permissions.
func Compatibility() []provider.Compatibility {
	return slices.Concat(provider.Limits(limits), provider.Settings(forAWS, nil, listed, notHonoured), []provider.Compatibility{
		{Setting: "ImageUri", Here: "honoured", Why: "in a container with `--driver docker`; as a process if the image has one program and nothing else, or with a command in its place"},
	})
}

// ofCode are settings without an effect if a command runs in place of a function.
var ofCode = []string{"ZipFile", "Layers"}

// ignored are settings that are refused nowhere.
func ignored() map[string]string { return provider.Ignored(forAWS, listed) }

// Check implements [provider.Plan].
func (p *plan) Check() error {
	var errs []error
	for _, key := range p.functions.Keys() {
		errs = append(errs, p.checkFunction(p.functions[key]))
	}
	for _, key := range p.versions.Keys() {
		errs = append(errs, p.versions[key].Unsupported(ignored(), notHonoured))
	}
	for _, key := range p.aliases.Keys() {
		errs = append(errs, p.checkAlias(p.aliases[key]))
	}
	for _, key := range p.permissions.Keys() {
		one := p.permissions[key]
		if !one.ByLoadBalancers() && !one.By(model.APIGateway) {
			continue
		}
		errs = append(errs, one.Unsupported(ignored(), notHonoured))
		if one.Parts != nil {
			if _, err := p.text(one.Parts); err != nil && !errors.Is(err, provider.ErrNotYet) {
				errs = append(errs, fmt.Errorf("%v: %w", one.Errorf("SourceArn", "the value is not known"), err))
			}
		}
	}
	return assembly.Join(errs...)
}

func (p *plan) checkFunction(f *model.Function) error {
	runs := p.container(f)
	if f.Outside() {
		if runs == nil {
			return f.Errorf("Targets[0]", "the function %s is not in the assembly: give a command that speaks the Runtime API of Lambda in its place, --run %[1]s=COMMAND", f.Name)
		}
		return nil
	}
	passed := ignored()
	if p.replaced(f) != "" {
		for _, name := range ofCode {
			passed[name] = ""
		}
	}
	errs := []error{f.Unsupported(passed, notHonoured)}
	if runs == nil {
		own := len(errs)
		for _, limit := range limits {
			errs = append(errs, limit.Check(&f.Base, f))
		}
		if errors.Join(errs[own:]...) == nil {
			errs = append(errs, checkCode(f))
		}
	} else if _, err := p.options.Driver.Check(task(*runs), *runs); err != nil {
		errs = append(errs, f.Errorf("Code", "%v", err))
	}
	if f.Role == nil && f.Resource.Properties["Role"] == nil {
		errs = append(errs, f.Errorf("Role", "AWS refuses a function without a role"))
	}
	_, _, err := p.fill(f)
	if !errors.Is(err, provider.ErrNotYet) {
		errs = append(errs, err)
	}
	return assembly.Join(errs...)
}

// checkCode says why this machine cannot run the code of a function.
func checkCode(f *model.Function) error {
	code, _ := f.Resource.Properties["Code"].(map[string]any)
	switch {
	case f.Code == nil && code["S3Key"] != nil && f.Problem("Code.S3Key") == nil:
		return f.Errorf("Code.S3Key", "the object is no asset of the assembly: only code that the app has is here")
	case f.Code == nil:
		return nil // refused by its name
	case f.Code.Path == "":
		return f.Errorf("Code.S3Key", "the asset is made by the command %q, which is not run here", strings.Join(f.Code.Executable, " "))
	}
	dir := f.Code.Path
	if f.Code.Packaging == "file" {
		unpacked, err := os.MkdirTemp("", "cutover-code-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(unpacked) }()
		dir = unpacked
		code, err := open(f.Code)
		if err == nil {
			err = errors.Join(os.CopyFS(dir, code), code.Close())
		}
		if err != nil {
			return f.Errorf("Code.S3Key", "the asset cannot be unpacked: %v", err)
		}
	}
	file := filepath.Join(dir, bootstrap)
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return f.Errorf("Code.S3Key", "the asset has no file %s, which a runtime of your own runs", bootstrap)
	} else if info.Mode().Perm()&0o111 == 0 {
		return f.Errorf("Code.S3Key", "the file %s of the asset is not executable: Lambda would not run it", bootstrap)
	}
	if err := process.Executable(file, bootstrap); err != nil {
		return f.Errorf("Code.S3Key", "it cannot run as a process of this host: %v", err)
	}
	return nil
}

func (p *plan) checkAlias(a *model.FunctionAlias) error {
	errs := []error{a.Unsupported(ignored(), notHonoured)}
	check := func(property, version string) {
		if version != model.Latest && p.versions[version] == nil {
			errs = append(errs, a.Errorf(property, "%q is not honoured: only %s and versions of the assembly are known here", version, model.Latest))
		}
	}
	check("FunctionVersion", a.Version)
	for i, other := range a.Weights {
		check(fmt.Sprintf("RoutingConfig.AdditionalVersionWeights[%d].FunctionVersion", i), other.Version)
	}
	return assembly.Join(errs...)
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	list := func(b *model.Base, subject string) {
		for _, setting := range b.Settings {
			for part := range strings.SplitSeq(setting.Property, ".") {
				if why, ok := listed[part]; ok {
					all = append(all, provider.PassedOver{Place: b.Key() + "/Properties." + part, Subject: subject, Setting: part, Why: why})
				}
			}
		}
	}
	for _, key := range p.functions.Keys() {
		list(&p.functions[key].Base, p.functions[key].Name)
	}
	for _, key := range p.versions.Keys() {
		list(&p.versions[key].Base, p.versions[key].Function.Name)
	}
	for _, key := range p.aliases.Keys() {
		list(&p.aliases[key].Base, p.aliases[key].Function.Name)
	}
	return slices.Compact(all)
}
