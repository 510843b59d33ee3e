package cloudformation

// The resource types of IAM.
var identity = map[string]*handler{
	"AWS::IAM::Role": {
		replace: []string{"RoleName", "Path"},
		name:    "RoleName",
		limit:   64,
		create: func(c *call, p props) string {
			n := c.do("iam", "CreateRole", with(pick(p, "Description", "MaxSessionDuration", "Path", "Tags"),
				props{"RoleName": c.id, "AssumeRolePolicyDocument": text(p["AssumeRolePolicyDocument"])}))
			c.attrs = props{"Arn": n.first("Arn"), "RoleId": n.first("RoleId")}
			return c.id
		},
		update: func(c *call, _, p props) {
			c.do("iam", "UpdateAssumeRolePolicy", props{"RoleName": c.id, "PolicyDocument": text(p["AssumeRolePolicyDocument"])})
		},
		configure: rolePolicies,
		delete: func(c *call, p props) {
			rolePolicies(c, p, nil)
			c.do("iam", "DeleteRole", props{"RoleName": c.id})
		},
	},
	// The inline policy that CDK writes for the grants of a role.
	"AWS::IAM::Policy": {
		replace: []string{"PolicyName"},
		ref:     "Id",
		put: func(c *call, p props) string {
			for _, role := range items(p, "Roles") {
				c.do("iam", "PutRolePolicy", props{"RoleName": role, "PolicyName": p["PolicyName"], "PolicyDocument": text(p["PolicyDocument"])})
			}
			return str(p, "PolicyName")
		},
		configure: func(c *call, old, p props) {
			for _, role := range without(items(old, "Roles"), items(p, "Roles")) {
				c.drop("iam", "DeleteRolePolicy", props{"RoleName": role, "PolicyName": c.id})
			}
		},
		delete: func(c *call, p props) {
			for _, role := range items(p, "Roles") {
				c.drop("iam", "DeleteRolePolicy", props{"RoleName": role, "PolicyName": c.id})
			}
		},
	},
	"AWS::IAM::InstanceProfile": {
		replace: []string{"InstanceProfileName", "Path"},
		name:    "InstanceProfileName",
		limit:   128,
		create: func(c *call, p props) string {
			c.attrs["Arn"] = c.do("iam", "CreateInstanceProfile", props{"InstanceProfileName": c.id}).first("Arn")
			return c.id
		},
		configure: profileRoles,
		delete: func(c *call, p props) {
			profileRoles(c, p, nil)
			c.do("iam", "DeleteInstanceProfile", props{"InstanceProfileName": c.id})
		},
	},
}

// profileRoles changes the roles of an instance profile.
func profileRoles(c *call, old, p props) {
	for _, role := range without(items(old, "Roles"), items(p, "Roles")) {
		c.drop("iam", "RemoveRoleFromInstanceProfile", props{"InstanceProfileName": c.id, "RoleName": role})
	}
	for _, role := range without(items(p, "Roles"), items(old, "Roles")) {
		c.do("iam", "AddRoleToInstanceProfile", props{"InstanceProfileName": c.id, "RoleName": role})
	}
}

// rolePolicies changes the inline and managed policies of a role.
func rolePolicies(c *call, old, p props) {
	was, is := inlinePolicies(old), inlinePolicies(p)
	for name := range was {
		if _, ok := is[name]; !ok {
			c.drop("iam", "DeleteRolePolicy", props{"RoleName": c.id, "PolicyName": name})
		}
	}
	for name, document := range is {
		c.do("iam", "PutRolePolicy", props{"RoleName": c.id, "PolicyName": name, "PolicyDocument": document})
	}
	const managed = "ManagedPolicyArns"
	for _, arn := range without(items(old, managed), items(p, managed)) {
		c.drop("iam", "DetachRolePolicy", props{"RoleName": c.id, "PolicyArn": arn})
	}
	for _, arn := range without(items(p, managed), items(old, managed)) {
		c.do("iam", "AttachRolePolicy", props{"RoleName": c.id, "PolicyArn": arn})
	}
}

// inlinePolicies returns a role's inline policies, documents by name.
func inlinePolicies(p props) map[string]string {
	found := map[string]string{}
	for _, x := range items(p, "Policies") {
		x, _ := x.(props)
		found[str(x, "PolicyName")] = text(x["PolicyDocument"])
	}
	return found
}
