package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestServeProxy(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const named = `"Services": [{"PortName": "http"}]`
	template := `{"Resources": {
		"Space": {"Type": "AWS::ServiceDiscovery::HttpNamespace", "Properties": {"Name": "dev"}},
		"Definition": {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Memory": "512", "ContainerDefinitions": [
			{"Name": "users", "Image": "users", "PortMappings": [{"ContainerPort": 3000, "Name": "http", "AppProtocol": "http"}]}]}},
		"Users": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "users", "TaskDefinition": {"Ref": "Definition"},
			"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev", ` + named + `}}},
		"Posts": {"Type": "AWS::ECS::Service", "Properties": {"ServiceName": "posts", "TaskDefinition": {"Ref": "Definition"},
			"ServiceConnectConfiguration": {"Enabled": true, "Namespace": "dev"}}}}}`
	write("template.json", template)
	write("manifest.json", `{"artifacts": {"S": {"type": "aws:cloudformation:stack", "environment": "aws://a/b", "properties": {"templateFile": "template.json"}}}}`)
	var served atomic.Int64
	target := users(t, 200, &served)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := serveProxy(ctx, writer, dir, target)
		writer.CloseWithError(err)
		done <- err
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(strings.TrimSpace(line), route)
	if _, err := c.closedLoop(ctx, 100); err != nil || served.Load() != 100 {
		t.Errorf("%d of 100 requests arrived, %v", served.Load(), err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	write("template.json", strings.Replace(template, named, `"Services": []`, 1))
	if err := serveProxy(t.Context(), io.Discard, dir, target); err == nil || !strings.Contains(err.Error(), "calls one other by Service Connect") {
		t.Errorf("without a name to call: %v", err)
	}
}

// A server that chooses its address says so in its first line.
func TestStartAtOwnAddress(t *testing.T) {
	var served atomic.Int64
	address := users(t, 200, &served)
	b := &bench{ctx: t.Context(), work: t.TempDir()}
	own, err := b.start(&subject{name: "own", command: func(string) []string { return []string{"sh", "-c", "echo " + address + "; exec sleep 60"} }}, "")
	if err != nil || own.client.address != address || served.Load() != 1 {
		t.Errorf("it is at %q, %v, want %s", own.client.address, err, address)
	}
	if err := own.stop(); err != nil {
		t.Error(err)
	}
	silent, err := b.start(&subject{name: "silent", command: func(string) []string { return []string{"true"} }}, "")
	if err == nil || !strings.Contains(err.Error(), "silent: the process has ended") {
		t.Errorf("a server that ends and says nothing: %v", err)
	}
	if err := silent.stop(); err != nil {
		t.Error(err)
	}
}
