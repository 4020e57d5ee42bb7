package main

// What a chart is on disk: Chart.yaml, values.yaml, the templates, the other files, and the charts it depends on. Packed
// dependencies (.tgz) and repositories are not read: a chart under test names its neighbours by file://.

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/ghodss/yaml"
)

type metadata struct {
	Name, Version, AppVersion, KubeVersion, Description, Type, APIVersion string
	Dependencies                                                          []dependency
	Annotations                                                           map[string]string
}

type dependency struct{ Name, Repository, Alias, Version string }

type chart struct {
	Metadata     *metadata
	folder       string
	defaults     map[string]interface{}
	templates    map[string]string // by path below the chart, with its name before it
	files        files
	dependencies []*chart
}

// files is what templates know as .Files.
type files map[string][]byte

func (f files) Get(name string) string { return string(f[name]) }

func (f files) Glob(pattern string) files {
	found := files{}
	for name, content := range f {
		if ok, _ := filepath.Match(pattern, name); ok {
			found[name] = content
		}
	}
	return found
}

func (f files) AsConfig() string {
	named := map[string]string{}
	for name, content := range f {
		named[filepath.Base(name)] = string(content)
	}
	return toYAML(named)
}

func readYAML(path string, into interface{}) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err = yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// loadChart reads the chart in a folder; name is what its templates and values are found by: an alias, or its own.
func loadChart(folder, alias string) (*chart, error) {
	c := &chart{Metadata: &metadata{}, folder: folder, defaults: map[string]interface{}{}, templates: map[string]string{}, files: files{}}
	if err := readYAML(filepath.Join(folder, "Chart.yaml"), c.Metadata); err != nil {
		return nil, err
	}
	if alias != "" {
		c.Metadata.Name = alias
	}
	if err := readYAML(filepath.Join(folder, "values.yaml"), &c.defaults); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	err := filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		switch {
		case strings.HasPrefix(name, "charts/"):
		case strings.HasPrefix(name, "templates/"):
			c.templates[name] = string(text)
		default:
			c.files[name] = text
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, d := range c.Metadata.Dependencies {
		where := filepath.Join(folder, "charts", d.Name)
		if strings.HasPrefix(d.Repository, "file://") {
			where = filepath.Join(folder, strings.TrimPrefix(d.Repository, "file://"))
		}
		child, err := loadChart(where, d.Alias)
		if err != nil {
			return nil, err
		}
		c.dependencies = append(c.dependencies, child)
	}
	return c, nil
}

// lay puts `over` on `under` as helm does: maps by their keys, everything else whole; null takes a default away.
func lay(under, over map[string]interface{}) map[string]interface{} {
	laid := map[string]interface{}{}
	for key, value := range under {
		laid[key] = value
	}
	for key, value := range over {
		below, belowIsMap := laid[key].(map[string]interface{})
		above, aboveIsMap := value.(map[string]interface{})
		switch {
		case value == nil:
			delete(laid, key)
		case belowIsMap && aboveIsMap:
			laid[key] = lay(below, above)
		case aboveIsMap:
			laid[key] = lay(map[string]interface{}{}, above)
		default:
			laid[key] = value
		}
	}
	return laid
}

// join puts one file of values on another; a null stays, to take a default away.
func join(under, over map[string]interface{}) map[string]interface{} {
	joined := lay(under, nil)
	for key, value := range over {
		below, belowIsMap := joined[key].(map[string]interface{})
		above, aboveIsMap := value.(map[string]interface{})
		if belowIsMap && aboveIsMap {
			value = join(below, above)
		}
		joined[key] = value
	}
	return joined
}

// values of a chart and, below their names, of those it depends on.
func (c *chart) values(given map[string]interface{}) map[string]interface{} {
	all := lay(c.defaults, given)
	for _, child := range c.dependencies {
		below, _ := all[child.Metadata.Name].(map[string]interface{})
		below = lay(map[string]interface{}{}, below)
		global, _ := all["global"].(map[string]interface{})
		own, _ := below["global"].(map[string]interface{})
		below["global"] = lay(own, global)
		all[child.Metadata.Name] = child.values(below)
	}
	return all
}

func names(m map[string]string) []string {
	sorted := make([]string, 0, len(m))
	for name := range m {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	return sorted
}
