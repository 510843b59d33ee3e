package deployable

import (
	"regexp"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// tableName is what a table may be called ("Naming rules",
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
var tableName = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`)

// tableErrors: a table has a partition key, perhaps a sort key, and a type for each of them ("CreateTable",
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html).
func tableErrors(t *model.Table) error {
	var errs []error
	if name, ok := t.Resource.Properties["TableName"].(string); ok && !tableName.MatchString(name) {
		errs = append(errs, t.Errorf("TableName", "AWS refuses %q: the name of a table has 3 to 255 letters, digits, hyphens, underscores and dots", name))
	}
	if t.Problem("KeySchema", "AttributeDefinitions") != nil {
		return assembly.Join(errs...)
	}
	if n := len(t.Keys); n == 0 || n > 2 {
		errs = append(errs, t.Errorf("KeySchema", "AWS refuses %d keys: a table has a partition key, and may have a sort key", n))
	}
	for _, key := range t.Keys {
		if key.Type == "" {
			errs = append(errs, t.Errorf("KeySchema", "AWS refuses the key %q: AttributeDefinitions does not have it", key.Name))
		}
	}
	return assembly.Join(errs...)
}

// clusterErrors: a serverless instance needs the capacity of its cluster, whose most is at least 1
// ("Requirements and limitations for Aurora Serverless v2",
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.requirements.html, and
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-rds-dbcluster-serverlessv2scalingconfiguration.html).
func clusterErrors(c *model.DatabaseCluster) error {
	const property = "ServerlessV2ScalingConfiguration"
	if c.Problem(property) != nil {
		return nil
	}
	var errs []error
	switch {
	case c.Resource.Properties[property] == nil:
		for _, i := range c.Instances {
			if i.Class == "db.serverless" {
				errs = append(errs, i.Errorf("DBInstanceClass", "AWS refuses a serverless instance: %v has no %s", c.Resource, property))
			}
		}
	case c.MaxCapacity < 1:
		errs = append(errs, c.Errorf(property, "AWS refuses a MaxCapacity of %v: it is 1 or more", c.MaxCapacity))
	case c.MinCapacity > c.MaxCapacity:
		errs = append(errs, c.Errorf(property, "AWS refuses a MinCapacity of %v: it is more than MaxCapacity, %v", c.MinCapacity, c.MaxCapacity))
	}
	return assembly.Join(errs...)
}
