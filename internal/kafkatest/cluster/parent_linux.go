package cluster

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system kill the process should this one be killed.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
