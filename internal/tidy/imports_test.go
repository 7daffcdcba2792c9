package tidy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	protoPackage = "proto"
	all          = "*"
)

// mayImport is the import table: for each package of the module, which of its
// packages it may use, tests apart. A directory stands for what is below it too.
// Data moves to the right: hubspot, sweep, store and publish never meet outside of
// pipeline.
func mayImport() map[string][]string {
	return map[string][]string{
		"internal/thread":      {},
		"internal/quota":       {},
		"internal/event":       {"internal/thread", protoPackage},
		"internal/hubspot":     {"internal/thread", "internal/quota"},
		"internal/store":       {"internal/thread", "internal/event"},
		"internal/sweep":       {"internal/thread"},
		"internal/broker":      {},
		"internal/publish":     {"internal/event", "internal/broker", "internal/thread", protoPackage},
		"internal/config":      {"internal/thread"},
		"internal/telemetry":   {},
		"internal/pipeline":    {all},
		"internal/hubspottest": {"internal/thread"},
		"internal/kafkatest":   {"internal/thread"},
		"internal/oracle":      {"internal/thread", "internal/event", "internal/hubspottest", protoPackage},
		"internal/contract":    {protoPackage},
		"internal/tidy":        {},
		"internal/tools":       {},
		"proto":                {},
		"cmd/threadcast":       {"internal/config", "internal/pipeline", "internal/telemetry", "internal/event", "internal/broker", "internal/thread", protoPackage},
		"cmd/demo":             {all},
	}
}

// mayUse is the table of other people's modules: who may import which, tests
// apart. What is not in it may not be imported at all. The standard library and its
// extensions under golang.org/x are free, for everybody but `thread` and `quota`.
func mayUse() map[string][]string {
	return map[string][]string{
		"go.etcd.io/bbolt":                    {"internal/store"},
		"github.com/segmentio/kafka-go":       {"internal/broker"},
		"github.com/spf13/cobra":              {"cmd"},
		"github.com/knadh/koanf":              {"internal/config"},
		"go.yaml.in/yaml/v3":                  {"internal/config"},
		"github.com/prometheus/client_golang": {"internal/telemetry"},
		"github.com/go-faster/jx":             {"internal/hubspot", "internal/hubspottest"},
		"github.com/zeebo/xxh3":               {"internal/hubspot"},
		"github.com/klauspost/compress":       {"internal/hubspot", "internal/broker", "internal/hubspottest"},
		"github.com/pierrec/lz4":              {"internal/broker"},
		"github.com/cenkalti/backoff":         {"internal/hubspot", "internal/publish", "internal/broker"},
		"buf.build/go/protovalidate":          {"internal/event"},
		"buf.build/gen/go/bufbuild":           {protoPackage},
		"google.golang.org/protobuf":          {"internal/event", "internal/publish", "internal/oracle", protoPackage, "internal/pipeline", "internal/contract", "cmd"},
		"github.com/twmb/franz-go":            {"internal/kafkatest", "internal/oracle", "cmd/demo"},
		"github.com/bufbuild/protocompile":    {"internal/contract"},
		"github.com/rogpeppe/go-internal":     {},
		"golang.org/x":                        {all},
	}
}

// pure packages have the standard library alone.
func pure(dir string) bool { return dir == "internal/thread" || dir == "internal/quota" }

// covers says whether a list names a directory, or one above it.
func covers(list []string, dir string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return entry == all || dir == entry || strings.HasPrefix(dir, entry+"/")
	})
}

// owner is the entry of the import table that a directory belongs to.
func owner(dir string) (string, bool) {
	table := mayImport()
	for at := dir; at != "."; at = parent(at) {
		if _, ok := table[at]; ok {
			return at, true
		}
	}
	return "", false
}

func parent(dir string) string {
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		return dir[:i]
	}
	return "."
}

// checkImports judges every file but tests by the two tables.
func checkImports(files []file) (violations []string) {
	for _, f := range files {
		if !f.isGo() || f.isTest() {
			continue
		}
		from, known := owner(f.dir())
		if !known {
			violations = append(violations, fmt.Sprintf("%s: the package %s is not in the import table of internal/tidy", f.path, f.dir()))
			continue
		}
		for _, spec := range f.ast.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			if why := forbidden(from, name); why != "" {
				violations = append(violations, fmt.Sprintf("%s: %s imports %s: %s", f.at(spec), from, name, why))
			}
		}
	}
	return violations
}

// forbidden is why a package must not import another; empty if it may.
func forbidden(from, name string) string {
	if own, ok := strings.CutPrefix(name, module+"/"); ok {
		to, known := owner(own)
		switch {
		case !known:
			return "it is not in the import table"
		case to != from && !covers(mayImport()[from], to):
			return "the import table does not allow it"
		}
		return ""
	}
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	if pure(from) {
		return "it has the standard library alone"
	}
	for foreign, users := range mayUse() {
		if name == foreign || strings.HasPrefix(name, foreign+"/") {
			if covers(users, from) || from == "internal/tools" {
				return ""
			}
			return "this module belongs to " + strings.Join(users, ", ")
		}
	}
	if from == "internal/tools" {
		return ""
	}
	return "this module is not in the table of modules"
}
