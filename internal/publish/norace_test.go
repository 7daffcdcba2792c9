//go:build !race

package publish

const defaultSchedules = 3000
