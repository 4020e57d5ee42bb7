package main

// The functions helm adds to those of text/template and sprig, with helm's results for what is missing or wrong.

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"github.com/ghodss/yaml"
)

const deepest = 1000 // includes within includes, as in helm

func toYAML(value interface{}) string {
	text, err := yaml.Marshal(value)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

// fromYAML and fromJSON tell what is wrong as a member, as helm's do.
func fromYAML(text string) map[string]interface{} {
	value := map[string]interface{}{}
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		value["Error"] = err.Error()
	}
	return value
}

func fromJSON(text string) map[string]interface{} {
	value := map[string]interface{}{}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		value["Error"] = err.Error()
	}
	return value
}

func fromYAMLArray(text string) []interface{} {
	value := []interface{}{}
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		value = []interface{}{err.Error()}
	}
	return value
}

func toJSON(value interface{}) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

func required(warning string, value interface{}) (interface{}, error) {
	if text, isText := value.(string); value == nil || (isText && text == "") {
		return value, errors.New(warning)
	}
	return value, nil
}

// execute runs a template; what has no value is nothing, not "<no value>".
func execute(t *template.Template, dot interface{}) (string, error) {
	var out strings.Builder
	if err := t.Execute(&out, dot); err != nil {
		return "", err
	}
	return strings.ReplaceAll(out.String(), "<no value>", ""), nil
}

// find answers `lookup`: one object by its name, a list without one; an empty map where there is none.
func find(objects []map[string]interface{}, apiVersion, kind, namespace, name string) map[string]interface{} {
	items := []interface{}{}
	for _, object := range objects {
		about, _ := object["metadata"].(map[string]interface{})
		if object["apiVersion"] != apiVersion || object["kind"] != kind || (namespace != "" && about["namespace"] != namespace) {
			continue
		}
		if name != "" && about["name"] == name {
			return object
		}
		items = append(items, object)
	}
	if name != "" || len(items) == 0 {
		return map[string]interface{}{}
	}
	return map[string]interface{}{"items": items}
}

func functions(set *template.Template, objects []map[string]interface{}) template.FuncMap {
	known := sprig.TxtFuncMap()
	delete(known, "env")
	delete(known, "expandenv")
	depth := 0
	added := template.FuncMap{
		"toYaml": toYAML, "fromYaml": fromYAML, "fromYamlArray": fromYAMLArray,
		"toJson": toJSON, "fromJson": fromJSON, "required": required,
		"fail": func(text string) (string, error) { return "", errors.New(text) },
		"lookup": func(apiVersion, kind, namespace, name string) map[string]interface{} {
			return find(objects, apiVersion, kind, namespace, name)
		},
		"include": func(name string, dot interface{}) (string, error) {
			t := set.Lookup(name)
			if t == nil {
				return "", fmt.Errorf("no template %q", name)
			}
			if depth++; depth > deepest {
				return "", fmt.Errorf("template %q includes itself without end", name)
			}
			defer func() { depth-- }()
			return execute(t, dot)
		},
		"tpl": func(text string, dot interface{}) (string, error) {
			own, err := set.Clone()
			if err != nil {
				return "", err
			}
			t, err := own.New("tpl").Parse(text)
			if err != nil {
				return "", fmt.Errorf("cannot parse template %q: %w", text, err)
			}
			return execute(t, dot)
		},
	}
	for name, function := range added {
		known[name] = function
	}
	return known
}
