// Package tidy is a test of the source tree itself: who may import whom, how long
// functions and files may be, which names and words are banned. The rules are in
// its tests; nothing may import it. A rule changes with a page in docs/decisions.
package tidy
