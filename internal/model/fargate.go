package model

import (
	"slices"

	"cutover/internal/assembly"
)

// Fargate is what the tasks of a service have on AWS Fargate, and on no instance of the cluster.
type Fargate struct {
	// ARM and Windows say what the tasks are made for. Default: Linux on x86.
	ARM, Windows bool
	// StorageGiB is the task's own storage. Default 20.
	StorageGiB int
	// PlatformVersion is LATEST (the default) or a version.
	PlatformVersion string
	// shares divide the tasks between Fargate and Fargate Spot.
	shares []fargateShare
}

// fargateShare is an item of a capacity provider strategy: its first tasks, and then its weight.
type fargateShare struct {
	spot         bool
	base, weight int
}

// The capacity providers of Fargate
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html).
const onFargate, onSpot = "FARGATE", "FARGATE_SPOT"

// Fargate is nil for a service whose tasks are not on Fargate. A strategy decides before the launch
// type, and with neither the default strategy of the cluster
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html).
// The error has what cannot be told before a deployment.
func (m *Model) Fargate(s *Service) (*Fargate, error) {
	reader := assembly.NewReader(m.Assembly, s.Resource)
	p := reader.Properties()
	f := &Fargate{}
	strategy := p.Field("CapacityProviderStrategy").List()
	switch {
	case len(strategy) > 0:
		f.read(strategy)
	case s.Resource.Properties["LaunchType"] == nil:
		f.read(m.defaultStrategy(s))
	case s.LaunchType == onFargate:
		f.shares = []fargateShare{{weight: 1}}
	}
	if len(f.shares) == 0 {
		return nil, nil
	}
	f.PlatformVersion = p.Field("PlatformVersion").Text("LATEST")
	problems := reader.Problems()
	if s.TaskDefinition != nil {
		reader = assembly.NewReader(m.Assembly, s.TaskDefinition.Resource)
		p = reader.Properties()
		f.ARM = p.Field("RuntimePlatform").Field("CpuArchitecture").Text("X86_64") == "ARM64"
		f.Windows = s.TaskDefinition.OperatingSystem != "LINUX"
		f.StorageGiB = p.Field("EphemeralStorage").Field("SizeInGiB").Int(20, 20, 200)
		problems = append(problems, reader.Problems()...)
	}
	var errs []error
	for _, problem := range problems {
		errs = append(errs, problem.Err)
	}
	return f, assembly.Join(errs...)
}

// read takes the shares of Fargate. One strategy cannot have instances, too. The only provider of a strategy
// needs no weight to get all tasks.
func (f *Fargate) read(strategy []assembly.Value) {
	weight := 0
	if len(strategy) == 1 {
		weight = 1
	}
	for _, item := range strategy {
		if name := item.Field("CapacityProvider").Identity(""); name == onFargate || name == onSpot {
			f.shares = append(f.shares, fargateShare{name == onSpot, item.Field("Base").Int(0, 0, 100_000), item.Field("Weight").Int(weight, 0, 1000)})
		}
	}
}

// defaultStrategy is that of the cluster of a service.
func (m *Model) defaultStrategy(s *Service) []assembly.Value {
	const property = "DefaultCapacityProviderStrategy"
	if s.Cluster == nil {
		return nil
	}
	for _, r := range m.Assembly.Resources(ECSClusterCapacityProviders) {
		p := assembly.NewReader(m.Assembly, r).Properties()
		if p.Field("Cluster").Identity("") == s.Cluster.Key() {
			return p.Field(property).List()
		}
	}
	return assembly.NewReader(m.Assembly, s.Cluster.Resource).Properties().Field(property).List()
}

// Spot says whether tasks may be on Fargate Spot.
func (f *Fargate) Spot() bool {
	return slices.ContainsFunc(f.shares, func(s fargateShare) bool { return s.spot && s.base+s.weight > 0 })
}

// OnSpot is how many of so many tasks are on Fargate Spot: first the bases, then the rest by weights. A
// task that the weights do not decide about is not on Spot.
func (f *Fargate) OnSpot(tasks int) int {
	spot, weight, all := 0, 0, 0
	for _, share := range f.shares {
		first := min(share.base, tasks)
		tasks -= first
		all += share.weight
		if share.spot {
			spot += first
			weight += share.weight
		}
	}
	if all > 0 {
		spot += tasks * weight / all
	}
	return spot
}
