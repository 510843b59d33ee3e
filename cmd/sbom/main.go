// Sbom writes a software bill of materials for the image of every service.
package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"cutover/internal/build"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

const usage = `Usage: sbom [-arch ARCH] [-out DIR] SERVICE...

Builds the binaries of the services' images as a deployment does. Writes the
parts of each binary to DIR/SERVICE.json, in the format CycloneDX. The same source
gives the same bytes. SERVICE is the name of a directory in services/. Run the
command in the repository's root.

`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	arch := flags.String("arch", "amd64", "architecture of the images, amd64 or arm64")
	out := flags.String("out", filepath.Join("build", "sbom"), "directory to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	options := build.Options{Root: ".", Arch: *arch, Progress: stderr}
	for _, name := range flags.Args() {
		options.Services = append(options.Services, build.Service{Name: name, Dir: "services/" + name})
	}
	contexts, err := build.Build(ctx, options)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	for _, name := range flags.Args() {
		bom, err := describe(name, filepath.Join(contexts[name], name))
		if err != nil {
			return err
		}
		file := filepath.Join(*out, name+".json")
		if err := write(file, bom); err != nil {
			return fmt.Errorf("cannot write %s: %w", file, err)
		}
		fmt.Fprintf(stdout, "%s: %d components\n", file, len(*bom.Components))
	}
	return nil
}

func write(file string, bom *cdx.BOM) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := cdx.NewBOMEncoder(f, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).Encode(bom); err != nil {
		return err
	}
	return f.Close()
}

// describe makes the bill of materials of a service's image. The image is the
// binary and nothing else. A Go binary contains a list of its parts:
// the standard library and the modules with their checksums. The bill has neither
// a serial number nor a time, for they would differ between builds.
func describe(name, binary string) (*cdx.BOM, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("cannot read from %s what it was built from: %w", binary, err)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	setting := func(key string) string {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return info.Settings[i].Value
	}

	bom := cdx.NewBOM()
	image := component(info.Main.Path+"/"+strings.TrimPrefix(info.Path, info.Main.Path+"/"), "", "")
	image.Type, image.Name = cdx.ComponentTypeContainer, name
	image.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
	image.Properties = &[]cdx.Property{{Name: "GOOS", Value: setting("GOOS")}, {Name: "GOARCH", Value: setting("GOARCH")}}
	bom.Metadata = &cdx.Metadata{Component: &image}

	components := []cdx.Component{component("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		components = append(components, component(module.Path, module.Version, module.Sum))
	}
	needs := make([]string, len(components))
	for i, c := range components {
		needs[i] = c.BOMRef
	}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: image.BOMRef, Dependencies: &needs}}
	return bom, nil
}

// component is a Go module with the identifier of vulnerability databases
// (https://github.com/package-url/purl-spec/blob/main/types-doc/golang-definition.md).
func component(path, version, sum string) cdx.Component {
	purl := "pkg:golang/" + path
	if version != "" {
		purl += "@" + version
	}
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl}
	if sum != "" {
		c.Properties = &[]cdx.Property{{Name: "go.sum", Value: sum}}
	}
	return c
}
