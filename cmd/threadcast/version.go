package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what runs.
type build struct{ Version, Commit, Go string }

func (b build) String() string {
	return fmt.Sprintf("threadcast %s\ncommit %s\n%s %s/%s", b.Version, b.Commit, b.Go, runtime.GOOS, runtime.GOARCH)
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the version of Go",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintln(p.stdout, p.version()); err != nil {
				return fmt.Errorf("print the version: %w", err)
			}
			return nil
		},
	}
}

// version is what the linker was told, else what the Go command recorded.
func (p *program) version() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(version, info)
}

func buildOf(linked string, info *debug.BuildInfo) build {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	module := info.Main.Version
	if module == "(devel)" {
		module = ""
	}
	commit := cmp.Or(settings["vcs.revision"], "unknown")
	if settings["vcs.modified"] == "true" {
		commit += ", with changes"
	}
	return build{Version: cmp.Or(linked, module, "devel"), Commit: commit, Go: runtime.Version()}
}
