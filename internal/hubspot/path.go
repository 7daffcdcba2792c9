package hubspot

import (
	"fmt"
	"sync/atomic"
)

// paths are where one version of the conversations API has its things.
type paths struct {
	version string
	threads string
	inboxes string
}

func conversations(version, prefix string) paths {
	return paths{version: version, threads: prefix + "/threads", inboxes: prefix + "/inboxes"}
}

// allPaths are the versions in the order in which auto tries them. The dated ones
// are as HubSpot's specification and reference print them; its guide swaps the
// middle parts.
func allPaths() []paths {
	return []paths{
		conversations("2026-09-beta", "/conversations/conversations/2026-09-beta"),
		conversations("2026-09", "/conversations/conversations/2026-09"),
		conversations("v3", "/conversations/v3/conversations"),
	}
}

// accountPaths are where an account's details are, newest first.
func accountPaths() []string {
	return []string{"/account-info/2026-09/details", "/account-info/v3/details"}
}

func pathsOf(version string) ([]paths, error) {
	all := allPaths()
	if version == "" || version == VersionAuto {
		return all, nil
	}
	for _, one := range all {
		if one.version == version {
			return []paths{one}, nil
		}
	}
	return nil, fmt.Errorf("hubspot.api_version %q: want 2026-09-beta, 2026-09, v3 or auto", version)
}

// versions remembers which of the paths is there.
type versions struct {
	paths []paths
	index atomic.Int64
}

// current is the version in use, and a mark for advance.
func (v *versions) current() (paths, int64) {
	mark := v.index.Load()
	return v.paths[int(mark)%len(v.paths)], mark
}

// advance goes on to the next version unless somebody else did so since mark.
func (v *versions) advance(mark int64) { v.index.CompareAndSwap(mark, mark+1) }
