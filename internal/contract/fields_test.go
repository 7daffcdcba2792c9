package contract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/threadcast/threadcast/proto/threadcast/v1"
)

// samples has a valid message of each type that valid records hold.
func samples() map[protoreflect.FullName]proto.Message {
	found := map[protoreflect.FullName]proto.Message{}
	var visit func(protoreflect.Message)
	visit = func(m protoreflect.Message) {
		found[m.Descriptor().FullName()] = proto.Clone(m.Interface())
		for _, inner := range children(m) {
			visit(inner)
		}
	}
	for _, m := range valid() {
		visit(m.ProtoReflect())
	}
	return found
}

// TestEveryMessageHasASample: the two tests below say nothing of a message that
// has none.
func TestEveryMessageHasASample(t *testing.T) {
	found := samples()
	for _, root := range []proto.Message{&v1.ThreadEvent{}, &v1.QuarantinedRecord{}} {
		for name, d := range reachable(root.ProtoReflect().Descriptor()) {
			if _, isMessage := d.(protoreflect.MessageDescriptor); isMessage && found[name] == nil {
				t.Errorf("no valid record holds a %s", name)
			}
		}
	}
}

// breach is a value of a field that breaks one rule. A list is a breach of one
// of its own rules, or has one item that breaks an item's rule.
type breach struct {
	rule  string
	clear bool // break it by absence
	items int  // if not 0, the list has that many of value
	value protoreflect.Value
}

// TestEveryFieldRuleBites breaks each rule of each field in turn, in an otherwise
// valid message.
func TestEveryFieldRuleBites(t *testing.T) {
	tried := 0
	for _, sample := range samples() {
		fields := sample.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			field := fields.Get(i)
			for _, b := range breaches(t, field) {
				tried++
				m := proto.Clone(sample).ProtoReflect()
				b.apply(m, field)
				if !breaks(t, m.Interface(), field.Name(), b.rule) {
					t.Errorf("%s: %v does not break %s", field.FullName(), b.value, b.rule)
				}
			}
		}
	}
	if tried < 70 {
		t.Errorf("tried %d breaches, want at least 70: are the rules still read?", tried)
	}
}

func (b breach) apply(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	m.Clear(field)
	switch {
	case b.clear:
	case b.items > 0:
		list := m.Mutable(field).List()
		for range b.items {
			list.Append(b.value)
		}
	default:
		m.Set(field, b.value)
	}
}

func breaks(t *testing.T, m proto.Message, field protoreflect.Name, rule string) bool {
	t.Helper()
	return slices.ContainsFunc(violations(t, m), func(v *validate.Violation) bool {
		path := v.GetField().GetElements()
		return v.GetRuleId() == rule && len(path) > 0 && path[0].GetFieldName() == string(field)
	})
}

func breaches(t *testing.T, field protoreflect.FieldDescriptor) []breach {
	t.Helper()
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if rules == nil {
		return nil
	}
	found := typeBreaches(t, field, rules)
	if rules.GetRequired() {
		found = append(found, breach{rule: "required", clear: true})
	}
	if items := rules.GetRepeated().GetItems(); items != nil {
		for _, b := range typeBreaches(t, field, items) {
			b.items = 1
			found = append(found, b)
		}
	}
	if len(found) == 0 {
		t.Errorf("%s has rules that this test does not know how to break: %v", field.FullName(), rules)
	}
	return found
}

// typeBreaches has a breach for each rule about the type of a field: the rules
// are read from the contract, so that a new one is tried, or fails the test.
func typeBreaches(t *testing.T, field protoreflect.FieldDescriptor, rules *validate.FieldRules) []breach {
	t.Helper()
	var found []breach
	group := rules.ProtoReflect()
	kind := group.WhichOneof(group.Descriptor().Oneofs().ByName("type"))
	if kind == nil {
		return nil
	}
	group.Get(kind).Message().Range(func(rule protoreflect.FieldDescriptor, limit protoreflect.Value) bool {
		id := fmt.Sprintf("%s.%s", kind.Name(), rule.Name())
		if id != "repeated.items" {
			found = append(found, breachesOf(t, field, id, limit)...)
		}
		return true
	})
	return found
}

func text(size int) string { return strings.Repeat("x", size) }

func breachesOf(t *testing.T, field protoreflect.FieldDescriptor, id string, limit protoreflect.Value) []breach {
	t.Helper()
	one := func(v protoreflect.Value) []breach { return []breach{{rule: id, value: v}} }
	switch id {
	case "string.pattern":
		return append(one(protoreflect.ValueOfString("")), one(protoreflect.ValueOfString("7x"))...)
	case "string.min_len", "string.min_bytes":
		return one(protoreflect.ValueOfString(""))
	case "string.max_len":
		return one(protoreflect.ValueOfString(text(int(limit.Uint()) + 1)))
	case "string.max_bytes": // bytes, not characters
		return one(protoreflect.ValueOfString(strings.Repeat("ä", int(limit.Uint())/2+1)))
	case "bytes.max_len":
		return one(protoreflect.ValueOfBytes(make([]byte, limit.Uint()+1)))
	case "uint32.gt":
		return one(protoreflect.ValueOfUint32(uint32(limit.Uint())))
	case "uint64.gt":
		return one(protoreflect.ValueOfUint64(limit.Uint()))
	case "int32.gte":
		return one(protoreflect.ValueOfInt32(int32(limit.Int()) - 1))
	case "enum.defined_only":
		return one(protoreflect.ValueOfEnum(999))
	case "enum.not_in":
		return numbers(id, limit.List())
	case "repeated.min_items":
		return []breach{{rule: id, clear: true}}
	case "repeated.max_items":
		return []breach{{rule: id, items: int(limit.Uint()) + 1, value: item(field)}}
	case "repeated.unique":
		return []breach{{rule: id, items: 2, value: item(field)}}
	}
	t.Errorf("%s: no breach is known for rule %s", field.FullName(), id)
	return nil
}

func numbers(id string, list protoreflect.List) []breach {
	var found []breach
	for i := range list.Len() {
		found = append(found, breach{rule: id, value: protoreflect.ValueOfEnum(protoreflect.EnumNumber(list.Get(i).Int()))})
	}
	return found
}

// item is a valid item for a list.
func item(field protoreflect.FieldDescriptor) protoreflect.Value {
	if field.Kind() == protoreflect.EnumKind {
		return protoreflect.ValueOfEnum(1)
	}
	return protoreflect.ValueOfMessage(samples()[field.Message().FullName()].ProtoReflect())
}

// TestCapsAreWhatIsAllowed: a text of exactly its cap passes.
func TestCapsAreWhatIsAllowed(t *testing.T) {
	e := event(v1.Kind_KIND_STATUS)
	e.After.StatusText, e.After.AssociatedContactId = text(320), text(320)
	e.GetStatusChanged().ToText = text(320)
	record := quarantined()
	record.Detail, record.Raw = text(320), make([]byte, 12<<10)
	for _, m := range []proto.Message{e, record} {
		if ids := broken(t, m); ids != nil {
			t.Errorf("%s at its caps breaks %v, want no rule", m.ProtoReflect().Descriptor().Name(), ids)
		}
	}
}
