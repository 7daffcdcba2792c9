package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBuildOf(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}
	changed := append(vcs[:1:1], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	for name, at := range map[string]struct {
		linked          string
		info            debug.BuildInfo
		version, commit string
	}{
		"nothing is known":      {version: "devel", commit: "unknown"},
		"told by the linker":    {linked: "v1.2.3", info: debug.BuildInfo{Main: debug.Module{Version: "v0.9.0"}, Settings: vcs}, version: "v1.2.3", commit: "abc"},
		"installed by go":       {info: debug.BuildInfo{Main: debug.Module{Version: "v0.9.0"}}, version: "v0.9.0", commit: "unknown"},
		"built from a checkout": {info: debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: changed}, version: "devel", commit: "abc, with changes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := buildOf(at.linked, &at.info)
			if want := (build{at.version, at.commit, runtime.Version()}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
