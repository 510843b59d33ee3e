package model

import (
	"fmt"
	"strings"
	"testing"
)

// taskDefinition reads a task definition with some volumes and containers.
func taskDefinition(t *testing.T, volumes string, containers ...string) *TaskDefinition {
	t.Helper()
	m := read(t, fmt.Sprintf(`"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Volumes": [%s], "ContainerDefinitions": [%s]}},
		"F": {"Type": "AWS::EFS::FileSystem"}, "A": {"Type": "AWS::EFS::AccessPoint"}`, volumes, strings.Join(containers, ", ")))
	return m.TaskDefinitions[0]
}

func TestVolumes(t *testing.T) {
	for text, want := range map[string]string{
		`{"Name": "v"}`:                               "v host= shared=false driver=local efs=<nil>",
		`{"Name": "v", "Host": {}}`:                   "v host= shared=false driver=local efs=<nil>",
		`{"Name": "v", "Host": {"SourcePath": "/x"}}`: "v host=/x shared=false driver=local efs=<nil>",
		`{"Name": "v", "DockerVolumeConfiguration": {"Scope": "task", "Driver": "local"}}`:                                                                                                  "v host= shared=false driver=local efs=<nil>",
		`{"Name": "v", "DockerVolumeConfiguration": {"Scope": "shared", "Autoprovision": true, "Driver": "rexray/ebs"}}`:                                                                    "v host= shared=true driver=rexray/ebs efs=<nil>",
		`{"Name": "v", "EFSVolumeConfiguration": {"FilesystemId": "fs-1"}}`:                                                                                                                 "v host= shared=false driver=local efs=&{fs-1  / false false}",
		`{"Name": "v", "EFSVolumeConfiguration": {"FilesystemId": {"Ref": "F"}, "TransitEncryption": "ENABLED", "AuthorizationConfig": {"AccessPointId": {"Ref": "A"}, "IAM": "ENABLED"}}}`: "v host= shared=false driver=local efs=&{S/F S/A / true true}",
	} {
		d := taskDefinition(t, text, `{"Name": "a", "Image": "a"}`)
		v := d.Volumes[0]
		if got := fmt.Sprintf("%s host=%s shared=%t driver=%s efs=%v", v.Name, v.HostPath, v.Shared, v.Driver, v.EFS); got != want || d.Problem() != nil || len(d.Settings) > 0 {
			t.Errorf("%s is %s (%v, %v), want %s", text, got, d.Problem(), d.Settings, want)
		}
	}
}

