package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/kafkatest"
)

// TestScripts plays each behaviour that an operator can notice. Beside the commands of
// testscript there are those below; `hubspot` and `kafka` set the variables that lead
// the program to what they started.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[troupeKey{}] = &troupe{t: t, prefix: kafkatest.Name("script")}
			env.Setenv("THREADCAST_HTTP__LISTEN", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hubspot":   scripted((*troupe).playHubSpot),
			"kafka":     scripted((*troupe).playKafka),
			"await":     scripted((*troupe).await),
			"exits":     exits,
			"damage":    damage,
			"terminate": terminate,
		},
	})
}

// troupe is what a script has started.
type troupe struct {
	t       testing.TB
	hubspot *hubspottest.Server
	prefix  string // of topics and transactional ids
	brokers []string
}

type troupeKey struct{}

// scripted makes a command of a method.
func scripted(do func(*troupe, *testscript.TestScript, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("this command cannot be negated, and needs arguments")
		}
		if err := do(ts.Value(troupeKey{}).(*troupe), ts, args); err != nil {
			ts.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
	}
}

// exits CODE COMMAND [ARG]... runs a command that must end with the exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG]...")
	}
	var exit *exec.ExitError
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// terminate sends SIGTERM, which testscript's kill does not know, to what runs in the
// background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			ts.Fatalf("terminate: %v", err)
		}
	}
}

// damage FILE TEXT flips a bit after each occurrence of the text.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	path, text := ts.MkAbs(args[0]), []byte(args[1])
	data, err := os.ReadFile(path)
	ts.Check(err)
	for i := 0; ; {
		next := bytes.Index(data[i:], text)
		if next < 0 {
			break
		}
		if i += next + len(text); i < len(data) {
			data[i] ^= 1
		}
	}
	ts.Check(os.WriteFile(path, data, 0o600))
}

// playHubSpot: `hubspot start [THREADS]` serves an account and leads the accounts acme
// and other to it; `hubspot unauthorized`, `noscope`, `html`, `well` change how it
// answers; `hubspot close N` closes the N open threads with the smallest ids.
func (r *troupe) playHubSpot(ts *testscript.TestScript, args []string) error {
	set := func(change func(*hubspottest.Behaviour)) error {
		r.hubspot.Set(change)
		return nil
	}
	switch args[0] {
	case "start":
		return r.serve(ts, args[1:])
	case "unauthorized":
		return set(func(b *hubspottest.Behaviour) { b.Tokens = []string{} })
	case "noscope":
		return set(func(b *hubspottest.Behaviour) { b.MissingScopes = true })
	case "html":
		return set(func(b *hubspottest.Behaviour) {
			b.Fault = hubspottest.On(hubspottest.EndpointThreads, hubspottest.Always(hubspottest.Page(200)))
		})
	case "well":
		return set(func(b *hubspottest.Behaviour) { b.Tokens, b.MissingScopes, b.Fault = nil, false, nil })
	case "close":
		return r.closeThreads(args[1:])
	}
	return fmt.Errorf("unknown")
}

func (r *troupe) serve(ts *testscript.TestScript, args []string) error {
	threads, err := strconv.Atoi(cmp.Or(strings.Join(args, ""), "20"))
	if err != nil {
		return err
	}
	r.hubspot = newAccount(threads)
	served := httptest.NewServer(r.hubspot)
	ts.Defer(served.Close)
	ts.Setenv("THREADCAST_DEFAULTS__HUBSPOT__BASE_URL", served.URL)
	ts.Setenv("ACCOUNT", r.hubspot.Account())
	return os.WriteFile(ts.MkAbs("token.txt"), []byte(hubspottest.DefaultToken+"\n"), 0o600)
}

func (r *troupe) closeThreads(args []string) error {
	left, err := strconv.Atoi(strings.Join(args, ""))
	if err != nil {
		return err
	}
	for _, t := range r.hubspot.Threads() {
		if left > 0 && t.Status == hubspottest.StatusOpen && !t.Archived {
			left--
			if err := r.hubspot.Close(t.ID); err != nil {
				return err
			}
		}
	}
	if left > 0 {
		return fmt.Errorf("%d open threads are missing", left)
	}
	return nil
}

