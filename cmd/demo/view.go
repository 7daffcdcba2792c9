package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/threadcast/threadcast/internal/thread"
)

// view shows the demo. Its methods are called by one goroutine at a time only while
// events come; notices may come beside them.
type view interface {
	tell(notice)
	show(reading)
}

// notice is something that the demo says by itself.
type notice struct {
	kind   string
	text   string         // for people
	fields map[string]any // for machines
}

func newView(w io.Writer, asJSON bool) view {
	out := &lines{w: w}
	if asJSON {
		return jsonView{out}
	}
	return &textView{out: out, paint: palette{on: coloured(w)}}
}

// lines writes whole lines, from any goroutine. Whoever reads them may go away, which
// is no reason to stop the check.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	io.WriteString(l.w, line+"\n")
}

// textView is for people.
type textView struct {
	out   *lines
	paint palette
}

func (v *textView) tell(n notice) { v.out.print(v.paint.heading(n.text)) }

// show prints a line with columns of fixed width, the widest part last. The threads of
// the start are summed up in a notice instead.
func (v *textView) show(r reading) {
	if r.first {
		return
	}
	wait := "-"
	if delay, known := r.delay(); known {
		wait = fmt.Sprintf("%.2f s", delay.Seconds())
	}
	line := fmt.Sprintf("%s  %7s  %-11s  %s", v.paint.faint(r.at.Format(clockFormat)), wait, r.event.ThreadId,
		v.paint.kind(r.kind(), fmt.Sprintf("%-10s  %-10s", r.kind(), what(r))))
	line += "  " + transition(r)
	if r.said.Note != "" {
		line += "  " + v.paint.faint("("+r.said.Note+")")
	}
	v.out.print(strings.TrimRight(line, " "))
}

const clockFormat = "15:04:05.000"

// heading is above the columns of show.
func heading() string {
	return fmt.Sprintf("%-12s  %7s  %-11s  %-10s  %-10s  %s", "time", "delay", "thread", "topic", "what", "from -> to")
}

// what names the change; a status is one already by its topic.
func what(r reading) string {
	switch {
	case r.kind() != thread.KindStatus:
		return r.said.What
	case r.said.From == "":
		return "first"
	}
	return "changed"
}

// transition says from what to what.
func transition(r reading) string {
	from, to := clock(r.said.From), clock(r.said.To)
	if r.kind() == thread.KindAssignment {
		from, to = cmp.Or(from, "nobody"), cmp.Or(to, "nobody")
	}
	switch {
	case from == "" || r.kind() == thread.KindLifecycle && r.event.Before == nil:
		return to
	case to == "":
		return "was " + from
	}
	return from + " -> " + to
}

// clock shortens a moment of today to its time of day.
func clock(text string) string {
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	if moment = moment.Local(); time.Since(moment) < 24*time.Hour {
		return moment.Format(clockFormat)
	}
	return moment.Format(time.DateOnly)
}

// palette colours text for terminals.
type palette struct{ on bool }

func (p palette) paint(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p palette) faint(text string) string { return p.paint("2", text) }

// heading makes the first line of several bold.
func (p palette) heading(text string) string {
	trimmed := strings.TrimLeft(text, "\n")
	first, others, more := strings.Cut(trimmed, "\n")
	if !more {
		return text
	}
	return text[:len(text)-len(trimmed)] + p.paint("1", first) + "\n" + others
}

func (p palette) kind(kind thread.Kind, text string) string {
	switch kind {
	case thread.KindLifecycle:
		return p.paint("32", text)
	case thread.KindStatus:
		return p.paint("33", text)
	case thread.KindAssignment:
		return p.paint("36", text)
	case thread.KindClosure:
		return p.paint("35", text)
	}
	return text
}

// coloured says whether to colour what is written: a terminal, whose user has not
// asked for none (https://no-color.org).
func coloured(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// jsonView is for machines: one object a line, of a type that its "type" names.
type jsonView struct{ out *lines }

func (v jsonView) tell(n notice) { v.print(n.kind, n.fields) }

func (v jsonView) show(r reading) {
	fields := map[string]any{
		"received_at": r.at.UTC(), "topic": r.record.Topic, "partition": r.record.Partition, "offset": r.record.Offset,
		"thread_id": r.event.ThreadId, "revision": r.event.Revision, "kind": r.kind().String(),
		"what": r.said.What, "from": r.said.From, "to": r.said.To, "note": r.said.Note, "initial": r.event.Initial,
		"line": r.said.String(),
	}
	if delay, known := r.delay(); known {
		fields["delay_ms"] = delay.Milliseconds()
		fields["mutation"] = r.cause.Sequence
	}
	if whole, err := (protojson.MarshalOptions{UseProtoNames: true}).Marshal(r.event); err == nil {
		fields["event"] = json.RawMessage(whole)
	}
	v.print("event", fields)
}

func (v jsonView) print(kind string, fields map[string]any) {
	all := map[string]any{"type": kind}
	for name, value := range fields {
		all[name] = value
	}
	line, err := json.Marshal(all)
	if err != nil {
		line = fmt.Appendf(nil, `{"type":"error","error":%q}`, err.Error())
	}
	v.out.print(string(line))
}
