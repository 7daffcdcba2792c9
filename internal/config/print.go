package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the configuration that is in force: every key, defaults included,
// paths absolute. It is a file that loads to the same configuration. There is no
// secret in it, as there is none in a Config.
func (c *Config) Print(w io.Writer) error {
	p := &printer{}
	for i := range c.Accounts {
		account := &c.Accounts[i]
		printKeys(p, "accounts."+account.Label+".", accountKeys(), account)
	}
	printKeys(p, "", serviceKeys(), c)
	_, err := io.WriteString(w, p.text.String())
	return err
}

// printer writes nested keys; it remembers which sections are open.
type printer struct {
	text strings.Builder
	open []string
}

func printKeys[T any](p *printer, prefix string, keys []key[T], from *T) {
	for _, key := range keys {
		if printed, shown := key.get(from); shown {
			p.key(strings.Split(prefix+key.path, "."), printed)
		}
	}
}

func (p *printer) key(path []string, printed any) {
	sections := path[:len(path)-1]
	same := 0
	for same < len(sections) && same < len(p.open) && sections[same] == p.open[same] {
		same++
	}
	for depth := same; depth < len(sections); depth++ {
		fmt.Fprintf(&p.text, "%s%s:\n", strings.Repeat("  ", depth), quote(sections[depth]))
	}
	p.open = sections
	fmt.Fprintf(&p.text, "%s%s: %s\n", strings.Repeat("  ", len(sections)), path[len(path)-1], written(printed))
}

func written(printed any) string {
	items, ok := printed.([]string)
	if !ok {
		return quote(printed.(string))
	}
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quote writes a text so that YAML reads it as it is. Values have no control
// characters, so quotes and backslashes are all that needs an escape.
func quote(text string) string {
	plain := text != "" && only(text[:1], lower+upper+digits+"/") && only(text, lower+upper+digits+"/._-") &&
		!strings.EqualFold(text, "null")
	if plain {
		return text
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
