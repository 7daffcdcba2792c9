// Package contract owns the tests of the public contract: that its rules refuse
// what must never be published, and that the rule-free copies in proto/plain say
// the same as proto/threadcast/v1. It has no code of its own, and nothing may
// import it.
package contract
