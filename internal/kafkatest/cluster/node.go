package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// node is one process, broker and controller in one.
type node struct {
	id      int
	address string
	dir     string

	process *exec.Cmd     // nil: not running
	ended   chan struct{} // closed once it has been waited for
}

var errPortTaken = errors.New("a port that was free is taken by now")

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }
func (n *node) log() string        { return filepath.Join(n.dir, "node.log") }

// configure writes the node's properties. One partition for each of the internal
// topics makes its coordinators one thing to wait for; the short times let a
// killed leader be replaced in about three seconds.
func (n *node) configure(controller, voters string, nodes int) error {
	copies := min(nodes, 3)
	quorum := (copies + 1) / 2
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%[3]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[5]s
auto.create.topics.enable=false
default.replication.factor=%[6]d
min.insync.replicas=%[7]d
offsets.topic.replication.factor=%[6]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=%[6]d
transaction.state.log.min.isr=%[7]d
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=%[6]d
share.coordinator.state.topic.min.isr=%[7]d
group.initial.rebalance.delay.ms=0
replica.lag.time.max.ms=3000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
`, n.id, voters, n.address, controller, filepath.Join(n.dir, "data"), copies, quorum)
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(n.properties(), []byte(properties), 0o600)
}

func (n *node) format(ctx context.Context, java Java, libs, cluster string) error {
	command := exec.CommandContext(ctx, java.path, "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"),
		"kafka.tools.StorageTool", "format", "-t", cluster, "-c", n.properties())
	command.Dir = n.dir
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("format node %d: %w: %s", n.id, err, lastLines(said))
	}
	return nil
}

// start runs the node; it is no error if it runs already.
func (n *node) start(java Java, libs string) error {
	if n.process != nil && !n.hasEnded() {
		return nil
	}
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	command := exec.Command(java.path, "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", filepath.Join(libs, "*"), "kafka.Kafka", n.properties())
	command.Dir = n.dir
	command.Stdout, command.Stderr = log, log
	dieWithParent(command)
	if err := command.Start(); err != nil {
		return fmt.Errorf("start node %d: %w", n.id, err)
	}
	n.process, n.ended = command, make(chan struct{})
	go func(ended chan struct{}) {
		_ = command.Wait() // kill and awaitReady say what its end means
		close(ended)
	}(n.ended)
	return nil
}

func (n *node) hasEnded() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// kill ends the process by its handle, which cannot be somebody else's as the
// process is waited for only here, and returns once it is gone.
func (n *node) kill() error {
	if n.process == nil {
		return nil
	}
	if err := n.process.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill node %d: %w", n.id, err)
	}
	<-n.ended
	n.process = nil
	return nil
}

// failure is why a node that should run does not.
func (n *node) failure() error {
	if n.process != nil && !n.hasEnded() {
		return nil
	}
	if tail := n.logTail(); strings.Contains(tail, "Address already in use") || strings.Contains(tail, "BindException") {
		return fmt.Errorf("node %d: %w", n.id, errPortTaken)
	}
	return fmt.Errorf("node %d ended", n.id)
}

func (n *node) logTail() string {
	said, err := os.ReadFile(n.log())
	if err != nil {
		return ""
	}
	return lastLines(said)
}

// lastLines is what a person needs of an output that says too much.
func lastLines(said []byte) string {
	const limit = 3000
	said = bytes.TrimSpace(said)
	if len(said) > limit {
		said = said[len(said)-limit:]
	}
	return string(said)
}
