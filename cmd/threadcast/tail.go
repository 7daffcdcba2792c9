package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/threadcast/threadcast/internal/config"
	"github.com/threadcast/threadcast/internal/event"
	"github.com/threadcast/threadcast/internal/pipeline"
	"github.com/threadcast/threadcast/internal/thread"
	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// tailFlags are the flags of tail.
type tailFlags struct {
	topics, kinds                           []string
	thread                                  string
	fromStart, noFollow, heartbeats, asJSON bool
}

func (p *program) tailCommand() *cobra.Command {
	var flags tailFlags
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print events as they come, decoded",
		Long: "tail reads the topics that events go to and prints each event on a line: when it was observed, the thread as\n" +
			"account:thread, what changed, revision and lane. It joins no consumer group and commits nothing. Partitions are\n" +
			"read side by side: the order of a thread is kept on each topic, not between topics.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.tail(cmd, flags) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.topics, "topic", nil, "a topic to read (repeatable; default: those of the configuration)")
	f.StringSliceVar(&flags.kinds, "kind", nil, "only events of this kind: lifecycle, status, assignment, closure, activity (repeatable)")
	f.StringVar(&flags.thread, "thread", "", "only events of the thread with this id")
	f.BoolVar(&flags.fromStart, "from-start", false, "begin with the oldest records instead of what comes from now on")
	f.BoolVar(&flags.noFollow, "no-follow", false, "stop at what was the end of the topics at the start")
	f.BoolVar(&flags.heartbeats, "heartbeats", false, "print heartbeats and barriers too")
	f.BoolVar(&flags.asJSON, "json", false, "print each record as a JSON object on a line of its own")
	return cmd
}

// tail prints until the end, or until it is interrupted.
func (p *program) tail(cmd *cobra.Command, flags tailFlags) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	filter, err := flags.filter(cmd)
	if err != nil {
		return err
	}
	cfg, err := p.loadAndWarn()
	if err != nil {
		return err
	}
	write := writeText
	if flags.asJSON {
		write = writeJSON
	}
	opt := pipeline.TailOptions{Topics: flags.read(cfg, filter.kinds), FromStart: flags.fromStart, Follow: !flags.noFollow}
	err = pipeline.Tail(ctx, cfg, opt, func(r pipeline.Record) error {
		if !filter.wants(r) {
			return nil
		}
		return write(p.stdout, r)
	})
	if context.Cause(ctx) != nil && cmd.Context().Err() == nil {
		return nil // interrupted, which is how a tail ends
	}
	return err
}

// filter turns the flags into what is printed.
func (f tailFlags) filter(cmd *cobra.Command) (filter, error) {
	wanted := filter{thread: f.thread, heartbeats: f.heartbeats}
	if f.thread != "" {
		if _, err := thread.ParseID(f.thread); err != nil {
			return wanted, usage(cmd, "--thread %s: %w", f.thread, err)
		}
	}
	for _, name := range f.kinds {
		kind, err := thread.ParseKind(name)
		if err != nil {
			return wanted, usage(cmd, "--kind: %w: there are lifecycle, status, assignment, closure and activity", err)
		}
		wanted.kinds |= thread.Kinds(kind)
	}
	return wanted, nil
}

// read are the topics to read: those of the wanted kinds are enough.
func (f tailFlags) read(cfg *config.Config, kinds thread.KindSet) []string {
	if len(f.topics) > 0 || kinds == 0 {
		return f.topics
	}
	kafka := cfg.Kafka
	kafka.Kinds = kinds
	return kafka.TopicNames()
}

// filter says what is printed. What cannot be decoded always is.
type filter struct {
	kinds      thread.KindSet // zero: all
	thread     string         // empty: all
	heartbeats bool
}

func (f filter) wants(r pipeline.Record) bool {
	m := r.Event
	switch {
	case m == nil:
		return true
	case m.Kind == threadcastv1.Kind_KIND_HEARTBEAT:
		return f.heartbeats
	case f.thread != "" && m.ThreadId != f.thread:
		return false
	}
	return f.kinds == 0 || m.Kind <= threadcastv1.Kind_KIND_ACTIVITY && f.kinds.Has(thread.Kind(m.Kind))
}

const clockFormat = "2006-01-02T15:04:05.000Z"

// writeText prints a record for people.
func writeText(w io.Writer, r pipeline.Record) error {
	line := fmt.Sprintf("%s  %-20s  ", r.Time.UTC().Format(clockFormat), r.Key)
	m := r.Event
	switch {
	case m == nil:
		line += fmt.Sprintf("not an event: %v  %s/%d@%d", r.Err, r.Topic, r.Partition, r.Offset)
	case m.GetHeartbeat() != nil:
		line = fmt.Sprintf("%s  %-20s  %s  %s/%d@%d", m.ObservedAt.AsTime().Format(clockFormat), m.AccountId,
			event.Describe(m), r.Topic, r.Partition, r.Offset)
	default:
		line = fmt.Sprintf("%s  %-20s  %s  rev %d  %s", m.ObservedAt.AsTime().Format(clockFormat), m.AccountId+":"+m.ThreadId,
			event.Describe(m), m.Revision, strings.ToLower(strings.TrimPrefix(m.Lane.String(), "LANE_")))
	}
	if _, err := fmt.Fprintln(w, printable(line)); err != nil {
		return fmt.Errorf("print a record: %w", err)
	}
	return nil
}

// printable keeps foreign bytes from steering the terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 {
			return '\uFFFD'
		}
		return r
	}, line)
}

// writeJSON prints a record for machines: protobuf's JSON with the names of the
// .proto, within the record's place.
func writeJSON(w io.Writer, r pipeline.Record) error {
	line := struct {
		Topic     string          `json:"topic"`
		Partition int32           `json:"partition"`
		Offset    int64           `json:"offset"`
		Time      string          `json:"time"`
		Key       string          `json:"key"`
		Event     json.RawMessage `json:"event,omitempty"`
		Error     string          `json:"error,omitempty"`
	}{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time.UTC().Format(time.RFC3339Nano), Key: r.Key}
	if r.Event != nil {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r.Event)
		if err != nil {
			return fmt.Errorf("print event %s: %w", r.Event.EventId, err)
		}
		line.Event = text
	} else if r.Err != nil {
		line.Error = r.Err.Error()
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out) // compacts the event: protojson puts in spaces at random
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return fmt.Errorf("print %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("print a record: %w", err)
	}
	return nil
}
