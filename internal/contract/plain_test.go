package contract_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	threadcastv1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// copies names the rule-free copy of each record type.
var copies = []struct {
	file string
	own  proto.Message
}{
	{"thread_event.proto", &threadcastv1.ThreadEvent{}},
	{"thread_snapshot.proto", &threadcastv1.ThreadSnapshot{}},
	{"quarantined_record.proto", &threadcastv1.QuarantinedRecord{}},
}

const plainDirectory = "../../proto/plain"

// compile reads one copy as a consumer would, who has nothing else than Google's
// own types.
func compile(t *testing.T, name string) protoreflect.FileDescriptor {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(plainDirectory, name))
	if err != nil {
		t.Fatalf("read a copy: %v", err)
	}
	open := func(path string) (io.ReadCloser, error) {
		if path != name {
			return nil, fmt.Errorf("import of %s: %w", path, os.ErrNotExist)
		}
		return io.NopCloser(bytes.NewReader(text)), nil
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{Accessor: open}),
	}
	files, err := compiler.Compile(t.Context(), name)
	if err != nil {
		t.Fatalf("compile %s alone: %v", name, err)
	}
	return files[0]
}

// TestCopiesStandAlone: registries take one file, and the Confluent message index
// of its first message is [0].
func TestCopiesStandAlone(t *testing.T) {
	entries, err := os.ReadDir(plainDirectory)
	if err != nil {
		t.Fatalf("list the copies: %v", err)
	}
	if len(entries) != len(copies) {
		t.Errorf("%s has %d files, want %d", plainDirectory, len(entries), len(copies))
	}
	for _, c := range copies {
		t.Run(c.file, func(t *testing.T) {
			file, own := compile(t, c.file), c.own.ProtoReflect().Descriptor()
			if got, want := file.Messages().Get(0).FullName(), own.FullName(); got != want {
				t.Errorf("first message of the copy is %s, want %s", got, want)
			}
			if own.Index() != 0 {
				t.Errorf("%s is message %d of %s, want 0", own.FullName(), own.Index(), own.ParentFile().Path())
			}
			for i := range file.Imports().Len() {
				if path := file.Imports().Get(i).Path(); !strings.HasPrefix(path, "google/protobuf/") {
					t.Errorf("the copy imports %s", path)
				}
			}
			text, err := os.ReadFile(filepath.Join(plainDirectory, c.file))
			if err != nil || bytes.Contains(text, []byte("buf/validate")) || bytes.Contains(text, []byte("(buf.")) {
				t.Errorf("the copy has validation rules, or %v", err)
			}
		})
	}
}

// TestCopiesDeclareTheSame compares everything that a name, a number or a type
// says, in every message and enum of the copies.
func TestCopiesDeclareTheSame(t *testing.T) {
	for _, c := range copies {
		t.Run(c.file, func(t *testing.T) {
			file, own := compile(t, c.file), reachable(c.own.ProtoReflect().Descriptor())
			var declared []protoreflect.FullName
			for i := range file.Messages().Len() {
				message := file.Messages().Get(i)
				declared = append(declared, message.FullName())
				if got, want := describeMessage(message), describe(own[message.FullName()]); got != want {
					t.Errorf("message %s of the copy:\n%s\nwant:\n%s", message.Name(), got, want)
				}
			}
			for i := range file.Enums().Len() {
				enum := file.Enums().Get(i)
				declared = append(declared, enum.FullName())
				if got, want := describeEnum(enum), describe(own[enum.FullName()]); got != want {
					t.Errorf("enum %s of the copy:\n%s\nwant:\n%s", enum.Name(), got, want)
				}
			}
			for name := range own {
				if !slices.Contains(declared, name) {
					t.Errorf("the copy lacks %s", name)
				}
			}
		})
	}
}

// reachable is every message and enum of the root's package that a record of it
// can hold.
func reachable(root protoreflect.MessageDescriptor) map[protoreflect.FullName]protoreflect.Descriptor {
	found := map[protoreflect.FullName]protoreflect.Descriptor{}
	var visit func(protoreflect.MessageDescriptor)
	visit = func(m protoreflect.MessageDescriptor) {
		if m == nil || found[m.FullName()] != nil || m.ParentFile().Package() != root.ParentFile().Package() {
			return
		}
		found[m.FullName()] = m
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			visit(field.Message())
			if enum := field.Enum(); enum != nil {
				found[enum.FullName()] = enum
			}
		}
	}
	visit(root)
	return found
}

