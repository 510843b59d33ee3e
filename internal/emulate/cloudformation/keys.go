package cloudformation

import (
	"slices"
	"strings"
)

// The resource types of KMS.
var keys = map[string]*handler{
	"AWS::KMS::Key": {
		ref: "KeyId",
		create: func(c *call, p props) string {
			checkKey(c, p)
			n := c.do("kms", "CreateKey", with(pick(p, "Description", "KeySpec", "KeyUsage", "MultiRegion"), props{"Policy": document(p["KeyPolicy"]), "Tags": keyTags(items(p, "Tags"))}))
			c.attrs["Arn"] = n.first("Arn")
			return n.first("KeyId")
		},
		update: func(c *call, old, p props) {
			checkKey(c, p)
			if differ(old, p, "KeyPolicy") {
				c.do("kms", "PutKeyPolicy", props{"KeyId": c.id, "PolicyName": "default", "Policy": document(p["KeyPolicy"])})
			}
			if differ(old, p, "Description") {
				c.do("kms", "UpdateKeyDescription", props{"KeyId": c.id, "Description": str(p, "Description")})
			}
			gone, now := tagChanges(old, p)
			if len(gone) > 0 {
				c.do("kms", "UntagResource", props{"KeyId": c.id, "TagKeys": gone})
			}
			if len(now) > 0 {
				c.do("kms", "TagResource", props{"KeyId": c.id, "Tags": keyTags(now)})
			}
		},
		configure: func(c *call, old, p props) {
			for property, actions := range map[string][2]string{"EnableKeyRotation": {"EnableKeyRotation", "DisableKeyRotation"}, "Enabled": {"EnableKey", "DisableKey"}} {
				if !differ(old, p, property) {
					continue
				}
				action := actions[0]
				if !truth(withFallback(p, property, property == "Enabled")) {
					action = actions[1]
				}
				c.do("kms", action, props{"KeyId": c.id})
			}
		},
		// A key is deleted after a time, and cannot be used until then.
		delete: func(c *call, p props) {
			c.drop("kms", "ScheduleKeyDeletion", props{"KeyId": c.id, "PendingWindowInDays": number(withFallback(p, "PendingWindowInDays", 30))})
		},
	},
	"AWS::KMS::Alias": {
		name: "AliasName",
		create: func(c *call, p props) string {
			c.do("kms", "CreateAlias", props{"AliasName": c.id, "TargetKeyId": keyID(p)})
			return c.id
		},
		update: func(c *call, _, p props) {
			c.do("kms", "UpdateAlias", props{"AliasName": c.id, "TargetKeyId": keyID(p)})
		},
		delete: deleted("kms", "DeleteAlias", "AliasName"),
	},
}

// keyID is the id of the key that an alias is for. moto does not take its ARN.
func keyID(p props) string {
	target := str(p, "TargetKeyId")
	return target[strings.LastIndex(target, "/")+1:]
}

// keyTags are tags as KMS's API has them.
func keyTags(tags []any) []any {
	out := []any{}
	for _, tag := range tags {
		tag, _ := tag.(props)
		out = append(out, props{"TagKey": tag["Key"], "TagValue": tag["Value"]})
	}
	return out
}

// checkKey refuses what KMS does.
func checkKey(c *call, p props) {
	c.only(p, "Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "KeySpec", "KeyUsage", "MultiRegion", "PendingWindowInDays", "Tags")
	checkPrincipals(c, p["KeyPolicy"])
	// https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html#KMS-CreateKey-request-Policy
	root := "arn:aws:iam::" + c.account + ":root"
	if p["KeyPolicy"] != nil && !slices.ContainsFunc(statementsOf(p["KeyPolicy"]), func(s props) bool {
		principal, _ := s["Principal"].(props)
		return str(s, "Effect") == "Allow" && slices.Contains(list(principal["AWS"]), any(root)) &&
			slices.ContainsFunc(list(s["Action"]), func(a any) bool { return slices.Contains([]any{"*", "kms:*", "kms:Put*", "kms:PutKeyPolicy"}, a) })
	}) {
		c.refuse("MalformedPolicyDocument", "The new key policy will not allow you to update the key policy in the future.")
	}
}
