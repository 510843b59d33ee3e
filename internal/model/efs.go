package model

import "cutover/internal/assembly"

// FileSystem is a file system of Amazon EFS.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-efs-filesystem.html
type FileSystem struct {
	Base
	// Encrypted encrypts what is stored. Default false.
	Encrypted bool
	// Throughput is bursting (the default), elastic or provisioned.
	Throughput string
	// Backups are made every day, by the plan that AWS Backup has for EFS. Default false.
	Backups bool
	// OneZone keeps the files in one zone. Default: in all zones of the region.
	OneZone bool
}

func (f *FileSystem) read(p assembly.Value) {
	f.Encrypted = p.Field("Encrypted").Bool(false)
	f.Throughput = p.Field("ThroughputMode").OneOf("bursting", "elastic", "provisioned")
	f.Backups = p.Field("BackupPolicy").Field("Status").Text("DISABLED") == "ENABLED"
	f.OneZone = p.Field("AvailabilityZoneName").Present()
}

// AccessPoint is a way into a file system, with a directory and a user of its own.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-efs-accesspoint.html
type AccessPoint struct {
	Base
	// FileSystem is nil if the assembly does not have it.
	FileSystem *FileSystem
	// Directory is what clients see as the root. Default: /
	Directory string
	// User is the numeric user that all clients become. Empty: each client is who it says it is.
	User string
}

func (m *Model) accessPoint(a *AccessPoint, p assembly.Value) {
	a.FileSystem = elsewhere[FileSystem](m, p.Field("FileSystemId"), EFSFileSystem, "FileSystemId")
	a.Directory = p.Field("RootDirectory").Field("Path").Text("/")
	a.User = p.Field("PosixUser").Field("Uid").Text("")
}

// MountTarget is the address of a file system in a subnet.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-efs-mounttarget.html
type MountTarget struct {
	Base
	// Subnet is nil if the assembly does not have it.
	Subnet *Subnet
}

func (m *Model) mountTarget(t *MountTarget, p assembly.Value) {
	t.Subnet = elsewhere[Subnet](m, p.Field("SubnetId"), EC2Subnet, "SubnetId")
}