func TestMounts(t *testing.T) {
	const volumes = `{"Name": "v", "Host": {"SourcePath": "/x"}}, {"Name": "w"}`
	a := `{"Name": "a", "Image": "a", "MountPoints": [{"SourceVolume": "v", "ContainerPath": "/v"}, {"SourceVolume": "w", "ContainerPath": "/w", "ReadOnly": true}]}`
	d := taskDefinition(t, volumes, a,
		`{"Name": "b", "Image": "b", "VolumesFrom": [{"SourceContainer": "a"}]}`,
		`{"Name": "c", "Image": "c", "MountPoints": [{"SourceVolume": "w", "ContainerPath": "/own"}], "VolumesFrom": [{"SourceContainer": "a", "ReadOnly": true}]}`)
	for i, want := range []string{"[{v /v false} {w /w true}]", "[{v /v false} {w /w true}]", "[{w /own false} {v /v true} {w /w true}]"} {
		if got := fmt.Sprint(d.Containers[i].Mounts); got != want {
			t.Errorf("container %s mounts %s, want %s", d.Containers[i].Name, got, want)
		}
	}
	if d.Problem() != nil || len(d.Settings) > 0 {
		t.Errorf("%v, %v", d.Problem(), d.Settings)
	}
	if v := d.Volume(d.Containers[0].Mounts[0]); v.HostPath != "/x" {
		t.Errorf("the first mount is of %+v", v)
	}
	const at = "S/T/Properties.ContainerDefinitions[0]."
	for container, want := range map[string]string{
		`"MountPoints": [{"SourceVolume": "w", "ContainerPath": "/w"}, {"SourceVolume": "x", "ContainerPath": "/x"}]`: at + `MountPoints[1].SourceVolume: the task has no volume "x"`,
		`"MountPoints": [{"SourceVolume": "w"}]`:      at + "MountPoints[0].ContainerPath: expected a path, found nothing",
		`"LinuxParameters": {"Tmpfs": [{"Size": 1}]}`: at + "LinuxParameters.Tmpfs[0].ContainerPath: expected a path, found nothing",
		`"VolumesFrom": [{"SourceContainer": "b"}]`:   at + `VolumesFrom[0].SourceContainer: the task has no other container "b"`,
		`"VolumesFrom": [{"SourceContainer": "a"}]`:   at + `VolumesFrom[0].SourceContainer: the task has no other container "a"`,
		`"DnsServers": ["10.0.0.1", "ns.example"]`:    at + `DnsServers[1]: "ns.example" is not an address`,
	} {
		d := taskDefinition(t, volumes, `{"Name": "a", "Image": "a", `+container+`}`)
		if got := fmt.Sprint(d.Problem()); got != want {
			t.Errorf("%s: %s, want %s", container, got, want)
		}
	}
	if got, want := fmt.Sprint(taskDefinition(t, `{"Name": "v"}, {"Name": "v"}`, a).Problem()), `S/T/Properties.Volumes[1].Name: another volume is called "v" too`; !strings.HasPrefix(got, want) {
		t.Errorf("two volumes of a name: %s, want %s", got, want)
	}
}

func TestSurroundings(t *testing.T) {
	d := taskDefinition(t, "", `{"Name": "a", "Image": "a", "Hostname": "h", "ExtraHosts": [{"Hostname": "x", "IpAddress": "10.0.0.1"}], "DnsServers": ["10.0.0.2"], "DnsSearchDomains": ["y"],
		"SystemControls": [{"Namespace": "net.a", "Value": "1"}, {"Namespace": "net.b", "Value": "2"}], "LinuxParameters": {"SharedMemorySize": 3}}`)
	c := d.Containers[0]
	const want = "h [x:10.0.0.1] [10.0.0.2] [y] map[net.a:1 net.b:2] 3"
	if got := fmt.Sprint(c.Hostname, " ", c.ExtraHosts, c.DNSServers, c.DNSSearch, c.SystemControls, c.SharedMemoryMiB); got != want || d.Problem() != nil || len(d.Settings) > 0 {
		t.Errorf("%s (%v, %v), want %s", got, d.Problem(), d.Settings, want)
	}
}

// The size of a task is a number, or has its unit.
func TestSize(t *testing.T) {
	for text, want := range map[string]string{
		`"Cpu": "256", "Memory": "512"`:        "256 512 <nil>",
		`"Cpu": 256, "Memory": 512`:            "256 512 <nil>",
		`"Cpu": ".25 vCPU", "Memory": "0.5GB"`: "256 512 <nil>",
		`"Cpu": "4 vcpu", "Memory": "30 GB"`:   "4096 30720 <nil>",
		`"Cpu": "vCPU", "Memory": "4"`:         `0 4 S/T/Properties.Cpu: expected a whole number from 1 to 262144, found "vCPU"`,
		`"Cpu": "1", "Memory": "0.001 GB"`:     `1 0 S/T/Properties.Memory: expected a whole number from 4 to 16777216, found "0.001 GB"`,
	} {
		d := read(t, `"T": {"Type": "AWS::ECS::TaskDefinition", "Properties": {`+text+`, "ContainerDefinitions": [{"Name": "a", "Image": "a"}]}}`).TaskDefinitions[0]
		if got := fmt.Sprint(d.CPU, d.MemoryMiB, d.Problem()); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}
