package contract_test

import (
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// fill sets about three in four fields of a message to anything that the wire can
// carry, valid or not: enum values without a name among it, and every message
// down to the leaves.
func fill(r *rand.Rand, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if r.IntN(4) == 0 {
			continue
		}
		if !field.IsList() {
			m.Set(field, randomValue(r, field, m.NewField(field)))
			continue
		}
		list := m.Mutable(field).List()
		for range r.IntN(4) {
			list.Append(randomValue(r, field, list.NewElement()))
		}
	}
}

// randomValue is a value for a field; empty is one of the field's type, which is
// filled if it is a message.
func randomValue(r *rand.Rand, field protoreflect.FieldDescriptor, empty protoreflect.Value) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.MessageKind:
		fill(r, empty.Message())
		return empty
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.IntN(20)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(randomText(r))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(randomText(r)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(r.Uint32()))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(r.Uint64()))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(r.Uint32() >> r.IntN(32))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(r.Uint64() >> r.IntN(64))
	}
	panic("fill: no random value for kind " + field.Kind().String())
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteRune([]rune("a0 ä€\U0001F9F5\x00")[r.IntN(7)])
	}
	return b.String()
}
