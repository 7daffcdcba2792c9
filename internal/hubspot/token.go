package hubspot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

// TokenSource is where the access token comes from.
type TokenSource interface {
	// Token is the token to use now.
	Token() (Secret, error)
	// Refresh reads the token anew; called after HubSpot refused it.
	Refresh() (Secret, error)
	// WaitChange blocks until there is a usable token other than the refused one,
	// or the context is done. It answers ErrTokenFixed if that cannot happen.
	WaitChange(ctx context.Context, refused Secret) error
}

// ErrTokenFixed is a token that cannot change while the process runs.
var ErrTokenFixed = errors.New("the token comes from the environment and cannot change while running: restart with a valid one, or use auth.token_file")

const (
	// tokenEvery is how often a token file is looked at.
	tokenEvery = time.Second
	// maxToken caps a token file; HubSpot's tokens have less than 200 bytes.
	maxToken = 4 << 10
)

// EnvToken takes the token from an environment variable, read by lookup.
func EnvToken(name string, lookup func(string) (string, bool)) TokenSource {
	return envToken{name, lookup}
}

type envToken struct {
	name   string
	lookup func(string) (string, bool)
}

func (t envToken) Token() (Secret, error) {
	text, ok := t.lookup(t.name)
	if !ok {
		return Secret{}, fmt.Errorf("environment variable %s is not set: put HubSpot's access token there", t.name)
	}
	secret, err := parseToken(text)
	if err != nil {
		return Secret{}, fmt.Errorf("environment variable %s: %w", t.name, err)
	}
	return secret, nil
}

func (t envToken) Refresh() (Secret, error) { return t.Token() }

func (t envToken) WaitChange(context.Context, Secret) error { return ErrTokenFixed }

// FileToken takes the token from a file and reads it again when the file changes.
// Once it was good, a file that becomes unreadable or is half written is not
// believed until HubSpot refuses the token that was read before.
func FileToken(path string, clock thread.Clock) TokenSource {
	return &fileToken{path: path, clock: clock}
}

type fileToken struct {
	path  string
	clock thread.Clock

	mu      sync.Mutex
	secret  Secret
	info    os.FileInfo // as the secret was read
	checked time.Duration
}

func (t *fileToken) Token() (Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock().Mono
	if !t.secret.Empty() && now-t.checked < tokenEvery {
		return t.secret, nil
	}
	t.checked = now
	if err := t.read(false); err != nil && t.secret.Empty() {
		return Secret{}, err
	}
	return t.secret, nil
}

func (t *fileToken) Refresh() (Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.read(true); err != nil {
		return Secret{}, err
	}
	return t.secret, nil
}

func (t *fileToken) WaitChange(ctx context.Context, refused Secret) error {
	ticker := time.NewTicker(tokenEvery)
	defer ticker.Stop()
	for {
		if secret, err := t.Refresh(); err == nil && secret != refused {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// read takes the file's token if the file is not the one that was read before.
func (t *fileToken) read(always bool) error {
	info, err := os.Stat(t.path)
	if err != nil {
		return fmt.Errorf("token file: %w", err)
	}
	if !always && sameFile(t.info, info) {
		return nil
	}
	secret, err := readToken(t.path)
	if err != nil {
		return err
	}
	t.secret, t.info = secret, info
	return nil
}

func sameFile(a, b os.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func readToken(path string) (Secret, error) {
	file, err := os.Open(path)
	if err != nil {
		return Secret{}, fmt.Errorf("token file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	if err != nil {
		return Secret{}, fmt.Errorf("token file: %w", err)
	}
	secret, err := parseToken(string(text))
	if err != nil {
		return Secret{}, fmt.Errorf("token file %s: %w", path, err)
	}
	return secret, nil
}

// parseToken takes a token with a trailing newline, but nothing that could not
// stand in a header. Its errors never show the text.
func parseToken(text string) (Secret, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Secret{}, errors.New("is empty: want HubSpot's access token, alone")
	case len(text) > maxToken:
		return Secret{}, fmt.Errorf("is longer than %d bytes: want HubSpot's access token, alone", maxToken)
	case strings.ContainsAny(text, "\r\n"):
		return Secret{}, errors.New("has several lines: want HubSpot's access token, alone")
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c >= 0x7F {
			return Secret{}, errors.New("holds characters that no token has: want HubSpot's access token, alone, without \"Bearer\"")
		}
	}
	return Secret{text}, nil
}
