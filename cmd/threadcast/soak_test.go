package main

import (
	"os"
	"testing"
	"time"
)

// killsASecond is what a kill test comes to: a life of a second on average.
const killsASecond = 1

// TestSoakKills is the kill test at full speed, for about as long as THREADCAST_SOAK
// says, or for three kills.
func TestSoakKills(t *testing.T) {
	kills := 3
	if text := os.Getenv("THREADCAST_SOAK"); text != "" {
		lasting, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("THREADCAST_SOAK: %v", err)
		}
		kills = int(lasting.Seconds()) * killsASecond
	}
	crashes{kills: kills, limits: plenty(), every: 20 * time.Millisecond, spacing: 1500 * time.Millisecond, strict: true}.run(t)
}
