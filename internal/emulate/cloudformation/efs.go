package cloudformation

import (
	"encoding/json"
	"net/http"
)

// The resource types of EFS.
var files = map[string]*handler{
	"AWS::EFS::FileSystem": {
		ref: "FileSystemId",
		create: func(c *call, p props) string {
			backup, _ := p["BackupPolicy"].(props)
			params := with(pick(p, "Encrypted", "KmsKeyId", "PerformanceMode", "ThroughputMode", "ProvisionedThroughputInMibps", "AvailabilityZoneName"),
				props{"CreationToken": c.id, "Backup": str(backup, "Status") == "ENABLED", "Tags": p["FileSystemTags"]})
			n := efs(c, http.MethodPost, "file-systems", params)
			c.attrs["Arn"] = n.first("FileSystemArn")
			return n.first("FileSystemId")
		},
		configure: func(c *call, _, p props) {
			if policy, ok := p["FileSystemPolicy"]; ok {
				efs(c, http.MethodPut, "file-systems/"+c.id+"/policy", props{"Policy": text(policy)})
			}
		},
		delete: func(c *call, _ props) { efs(c, http.MethodDelete, "file-systems/"+c.id, nil) },
	},
	"AWS::EFS::MountTarget": {
		ref: "Id",
		create: func(c *call, p props) string {
			n := efs(c, http.MethodPost, "mount-targets", pick(p, "FileSystemId", "SubnetId", "SecurityGroups", "IpAddress"))
			c.attrs["IpAddress"] = n.first("IpAddress")
			return n.first("MountTargetId")
		},
		update: func(c *call, _, p props) {
			efs(c, http.MethodPut, "mount-targets/"+c.id+"/security-groups", pick(p, "SecurityGroups"))
		},
		delete: func(c *call, _ props) { efs(c, http.MethodDelete, "mount-targets/"+c.id, nil) },
	},
	"AWS::EFS::AccessPoint": {
		ref: "AccessPointId",
		create: func(c *call, p props) string {
			user, _ := p["PosixUser"].(props)
			root, _ := p["RootDirectory"].(props)
			made, _ := root["CreationInfo"].(props)
			params := props{"ClientToken": c.id, "FileSystemId": p["FileSystemId"], "Tags": p["AccessPointTags"], "PosixUser": numbers(user)}
			params["RootDirectory"] = with(pick(root, "Path"), props{"CreationInfo": numbers(made)})
			n := efs(c, http.MethodPost, "access-points", params)
			c.attrs["Arn"] = n.first("AccessPointArn")
			return n.first("AccessPointId")
		},
		update: tagsOnly,
		delete: func(c *call, _ props) { efs(c, http.MethodDelete, "access-points/"+c.id, nil) },
	},
}

// efs runs an operation of EFS, unless one has failed before.
func efs(c *call, method, path string, params props) *node {
	return c.rest("elasticfilesystem", method, "/2015-02-01/"+path, params)
}

// numbers gives ids the type of the API. A template has them as texts.
func numbers(p props) props {
	out := props{}
	for name, value := range p {
		if out[name] = value; name != "Permissions" {
			out[name] = json.Number(text(value))
		}
	}
	return out
}
