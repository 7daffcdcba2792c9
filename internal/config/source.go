package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// origin is where a value stands.
type origin struct {
	where string
	line  int
}

// value is the text of a key, or its list. Scalars are kept as they were written
// and never pass through YAML's types: an id that looks like a number in octal or
// floating point stays what it is.
type value struct {
	origin
	given bool
	text  string
	list  []string
	many  bool   // a list
	dir   string // relative paths begin here
}

func asValue(raw any, at origin) value {
	switch raw := raw.(type) {
	case string:
		return value{origin: at, given: true, text: raw}
	case []string:
		return value{origin: at, given: true, list: raw, many: true}
	}
	return value{}
}

// items are the elements of a list. Each text is split at commas: lists come from
// the environment that way, and addresses of brokers are often passed on so.
func (v value) items() []string {
	texts := v.list
	if !v.many && v.text != "" {
		texts = []string{v.text}
	}
	var items []string
	for _, text := range texts {
		items = append(items, strings.Split(text, ",")...)
	}
	return items
}

// maxValues bounds the values of a file: aliases could otherwise make billions.
const maxValues = 100_000

// reader turns the YAML file into a tree of known keys.
type reader struct {
	*findings
	schema  schema
	name    string
	origins map[string]origin
	values  int
}

func (r *reader) document(data []byte) map[string]any {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.broken(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		r.problem(r.at(&second), "", "a second document begins here", "everything in one")
	} else if !errors.Is(err, io.EOF) {
		r.broken(err)
	}
	root := resolve(document.Content[0])
	if isNull(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		r.problem(r.at(root), "", "the file is not a list of keys with values", "\"accounts:\" at the beginning of a line, and so on")
		return nil
	}
	return r.section(root, nil)
}

// broken reports a file that is no YAML. The library's text names the line.
func (r *reader) broken(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	at := origin{where: r.name}
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			at.line, _ = strconv.Atoi(number)
			at.where, text = r.name+":"+number, what
		}
	}
	r.problem(at, "", "this is not YAML: "+text, "")
}

func (r *reader) at(node *yaml.Node) origin {
	return origin{where: fmt.Sprintf("%s:%d", r.name, node.Line), line: node.Line}
}

// section reads a mapping; the path is that of the section.
func (r *reader) section(node *yaml.Node, path []string) map[string]any {
	tree := map[string]any{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, content := resolve(node.Content[i]), resolve(node.Content[i+1])
		full := append(path[:len(path):len(path)], name.Value)
		key, at := strings.Join(full, "."), r.at(node.Content[i])
		if first, ok := r.origins[key]; ok {
			if _, here := tree[name.Value]; here {
				r.problem(at, key, "stands here for the second time, first at "+first.where, "it once")
				continue
			}
		}
		if got := r.entry(full, content, at); got != nil {
			r.origins[key] = at
			tree[name.Value] = got
		}
	}
	return tree
}

// entry reads what stands under a key: a tree, a text, a list, or nil if there is
// nothing to keep.
func (r *reader) entry(path []string, node *yaml.Node, at origin) any {
	key := strings.Join(path, ".")
	if r.values++; r.values > maxValues {
		if r.values == maxValues+1 {
			r.problem(at, key, fmt.Sprintf("the file has more than %d values", maxValues), "less")
		}
		return nil
	}
	switch what, want := r.schema.look(path); {
	case what == isUnknown:
		r.problem(at, key, want.what, want.want)
		return nil
	case what == isSection && isNull(node):
		return map[string]any{}
	case what == isSection && node.Kind != yaml.MappingNode:
		r.problem(at, key, "is a section and takes keys, not a value", strings.Join(r.schema.children(path), ", ")+" below it")
		return nil
	case what == isSection:
		return r.section(node, path)
	}
	return r.leaf(key, node, at)
}

func (r *reader) leaf(key string, node *yaml.Node, at origin) any {
	switch {
	case isNull(node):
		return nil
	case node.Kind == yaml.ScalarNode:
		return strings.TrimSpace(node.Value)
	case node.Kind != yaml.SequenceNode:
		r.problem(at, key, "takes a value, not keys", "")
		return nil
	}
	list := make([]string, 0, len(node.Content))
	for _, item := range node.Content {
		item = resolve(item)
		if r.values++; item.Kind != yaml.ScalarNode || isNull(item) || r.values > maxValues {
			r.problem(r.at(item), key, "takes a list of plain values", "each element as one word")
			return nil
		}
		list = append(list, strings.TrimSpace(item.Value))
	}
	return list
}

// resolve follows an alias. An alias of an alias does not exist in YAML.
func resolve(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		return node.Alias
	}
	return node
}

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

// envPrefix begins every variable that is ours; two underscores separate the
// parts of a key.
const (
	envPrefix    = "THREADCAST_"
	envSeparator = "__"
)

// variables turn the names of environment variables into key paths.
type variables struct {
	*findings
	schema  schema
	origins map[string]origin
}

// key is the path of a variable; empty if there is none, which is a problem
// unless the name has no double underscore: such variables are set by others, as
// Kubernetes does for a Service of our name.
func (v *variables) key(name, text string) (string, any) {
	at := origin{where: "environment variable " + name}
	rest := strings.ToLower(strings.TrimPrefix(name, envPrefix))
	if !strings.Contains(rest, envSeparator) {
		if meant, ok := v.schema.squashed(rest); ok {
			v.warn(at, "", "is ignored; %s is meant, with two underscores", envName(meant))
		}
		return "", nil
	}
	path, complaint := v.schema.variable(rest)
	if complaint.what != "" {
		v.problem(at, "", complaint.what, complaint.want)
		return "", nil
	}
	v.origins[path] = at
	return path, strings.TrimSpace(text)
}

// envName is the variable of a key path.
func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", envSeparator))
}
