package hubspottest

import (
	"cmp"
	"slices"
)

// blockBits is the size of a block of records, 256, as a power of two: the grain
// in which changes are noted for the page cache.
const blockBits = 8

// table holds the threads in the order of their ids and an index in the order of
// their latest messages. Positions are stable but for a put below the highest id.
type table struct {
	lexicon lexicon
	records []record

	// byTime is ordered by time, then position. An entry whose record has another
	// latest message by now is outdated and passed over: moving a thread to the end
	// must not cost a copy of the whole index.
	byTime []timeEntry

	// changed holds the version at which a record of each block changed last.
	changed []uint64
	version uint64
}

type timeEntry struct {
	at  int64
	pos uint32
}

func compareEntries(a, b timeEntry) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.pos, b.pos))
}

func (t *table) init() { t.lexicon = newLexicon() }

// find is the position of the thread with the id.
func (t *table) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(t.records, id, func(rec record, id uint64) int {
		return cmp.Compare(rec.id, id)
	})
}

// highest is the highest id, or a floor below which HubSpot's ids are not seen.
func (t *table) highest() uint64 {
	if len(t.records) == 0 {
		return 1_000_000_000
	}
	return t.records[len(t.records)-1].id
}

// put adds or replaces a record.
func (t *table) put(rec record) {
	pos, found := t.find(rec.id)
	if !found {
		t.insert(pos, rec)
	}
	t.set(pos, rec)
}

func (t *table) insert(pos int, rec record) {
	shifts := pos < len(t.records)
	t.records = slices.Insert(t.records, pos, rec)
	for len(t.changed)<<blockBits < len(t.records) {
		t.changed = append(t.changed, 0)
	}
	if !shifts {
		return
	}
	for i := range t.byTime {
		if t.byTime[i].pos >= uint32(pos) {
			t.byTime[i].pos++
		}
	}
	t.version++
	for block := pos >> blockBits; block < len(t.changed); block++ {
		t.changed[block] = t.version
	}
}

// set replaces the record at a position by one with the same id.
func (t *table) set(pos int, rec record) {
	t.records[pos] = rec
	t.version++
	t.changed[pos>>blockBits] = t.version
	t.index(timeEntry{rec.latest, uint32(pos)})
}

// index notes when the thread at a position had its latest message.
func (t *table) index(entry timeEntry) {
	if entry.at == 0 {
		return
	}
	at, found := slices.BinarySearchFunc(t.byTime, entry, compareEntries)
	if found {
		return
	}
	t.byTime = slices.Insert(t.byTime, at, entry)
	if len(t.byTime) > 2*len(t.records)+1024 {
		t.byTime = slices.DeleteFunc(t.byTime, t.outdated)
	}
}

func (t *table) outdated(entry timeEntry) bool {
	return t.records[entry.pos].latest != entry.at
}

// extend appends many records whose ids ascend from the highest on. It may keep the
// slice.
func (t *table) extend(records []record) {
	first := len(t.records)
	if first == 0 {
		t.records = records // a million records are not copied
	} else {
		t.records = append(t.records, records...)
	}
	t.version++
	for len(t.changed)<<blockBits < len(t.records) {
		t.changed = append(t.changed, 0)
	}
	for block := first >> blockBits; block < len(t.changed); block++ {
		t.changed[block] = t.version
	}
	t.byTime = slices.Grow(t.byTime, len(records))
	for i, rec := range records {
		if rec.latest != 0 {
			t.byTime = append(t.byTime, timeEntry{rec.latest, uint32(first + i)})
		}
	}
	slices.SortFunc(t.byTime, compareEntries)
}

// unchanged says whether no record from a position on, up to another, has changed
// since the version.
func (t *table) unchanged(since uint64, from, to int) bool {
	last := min(len(t.changed)-1, to>>blockBits)
	for block := from >> blockBits; block <= last; block++ {
		if t.changed[block] > since {
			return false
		}
	}
	return true
}
