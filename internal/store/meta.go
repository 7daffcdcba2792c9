package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A bbolt file begins with two meta pages, written in turn; the newer valid one
// counts. bbolt takes the older one without a word if the newer one is damaged,
// which would silently take back the last commit, and maps a file that is cut short
// as if it were whole. A meta page's content lies within one disk sector, so a power
// cut does not tear it: what is invalid was damaged.
const (
	metaPageHeader = 16
	metaSize       = 64
	metaMagic      = 0xED0CDAED // of bbolt
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 20
)

// checkMeta refuses a file with a damaged meta page, or one that is cut short.
func checkMeta(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	first, err := readMeta(file, 0)
	if err != nil {
		return err
	}
	if first.pageSize < minPageSize || first.pageSize > maxPageSize {
		return fmt.Errorf("%w: pages of %d bytes", ErrCorrupt, first.pageSize)
	}
	second, err := readMeta(file, first.pageSize)
	if err != nil {
		return err
	}
	if want := max(first.pages, second.pages); uint64(info.Size()) < want*uint64(first.pageSize) {
		return fmt.Errorf("%w: cut short, %d bytes instead of %d", ErrCorrupt, info.Size(), want*uint64(first.pageSize))
	}
	return nil
}

type meta struct {
	pageSize int64
	pages    uint64 // that the file has at least
}

// readMeta reads the meta page at an offset. Its layout is bbolt's, in the byte order
// of the machine.
func readMeta(file io.ReaderAt, offset int64) (meta, error) {
	content := make([]byte, metaSize)
	if _, err := file.ReadAt(content, offset+metaPageHeader); errors.Is(err, io.EOF) {
		return meta{}, fmt.Errorf("%w: cut short within its head", ErrCorrupt)
	} else if err != nil {
		return meta{}, err
	}
	sum := fnv.New64a()
	sum.Write(content[:metaSize-8])
	order := binary.NativeEndian
	if order.Uint32(content) != metaMagic || order.Uint64(content[metaSize-8:]) != sum.Sum64() {
		return meta{}, fmt.Errorf("%w: damaged meta page at %d", ErrCorrupt, offset)
	}
	return meta{pageSize: int64(order.Uint32(content[8:])), pages: order.Uint64(content[40:])}, nil
}