func describe(d protoreflect.Descriptor) string {
	switch d := d.(type) {
	case protoreflect.MessageDescriptor:
		return describeMessage(d)
	case protoreflect.EnumDescriptor:
		return describeEnum(d)
	}
	return "nothing of that name"
}

func describeMessage(m protoreflect.MessageDescriptor) string {
	var b strings.Builder
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		fmt.Fprintf(&b, "%d %s %s %s %s presence=%v packed=%v", f.Number(), f.Cardinality(), f.Kind(), f.Name(), f.JSONName(), f.HasPresence(), f.IsPacked())
		if f.Message() != nil {
			fmt.Fprintf(&b, " %s", f.Message().FullName())
		}
		if f.Enum() != nil {
			fmt.Fprintf(&b, " %s", f.Enum().FullName())
		}
		if f.ContainingOneof() != nil {
			fmt.Fprintf(&b, " in %s", f.ContainingOneof().FullName())
		}
		b.WriteByte('\n')
	}
	fmt.Fprint(&b, "reserved ", items(m.ReservedNames()), items(m.ReservedRanges()))
	return b.String()
}

func describeEnum(e protoreflect.EnumDescriptor) string {
	var b strings.Builder
	for i := range e.Values().Len() {
		fmt.Fprintf(&b, "%d %s\n", e.Values().Get(i).Number(), e.Values().Get(i).Name())
	}
	fmt.Fprint(&b, "reserved ", items(e.ReservedNames()), items(e.ReservedRanges()))
	return b.String()
}

func items[T any](list interface {
	Len() int
	Get(int) T
}) []T {
	var found []T
	for i := range list.Len() {
		found = append(found, list.Get(i))
	}
	return found
}

// TestCopiesHaveOneWireFormat carries random records from the Go types to a copy
// and back, and from a copy to the Go types and back: byte for byte, and with no
// field left unknown.
func TestCopiesHaveOneWireFormat(t *testing.T) {
	for _, c := range copies {
		t.Run(c.file, func(t *testing.T) {
			own := c.own.ProtoReflect().Type()
			plain := dynamicpb.NewMessageType(compile(t, c.file).Messages().Get(0))
			for seed := range uint64(400) {
				r := rand.New(rand.NewPCG(seed, 7))
				carry(t, seed, r, own, plain)
				carry(t, seed, r, plain, own)
			}
		})
	}
}

func carry(t *testing.T, seed uint64, r *rand.Rand, from, to protoreflect.MessageType) {
	t.Helper()
	deterministic := proto.MarshalOptions{Deterministic: true}
	sent := from.New()
	fill(r, sent)
	want, err := deterministic.Marshal(sent.Interface())
	if err != nil {
		t.Fatalf("seed %d: marshal: %v", seed, err)
	}
	received := to.New()
	if err := proto.Unmarshal(want, received.Interface()); err != nil {
		t.Fatalf("seed %d: unmarshal %x: %v", seed, want, err)
	}
	if path := unknown(received); path != "" {
		t.Fatalf("seed %d: unknown fields in %s", seed, path)
	}
	got, err := deterministic.Marshal(received.Interface())
	if err != nil {
		t.Fatalf("seed %d: marshal again: %v", seed, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("seed %d: bytes %x came back as %x", seed, want, got)
	}
}

// unknown names a message in m that has fields which its type does not know.
func unknown(m protoreflect.Message) (where protoreflect.FullName) {
	if len(m.GetUnknown()) > 0 {
		return m.Descriptor().FullName()
	}
	for _, inner := range children(m) {
		if where = unknown(inner); where != "" {
			return where
		}
	}
	return ""
}

// children are the messages that are set directly in m.
func children(m protoreflect.Message) []protoreflect.Message {
	var found []protoreflect.Message
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				found = append(found, value.List().Get(i).Message())
			}
		default:
			found = append(found, value.Message())
		}
		return true
	})
	return found
}
