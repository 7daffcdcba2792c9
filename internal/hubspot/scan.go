package hubspot

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/go-faster/jx"
)

// maxDepth caps the nesting of an answer; a list of threads has four levels.
const maxDepth = 64

// scanner walks JSON without decoding it, and checks all that it walks over
// against the grammar. Its methods take the place where something begins and
// answer the place behind it; a negative answer is the complement of the place
// where the bytes are no JSON.
type scanner []byte

func broken(end int) error { return fmt.Errorf("broken JSON at byte %d", ^end) }

// space is the first place from i on that is no white space; mostly i itself.
func (b scanner) space(i int) int {
	if i < len(b) && b[i] > ' ' {
		return i
	}
	return b.skipSpace(i)
}

func (b scanner) skipSpace(i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// value skips the value at i; depth counts what it is nested in.
func (b scanner) value(i, depth int) int {
	if i >= len(b) || depth > maxDepth {
		return ^i
	}
	switch c := b[i]; {
	case c == '"':
		end, _ := b.text(i)
		return end
	case c == '{':
		return b.object(i, func(_ []byte, i int) int { return b.value(i, depth+1) })
	case c == '[':
		return b.array(i, func(i int) int { return b.value(i, depth+1) })
	case c == 't':
		return b.literal(i, "true")
	case c == 'f':
		return b.literal(i, "false")
	case c == 'n':
		return b.literal(i, "null")
	case c == '-', c >= '0' && c <= '9':
		return b.number(i)
	}
	return ^i
}

// object walks the object whose brace is at i. Member gets each key, unescaped,
// and the place of its value, and answers the place behind the value.
func (b scanner) object(i int, member func(key []byte, i int) int) int {
	if i = b.space(i + 1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return ^i
		}
		end, escaped := b.text(i)
		if end < 0 {
			return end
		}
		key := b[i+1 : end-1]
		if escaped {
			key = unescape(b[i:end])
		}
		if end = b.space(end); end >= len(b) || b[end] != ':' {
			return ^end
		}
		if end = member(key, b.space(end+1)); end < 0 {
			return end
		}
		if end = b.space(end); end >= len(b) {
			return ^end
		}
		switch b[end] {
		case ',':
			i = b.space(end + 1)
		case '}':
			return end + 1
		default:
			return ^end
		}
	}
}

// array walks the array whose bracket is at i. Element gets the place of each
// element and answers the place behind it.
func (b scanner) array(i int, element func(i int) int) int {
	if i = b.space(i + 1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		end := element(i)
		if end < 0 {
			return end
		}
		end = b.space(end)
		switch {
		case end < len(b) && b[end] == ',':
			i = b.space(end + 1)
		case end < len(b) && b[end] == ']':
			return end + 1
		default:
			return ^end
		}
	}
}

func (b scanner) literal(i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return ^i
	}
	return i + len(word)
}

// number skips a number: no leading zero, digits on both sides of a point.
func (b scanner) number(i int) int {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	default:
		if i = b.digits(i); i < 0 {
			return i
		}
	}
	if i < len(b) && b[i] == '.' {
		if i = b.digits(i + 1); i < 0 {
			return i
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return b.digits(i)
	}
	return i
}

// digits skips at least one digit.
func (b scanner) digits(i int) int {
	start := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == start {
		return ^i
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text skips the string whose quote is at i, and says whether it has escapes.
// Eight bytes at a time are searched for a quote, a backslash or a control
// character; the lowest one found is a true one.
func (b scanner) text(i int) (end int, escaped bool) {
	i++
	for i+8 <= len(b) {
		word := binary.LittleEndian.Uint64(b[i:])
		// With bit 1 flipped a quote is a blank, and control characters stay below.
		low, slash := word^(ones*2), word^(ones*'\\')
		found := ((low-ones*(' '+1))&^low | (slash-ones)&^slash) & highs
		if found == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(found) / 8
		if b[i] == '"' {
			return i + 1, escaped
		}
		if b[i] != '\\' {
			return ^i, escaped
		}
		if i = b.escape(i + 1); i < 0 {
			return i, true
		}
		escaped = true
	}
	return b.lastText(i, escaped)
}

// lastText is text for the last bytes, from within the string.
func (b scanner) lastText(i int, escaped bool) (int, bool) {
	for i < len(b) && b[i] >= ' ' {
		switch b[i] {
		case '"':
			return i + 1, escaped
		case '\\':
			escaped = true
			if i = b.escape(i + 1); i < 0 {
				return i, true
			}
		default:
			i++
		}
	}
	return ^i, escaped
}

// escape skips what follows a backslash.
func (b scanner) escape(i int) int {
	if i >= len(b) {
		return ^i
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for end := i + 5; i+1 < end; i++ {
			if i+1 >= len(b) || !hexadecimal(b[i+1]) {
				return ^i
			}
		}
		return i + 1
	}
	return ^i
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// unescape is the text of a string that was walked over before.
func unescape(quoted []byte) []byte {
	text, err := jx.DecodeBytes(quoted).StrBytes()
	if err != nil {
		return nil // no key of ours
	}
	return text
}
