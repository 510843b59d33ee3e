package existing

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Compare says what is another now than it was, a line for each difference. It is empty if there is none.
func Compare(was, is *Template) (drift []string) {
	old, now := was.byARN(), is.byARN()
	all := map[string]*Resource{}
	maps.Copy(all, old)
	maps.Copy(all, now)
	arns := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return strings.Compare(all[a].order()+a, all[b].order()+b)
	})
	for _, arn := range arns {
		t, before, after := is, old[arn], now[arn]
		if after == nil {
			t = was
		}
		name := t.name(all[arn])
		switch {
		case before == nil:
			drift = append(drift, name+" is new"+t.about(after))
		case after == nil:
			drift = append(drift, name+" is gone"+t.about(before))
		case after.Type == model.ELBListenerRule && was.rule(before) != is.rule(after):
			drift = append(drift, fmt.Sprintf("%s: it was %s, and is %s", name, was.rule(before), is.rule(after)))
		default:
			for _, line := range differences(was.flat(before), is.flat(after)) {
				drift = append(drift, name+": "+line)
			}
		}
	}
	if a, b := was.Metadata[assembly.ExistingMetadata], is.Metadata[assembly.ExistingMetadata]; a != b {
		drift = append(drift, fmt.Sprintf("account: it was %s in %s, and is %s in %s", a.Account, a.Region, b.Account, b.Region))
	}
	return drift
}

func (t *Template) byARN() map[string]*Resource {
	by := map[string]*Resource{}
	for _, r := range t.Resources {
		by[r.Metadata[assembly.ARNMetadata]] = r
	}
	return by
}

// order sorts resources as requests meet them, and rules by their priority.
func (r *Resource) order() string {
	kinds := []string{model.ELBLoadBalancer, model.ELBListener, model.ELBListenerRule, model.ELBTargetGroup}
	number, _ := r.Properties["Priority"].(float64)
	return fmt.Sprintf("%d %5.0f ", slices.Index(kinds, r.Type), number)
}

// name is a resource for people: "rule 10 of HTTPS:443".
func (t *Template) name(r *Resource) string {
	switch r.Type {
	case model.ELBLoadBalancer:
		return fmt.Sprint("load balancer ", r.Properties["Name"])
	case model.ELBListener:
		return fmt.Sprintf("listener %v:%v", r.Properties["Protocol"], r.Properties["Port"])
	case model.ELBListenerRule:
		of := ""
		if listener := t.at(r.Properties["ListenerArn"]); listener != nil {
			of = fmt.Sprintf(" of %v:%v", listener.Properties["Protocol"], listener.Properties["Port"])
		}
		return fmt.Sprintf("rule %v%s", r.Properties["Priority"], of)
	}
	return fmt.Sprint("target group ", r.Properties["Name"])
}

// about is what a new or lost resource does.
func (t *Template) about(r *Resource) string {
	switch r.Type {
	case model.ELBListenerRule:
		return ": " + t.rule(r)
	case model.ELBListener:
		return ": everything else → " + doing(t.typed(nil, r.Properties["DefaultActions"]).Actions)
	}
	return ""
}

// rule is a rule for people: "/teapot → 418".
func (t *Template) rule(r *Resource) string {
	return t.typed(r.Properties["Conditions"], r.Properties["Actions"]).String()
}

// typed returns conditions and actions of the template as those of a rule, with ARNs in place of references.
func (t *Template) typed(conditions, actions any) (rule Rule) {
	text, _ := json.Marshal(map[string]any{"Conditions": conditions, "Actions": t.resolve(actions)})
	json.Unmarshal(text, &rule) // what is of another kind stays empty
	return rule
}

// at is the resource that a value refers to, or nil.
func (t *Template) at(value any) *Resource {
	reference, _ := value.(map[string]any)
	id, _ := reference["Ref"].(string)
	return t.Resources[id]
}

// resolve replaces references by ARNs.
func (t *Template) resolve(value any) any {
	switch value := value.(type) {
	case map[string]any:
		if r := t.at(value); r != nil {
			return r.Metadata[assembly.ARNMetadata]
		}
		all := map[string]any{}
		for key, one := range value {
			all[key] = t.resolve(one)
		}
		return all
	case []any:
		all := make([]any, len(value))
		for i, one := range value {
			all[i] = t.resolve(one)
		}
		return all
	}
	return value
}

// flat has the properties of a resource as texts, and each attribute as a property of its own.
func (t *Template) flat(r *Resource) map[string]string {
	flat := map[string]string{}
	for key, value := range r.Properties {
		value = t.resolve(value)
		list, _ := value.([]any)
		switch {
		case strings.HasSuffix(key, "Attributes"):
			for _, one := range list {
				if attribute, ok := one.(map[string]any); ok {
					flat[fmt.Sprint(attribute["Key"])] = fmt.Sprint(attribute["Value"])
				}
			}
		case strings.HasSuffix(key, "Actions"):
			flat[spaced(key)] = doing(t.typed(nil, r.Properties[key]).Actions)
			text, _ := json.Marshal(value)
			flat[spaced(key)+" in full"] = string(text)
		default:
			flat[spaced(key)] = show(value)
		}
	}
	return flat
}

// show is a value for people: lists have commas, and the rest is JSON.
func show(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case []any:
		var parts []string
		for _, one := range value {
			parts = append(parts, show(one))
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		if len(value) == 1 {
			for _, one := range value {
				return show(one)
			}
		}
	}
	text, _ := json.Marshal(value)
	return string(text)
}

// differences says which properties are another, without those that say the same in full.
func differences(was, is map[string]string) (lines []string) {
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		before, had := was[key]
		after, has := is[key]
		if short, full := strings.CutSuffix(key, " in full"); full && was[short] != is[short] {
			continue
		}
		switch {
		case before == after:
		case !had:
			lines = append(lines, fmt.Sprintf("%s is %s now", key, after))
		case !has:
			lines = append(lines, fmt.Sprintf("%s was %s, and is no more", key, before))
		default:
			lines = append(lines, fmt.Sprintf("%s was %s, is %s", key, before, after))
		}
	}
	return lines
}

// spaced writes the name of a property in words: "health check path".
func spaced(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// maybe are the settings that a deployment does without: it has a cluster of its own, or looks up the subnets.
var maybe = []string{"subnetIds", "clusterName", "capacityProvider", "taskSecurityGroupIds"}

// CompareSettings says which settings of a cdk.json are another in the account now.
func CompareSettings(given map[string]any, now []Setting) (drift []string) {
	for _, s := range now {
		value, ok := given[s.Key]
		switch {
		case ok && slices.Equal(slices.Sorted(slices.Values(List(value))), slices.Sorted(slices.Values(List(s.Value)))), !ok && slices.Contains(maybe, s.Key):
		case !ok:
			drift = append(drift, fmt.Sprintf("setting %s: cdk.json has none, and it is %s", s.Key, s.Value))
		default:
			drift = append(drift, fmt.Sprintf("setting %s: cdk.json has %v, and it is %s", s.Key, value, s.Value))
		}
	}
	return drift
}

// List has the values of a setting in cdk.json, which is a text with commas or a list of texts.
func List(setting any) (all []string) {
	switch setting := setting.(type) {
	case string:
		for part := range strings.SplitSeq(setting, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	case []any:
		for _, one := range setting {
			all = append(all, fmt.Sprint(one))
		}
	}
	return all
}
