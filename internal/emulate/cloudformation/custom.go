package cloudformation

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The custom resources whose function runs on this machine. All others are recorded.
var customResources = map[string]*handler{
	// CDK's BucketDeployment. Its function is a program in Python that needs boto3, which moto has, and the AWS CLI, which is in its
	// layer.
	"Custom::CDKBucketDeployment": {
		create: func(c *call, p props) string { return ask(c, "Create", nil, p) },
		update: func(c *call, old, p props) { ask(c, "Update", old, p) },
		delete: func(c *call, p props) { ask(c, "Delete", nil, p) },
	},
}

// ask asks the function of a custom resource, and returns the physical id of its answer
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html).
func ask(c *call, kind string, old, p props) string {
	if c.err != nil {
		return c.id
	}
	event := props{"RequestType": kind, "RequestId": c.id, "StackId": c.id, "LogicalResourceId": c.id, "ResourceType": "Custom::Resource", "ServiceToken": p["ServiceToken"],
		"ResourceProperties": texts(p)}
	if old != nil {
		event["OldResourceProperties"] = texts(old)
	}
	if kind != "Create" {
		event["PhysicalResourceId"] = c.id
	}
	var answer struct {
		Status, Reason, PhysicalResourceId string
		Data                               props
	}
	body, err := invoke(c, str(p, "ServiceToken"), event)
	if err == nil {
		err = decodeJSON(string(body), &answer)
	}
	switch {
	case err != nil:
		c.refuse("InternalFailure", "%v", err)
	case answer.Status != "SUCCESS":
		c.refuse("GeneralServiceException", "Received response status [%s] from custom resource. Message returned: %s", answer.Status, answer.Reason)
	}
	c.attrs = answer.Data
	return answer.PhysicalResourceId
}

// texts gives a custom resource's properties the types that its function gets: all values are texts.
func texts(v tree) tree {
	switch v := v.(type) {
	case props:
		out := props{}
		for name, value := range v {
			out[name] = texts(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = texts(value)
		}
		return out
	}
	return text(v)
}

// runHandler runs the handler of a function in Python.
const runHandler = `
import importlib, json, sys

class Context:
    log_stream_name = aws_request_id = "emulated"

module, _, name = sys.argv[1].rpartition(".")
getattr(importlib.import_module(module), name)(json.load(sys.stdin), Context())
`

// invoke runs a function in Python, with its layers, and returns what it sends to the event's ResponseURL. The
// directories /opt and /tmp of a function are directories of their own here, and its program says so instead.
func invoke(c *call, arn string, event props) ([]byte, error) {
	name, _ := qualified(arn)
	function := lambda(c, http.MethodGet, "functions/"+name, nil)
	if c.err != nil {
		return nil, c.err
	}
	if runtime := function.first("Runtime"); !strings.HasPrefix(runtime, "python") {
		return nil, fmt.Errorf("the emulator runs no function with the runtime %q", runtime)
	}
	dir, err := os.MkdirTemp("", "cutover-function-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program, opt, tmp := filepath.Join(dir, "program"), filepath.Join(dir, "opt"), filepath.Join(dir, "tmp")
	here := strings.NewReplacer(`"/opt/`, `"`+opt+"/", `"/tmp/`, `"`+tmp+"/", "#!/var/lang/bin/python\n", "#!/usr/bin/env python3\n")
	err = errors.Join(os.Mkdir(tmp, 0o700), unzip(c, function.all("Code"), program, here))
	for _, layers := range function.all("Layers") {
		for _, layer := range layers.Children {
			err = errors.Join(err, unzip(c, c.rest("lambda", http.MethodGet, layerVersion(layer.first("Arn")), nil).all("Content"), opt, here))
		}
	}
	if err = errors.Join(err, c.err); err != nil {
		return nil, err
	}

	answered := make(chan []byte, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case answered <- body:
		default:
		}
	})}
	go server.Serve(listener)
	defer server.Close()
	event["ResponseURL"] = "http://" + listener.Addr().String() + "/"

	ctx, cancel := context.WithTimeout(c.ctx, functionTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", "-c", runHandler, function.first("Handler"))
	cmd.Dir = program
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + tmp, "TMPDIR=" + tmp, "AWS_LAMBDA_FUNCTION_NAME=" + name, "AWS_ENDPOINT_URL=" + c.endpoint, "AWS_REGION=" + c.region,
		"AWS_DEFAULT_REGION=" + c.region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=localhost,127.0.0.1",
		"PYTHONDONTWRITEBYTECODE=1"}
	cmd.Stdin = strings.NewReader(encode(event))
	printed, err := cmd.CombinedOutput()
	select {
	case body := <-answered:
		return body, nil
	default:
		return nil, fmt.Errorf("the function %s did not answer: %v\n%s", name, err, printed)
	}
}

// functionTimeout is the longest that a function may run
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html).
const functionTimeout = 15 * time.Minute

// unzip writes the files of a function's or a layer's code to a directory.
func unzip(c *call, code []*node, dir string, here *strings.Replacer) error {
	if c.err != nil || len(code) == 0 {
		return errors.Join(c.err, errors.New("there is no code"))
	}
	location, err := url.Parse(code[0].first("Location"))
	if err != nil {
		return err
	}
	body, err := c.send(c.ctx, http.MethodGet, "s3", location.Path, "", nil)
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("%s: %w", location, err)
	}
	for _, f := range archive.File {
		if f.FileInfo().IsDir() || !filepath.IsLocal(f.Name) {
			continue
		}
		file := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if filepath.Ext(file) == ".py" || bytes.HasPrefix(content, []byte("#!")) {
			content = []byte(here.Replace(string(content)))
		}
		if err := errors.Join(err, os.WriteFile(file, content, f.Mode().Perm()|0o600)); err != nil {
			return err
		}
	}
	return nil
}
