//go:build !linux

package cluster

import "os/exec"

// dieWithParent does nothing: only Linux can tie a process to its parent's life.
func dieWithParent(*exec.Cmd) {}
