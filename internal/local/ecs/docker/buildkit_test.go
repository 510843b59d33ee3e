package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cutover/internal/assembly"
	"cutover/internal/local/ecs"
	"cutover/internal/model"
)

func TestNeedsBuildKit(t *testing.T) {
	for dockerfile, want := range map[string]string{
		"FROM node:24-slim\nRUN npm ci\n":                                        "",
		"FROM node\nCOPY --chown=node . .\nHEALTHCHECK --interval=5s CMD true\n": "",
		"FROM --platform=linux/amd64 node AS a\nCOPY --from=a /x /y\n":           "",
		"FROM node\n# RUN --mount=type=cache x\nRUN echo --mount=type=cache\n":   "",
		"FROM node\nRUN --mount=type=cache,target=/x \\\n  npm ci\n":             "--mount=type=cache,target=/x in line 2 of its D",
		"FROM node\nrun --network=none npm ci\n":                                 "--network=none in line 2 of its D",
		"FROM node\nCOPY --link . .\n":                                           "--link in line 2 of its D",
		"FROM node\nCOPY --chmod=755 . .\n":                                      "--chmod=755 in line 2 of its D",
		"FROM node\nADD --checksum=sha256:1 https://x /\n":                       "--checksum=sha256:1 in line 2 of its D",
		"FROM --platform=$BUILDPLATFORM node\n":                                  "--platform=$BUILDPLATFORM in line 1 of its D",
		"FROM node\n\nRUN <<EOF\nnpm ci\nEOF\n":                                  "a here-document in line 3 of its D",
		"FROM node\nCOPY <<EOF /x\nhello\nEOF\n":                                 "a here-document in line 2 of its D",
		"":                                                                       "",
		"not a Dockerfile":                                                       "",
	} {
		asset := assembly.ImageAsset{Directory: t.TempDir(), Dockerfile: "D"}
		if err := os.WriteFile(filepath.Join(asset.Directory, "D"), []byte(dockerfile), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := needsBuildKit(&asset); got != want {
			t.Errorf("%q needs BuildKit for %q, want %q", dockerfile, got, want)
		}
	}
	for want, asset := range map[string]assembly.ImageAsset{
		"":                  {Directory: "/nowhere"},
		"build secrets":     {BuildSecrets: map[string]string{"a": "src=b"}},
		"build contexts":    {BuildContexts: map[string]string{"a": "b"}},
		"SSH at build time": {BuildSSH: "default"},
	} {
		if got := needsBuildKit(&asset); got != want {
			t.Errorf("%+v needs BuildKit for %q, want %q", asset, got, want)
		}
	}
}

// What needs BuildKit is built by the docker command with its plugin, and is refused before the start
// without the plugin.
func TestBuildx(t *testing.T) {
	bin, directory := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	t.Setenv("DOCKER_HOST", "")
	script := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(directory, "Dockerfile"), []byte("FROM node\nRUN --mount=type=cache npm ci\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := model.Container{Name: "web", Image: model.Image{Asset: &assembly.ImageAsset{
		ID: "Web-1", Directory: directory, Target: "run", Platform: "linux/arm64", NetworkMode: "host", BuildSSH: "default",
		BuildArgs: map[string]string{"B": "2", "A": "1"}, BuildSecrets: map[string]string{"token": "src=/token"}, BuildContexts: map[string]string{"more": "/more"},
	}}}
	d := &Driver{deployment: "test", host: "unix:///engine"}
	script("exit 1")
	const refused = "its image needs BuildKit for build secrets: install the buildx plugin"
	if _, err := d.Check(nil, c); err == nil || !strings.HasPrefix(err.Error(), refused) {
		t.Errorf("without the plugin: %v", err)
	}
	script(fmt.Sprintf(`[ "$2" = version ] || { echo "$DOCKER_HOST" "$@" > %s/called; }`, directory))
	if _, err := d.Check(nil, c); err != nil {
		t.Errorf("with the plugin: %v", err)
	}
	name, err := d.build(t.Context(), c.Image.Asset)
	called, _ := os.ReadFile(filepath.Join(directory, "called"))
	want := "unix:///engine buildx build --load --progress plain --tag cutover/web-1 --label cutover.deployment=test --file " + directory + "/Dockerfile --target run --platform linux/arm64" +
		" --network host --ssh default --build-arg A=1 --build-arg B=2 --secret id=token,src=/token --build-context more=/more " + directory + "\n"
	if err != nil || name != "cutover/web-1" || string(called) != want {
		t.Errorf("%s (%v) was built by %q, want %q", name, err, called, want)
	}
	script(`for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do echo "line $i"; done; echo oops >&2; exit 1`)
	_, err = d.build(t.Context(), c.Image.Asset)
	if err == nil || !strings.HasPrefix(err.Error(), "its image cannot be built from "+directory+"/Dockerfile: exit status 1\nline 3\n") || !strings.HasSuffix(err.Error(), "\noops") {
		t.Errorf("a build that fails: %v", err)
	}
}

// The engine's own builder has the platforms as arguments, too, and what takes long is told.
func TestBuild(t *testing.T) {
	d := newDriver(t)
	d.patience = 0
	c := probe(t)
	asset := *c.Image.Asset
	asset.ID, asset.Dockerfile, asset.BuildArgs = "Probe-2", "Platforms", map[string]string{"TARGETVARIANT": "given"}
	recipe := "FROM scratch\nARG TARGETPLATFORM\nARG BUILDARCH\nARG TARGETVARIANT\nENV NAME=$TARGETPLATFORM-$BUILDARCH-$TARGETVARIANT\nCOPY bin /bin\nENTRYPOINT [\"/bin/probe\"]\nCMD [\"look\"]\n"
	if err := os.WriteFile(filepath.Join(asset.Directory, asset.Dockerfile), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Image.Asset, c.Command = &asset, nil
	told := make(chan string, 10)
	w := &written{some: make(chan struct{}, 1)}
	whole := &model.TaskDefinition{Containers: []model.Container{c}}
	started, err := d.Start(t.Context(), ecs.StartRequest{Task: "task1", Definition: c, TaskDefinition: whole, Output: w.output, Tell: func(text string) { told <- text }})
	if err != nil {
		t.Fatal(err)
	}
	w.await(t, "NAME="+asset.Platform+"-"+strings.TrimPrefix(asset.Platform, "linux/")+"-given")
	<-started.Done()
	if text := <-told; text != "builds its image from "+asset.Directory {
		t.Errorf("told was %q", text)
	}
}
