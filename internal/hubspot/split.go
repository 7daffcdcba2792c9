package hubspot

import (
	"errors"
	"fmt"

	"github.com/go-faster/jx"
	"github.com/zeebo/xxh3"

	"github.com/threadcast/threadcast/internal/thread"
)

// DecoderVersion changes whenever Decode reads something else out of the same
// bytes, so that every thread is decoded anew.
const DecoderVersion = 1

// Seed is what hashes are seeded with: equal hashes mean equal facts only under
// the same decoder and the same enabled kinds.
func Seed(kinds thread.KindSet) uint64 { return DecoderVersion<<8 | uint64(kinds) }

var (
	errHTML      = errors.New("HTML instead of JSON: something else than the API answers")
	errNoJSON    = errors.New("no JSON object in the answer")
	errNoResults = errors.New("no results in the answer")
	errNoArray   = errors.New("results is no array of objects")
	errTwice     = errors.New("results or paging is there twice")
	errPaging    = errors.New("paging is not understood")
)

// split takes apart an answer of the shape {"results": [...], "paging": ...}; the
// objects stay undecoded. Either all of it is understood or nothing is used:
// broken JSON anywhere, results that are missing or no array of objects, an id
// that cannot be read, and results or paging given twice reject it. Where an
// object has its id twice the last one counts, as everywhere in Decode.
func split(body []byte, seed uint64, expected int) (items []thread.Item, next string, err error) {
	s := splitter{scanner: body, seed: seed, items: make([]thread.Item, 0, expected), paging: -1}
	start, err := s.start()
	if err != nil {
		return nil, "", err
	}
	if err := s.finish(s.object(start, s.member)); err != nil {
		return nil, "", err
	}
	if !s.found {
		return nil, "", errNoResults
	}
	if s.paging >= 0 {
		next, err = readPaging(body[s.paging:s.value(s.paging, 1)])
	}
	return s.items, next, err
}

// splitOne takes an answer that is one object with an id.
func splitOne(body []byte, seed uint64) (thread.Item, error) {
	s := splitter{scanner: body, seed: seed}
	start, err := s.start()
	if err != nil {
		return thread.Item{}, err
	}
	if err := s.finish(s.item(start)); err != nil {
		return thread.Item{}, err
	}
	return s.items[0], nil
}

// whole says whether the bytes are one object and nothing else.
func whole(body []byte) error {
	s := splitter{scanner: body}
	start, err := s.start()
	if err != nil {
		return err
	}
	return s.finish(s.value(start, 0))
}

type splitter struct {
	scanner
	seed   uint64
	items  []thread.Item
	found  bool // results
	paging int  // its place, -1: none
	err    error
}

// start is the place of the object that the body is.
func (s *splitter) start() (int, error) {
	i := s.space(0)
	switch {
	case i < len(s.scanner) && s.scanner[i] == '<':
		return 0, errHTML
	case i == len(s.scanner) || s.scanner[i] != '{':
		return 0, errNoJSON
	}
	return i, nil
}

// finish says what was wrong, if anything, once the object's end was reached.
func (s *splitter) finish(end int) error {
	switch {
	case s.err != nil:
		return s.err
	case end < 0:
		return broken(end)
	}
	if end = s.space(end); end != len(s.scanner) {
		return broken(^end)
	}
	return nil
}

// fail ends the walk with an error.
func (s *splitter) fail(err error) int {
	s.err = err
	return -1
}

func (s *splitter) member(key []byte, i int) int {
	switch string(key) {
	case "results":
		if s.found {
			return s.fail(errTwice)
		}
		if i >= len(s.scanner) || s.scanner[i] != '[' {
			return s.fail(errNoArray)
		}
		s.found = true
		return s.array(i, s.item)
	case "paging":
		if s.paging >= 0 {
			return s.fail(errTwice)
		}
		s.paging = i
	}
	return s.value(i, 1)
}

// item takes the object at i, with its id and hash.
func (s *splitter) item(i int) int {
	if i >= len(s.scanner) || s.scanner[i] != '{' {
		return s.fail(errNoArray)
	}
	from, to := -1, -1
	b := s.scanner
	end := b.object(i, func(key []byte, i int) (end int) {
		if i < len(b) && b[i] == '"' {
			end, _ = b.text(i) // most are
		} else {
			end = b.value(i, 3)
		}
		if len(key) == 2 && key[0] == 'i' && key[1] == 'd' {
			from, to = i, end
		}
		return end
	})
	if end < 0 {
		return end
	}
	raw := s.scanner[i:end:end]
	if from < 0 {
		return s.fail(fmt.Errorf("the object at byte %d has no id", i))
	}
	id, err := readID(s.scanner[from:to])
	if err != nil {
		return s.fail(fmt.Errorf("id of the object at byte %d: %w", i, err))
	}
	s.items = append(s.items, thread.Item{ID: id, Hash: xxh3.HashSeed(raw, s.seed), Raw: raw})
	return end
}

// readID reads an id, text or number, to the last digit.
func readID(value []byte) (thread.ID, error) {
	if value[0] != '"' {
		return thread.ParseID(string(value))
	}
	text := value[1 : len(value)-1]
	for _, c := range text {
		if c == '\\' {
			text = unescape(value)
			break
		}
	}
	return thread.ParseID(string(text))
}

// readPaging reads the cursor of the next page: "" if there is none. HubSpot ends
// a list by leaving paging.next.after out and in no other way, so anything that
// is neither there nor missing is an error. The link beside it is never followed.
func readPaging(raw []byte) (string, error) {
	after, err := member(raw, "next")
	if err == nil && after != nil {
		after, err = member(after, "after")
	}
	if err != nil || after == nil {
		return "", err
	}
	switch after.Type() {
	case jx.Number:
		return string(after), nil
	case jx.String:
		text, err := jx.DecodeBytes(after).Str()
		if err != nil || text == "" || len(text) > maxCursor {
			return "", errPaging
		}
		return text, nil
	}
	return "", errPaging
}

// maxCursor caps a cursor; HubSpot's have some dozen bytes, a URL ends at 8 KiB.
const maxCursor = 4 << 10

// member is the raw value of an object's member, nil if it or the object is
// missing or null; the last one of its name counts.
func member(object jx.Raw, name string) (jx.Raw, error) {
	switch object.Type() {
	case jx.Null:
		return nil, nil
	case jx.Object:
	default:
		return nil, errPaging
	}
	var value jx.Raw
	err := jx.DecodeBytes(object).ObjBytes(func(d *jx.Decoder, key []byte) error {
		raw, err := d.Raw()
		if string(key) == name {
			value = raw
		}
		return err
	})
	if err != nil {
		return nil, errPaging
	}
	if value != nil && value.Type() == jx.Null {
		return nil, nil
	}
	return value, nil
}
