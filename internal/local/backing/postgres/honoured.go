package postgres

import (
	"slices"
	"strings"

	"cutover/internal/local/provider"
	"cutover/internal/model"
)

// passed are the settings of clusters that are about AWS only.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-rds-dbcluster.html
var passed = map[string]string{
	"AutoMinorVersionUpgrade": "", "AvailabilityZones": "", "BackupRetentionPeriod": "", "CopyTagsToSnapshot": "", "DBClusterParameterGroupName": "", "DBSubnetGroupName": "",
	"DeletionProtection": "", "EnableCloudwatchLogsExports": "", "EnableHttpEndpoint": "", "KmsKeyId": "", "ManageMasterUserPassword": "", "MonitoringInterval": "", "MonitoringRoleArn": "",
	"NetworkType": "", "PerformanceInsightsEnabled": "", "PreferredBackupWindow": "", "PreferredMaintenanceWindow": "", "StorageEncrypted": "", "StorageType": "",
	"Tags": "", "VpcSecurityGroupIds": "",
}

// listed are the settings of clusters that have no effect here, with the reason.
var listed = map[string]string{
	"DatabaseName":                     "a database of a service comes into being when the service first connects, and others do not",
	"MasterUserPassword":               "only AWS has the password: tasks connect with tokens of IAM",
	"ServerlessV2ScalingConfiguration": "the program has the capacity of this machine, and does not pause",
	"SnapshotIdentifier":               "there is no snapshot here: the cluster is empty at first",
	"SourceDBClusterIdentifier":        "there is no other cluster here: the cluster is empty at first",
}

// honoured are those of which something is to be said.
var honoured = []provider.Compatibility{
	{Setting: "DBClusterIdentifier", Here: "honoured"},
	{Setting: "DeletionPolicy", Here: "honoured", Why: "`cutover down --data` removes all data"},
	{Setting: "EnableIAMDatabaseAuthentication", Here: "honoured"},
	{Setting: "Engine", Here: "honoured", Why: "clusters of other engines than `aurora-postgresql` do not run"},
	{Setting: "EngineVersion", Here: "has no effect", Why: "`status` shows the version of the program"},
	{Setting: "Port", Here: "honoured", Why: "if another program has the port, a free one is chosen: `Endpoint.Port` says which"},
}

// Compatibility is what becomes of the settings of clusters on this machine.
func Compatibility() []provider.Compatibility {
	all := slices.Concat(provider.Settings(passed, nil, listed, nil), honoured)
	slices.SortFunc(all, func(a, b provider.Compatibility) int { return strings.Compare(a.Setting, b.Setting) })
	return all
}

// passedOver lists the settings of a cluster that have no effect here.
func passedOver(spec *model.DatabaseCluster) (all []provider.PassedOver) {
	for name := range spec.Resource.Properties {
		if why := listed[name]; why != "" {
			all = append(all, provider.PassedOver{Place: spec.Key() + "/Properties." + name, Subject: spec.Name, Setting: name, Why: why})
		}
	}
	slices.SortFunc(all, func(a, b provider.PassedOver) int { return strings.Compare(a.Setting, b.Setting) })
	return all
}
