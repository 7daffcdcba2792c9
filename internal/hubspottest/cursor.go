package hubspottest

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

type cursorKind byte

// What a cursor counts by.
const (
	cursorID     cursorKind = 'i' // the last id
	cursorTime   cursorKind = 't' // the last message time and id
	cursorOffset cursorKind = 'o' // the rows before
)

// cursor says where a page begins. The zero cursor is the first page.
type cursor struct {
	kind   cursorKind
	id     uint64
	at     int64
	offset int

	// emptied tells a cursor that an empty page gave from the one that asked for
	// that page, which has the same position.
	emptied bool
}

// String is the cursor as HubSpot's samples show it: base64 of a line, already
// percent-encoded. A line's length is never a multiple of three, so that padding,
// hence a percent sign, is always there to be mistaken.
func (c cursor) String() string { return url.QueryEscape(c.plain()) }

func (c cursor) plain() string {
	var text string
	switch c.kind {
	case cursorID:
		text = fmt.Sprintf("%d", c.id)
	case cursorTime:
		text = fmt.Sprintf("t%d.%d", c.at, c.id)
	case cursorOffset:
		text = fmt.Sprintf("o%d", c.offset)
	}
	if c.emptied {
		text += "e"
	}
	text += "\n"
	if len(text)%3 == 0 {
		text += "\n"
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// readCursor reads what came in the after parameter. A cursor that is still
// percent-encoded, because the client encoded it twice, gives the first page
// again: a client that does not unescape loops, and has to notice.
func readCursor(text string, kind cursorKind) (cursor, *answer) {
	line, err := base64.StdEncoding.DecodeString(text)
	if err != nil && strings.Contains(text, "%") {
		return cursor{kind: kind}, nil
	}
	c := cursor{kind: kind}
	body, emptied := strings.CutSuffix(strings.TrimRight(string(line), "\n"), "e")
	c.emptied = emptied
	if err == nil {
		switch kind {
		case cursorID:
			_, err = fmt.Sscanf(body, "%d", &c.id)
		case cursorTime:
			_, err = fmt.Sscanf(body, "t%d.%d", &c.at, &c.id)
		case cursorOffset:
			_, err = fmt.Sscanf(body, "o%d", &c.offset)
		}
	}
	if err != nil || c.plain() != text || c.offset < 0 {
		return cursor{}, invalid("after is not a cursor of this list: " + text)
	}
	return c, nil
}
