package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cutover/internal/assembly"
	"cutover/internal/model"
)

// Secret is what ECS reads for a container before its start.
type Secret struct {
	// Container is like "orders", or "orders: cache" for another container of the task.
	Container string
	// Variable has the value. Empty for the login of an image's registry.
	Variable string
	// From is the ARN or the name of the secret or parameter.
	From string
	// Key is the key of the JSON object that is handed over. Empty: all of the secret.
	Key string
}

// Directory is one that a container sees beside its image.
type Directory struct {
	// Name says where the directory is, in words.
	Name string
	// Container is as in [Secret].
	Container string
	// Path is where the container sees the directory.
	Path     string
	ReadOnly bool
}

// Link lets a container reach another one of its task.
type Link struct {
	// From and To are as in [Secret.Container].
	From, To string
	// Ports are like "tcp 6379, udp 8125". Empty: none is published.
	Ports string
}

// Image is one that is not pushed with the deployment.
type Image struct {
	// Container is as in [Secret].
	Container string
	// Name has the registry.
	Name string
}

// handed reads what the containers of all task definitions are handed.
func (r *reader) handed() {
	for _, d := range r.TaskDefinitions {
		if err := assembly.Join(d.Problem("Volumes"), d.ContainerProblem("Secrets", "MountPoints", "Links")); err != nil {
			r.errs = append(r.errs, err)
		}
		name := func(container string) string {
			if container == d.Family || model.OwnContainer(d.Resource, container) {
				return d.Family
			}
			return d.Family + ": " + container
		}
		for i, c := range d.Containers {
			r.secrets(d, i, name(c.Name))
			for _, m := range c.Mounts {
				r.isolation.Directories = append(r.isolation.Directories, Directory{r.directory(d, m.Volume), name(c.Name), m.Path, m.ReadOnly})
			}
			for _, link := range c.Links {
				to, _, _ := strings.Cut(link, ":")
				r.isolation.Links = append(r.isolation.Links, Link{name(c.Name), name(to), published(d, to)})
			}
			if c.Image.Asset == nil && len(c.Image.Repositories) == 0 {
				r.isolation.Images = append(r.isolation.Images, Image{name(c.Name), cmp.Or(c.Image.Reference, c.Image.Unknown)})
			}
		}
	}
	slices.SortStableFunc(r.isolation.Directories, func(a, b Directory) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *reader) secrets(d *model.TaskDefinition, number int, container string) {
	for _, s := range d.Containers[number].Secrets {
		from, key := keyed(cmp.Or(s.From, text(s.Parts)))
		r.isolation.Secrets = append(r.isolation.Secrets, Secret{container, s.Name, from, key})
	}
	of := assembly.NewReader(r.Assembly, d.Resource).Properties().Field("ContainerDefinitions").List()[number]
	if login := of.Field("RepositoryCredentials").Field("CredentialsParameter"); login.Present() {
		r.isolation.Secrets = append(r.isolation.Secrets, Secret{Container: container, From: text(login.Evaluated())})
	}
}

// keyed takes the key out of what ECS reads
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html):
// ARN:KEY:STAGE:VERSION, of which the last three may be empty.
func keyed(from string) (arn, key string) {
	const parts = 7 // of the ARN of a secret
	if split := strings.Split(from, ":"); len(split) > parts && split[2] == "secretsmanager" {
		return strings.Join(split[:parts], ":"), split[parts]
	}
	return from, ""
}

// directory says where the directory of a volume is.
func (r *reader) directory(d *model.TaskDefinition, volume string) string {
	i := slices.IndexFunc(d.Volumes, func(v model.TaskVolume) bool { return v.Name == volume })
	if i < 0 {
		return fmt.Sprintf("`%s`, which the task does not have", volume)
	}
	v := d.Volumes[i]
	switch {
	case v.EFS == nil && v.HostPath != "":
		return fmt.Sprintf("`%s` of the instance", v.HostPath)
	case v.EFS == nil:
		return fmt.Sprintf("`%s` of %s", volume, d.Family)
	case v.EFS.AccessPoint == "":
		return fmt.Sprintf("`%s` of `%s`", v.EFS.RootDirectory, v.EFS.FileSystem)
	}
	for _, point := range r.AccessPoints {
		if point.Key() == v.EFS.AccessPoint {
			return fmt.Sprintf("`%s` of `%s`", point.Directory, v.EFS.FileSystem)
		}
	}
	return fmt.Sprintf("that of `%s` of `%s`", v.EFS.AccessPoint, v.EFS.FileSystem)
}

// published are the ports of a container of the task.
func published(d *model.TaskDefinition, container string) string {
	var ports []string
	for _, c := range d.Containers {
		for _, port := range c.Ports {
			if c.Name == container {
				ports = append(ports, fmt.Sprintf("%s %d", port.Protocol, port.Container))
			}
		}
	}
	return strings.Join(ports, ", ")
}

// whatIsHanded writes what containers have beside an image of this deployment, if they have anything.
func (i *Isolation) whatIsHanded(b *strings.Builder) {
	title := "\n## What containers are handed\n"
	section := func(text, head string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(b, "%s\n%s\n\n%s", title, text, head)
		title = ""
		for _, row := range rows {
			fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	var secrets, directories, links, images [][]string
	for _, s := range i.Secrets {
		variable, key := "the login of its registry", ""
		if s.Variable != "" {
			variable = code([]string{s.Variable})
		}
		if s.Key != "" {
			key = code([]string{s.Key})
		}
		secrets = append(secrets, []string{s.Container, variable, code([]string{s.From}), key})
	}
	for _, d := range i.Directories {
		may := "read and write"
		if d.ReadOnly {
			may = "read"
		}
		directories = append(directories, []string{d.Name, d.Container, code([]string{d.Path}), may})
	}
	for _, l := range i.Links {
		links = append(links, []string{l.From, l.To, l.Ports})
	}
	for _, image := range i.Images {
		images = append(images, []string{image.Container, code([]string{image.Name})})
	}
	section("**Secrets.** ECS reads them with the execution role when a task starts. The program has them in variables.",
		"| container | variable | from | key |\n|---|---|---|---|\n", secrets)
	section("**Directories.** Containers with the same directory share it.",
		"| directory | container | at | may |\n|---|---|---|---|\n", directories)
	section("**Links.** A container reaches these containers of its task at these ports, and no other container of its instance.",
		"| container | reaches | at |\n|---|---|---|\n", links)
	section("**Images from elsewhere.** They are not built from this repository.",
		"| container | image |\n|---|---|\n", images)
}
