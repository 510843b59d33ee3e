package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxPolicyCharacters is how long the inline policies of a role may be together, without white space
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
const maxPolicyCharacters = 10_240

var (
	actionFormat   = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9*?]+$`)
	resourceFormat = regexp.MustCompile(`^arn:(aws[a-z-]*|\$\{AWS::Partition\}):([a-z0-9-]+):([a-z0-9-]*|\*|\$\{AWS::Region\}):([0-9]{12}|aws|\*|\$\{AWS::AccountId\}|):(.+)$`)
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
	operatorFormat = regexp.MustCompile(`^(ForAllValues:|ForAnyValue:)?(String(Not)?(Equals(IgnoreCase)?|Like)|(Numeric|Date)((Not)?Equals|(LessThan|GreaterThan)(Equals)?)|Bool|BinaryEquals|(Not)?IpAddress|Arn(Not)?(Equals|Like))(IfExists)?$|^Null$`)
	keyFormat      = regexp.MustCompile(`^[A-Za-z0-9-]+:.+$`)
)

func checkPermissions(statements []Statement, refuse func(string, ...any)) {
	characters := 0
	for i, statement := range statements {
		at := fmt.Sprintf("Permissions[%d]", i)
		reason := strings.TrimSpace(statement.Reason) != ""
		if len(statement.Actions) == 0 || len(statement.Resources) == 0 {
			refuse("%s: it needs Actions and Resources", at)
		}
		for _, action := range statement.Actions {
			characters += len(action)
			if !actionFormat.MatchString(action) {
				refuse("%s: %q is not an action: it looks like \"dynamodb:GetItem\"", at, action)
			} else if strings.ContainsAny(action, "*?") && !reason {
				refuse("%s: the action %q has a wildcard: name the actions, or say why in Reason", at, action)
			}
		}
		for _, resource := range statement.Resources {
			characters += len(resource)
			checkPlaceholders(at, resource, refuse)
			if resource != "*" && !resourceFormat.MatchString(resource) {
				refuse("%s: %q is not an ARN: it looks like \"arn:aws:dynamodb:${AWS::Region}:${AWS::AccountId}:table/orders\"", at, resource)
			} else if strings.ContainsAny(resource, "*?") && !reason {
				refuse("%s: the resource %q has a wildcard: name the resources, or say why in Reason", at, resource)
			}
		}
		for _, operator := range slices.Sorted(maps.Keys(statement.Conditions)) {
			characters += checkCondition(at, operator, statement.Conditions[operator], refuse)
		}
	}
	if characters > maxPolicyCharacters {
		refuse("Permissions: they have %d characters: the policies of a role can have %d: list fewer, or use a wildcard with a Reason", characters, maxPolicyCharacters)
	}
}

// checkCondition returns the number of characters.
func checkCondition(at, operator string, keys map[string][]string, refuse func(string, ...any)) int {
	characters := len(operator)
	if !operatorFormat.MatchString(operator) {
		refuse("%s: %q is not an operator of conditions: it looks like \"StringEquals\"", at, operator)
	}
	if len(keys) == 0 {
		refuse("%s: %s has no keys: give it one, or remove it", at, operator)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		characters += len(key)
		if !keyFormat.MatchString(key) {
			refuse("%s: %s: %q is not a condition key: it looks like \"aws:ResourceTag/team\"", at, operator, key)
		}
		if len(keys[key]) == 0 {
			refuse("%s: %s: %s has no values: give it one, or remove it", at, operator, key)
		}
		for _, value := range keys[key] {
			characters += len(value)
			checkPlaceholders(at, value, refuse)
		}
	}
	return characters
}