// playKafka: `kafka start` leads the program to the broker of the tests and to topics
// of its own there, `kafka another` to another cluster; `kafka repartition N` deletes
// the topics and creates them with N partitions; `kafka junk` appends what is no event.
func (r *troupe) playKafka(ts *testscript.TestScript, args []string) error {
	switch args[0] {
	case "start":
		r.brokers = kafkatest.Brokers(scriptTB{r.t, ts})
		ts.Setenv("THREADCAST_KAFKA__TOPIC_PREFIX", r.prefix)
		ts.Setenv("THREADCAST_KAFKA__TRANSACTIONAL_ID_PREFIX", r.prefix)
		ts.Setenv("PREFIX", r.prefix)
	case "another":
		other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("another"))
		if err != nil {
			return err
		}
		ts.Defer(other.Close)
		r.brokers = other.ListenAddrs()
	case "repartition":
		count, err := strconv.ParseInt(strings.Join(args[1:], ""), 10, 32)
		if err != nil {
			return err
		}
		return r.repartition(int32(count))
	case "junk":
		return r.append(&kgo.Record{Topic: topics(r.prefix)[0], Key: []byte("junk"), Value: []byte("no event\x1b[31m")})
	default:
		return fmt.Errorf("unknown")
	}
	ts.Setenv("THREADCAST_KAFKA__BROKERS", strings.Join(r.brokers, ","))
	return nil
}

// scriptTB gives a helper of tests the cleanup of the script.
type scriptTB struct {
	testing.TB
	ts *testscript.TestScript
}

func (s scriptTB) Cleanup(do func()) { s.ts.Defer(do) }

func (r *troupe) append(record *kgo.Record) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.ProduceSync(context.Background(), record).FirstErr()
}

func (r *troupe) repartition(count int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	remove, create := kmsg.NewPtrDeleteTopicsRequest(), kmsg.NewPtrCreateTopicsRequest()
	for _, name := range topics(r.prefix) {
		old := kmsg.NewDeleteTopicsRequestTopic()
		old.Topic = kmsg.StringPtr(name)
		remove.Topics, remove.TopicNames = append(remove.Topics, old), append(remove.TopicNames, name)
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, count, 1
		create.Topics = append(create.Topics, topic)
	}
	if _, err := remove.RequestWith(ctx, client); err != nil {
		return err
	}
	// A real broker deletes in the background and tells of it late.
	return await(ctx, "the topics to be recreated", func() (bool, error) {
		if _, err := create.RequestWith(ctx, client); err != nil {
			return false, err
		}
		return partitioned(ctx, client, topics(r.prefix), int(count))
	})
}

// partitioned says whether each topic has so many partitions, with leaders.
func partitioned(ctx context.Context, client *kgo.Client, names []string, count int) (bool, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		request.Topics = append(request.Topics, topic)
	}
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return false, err
	}
	for _, topic := range answer.Topics {
		if topic.ErrorCode != 0 || len(topic.Partitions) != count {
			return false, nil
		}
		for _, partition := range topic.Partitions {
			if partition.ErrorCode != 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// await: `await published [GENERATION]` waits until the topics show every thread as
// HubSpot has it, in this generation, `await requests N` for N requests to HubSpot from
// now on.
func (r *troupe) await(_ *testscript.TestScript, args []string) error {
	ctx := context.Background()
	count, err := strconv.Atoi(cmp.Or(strings.Join(args[1:], ""), "1"))
	if err != nil {
		return err
	}
	switch args[0] {
	case "published":
		return awaitPublished(ctx, r.brokers, r.prefix, uint32(count), r.hubspot)
	case "requests":
		before := r.hubspot.Stats().Requests
		return await(ctx, "requests", func() (bool, error) { return r.hubspot.Stats().Requests >= before+count, nil })
	}
	return fmt.Errorf("unknown")
}
