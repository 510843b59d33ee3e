package cost

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A task on Fargate costs its vCPU, its memory and its storage above 20 GB, by the hour. A service pays
// for its own tasks. No instance is shared.
func TestFargate(t *testing.T) {
	definition := func(properties string) string {
		return `"Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {` + properties + `"ContainerDefinitions": [{"Name": "web", "Memory": 300}]}}`
	}
	service := func(name string, count int, properties string) string {
		return fmt.Sprintf(`"%s": {"Type": "AWS::ECS::Service", "Properties": {"DesiredCount": %d, "TaskDefinition": {"Ref": "Task"}, "Cluster": {"Ref": "Cluster"}, %s}}`, name, count, properties)
	}
	const least, launch = `"Cpu": "256", "Memory": "512", `, `"LaunchType": "FARGATE"`
	strategy := func(items string) string { return `"CapacityProviderStrategy": [` + items + `]` }
	const onDemand, spot, both = `{"CapacityProvider": "FARGATE", "Weight": 1}`, `{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}`, `{"CapacityProvider": "FARGATE", "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 1}`
	line := func(item, price, amount string) string { return item + ": " + price + ": " + amount + "\n" }
	one := func(item, price, amount string) string {
		return "\n" + line(item, price, amount) + fmt.Sprintf("= %s\nA: %s tasks, 0.0000, %s\nshared: 0 tasks, 1.0000, 0.00\n", amount, item[:1], amount)
	}
	for _, test := range []struct {
		name, resources, want string
		own                   Prices
	}{
		{"the least", definition(least) + "," + service("A", 1, launch),
			one("1 Fargate task of 0.25 vCPU, 0.5 GB", "0.0123425 an hour", "9.01"), nil},
		{"by a provider", definition(least) + "," + service("A", 2, strategy(onDemand)),
			one("2 Fargate tasks of 0.25 vCPU, 0.5 GB", "2 × 0.0123425 an hour", "18.02"), nil},
		{"ARM", definition(least+`"RuntimePlatform": {"CpuArchitecture": "ARM64"}, `) + "," + service("A", 1, launch),
			one("1 Fargate task of 0.25 vCPU, 0.5 GB, ARM", "0.009875 an hour", "7.21"), nil},
		{"a large one in words", definition(`"Cpu": "4 vCPU", "Memory": "8 GB", `) + "," + service("A", 1, launch),
			one("1 Fargate task of 4 vCPU, 8 GB", "0.19748 an hour", "144.16"), nil},
		{"storage that costs nothing", definition(least+`"EphemeralStorage": {"SizeInGiB": 20}, `) + "," + service("A", 1, launch),
			one("1 Fargate task of 0.25 vCPU, 0.5 GB", "0.0123425 an hour", "9.01"), nil},
		{"storage", definition(least+`"EphemeralStorage": {"SizeInGiB": 30}, `) + "," + service("A", 1, launch),
			one("1 Fargate task of 0.25 vCPU, 0.5 GB, 30 GB of storage", "0.0134525 an hour", "9.82"), nil},
		{"Spot", definition(least) + "," + service("A", 2, strategy(spot)),
			one("2 Fargate Spot tasks of 0.25 vCPU, 0.5 GB", "2 × 0.00370275 an hour, if Spot takes off 70 %", "5.41"), nil},
		{"Spot with storage, which has one price", definition(least+`"EphemeralStorage": {"SizeInGiB": 30}, `) + "," + service("A", 1, strategy(spot)),
			one("1 Fargate Spot task of 0.25 vCPU, 0.5 GB, 30 GB of storage", "0.00481275 an hour, if Spot takes off 70 %", "3.51"), nil},
		{"a price of one's own", definition(least) + "," + service("A", 2, strategy(spot)),
			one("2 Fargate Spot tasks of 0.25 vCPU, 0.5 GB", "2 × 0.005 an hour", "7.30"), Prices{"Fargate Spot task of 0.25 vCPU, 0.5 GB": 0.005}},
		{"half on Spot, the odd one is not", definition(least) + "," + service("A", 3, strategy(both)),
			"\n" + line("2 Fargate tasks of 0.25 vCPU, 0.5 GB", "2 × 0.0123425 an hour", "18.02") +
				line("1 Fargate Spot task of 0.25 vCPU, 0.5 GB", "0.00370275 an hour, if Spot takes off 70 %", "2.70") +
				"= 20.72\nA: 3 tasks, 0.0000, 20.72\nshared: 0 tasks, 1.0000, 0.00\n", nil},
		{"the first ones are not on Spot", definition(least) + "," + service("A", 5, strategy(`{"CapacityProvider": "FARGATE_SPOT", "Weight": 3}, {"CapacityProvider": "FARGATE", "Base": 1, "Weight": 1}`)),
			"\n" + line("2 Fargate tasks of 0.25 vCPU, 0.5 GB", "2 × 0.0123425 an hour", "18.02") +
				line("3 Fargate Spot tasks of 0.25 vCPU, 0.5 GB", "3 × 0.00370275 an hour, if Spot takes off 70 %", "8.11") +
				"= 26.13\nA: 5 tasks, 0.0000, 26.13\nshared: 0 tasks, 1.0000, 0.00\n", nil},
		{"two services are one line", definition(least) + "," + service("A", 1, launch) + "," + service("B", 2, launch),
			"\n" + line("3 Fargate tasks of 0.25 vCPU, 0.5 GB", "3 × 0.0123425 an hour", "27.03") +
				"= 27.03\nA: 1 tasks, 0.0000, 9.01\nB: 2 tasks, 0.0000, 18.02\nshared: 0 tasks, 1.0000, 0.00\n", nil},
		{"no task", definition(least) + "," + service("A", 0, launch), "\n= 0.00\nA: 0 tasks, 0.0000, 0.00\nshared: 0 tasks, 1.0000, 0.00\n", nil},
		{"by the cluster", definition(least) + `, "Cluster": {"Type": "AWS::ECS::Cluster"}, "Providers": {"Type": "AWS::ECS::ClusterCapacityProviderAssociations", "Properties": {"Cluster": {"Ref": "Cluster"}, "DefaultCapacityProviderStrategy": [` + spot + `]}},` + service("A", 1, `"Tags": []`),
			one("1 Fargate Spot task of 0.25 vCPU, 0.5 GB", "0.00370275 an hour, if Spot takes off 70 %", "2.70"), nil},
		{"by the cluster itself", definition(least) + `, "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"DefaultCapacityProviderStrategy": [` + onDemand + `]}},` + service("A", 1, `"Tags": []`),
			one("1 Fargate task of 0.25 vCPU, 0.5 GB", "0.0123425 an hour", "9.01"), nil},
		{"a launch type goes before the cluster", definition(least) + `, "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"DefaultCapacityProviderStrategy": [` + spot + `]}},` + service("A", 1, `"LaunchType": "EC2"`),
			"\n= 0.00\nA: 1 tasks, 0.0000, 0.00\nshared: 0 tasks, 1.0000, 0.00\n", nil},
		{"Windows", definition(least+`"RuntimePlatform": {"OperatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, `) + "," + service("A", 1, launch),
			"\n= 0.00\nA: 1 tasks, 0.0000, 0.00\nshared: 0 tasks, 1.0000, 0.00\nnot 1 Fargate task of Windows\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			estimates, err := ReadAt(readModel(t, map[string]string{"Stack": `{"Resources": {` + test.resources + `}}`}), test.own)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, "\n"+show(estimates[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Tasks on Fargate take nothing of the instances, and make a group no larger.
func TestFargateBesideInstances(t *testing.T) {
	resources := fmt.Sprintf(instances, ofTemplate) + `, "Task": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Cpu": "2048", "Memory": "4096", "ContainerDefinitions": [{"Name": "web"}]}},
		"A": {"Type": "AWS::ECS::Service", "Properties": {"LaunchType": "FARGATE", "DesiredCount": 9, "TaskDefinition": {"Ref": "Task"}}}`
	estimates, err := Read(readModel(t, map[string]string{"Stack": `{"Resources": {` + resources + `}}`}))
	if err != nil {
		t.Fatal(err)
	}
	want := `
2 instances t3.small: 2 × 0.0208 an hour: 30.37
2 volumes of 30 GB gp3: 60 × 0.08: 4.80
9 Fargate tasks of 2 vCPU, 4 GB: 9 × 0.09874 an hour: 648.72
= 683.89
A: 9 tasks, 0.0000, 648.72
shared: 0 tasks, 1.0000, 35.17
`
	if diff := cmp.Diff(want, "\n"+show(estimates[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
