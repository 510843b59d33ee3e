package broker

import (
	"maps"
	"slices"
	"strings"

	"cutover/internal/local/provider"
)

// passed are the settings of brokers that are about AWS only, or about brokers of ActiveMQ, with the only value or "" for any.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-amazonmq-broker.html
var passed = map[string]string{
	"AuthenticationStrategy": "SIMPLE", "AutoMinorVersionUpgrade": "", "ConsoleAccess": "", "DataReplicationMode": "NONE", "EncryptionOptions": "", "Groups": "", "HostInstanceType": "",
	"MaintenanceWindowStartTime": "", "PubliclyAccessible": "", "SecurityGroups": "", "StorageType": "", "SubnetIds": "", "Tags": "",
}

// listed are the settings of brokers that have no effect here, with the reason.
var listed = map[string]string{
	"Configuration":  "the program has a configuration of its own",
	"DeploymentMode": "one program stands for all nodes",
	"EngineVersion":  "the program has a version of its own, and a change of the version changes nothing: `status` shows it",
	"Logs":           "there is no CloudWatch Logs here: the program's log is in the directory of its data",
}

// refused says why for the settings that are not honoured.
var refused = map[string]string{
	"AuthenticationStrategy": "clients log in here with the user of the template alone",
	"DataReplicationMode":    "there is no other broker here",
	"LdapServerMetadata":     "clients log in here with the user of the template alone",
}

// honoured are those of which something is to be said.
var honoured = []provider.Compatibility{
	{Setting: "BrokerName", Here: "honoured", Why: "a change replaces the broker by an empty one at another address, as on AWS, and so does one of `DeploymentMode`, `SubnetIds` and the others that replace it there. Tasks that run keep the address before"},
	{Setting: "DeletionPolicy", Here: "honoured", Why: "`cutover down --data` removes all data"},
	{Setting: "EngineType", Here: "only `RABBITMQ`", Why: "ActiveMQ does not run here"},
	{Setting: "Users", Here: "honoured", Why: "the user of the beginning, with the password that the secret had then. Dynamic references to secrets of the assembly are resolved"},
}

// Compatibility is what becomes of the settings of brokers on this machine.
func Compatibility() []provider.Compatibility {
	all := slices.Concat(provider.Settings(passed, nil, listed, refused), honoured)
	slices.SortFunc(all, func(a, b provider.Compatibility) int { return strings.Compare(a.Setting, b.Setting) })
	return all
}

// PassedOver implements [provider.Reporter].
func (p *plan) PassedOver() (all []provider.PassedOver) {
	for _, key := range p.wanted.Keys() {
		b := p.wanted[key]
		for _, name := range slices.Sorted(maps.Keys(b.Resource.Properties)) {
			if why := listed[name]; why != "" && (name != "DeploymentMode" || b.Mode != "SINGLE_INSTANCE") {
				all = append(all, provider.PassedOver{Place: key + "/Properties." + name, Subject: b.Name, Setting: name, Why: why})
			}
		}
	}
	return all
}
