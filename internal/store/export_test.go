package store

import "testing"

// SetFormat writes another format version into the file.
func SetFormat(t *testing.T, s *Store, format int) {
	t.Helper()
	err := s.write(func(tx *transaction) error {
		id := s.identity
		id.Format = format
		return putIdentity(tx.Tx, id)
	})
	if err != nil {
		t.Fatal(err)
	}
}
