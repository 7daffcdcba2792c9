package hubspottest

import (
	"math"
	"net/http"
	"sort"
)

// threadBytes is what one rendered thread takes, to size buffers.
const threadBytes = 560

// selection is the positions on one page.
type selection struct {
	positions []int
	more      bool
	next      cursor

	// from and to bound the positions that decided the page: as long as none of
	// them changes, the page stays as it is.
	from, to int
}

// listThreads answers one page of threads, compressed if asked for, as the same
// compressed page is often wanted again.
func (s *Server) listThreads(path string, q listQuery, b Behaviour, compressed bool) answer {
	key := pageKey{path: path, query: q, compressed: compressed}
	cacheable := !q.byTime && q.after.kind == cursorID && b.EmptyEvery == 0

	s.mu.Lock()
	s.listed++
	empty := b.EmptyEvery > 0 && !q.after.emptied && s.listed%b.EmptyEvery == 0
	if cacheable {
		if body, ok := s.pages.get(key, &s.table); ok {
			s.mu.Unlock()
			return pageAnswer(body, compressed)
		}
	}
	version, epoch := s.table.version, s.pages.epoch
	sel := s.table.choose(q, b)
	if empty {
		sel = selection{more: true, next: q.after}
		sel.next.emptied = true
	}
	body := s.renderPage(path, sel, q, b)
	s.mu.Unlock()

	if compressed {
		body = s.compress(body)
	}
	if cacheable {
		s.mu.Lock()
		s.pages.put(key, rendered{body, version, sel.from, sel.to}, epoch)
		s.mu.Unlock()
	}
	return pageAnswer(body, compressed)
}

func pageAnswer(body []byte, compressed bool) answer {
	a := jsonAnswer(http.StatusOK, body)
	a.compressed = compressed
	return a
}

// renderPage renders the threads of a selection.
func (s *Server) renderPage(path string, sel selection, q listQuery, b Behaviour) []byte {
	body := make([]byte, 0, len(sel.positions)*threadBytes+512)
	body = append(body, `{"results":[`...)
	for i, pos := range sel.positions {
		if i > 0 {
			body = append(body, ',')
		}
		body = s.table.appendThread(body, &s.table.records[pos], q.tickets, b.Extra)
	}
	body = append(body, ']')
	if sel.more {
		after := sel.next.String()
		if b.PlainCursors {
			after = sel.next.plain()
		}
		body = s.appendPaging(body, path, after, b)
	}
	return append(body, '}')
}

// choose picks the threads of a page.
func (t *table) choose(q listQuery, b Behaviour) selection {
	var sel selection
	match, possible := t.matcher(q, b)
	switch {
	case !possible:
		sel.to = math.MaxInt
	case q.byTime:
		sel = t.chooseByTime(q, match)
	case q.after.kind == cursorOffset:
		sel = t.chooseByOffset(q, match)
	default:
		sel = t.chooseByID(q, match)
	}
	if b.EmptyTail && !sel.more && len(sel.positions) > 0 {
		sel.more = true
	}
	if len(sel.positions) > 0 {
		last := t.records[sel.positions[len(sel.positions)-1]]
		sel.next = cursor{kind: q.after.kind, id: last.id, at: last.latest, offset: q.after.offset + len(sel.positions)}
		if !q.byTime {
			sel.next.at = 0
		}
	}
	return sel
}

// matcher is the filter over packed records. It is impossible where a filter wants
// a text that no thread has.
func (t *table) matcher(q listQuery, b Behaviour) (func(*record) bool, bool) {
	var flags flag
	if q.archived {
		flags = flagArchived
	}
	mask := flagArchived | flagPurged
	if b.HideSpam {
		mask |= flagSpam
	}
	inbox, okInbox := t.lexicon.words[q.filter.inbox]
	status, okStatus := t.lexicon.words[q.filter.status]
	contact, ticket := t.lexicon.wide(q.filter.contact), t.lexicon.wide(q.filter.ticket)
	return func(rec *record) bool {
		return rec.flags&mask == flags &&
			(inbox == wordNone || rec.inbox == inbox) &&
			(status == wordNone || rec.status == status) &&
			(contact == 0 || rec.contact == contact) &&
			(ticket == 0 || rec.ticket == ticket)
	}, okInbox && okStatus
}

