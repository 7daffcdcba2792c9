package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rulesField is the number under which protovalidate extends every kind of
// options. It is all that a copy leaves out.
const rulesField = 1159

// refuse makes the run fail: what this program cannot print must not get lost.
func (p *printer) refuse(d protoreflect.Descriptor, what string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s has %s, which plain does not know how to copy", d.FullName(), what)
	}
}

// checkOptions refuses every option but those that are printed and the rules.
func (p *printer) checkOptions(d protoreflect.Descriptor, printed ...protoreflect.Name) {
	options := d.Options().ProtoReflect()
	options.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(printed, field.Name()) {
			p.refuse(d, "option "+string(field.FullName()))
		}
		return true
	})
	for rest := options.GetUnknown(); len(rest) > 0; {
		number, _, size := protowire.ConsumeField(rest)
		if size < 0 || number != rulesField {
			p.refuse(d, fmt.Sprintf("an option with number %d", number))
			return
		}
		rest = rest[size:]
	}
}

// packable says which kinds proto3 packs when they repeat.
func packable(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	}
	return true
}

// jsonName is the name that protoc derives: underscores go, the letter after one
// is raised.
func jsonName(name protoreflect.Name) string {
	var b strings.Builder
	raise := false
	for _, c := range string(name) {
		switch {
		case c == '_':
			raise = true
			continue
		case raise:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteRune(c)
		}
		raise = false
	}
	return b.String()
}
