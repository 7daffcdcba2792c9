package cluster

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/threadcast/threadcast/internal/kafkatest"
)

func TestJavaVersions(t *testing.T) {
	for said, want := range map[string]int{
		"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime": 17,
		"java version \"1.8.0_292\"":                              1,
		"openjdk version \"25\" 2025-09-16":                       25,
		"Picked up JAVA_TOOL_OPTIONS\nopenjdk version \"21.0.2\"": 21,
		"no such thing": 0,
	} {
		if got := majorVersion(said); got != want {
			t.Errorf("%q: got %d, want %d", said, got, want)
		}
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := FindJava(t.Context()); err == nil || !strings.Contains(err.Error(), "Java 17") {
		t.Errorf("without Java: got %v", err)
	}
	if _, err := Libs(t.Context(), t.TempDir(), "4.3.1"); err == nil || !strings.Contains(err.Error(), "mvn (Apache Maven)") {
		t.Errorf("without Maven: got %v", err)
	}
	for _, version := range []string{"", "latest", "../4.3.1", "4"} {
		if _, err := Libs(t.Context(), t.TempDir(), version); err == nil || !strings.Contains(err.Error(), "not a version") {
			t.Errorf("version %q: got %v", version, err)
		}
	}
}

func TestFetchedLibsAreUsed(t *testing.T) {
	cache := t.TempDir()
	libs := filepath.Join(cache, "kafka-4.3.1")
	if err := os.Mkdir(libs, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Libs(t.Context(), cache, "4.3.1"); got != libs || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, libs)
	}
}

func TestClusterIDsAreNoOptions(t *testing.T) {
	for range 1000 {
		if id, err := clusterID(); err != nil || len(id) != 22 || id[0] == '-' {
			t.Fatalf("got %q, %v", id, err)
		}
	}
}

func TestLayOut(t *testing.T) {
	c := &Cluster{dir: t.TempDir()}
	if err := c.layOut(Config{Nodes: 3, Listen: "127.0.0.1:9092"}); err != nil {
		t.Fatal(err)
	}
	brokers := c.Brokers()
	if brokers[0] != "127.0.0.1:9092" || len(slices.Compact(slices.Sorted(slices.Values(brokers)))) != 3 {
		t.Errorf("got %v, want three addresses, 127.0.0.1:9092 first", brokers)
	}
	properties, err := os.ReadFile(c.nodes[1].properties())
	for _, want := range []string{
		"node.id=2\n", "advertised.listeners=PLAINTEXT://" + brokers[1] + "\n", "default.replication.factor=3\n",
		"min.insync.replicas=2\n", "transaction.state.log.min.isr=2\n", "auto.create.topics.enable=false\n",
	} {
		if !strings.Contains(string(properties), want) {
			t.Errorf("%q is missing in (%v)\n%s", want, err, properties)
		}
	}
	if err := c.Kill(4); err == nil {
		t.Error("a fourth node could be killed")
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("data left behind: %v", err)
	}
}

// A node that is killed comes back with what it acknowledged. It needs Java, so
// it runs where the real broker's runner runs the tests.
func TestKilledNodeComesBack(t *testing.T) {
	if !kafkatest.Real() {
		t.Log("NOT PROVEN HERE: run it by `go run ./internal/kafkatest/real -- go test ./internal/kafkatest/...`")
		return
	}
	c, err := Start(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for round := range 2 {
		produceAndCount(t, c, round+1)
		if err := c.Kill(1); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitReady(t.Context()); err == nil {
			t.Fatal("a killed cluster is ready")
		}
		if err := c.Restart(1); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func produceAndCount(t *testing.T, c *Cluster, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if want == 1 {
		createTopic(t, client)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := kafkatest.ReadAll(t, c.Brokers(), "t"); len(got) != want {
		t.Errorf("got %d records, want %d", len(got), want)
	}
}

func createTopic(t *testing.T, client *kgo.Client) {
	t.Helper()
	request := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(answer.Topics[0].ErrorCode)
	}
	if err != nil {
		t.Fatal(err)
	}
}
