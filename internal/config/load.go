package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// maxFile bounds the file; a configuration of a thousand accounts is far below.
const maxFile = 1 << 20

// Load reads the file at path and the variables THREADCAST_A__B__C of environ
// ("NAME=value"), which go before the file. An empty path means that everything
// comes from the environment. Relative paths in values, also those from the
// environment, are relative to the file's directory; without a file, to the
// working directory. The error is an *Error and holds every problem there is.
// Load may be called again at any time; it keeps nothing.
func Load(path string, environ []string) (*Config, []Warning, error) {
	if path == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, nil, unreadable(path, err)
		}
		return load(nil, "", dir, environ)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	data, err := readFile(absolute)
	if err != nil {
		return nil, nil, unreadable(path, err)
	}
	config, warnings, err := load(data, path, filepath.Dir(absolute), environ)
	if config != nil {
		config.File = absolute
	}
	return config, warnings, err
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("the file is larger than %d KiB", maxFile>>10)
	}
	return data, err
}

// unreadable says what a person does about a file that cannot be read.
func unreadable(path string, err error) error {
	problem := Problem{Where: path, What: err.Error()}
	var pathError *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem.What = "there is no such file"
		problem.Want = "one, for example:\n\n" + Starter
	case errors.As(err, &pathError):
		problem.What = "cannot be read: " + pathError.Err.Error()
	}
	return &Error{Problems: []Problem{problem}}
}

// loader is what one Load knows.
type loader struct {
	findings
	schema     schema
	dir        string
	file       *koanf.Koanf      // file and environment
	origins    map[string]origin // key path -> where its value stands
	environ    map[string]string
	unreadable bool // the file is not YAML
}

// load is Load without the disk.
func load(data []byte, name, dir string, environ []string) (*Config, []Warning, error) {
	l := &loader{
		schema:  newSchema(),
		dir:     dir,
		file:    koanf.New("."),
		origins: map[string]origin{},
		environ: environment(environ),
	}
	l.read(data, name, environ)
	if l.unreadable {
		return nil, l.warnings, l.err() // what is missing in it would only distract
	}
	config := &Config{Kafka: Kafka{}}
	decode(l, config, serviceKeys(), l.service)
	config.Accounts = l.accounts()
	l.check(config)
	if err := l.err(); err != nil {
		return nil, l.warnings, err
	}
	return config, l.warnings, nil
}

// read fills l.file with known keys only: what is unknown is a problem, and gone.
func (l *loader) read(data []byte, name string, environ []string) {
	reader := reader{findings: &l.findings, schema: l.schema, name: name, origins: l.origins}
	l.merge(l.file, reader.document(data))
	l.unreadable = len(l.problems) > 0 && len(l.file.Keys()) == 0
	variables := variables{findings: &l.findings, schema: l.schema, origins: l.origins}
	err := l.file.Load(env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		TransformFunc: variables.key,
		EnvironFunc:   func() []string { return environ },
	}), nil)
	if err != nil {
		l.problem(origin{where: "environment"}, "", err.Error(), "")
	}
}

func (l *loader) merge(into *koanf.Koanf, tree map[string]any) {
	if err := into.Load(confmap.Provider(tree, ""), nil); err != nil {
		l.problem(origin{}, "", err.Error(), "")
	}
}

// service finds a key of the service as a whole.
func (l *loader) service(path string) (value, string) {
	return asValue(l.file.Get(path), l.origins[path]), path
}

func (l *loader) accounts() []Account {
	labels := l.file.MapKeys("accounts")
	slices.Sort(labels)
	accounts := make([]Account, 0, len(labels))
	for _, label := range labels {
		accounts = append(accounts, l.account(label))
	}
	return accounts
}

// account is what stands under the label, and for the rest what stands under
// `defaults`.
func (l *loader) account(label string) Account {
	own := l.file.Cut("accounts." + label)
	merged := l.file.Cut("defaults")
	if own.Exists(keyTokenFile) || own.Exists(keyTokenEnv) {
		merged.Delete("hubspot.auth") // one way replaces the other
	}
	l.merge(merged, own.Raw())
	account := Account{Label: label}
	decode(l, &account, accountKeys(), func(path string) (value, string) {
		full := "accounts." + label + "." + path
		if !own.Exists(path) && merged.Exists(path) {
			full = "defaults." + path
		}
		return asValue(merged.Get(path), l.origins[full]), full
	})
	return account
}

// decode sets every key of the table, from its value or from its default.
func decode[T any](l *loader, target *T, keys []key[T], find func(path string) (value, string)) {
	for _, key := range keys {
		found, full := find(key.path)
		if !found.given {
			found = value{text: key.standard}
		}
		if !found.given && key.standard == "" {
			continue
		}
		found.dir = l.dir
		if err := key.set(target, found); err != nil {
			l.problem(found.origin, full, err.Error(), key.want)
		}
	}
}

func environment(environ []string) map[string]string {
	byName := make(map[string]string, len(environ))
	for _, entry := range environ {
		if name, text, ok := strings.Cut(entry, "="); ok {
			byName[name] = text
		}
	}
	return byName
}
