package store

import (
	"sort"

	"github.com/threadcast/threadcast/internal/thread"
)

// slot is what is held in memory of a thread: 24 bytes. The hash is that of the raw
// JSON that the stored snapshot was decoded from, zero if there is none. The times
// are ticks of the last reading that counts, zero if there was none in this process.
type slot struct {
	id            thread.ID
	hash          uint64
	sent, arrived tick
}

// blockSize bounds the slots that an insertion moves.
const blockSize = 512

// index holds the slots of all threads in the order of their ids, in blocks, so
// that an insertion moves few of them and a page in id order is looked up with
// short steps.
type index struct {
	firsts []thread.ID // first id of each block
	blocks [][]slot
	count  int
}

// find returns the slot of a thread, nil if there is none. The pointer is good
// until the next insertion.
func (x *index) find(id thread.ID) *slot {
	b := x.block(id)
	if b < 0 {
		return nil
	}
	block := x.blocks[b]
	i := position(block, id)
	if i == len(block) || block[i].id != id {
		return nil
	}
	return &block[i]
}

// put sets the slot of a thread.
func (x *index) put(s slot) {
	b := x.block(s.id)
	if b < 0 {
		if len(x.blocks) == 0 {
			x.blocks = append(x.blocks, make([]slot, 0, blockSize))
			x.firsts = append(x.firsts, s.id)
		}
		b = 0
	}
	i := position(x.blocks[b], s.id)
	if i < len(x.blocks[b]) && x.blocks[b][i].id == s.id {
		x.blocks[b][i] = s
		return
	}
	if len(x.blocks[b]) == blockSize {
		b, i = x.split(b, i)
	}
	block := append(x.blocks[b], slot{})
	copy(block[i+1:], block[i:])
	block[i] = s
	x.blocks[b], x.firsts[b] = block, block[0].id
	x.count++
}

// split makes room in a full block and returns where position i of it now is. A
// block that grows at its end, as those of new threads do, is left full.
func (x *index) split(b, i int) (int, int) {
	full := x.blocks[b]
	cut := blockSize / 2
	if i == blockSize {
		cut = blockSize
	}
	right := make([]slot, 0, blockSize)
	right = append(right, full[cut:]...)
	x.blocks[b] = full[:cut]
	x.blocks = append(x.blocks, nil)
	copy(x.blocks[b+2:], x.blocks[b+1:])
	x.blocks[b+1] = right
	x.firsts = append(x.firsts, 0)
	copy(x.firsts[b+2:], x.firsts[b+1:])
	if len(right) > 0 {
		x.firsts[b+1] = right[0].id
	}
	if i < cut {
		return b, i
	}
	return b + 1, i - cut
}

// block is the last block whose first id is not above id, -1 if there is none.
func (x *index) block(id thread.ID) int {
	return sort.Search(len(x.firsts), func(i int) bool { return x.firsts[i] > id }) - 1
}

// position is the first slot of the block whose id is not below id.
func position(block []slot, id thread.ID) int {
	low, high := 0, len(block)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if block[middle].id < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// each calls visit with every slot in the order of ids.
func (x *index) each(visit func(*slot)) {
	for _, block := range x.blocks {
		for i := range block {
			visit(&block[i])
		}
	}
}
