package hubspot

import (
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// Secret is a token. However it is printed, it prints REDACTED.
type Secret struct{ text string }

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal is the text itself; for the request's header alone.
func (s Secret) Reveal() string { return s.text }

// Empty says that there is no token.
func (s Secret) Empty() bool { return s.text == "" }

// String keeps the secret.
func (s Secret) String() string { return redacted }

// GoString keeps the secret.
func (s Secret) GoString() string { return redacted }

// Format keeps the secret, whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, redacted) }

// LogValue keeps the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON keeps the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
