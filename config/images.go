package config

import (
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// maxImageName is how many characters the name of an image may have
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#container_definition_image).
const maxImageName = 255

func (c *containerChecks) image(image Image, refuse func(string, ...any)) {
	// IsLocal is about the paths of this machine, and these are relative paths with slashes.
	local := func(field, dir, where string) {
		switch {
		case dir == "":
			refuse("Image: %s is empty: name the directory, from the root of the repository", field)
		case !filepath.IsLocal(filepath.FromSlash(dir)):
			refuse("Image: %s %q: it must be a path inside %s", field, dir, where)
		}
	}
	switch image := image.(type) {
	case nil:
		refuse("Image: it is missing: use a Dockerfile or a Registry")
	case GoPackage:
		local("GoPackage.Dir", image.Dir, "the repository")
	case Dockerfile:
		local("Dockerfile.Dir", image.Dir, "the repository")
		if image.File != "" {
			local("Dockerfile.File", image.File, "Dockerfile.Dir")
		}
		for _, name := range slices.Sorted(maps.Keys(image.BuildArgs)) {
			if !variableFormat.MatchString(name) {
				refuse("Image: BuildArgs %q is not the name of an argument: use letters, digits and \"_\", and begin with no digit", name)
			}
			checkNoPlaceholder("Image: BuildArgs "+name, image.BuildArgs[name], refuse)
		}
		if image.Platform != "" && image.Platform != "linux/"+c.Arch {
			refuse("Image: Dockerfile.Platform %q: the instances run linux/%s, as the setting arch says: change one of them", image.Platform, c.Arch)
		}
	case Registry:
		c.registry(image, refuse)
	default:
		refuse("Image: it is a pointer: write GoPackage{…}, Dockerfile{…} or Registry{…} without &")
	}
}

func (c *containerChecks) registry(image Registry, refuse func(string, ...any)) {
	named, err := reference.ParseNormalizedNamed(image.Name)
	_, lower := reference.ParseNormalizedNamed(strings.ToLower(image.Name))
	switch {
	case err != nil && lower == nil:
		refuse("Image: Registry.Name %q: write the name in lower case; only a tag may have capitals", image.Name)
	case err != nil:
		refuse("Image: Registry.Name %q is not the name of an image: it looks like \"public.ecr.aws/nginx/nginx:1.29\"", image.Name)
	case len(image.Name) > maxImageName:
		refuse("Image: Registry.Name %q: it has %d characters: at most %d are allowed", image.Name, len(image.Name), maxImageName)
	case !pinned(named):
		refuse("Image: Registry.Name %q: name a tag other than latest, or a digest: what runs must be what was reviewed", image.Name)
	}
	if image.Credentials != "" {
		c.arn("Image: Registry.Credentials", image.Credentials, "secretsmanager", refuse)
	}
}

// pinned reports whether a name says which version of the image is meant.
func pinned(name reference.Named) bool {
	_, digested := name.(reference.Digested)
	tagged, _ := reference.TagNameOnly(name).(reference.Tagged)
	return digested || tagged.Tag() != "latest"
}

// runs reports whether a sidecar of a service is another service: whether it has the other one's
// image. If all three have one image, which has several programs, the arguments tell them apart.
func runs(sidecar, own, other Container) bool {
	return same(sidecar.Image, other.Image) &&
		(!same(sidecar.Image, own.Image) || maps.Equal(buildArgs(sidecar), buildArgs(other)) && slices.Equal(sidecar.Command, other.Command))
}

func buildArgs(c Container) map[string]string {
	image, _ := c.Image.(Dockerfile)
	return image.BuildArgs
}

// same reports whether two images have one source: a directory and a stage, or one version in a
// registry.
func same(a, b Image) bool {
	switch a := a.(type) {
	case GoPackage:
		b, ok := b.(GoPackage)
		return ok && path.Clean(a.Dir) == path.Clean(b.Dir)
	case Dockerfile:
		b, ok := b.(Dockerfile)
		return ok && path.Clean(a.Dir) == path.Clean(b.Dir) && path.Join(a.Dir, a.file()) == path.Join(b.Dir, b.file()) && a.Target == b.Target
	case Registry:
		b, ok := b.(Registry)
		return ok && sameName(a.Name, b.Name)
	}
	return false
}

// sameName compares the names of images in a registry: nginx:1.29 is docker.io/library/nginx:1.29. With
// a digest, the tag says nothing.
func sameName(a, b string) bool {
	x, err := reference.ParseNormalizedNamed(a)
	y, err2 := reference.ParseNormalizedNamed(b)
	if err != nil || err2 != nil || x.Name() != y.Name() {
		return false
	}
	if x, ok := x.(reference.Digested); ok {
		if y, ok := y.(reference.Digested); ok {
			return x.Digest() == y.Digest()
		}
	}
	v, _ := reference.TagNameOnly(x).(reference.Tagged)
	w, _ := reference.TagNameOnly(y).(reference.Tagged)
	return v != nil && w != nil && v.Tag() == w.Tag()
}