// chooseByID pages by the last id: changes elsewhere never shift a row.
func (t *table) chooseByID(q listQuery, match func(*record) bool) selection {
	from, found := t.find(q.after.id)
	if found {
		from++
	}
	sel := selection{from: from, to: math.MaxInt, positions: make([]int, 0, q.limit)}
	for pos := from; pos < len(t.records); pos++ {
		if !match(&t.records[pos]) {
			continue
		}
		if len(sel.positions) == q.limit {
			sel.more, sel.to = true, pos
			break
		}
		sel.positions = append(sel.positions, pos)
	}
	return sel
}

// chooseByOffset pages by the number of rows before: a row that leaves the list
// lets another one be skipped.
func (t *table) chooseByOffset(q listQuery, match func(*record) bool) selection {
	var sel selection
	skip := q.after.offset
	for pos := range t.records {
		switch {
		case !match(&t.records[pos]):
		case skip > 0:
			skip--
		case len(sel.positions) == q.limit:
			sel.more = true
			return sel
		default:
			sel.positions = append(sel.positions, pos)
		}
	}
	return sel
}

// chooseByTime pages in the order of the latest message. A thread that gets a
// message moves to the end, so that it can be on two pages of one walk; a thread
// without any is never in this list.
func (t *table) chooseByTime(q listQuery, match func(*record) bool) selection {
	var sel selection
	from := sort.Search(len(t.byTime), func(i int) bool {
		entry := t.byTime[i]
		if entry.at < q.since || entry.at < q.after.at {
			return false
		}
		return entry.at > q.after.at || t.records[entry.pos].id > q.after.id
	})
	for _, entry := range t.byTime[from:] {
		if t.outdated(entry) || !match(&t.records[entry.pos]) {
			continue
		}
		if len(sel.positions) == q.limit {
			sel.more = true
			break
		}
		sel.positions = append(sel.positions, int(entry.pos))
	}
	return sel
}

// pageKey is all that a rendered page depends on, beside the behaviour, whose
// change clears the cache, and the threads.
type pageKey struct {
	path       string
	query      listQuery
	compressed bool
}

// rendered is a page with the version of the table that it shows and the
// positions that decided it.
type rendered struct {
	body     []byte
	version  uint64
	from, to int
}

// pageCache keeps rendered pages of the id list while no thread on them changes,
// so that the fake costs a fraction of the client that reads it.
type pageCache struct {
	limit int // bytes
	size  int
	epoch int // grows when cleared, so that no older page is put afterwards
	pages map[pageKey]rendered
}

func newPageCache(limit int) pageCache {
	return pageCache{limit: limit, pages: make(map[pageKey]rendered)}
}

func (c *pageCache) clear() {
	clear(c.pages)
	c.size = 0
	c.epoch++
}

func (c *pageCache) get(key pageKey, t *table) ([]byte, bool) {
	page, ok := c.pages[key]
	if !ok || !t.unchanged(page.version, page.from, page.to) {
		return nil, false
	}
	return page.body, true
}

// put keeps a page and drops any others, no matter which, beyond the limit.
func (c *pageCache) put(key pageKey, page rendered, epoch int) {
	if epoch != c.epoch || len(page.body) > c.limit {
		return
	}
	c.size += len(page.body) - len(c.pages[key].body)
	c.pages[key] = page
	for other, victim := range c.pages {
		if c.size <= c.limit {
			return
		}
		if other != key {
			c.size -= len(victim.body)
			delete(c.pages, other)
		}
	}
}
