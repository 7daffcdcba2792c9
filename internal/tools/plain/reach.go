package main

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// reached is what a file must declare and import for its root to be complete, in
// the order in which it is first mentioned.
type reached struct {
	messages []protoreflect.MessageDescriptor
	enums    []protoreflect.EnumDescriptor
	imports  []string // sorted
}

// reach walks breadth first from a root. What belongs to another package is
// imported, what belongs to the root's is declared.
func reach(root protoreflect.MessageDescriptor) reached {
	r := reached{messages: []protoreflect.MessageDescriptor{root}}
	for i := 0; i < len(r.messages); i++ {
		fields := r.messages[i].Fields()
		for j := range fields.Len() {
			r.mention(root.ParentFile().Package(), fields.Get(j))
		}
	}
	slices.Sort(r.imports)
	return r
}

func (r *reached) mention(own protoreflect.FullName, field protoreflect.FieldDescriptor) {
	if message := field.Message(); message != nil {
		if file := message.ParentFile(); file.Package() != own {
			r.imports = add(r.imports, file.Path())
		} else {
			r.messages = add(r.messages, message)
		}
	}
	if enum := field.Enum(); enum != nil {
		if file := enum.ParentFile(); file.Package() != own {
			r.imports = add(r.imports, file.Path())
		} else {
			r.enums = add(r.enums, enum)
		}
	}
}

func add[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}
