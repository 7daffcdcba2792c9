//go:build race

package publish

// The model has one goroutine: under the race detector it has nothing to show, and
// takes ten times as long.
const defaultSchedules = 200
