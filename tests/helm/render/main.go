// render prints the manifests of a chart as `helm template` does, from what Debian packages: text/template, sprig and
// ghodss-yaml. It is for tests of charts kept inside what it knows (see functions.go); no repository, no cluster, no hooks run.
//
//	render -chart DIR -name RELEASE -namespace NS [-values FILE]... [-set KEY=YAML]... [-kube-version 1.30] [-api VERSION/KIND]...
//	       [-objects FILE] [-upgrade] [-notes] [-show manifests|values]
//
// -objects names a file of manifests that `lookup` finds, as if a cluster had them. -show values prints what each chart's schema
// is to judge, as JSON by the chart's name. What is wrong is one line on standard error, and the exit code is 1.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"strings"
	"text/template"

	"github.com/Masterminds/semver"
	"github.com/ghodss/yaml"
)

type texts []string

func (t *texts) String() string         { return strings.Join(*t, ",") }
func (t *texts) Set(value string) error { *t = append(*t, value); return nil }

type kubeVersion struct{ Version, Major, Minor string }

func (k kubeVersion) String() string     { return k.Version }
func (k kubeVersion) GitVersion() string { return k.Version }

type apiVersions []string

func (a apiVersions) Has(wanted string) bool {
	for _, known := range a {
		if known == wanted {
			return true
		}
	}
	return false
}

type capabilities struct {
	KubeVersion kubeVersion
	APIVersions apiVersions
}

// setValue puts a value at a path with dots into values.
func setValue(values map[string]interface{}, assignment string) error {
	parts := strings.SplitN(assignment, "=", 2)
	if len(parts) != 2 {
		return fmt.Errorf("-set %s: expected KEY=VALUE", assignment)
	}
	var value interface{}
	if err := yaml.Unmarshal([]byte(parts[1]), &value); err != nil {
		return fmt.Errorf("-set %s: %w", assignment, err)
	}
	keys := strings.Split(parts[0], ".")
	for _, key := range keys[:len(keys)-1] {
		below, ok := values[key].(map[string]interface{})
		if !ok {
			below = map[string]interface{}{}
			values[key] = below
		}
		values = below
	}
	values[keys[len(keys)-1]] = value
	return nil
}

// scopes gives each chart what its templates know as the dot, by the chart's path from the top.
func scopes(c *chart, at string, values, release map[string]interface{}, caps *capabilities, into map[string]map[string]interface{}) map[string]interface{} {
	below := map[string]interface{}{}
	scope := map[string]interface{}{"Chart": c.Metadata, "Files": c.files, "Release": release, "Capabilities": caps,
		"Values": values, "Subcharts": below}
	into[at] = scope
	for _, child := range c.dependencies {
		own, _ := values[child.Metadata.Name].(map[string]interface{})
		below[child.Metadata.Name] = scopes(child, path.Join(at, "charts", child.Metadata.Name), own, release, caps, into)
	}
	return scope
}

// gather adds a chart's templates, and those of the charts below, to one set: named templates are known everywhere.
func gather(c *chart, at string, set *template.Template, owner map[string]string) error {
	for _, child := range c.dependencies {
		if err := gather(child, path.Join(at, "charts", child.Metadata.Name), set, owner); err != nil {
			return err
		}
	}
	for _, name := range names(c.templates) {
		full := path.Join(at, name)
		owner[full] = at
		if _, err := set.New(full).Parse(c.templates[name]); err != nil {
			return err
		}
	}
	return nil
}

func render(c *chart, values, release map[string]interface{}, caps *capabilities, objects []map[string]interface{}, notes bool) (string, error) {
	set := template.New("chart").Option("missingkey=zero")
	set.Funcs(functions(set, objects))
	owner := map[string]string{}
	if err := gather(c, c.Metadata.Name, set, owner); err != nil {
		return "", err
	}
	dots := map[string]map[string]interface{}{}
	scopes(c, c.Metadata.Name, values, release, caps, dots)

	var out strings.Builder
	for _, name := range names(owner) {
		base := path.Base(name)
		isNotes := base == "NOTES.txt"
		if strings.HasPrefix(base, "_") || isNotes != notes || (notes && owner[name] != c.Metadata.Name) {
			continue
		}
		dot := map[string]interface{}{"Template": map[string]interface{}{"Name": name, "BasePath": path.Join(owner[name], "templates")}}
		for key, value := range dots[owner[name]] {
			dot[key] = value
		}
		text, err := execute(set.Lookup(name), dot)
		if err != nil {
			return "", err
		}
		if notes {
			out.WriteString(text)
		} else if strings.TrimSpace(text) != "" {
			fmt.Fprintf(&out, "---\n# Source: %s\n%s\n", name, strings.TrimSpace(text))
		}
	}
	return out.String(), nil
}

func run() error {
	var valueFiles, sets, apis texts
	folder := flag.String("chart", "", "the chart's folder")
	name := flag.String("name", "release-name", "the release's name")
	namespace := flag.String("namespace", "default", "the release's namespace")
	kube := flag.String("kube-version", "1.30.0", "the cluster's version")
	objectsFile := flag.String("objects", "", "manifests that lookup finds")
	upgrade := flag.Bool("upgrade", false, "an upgrade, not an install")
	notes := flag.Bool("notes", false, "print NOTES.txt")
	show := flag.String("show", "manifests", "manifests or values")
	flag.Var(&valueFiles, "values", "a file of values")
	flag.Var(&sets, "set", "KEY=VALUE")
	flag.Var(&apis, "api", "a kind the cluster knows")
	flag.Parse()

	c, err := loadChart(*folder, "")
	if err != nil {
		return err
	}
	given := map[string]interface{}{}
	for _, file := range valueFiles {
		more := map[string]interface{}{}
		if err = readYAML(file, &more); err != nil {
			return err
		}
		given = join(given, more)
	}
	for _, assignment := range sets {
		if err = setValue(given, assignment); err != nil {
			return err
		}
	}
	values := c.values(given)
	if *show == "values" {
		judged := map[string]interface{}{}
		var collect func(*chart, map[string]interface{})
		collect = func(c *chart, values map[string]interface{}) {
			judged[c.folder] = values
			for _, child := range c.dependencies {
				own, _ := values[child.Metadata.Name].(map[string]interface{})
				collect(child, own)
			}
		}
		collect(c, values)
		return json.NewEncoder(os.Stdout).Encode(judged)
	}
	version, err := semver.NewVersion(*kube)
	if err != nil {
		return err
	}
	caps := &capabilities{APIVersions: append(apiVersions{"v1", "apps/v1", "policy/v1", "networking.k8s.io/v1"}, apis...),
		KubeVersion: kubeVersion{"v" + version.String(), fmt.Sprint(version.Major()), fmt.Sprint(version.Minor())}}
	if c.Metadata.KubeVersion != "" {
		wanted, err := semver.NewConstraint(c.Metadata.KubeVersion)
		if err != nil {
			return err
		}
		if !wanted.Check(version) {
			return fmt.Errorf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", c.Metadata.KubeVersion, version)
		}
	}
	var objects []map[string]interface{}
	if *objectsFile != "" {
		if err = readYAML(*objectsFile, &objects); err != nil {
			return err
		}
	}
	release := map[string]interface{}{"Name": *name, "Namespace": *namespace, "Service": "Helm", "IsInstall": !*upgrade,
		"IsUpgrade": *upgrade, "Revision": 1}
	text, err := render(c, values, release, caps, objects, *notes)
	if err != nil {
		return err
	}
	fmt.Print(text)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}
